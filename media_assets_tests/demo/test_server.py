"""The sample server, asked over real sockets."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from media_assets.demo.corpus import Corpus
from media_assets.demo.faults import Faults, Rule
from media_assets.demo.server import SampleServer
from media_assets.errors import SetupError


@pytest.fixture
def server(corpus: Corpus) -> Iterator[SampleServer]:
    with SampleServer(corpus.root) as running:
        yield running


def good(corpus: Corpus) -> str:
    return next(i for i in corpus.image_ids if i not in corpus.kinds)


def odd(corpus: Corpus, kind: str) -> str:
    return next(i for i, k in corpus.kinds.items() if k == kind)


def image_path(image_id: str) -> str:
    return f"/images/validation/{image_id}.jpg"


def get(server: SampleServer, path: str, **headers: str) -> tuple[int, bytes, http.client.HTTPMessage]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(server.url + path, headers=named), timeout=5) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers


def test_every_image_is_its_file_or_its_fault_when_fetched(server: SampleServer, corpus: Corpus) -> None:
    for image_id in corpus.image_ids:
        status, body, headers = get(server, image_path(image_id))
        kind = corpus.kinds.get(image_id)
        if kind in ("missing", "flaky"):
            assert status == {"missing": 404, "flaky": 503}[kind]
        else:
            assert (status, body) == (200, corpus.path(image_id).read_bytes())
            expected = {"html": "text/html; charset=utf-8", "svg": "image/svg+xml"}.get(str(kind), "image/jpeg")
            assert headers["Content-Type"] == expected


def test_metadata_is_served_when_asked(server: SampleServer, corpus: Corpus) -> None:
    for path in corpus.metadata.iterdir():
        assert get(server, f"/metadata/{path.name}")[:2] == (200, path.read_bytes())
    assert get(server, "/metadata/none.csv")[0] == 404


def test_missing_and_flaky_appear_when_mended(server: SampleServer, corpus: Corpus) -> None:
    server.mend()

    for kind in ("missing", "flaky"):
        image_id = odd(corpus, kind)
        assert get(server, image_path(image_id))[:2] == (200, corpus.path(image_id).read_bytes())


@pytest.mark.parametrize(
    "path",
    [
        "/images/train/{id}.jpg",
        "/images/validation/no.jpg",
        "/corpus.json",
        "/later/validation/{id}.jpg",
        "/images/validation/..%2f..%2f..%2fcorpus.json.jpg",
        "/images/validation/%2e%2e/x.jpg",
    ],
)
def test_nothing_else_is_served_when_asked(path: str, server: SampleServer, corpus: Corpus) -> None:
    assert get(server, path.format(id=good(corpus)))[0] == 404


def test_etag_saves_the_body_when_unchanged(server: SampleServer, corpus: Corpus) -> None:
    path = image_path(good(corpus))
    _, _, headers = get(server, path)

    assert get(server, path, If_None_Match=headers["ETag"])[:2] == (304, b"")
    assert get(server, path, If_None_Match='"other"')[0] == 200


@pytest.mark.parametrize(
    ("asked", "start", "stop"), [("bytes=10-19", 10, 20), ("bytes=1000-", 1000, None), ("bytes=-7", -7, None)]
)
def test_range_gives_that_part_when_asked(
    asked: str, start: int, stop: int | None, server: SampleServer, corpus: Corpus
) -> None:
    data = corpus.path(good(corpus)).read_bytes()
    status, body, headers = get(server, image_path(good(corpus)), Range=asked)

    assert (status, body) == (206, data[start:stop])
    first = start if start >= 0 else len(data) + start
    assert headers["Content-Range"] == f"bytes {first}-{first + len(body) - 1}/{len(data)}"


def test_range_is_refused_or_ignored_when_it_does_not_fit(server: SampleServer, corpus: Corpus) -> None:
    path, data = image_path(good(corpus)), corpus.path(good(corpus)).read_bytes()

    assert get(server, path, Range="bytes=999999999-")[0] == 416
    assert get(server, path, Range="bytes=0-4", If_Range='"stale"')[:2] == (200, data)
    etag = get(server, path)[2]["ETag"]
    assert get(server, path, Range="bytes=0-4", If_Range=etag)[:2] == (206, data[:5])


def test_connection_is_kept_when_asked_twice(server: SampleServer, corpus: Corpus) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request("GET", image_path(good(corpus)))
    connection.getresponse().read()
    first = connection.sock
    connection.request("GET", image_path(good(corpus)))
    connection.getresponse().read()

    assert first is not None
    assert connection.sock is first
    connection.close()


def test_counts_tell_asked_from_served_when_things_fail(server: SampleServer, corpus: Corpus) -> None:
    image_id, size = good(corpus), corpus.path(good(corpus)).stat().st_size
    get(server, image_path(image_id))
    server.break_([image_id])
    get(server, image_path(image_id))

    assert server.hits[image_path(image_id)] == 2
    assert server.n_downloads(image_id) == 1
    assert server.counts.n_bytes == size
    assert server.counts.statuses == {"200": 1, "503": 1}
    told = json.loads(get(server, "/__hits")[1])
    assert told == {"hits": {image_path(image_id): 2}, "served": {image_path(image_id): 1},
                    "statuses": {"200": 1, "503": 1}, "n_bytes": size}  # fmt: skip


@pytest.mark.parametrize("how", ["503", "404", "429"])
def test_named_images_answer_so_when_broken_and_recover_when_healed(
    how: str, server: SampleServer, corpus: Corpus
) -> None:
    broken, fine = [i for i in corpus.image_ids if i not in corpus.kinds][:2]
    server.break_([broken], how)
    status, _, headers = get(server, image_path(broken))

    assert status == int(how)
    assert headers["Retry-After"] == ("1" if how == "429" else None)
    assert get(server, image_path(fine))[0] == 200
    server.heal()
    assert get(server, image_path(broken))[0] == 200


def test_fraction_breaks_the_same_images_when_asked_again(server: SampleServer, corpus: Corpus) -> None:
    server.break_(0.5, "404")
    rounds = [[get(server, image_path(i))[0] for i in corpus.image_ids] for _ in range(2)]

    assert rounds[0] == rounds[1]
    assert 200 in rounds[0]
    assert rounds[0].count(404) > 1 + list(corpus.kinds.values()).count("missing")


def raw_get(server: SampleServer, path: str) -> tuple[bytes, bool]:
    """What came before the end, and whether the end was a reset."""
    received = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        try:
            while chunk := connection.recv(65536):
                received += chunk
        except ConnectionResetError:
            return received, True
    return received, False


@pytest.mark.parametrize(("how", "is_reset"), [("reset", True), ("cut", False)])
def test_connection_ends_early_when_broken_off(how: str, is_reset: bool, server: SampleServer, corpus: Corpus) -> None:
    image_id = good(corpus)
    size = corpus.path(image_id).stat().st_size
    server.break_([image_id], how)
    received, was_reset = raw_get(server, image_path(image_id))

    assert was_reset == is_reset
    assert f"Content-Length: {size}".encode() in received or is_reset
    assert len(received) < size
    assert server.n_downloads(image_id) == 0


def test_body_trickles_when_slow(server: SampleServer, corpus: Corpus) -> None:
    image_id = good(corpus)
    size = corpus.path(image_id).stat().st_size
    server.faults = Faults(rules=(Rule("slow", frozenset([image_id])),), slow_bytes_per_second=size)
    started = time.monotonic()
    status, body, _ = get(server, image_path(image_id))

    assert (status, body) == (200, corpus.path(image_id).read_bytes())
    assert time.monotonic() - started > 0.7
    assert server.n_downloads(image_id) == 1


def test_everything_answers_503_when_out(server: SampleServer, corpus: Corpus) -> None:
    table = f"/metadata/{next(corpus.metadata.iterdir()).name}"
    server.outage(True)
    assert [get(server, path)[0] for path in (image_path(good(corpus)), table)] == [503, 503]
    server.outage(False)
    assert [get(server, path)[0] for path in (image_path(good(corpus)), table)] == [200, 200]


def test_server_listens_on_loopback_only_and_is_gone_when_left(corpus: Corpus) -> None:
    with SampleServer(corpus.root) as server:
        assert server.url == f"http://127.0.0.1:{server.port}"
        assert server.image_url_template.format(split="validation", image_id="x").endswith(image_path("x"))
        with pytest.raises(OSError):
            SampleServer(corpus.root, server.port).__enter__()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", server.port), timeout=1)


def test_server_refuses_when_there_is_no_set(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="write_corpus"):
        SampleServer(tmp_path)


def test_process_obeys_its_faults_file_and_tells_hits_when_run_alone(corpus: Corpus, tmp_path: Path) -> None:
    faults_file = tmp_path / "faults.json"
    command = [sys.executable, "-m", "media_assets.demo.server", str(corpus.root), "--faults-file", str(faults_file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["url"]
            address = url + image_path(good(corpus))

            def status() -> int:
                try:
                    return int(urllib.request.urlopen(address, timeout=5).status)
                except urllib.error.HTTPError as error:
                    return error.code

            seen = [status()]
            Faults(is_outage=True).save(faults_file)
            seen.append(status())
            faults_file.write_text("{ torn")
            seen.append(status())
            Faults().save(faults_file)
            seen.append(status())
            hits = json.load(urllib.request.urlopen(url + "/__hits", timeout=5))
        finally:
            process.kill()  # not terminate: whoever started the tests may have had SIGTERM ignored
    assert seen == [200, 503, 500, 200]
    assert hits["hits"] == {image_path(good(corpus)): 4}
    assert hits["served"] == {image_path(good(corpus)): 2}
