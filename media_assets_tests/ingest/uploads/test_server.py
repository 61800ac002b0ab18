"""The endpoint over HTTP, as clients see it: who may, what is answered, and what bad clients get."""

from __future__ import annotations

import hashlib
import http.client
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from media_assets.errors import SetupError
from media_assets.ingest.uploads import rows
from media_assets.ingest.uploads.refusals import STATUS, UploadCode
from media_assets.ingest.uploads.server import open_endpoint, open_socket
from media_assets_tests.docs.pages import ROOT
from media_assets_tests.ingest.uploads.site import (
    LIMITS,
    OFFSETS,
    OTHER,
    SECRET,
    SMALL,
    UploadSite,
    everything_of,
    places,
    running,
)

CAT = b"\xff\xd8cat" * 1000
HASTY = replace(LIMITS, idle_seconds=0.3, grace_seconds=0.3, head_seconds=0.4, n_connections=8)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UploadSite]:
    with running(tmp_path_factory.mktemp("uploads")) as site:
        yield site


@pytest.fixture
def hasty(tmp_path: Path) -> Iterator[UploadSite]:
    """A server of little patience, for eight connections."""
    with running(tmp_path, HASTY) as site:
        yield site


def fresh(n: int = 5000) -> bytes:
    """Bytes that no other test sends."""
    fresh.n += 1  # type: ignore[attr-defined]
    return hashlib.shake_256(str(fresh.n).encode()).digest(n)  # type: ignore[attr-defined]


fresh.n = 0  # type: ignore[attr-defined]


def checksum_of(data: bytes, algorithm: str = "sha1") -> str:
    return f"{algorithm} {b64encode(hashlib.new(algorithm, data).digest()).decode()}"


def wait_until(what: str, is_true: object, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


# -- plain files and forms


def test_a_plain_file_is_in_the_inbox_once_it_is_acknowledged(site: UploadSite) -> None:
    data = fresh()
    answer = site.ask("PUT", "/upload/my%20cat.JPG", body=data)
    (told,) = answer.json()["files"]
    assert answer.status == 201
    assert told == {
        "id": answer.headers["upload-receipt"],
        "key": f"phones/{told['id']}-my-cat.jpg",
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "is_repeat": False,
    }
    assert site.landed()[told["key"]] == data
    again = site.ask("PUT", "/upload/other.png", body=data)
    assert (again.status, again.json()["files"]) == (200, [told | {"is_repeat": True}])


@pytest.mark.parametrize("is_right", [True, False])
def test_a_plain_file_is_held_to_its_checksum(site: UploadSite, is_right: bool) -> None:
    data, before = fresh(), len(site.landed())
    headers = {"Upload-Checksum": checksum_of(data if is_right else b"other", "sha256")}
    answer = site.ask("PUT", "/upload/x", headers, data)
    assert answer.status == (201 if is_right else 460)
    assert len(site.landed()) == before + is_right


def form(*files: tuple[str, bytes]) -> tuple[dict[str, str], bytes]:
    parts = b"".join(
        f'--xyz\r\nContent-Disposition: form-data; name="f"; filename="{name}"\r\n\r\n'.encode() + data + b"\r\n"
        for name, data in files
    )
    return {"Content-Type": "multipart/form-data; boundary=xyz"}, parts + b"--xyz--\r\n"


def test_the_files_of_a_form_land_together(site: UploadSite) -> None:
    one, two = fresh(), fresh()
    answer = site.ask("POST", "/upload", *form(("a.jpg", one), ("b.png", two), ("c.png", one)))
    told = answer.json()["files"]
    assert answer.status == 201
    assert [each["is_repeat"] for each in told] == [False, False, True]
    assert [site.landed()[each["key"]] for each in told] == [one, two, one]
    assert told[0]["id"] == told[2]["id"]


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ([("a", b"x"), ("b", b"")], "empty_upload"),
        ([("a", b"x"), ("b", b"y" * 300_000)], "too_large"),
        ([], "empty_upload"),
        ([(f"{i}", b"x") for i in range(101)], "too_large"),
    ],
)
def test_a_form_lands_whole_or_not_at_all(site: UploadSite, files: list[tuple[str, bytes]], code: str) -> None:
    before = site.landed()
    assert site.ask("POST", "/upload", *form(*files)).code == code
    assert site.landed() == before
    assert site.parts() == []


def test_a_form_over_the_quota_lands_nothing(site: UploadSite) -> None:
    before = site.landed()
    headers, body = form(*[(f"{i}", fresh(10)) for i in range(4)])
    answer = site.ask("POST", "/upload", headers, body, secret=SMALL)
    assert (answer.status, answer.code) == (403, "quota_exceeded")
    assert site.landed() == before
    assert site.parts() == []


# -- who may


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (None, "token_missing"),
        ("", "token_missing"),
        ("Basic abc", "token_missing"),
        ("Bearer", "token_missing"),
        ("Bearer ", "token_missing"),
        (f"Bearer {SECRET}x", "token_unknown"),
        (f"Bearer {SECRET[:-1]}", "token_unknown"),
        ("Bearer \xe9", "token_unknown"),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "/upload/x"), ("POST", "/upload"), ("POST", "/files"), ("PATCH", "/files/x")]
)
def test_nothing_is_taken_without_a_token(
    site: UploadSite, method: str, path: str, authorization: str | None, code: str
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=20)
    headers = {} if authorization is None else {"Authorization": authorization.encode("latin-1")}
    connection.request(method, path, b"data", headers)
    response = connection.getresponse()
    assert (response.status, response.headers["WWW-Authenticate"]) == (401, 'Bearer realm="uploads"')
    assert code in response.read().decode()
    connection.close()


def test_an_upload_is_another_tokens_nothing(site: UploadSite) -> None:
    path = site.begin(10)
    for method in ("HEAD", "DELETE"):
        assert site.tus(method, path, secret=OTHER).status == 404
    assert (
        site.tus("PATCH", path, {"Content-Type": OFFSETS, "Upload-Offset": "0"}, b"x" * 10, secret=OTHER).status == 404
    )
    assert site.offset(path) == 0


# -- tus


def test_the_server_says_what_it_can(site: UploadSite) -> None:
    for path in ("/files", "/files/", "/files/x"):
        answer = site.ask("OPTIONS", path)
        assert answer.status == 204
        assert answer.headers["tus-version"] == "1.0.0"
        assert answer.headers["tus-max-size"] == str(LIMITS.max_bytes)
        assert answer.headers["tus-checksum-algorithm"].split(",")[0] == "sha1"
        named = set(answer.headers["tus-extension"].split(","))
        assert named == {"creation", "creation-with-upload", "checksum", "expiration", "termination"}
        assert "access-control-allow-origin" not in answer.headers


def test_an_upload_goes_from_its_beginning_to_the_inbox(site: UploadSite) -> None:
    data = fresh()
    path = site.begin(len(data), "Räksmörgås.jpg")
    head = site.tus("HEAD", path)
    assert (head.status, head.headers["upload-offset"], head.headers["upload-length"]) == (200, "0", "5000")
    assert head.headers["cache-control"] == "no-store"
    first = site.patch(path, 0, data[:2000])
    assert (first.status, first.headers["upload-offset"], first.body) == (204, "2000", b"")
    assert first.headers["upload-expires"].endswith("GMT")
    last = site.patch(path, 2000, data[2000:], Upload_Checksum=checksum_of(data[2000:]))
    assert (last.status, last.headers["upload-offset"]) == (204, "5000")
    assert site.landed()[f"phones/{last.headers['upload-receipt']}-Raksmorgas.jpg"] == data
    assert site.offset(path) == 5000
    nothing = site.patch(path, 5000, b"")
    assert (nothing.status, nothing.headers["upload-offset"]) == (204, "5000")


def test_an_upload_may_begin_with_its_bytes(site: UploadSite) -> None:
    data = fresh()
    headers = {"Upload-Length": str(len(data)), "Content-Type": OFFSETS}
    half = site.tus("POST", "/files", headers, data[:100])
    assert (half.status, half.headers["upload-offset"]) == (201, "100")
    assert site.patch(half.headers["location"], 100, data[100:]).status == 204
    whole = site.tus("POST", "/files", headers, data)  # the same bytes: the same receipt
    assert (whole.status, whole.headers["upload-offset"]) == (201, str(len(data)))
    assert sum(each == data for each in site.landed().values()) == 1
    n_open = len(site.endpoint.receiver.ledger.submit(rows.open_uploads).result(10))
    wrong = site.tus("POST", "/files", headers | {"Upload-Checksum": checksum_of(b"other")}, fresh())
    assert wrong.status == 460
    assert len(site.endpoint.receiver.ledger.submit(rows.open_uploads).result(10)) == n_open


def test_a_method_may_be_overridden(site: UploadSite) -> None:
    data = fresh(10)
    path = site.begin(10)
    headers = {"X-HTTP-Method-Override": "PATCH", "Content-Type": OFFSETS, "Upload-Offset": "0"}
    assert site.tus("POST", path, headers, data).status == 204
    assert site.tus("POST", path, {"X-HTTP-Method-Override": "GET"}).status == 405


def test_an_upload_that_was_ended_is_gone_and_a_finished_one_is_not(site: UploadSite) -> None:
    path = site.begin(100)
    site.patch(path, 0, b"x" * 50)
    assert path.rpartition("/")[2] in site.parts()
    assert site.tus("DELETE", path).status == 204
    assert site.parts() == []
    assert [site.tus(method, path).status for method in ("HEAD", "DELETE")] == [404, 404]
    path = site.begin(10)
    site.patch(path, 0, fresh(10))
    answer = site.tus("DELETE", path)
    assert (answer.status, answer.code) == (409, "upload_finished")


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("POST", {"Upload-Length": "-5"}, 400),
        ("POST", {"Upload-Length": "five"}, 400),
        ("POST", {}, 400),
        ("POST", {"Upload-Length": "0"}, 400),
        ("POST", {"Upload-Length": "200001"}, 413),
        ("POST", {"Upload-Length": "10", "Upload-Defer-Length": "1"}, 400),
        ("POST", {"Upload-Defer-Length": "1"}, 400),
        ("POST", {"Upload-Concat": "partial", "Upload-Length": "10"}, 400),
        ("POST", {"Upload-Length": "10", "Tus-Resumable": "0.2.2"}, 412),
        ("POST", {"Upload-Length": "10", "Upload-Metadata": "a" * 9000}, 400),
        ("PATCH", {"Upload-Offset": "0", "Content-Type": "application/fail"}, 415),
        ("PATCH", {"Upload-Offset": "0"}, 415),
        ("PATCH", {"Content-Type": OFFSETS}, 400),
        ("PATCH", {"Upload-Offset": "-1", "Content-Type": OFFSETS}, 400),
        ("PATCH", {"Upload-Offset": "1", "Content-Type": OFFSETS}, 409),
        ("PATCH", {"Upload-Offset": "0", "Content-Type": OFFSETS, "Upload-Checksum": "crc32 AAAA"}, 400),
        ("PATCH", {"Upload-Offset": "0", "Content-Type": OFFSETS, "Tus-Resumable": "2.0.0"}, 412),
        ("HEAD", {"Tus-Resumable": ""}, 412),
        ("GET", {}, 405),
        ("PUT", {}, 405),
    ],
)
def test_what_the_protocol_does_not_allow_is_refused(
    site: UploadSite, method: str, headers: dict[str, str], status: int
) -> None:
    path = "/files" if method == "POST" else site.begin(10)
    answer = site.tus(method, path, headers, b"hello" if method == "PATCH" else None)
    assert answer.status == status
    assert answer.headers["tus-resumable"] == "1.0.0"
    assert method == "HEAD" or answer.code
    if status == 412:
        assert answer.headers["tus-version"] == "1.0.0"
    if method != "POST":
        assert site.offset(path) == 0


@pytest.mark.parametrize("is_chunked", [False, True])
def test_more_bytes_than_were_announced_are_refused(site: UploadSite, is_chunked: bool) -> None:
    path = site.begin(10)
    body = iter([b"x" * 6, b"x" * 6]) if is_chunked else b"x" * 12
    headers = {"Transfer-Encoding": "chunked"} if is_chunked else {}
    answer = site.patch(path, 0, body, **headers)
    assert (answer.status, answer.code) == (413, "length_exceeded")
    assert site.offset(path) == 0


def test_a_chunk_of_another_checksum_is_dropped(site: UploadSite) -> None:
    data = fresh()
    path = site.begin(len(data))
    assert site.patch(path, 0, data[:1000]).status == 204
    answer = site.patch(path, 1000, data[1000:], Upload_Checksum=checksum_of(b"other"))
    assert (answer.status, answer.code) == (460, "checksum_mismatch")
    assert site.offset(path) == 1000
    assert site.patch(path, 1000, data[1000:], Upload_Checksum=checksum_of(data[1000:], "md5")).status == 204
    assert data in site.landed().values()


def test_an_empty_chunk_is_no_progress_and_no_error(site: UploadSite) -> None:
    path = site.begin(10)
    assert site.patch(path, 0, b"").headers["upload-offset"] == "0"


def half_a_patch(site: UploadSite, path: str, data: bytes, n_sent: int) -> socket.socket:
    """Send a part of what is announced, and wait until the server has read it."""
    metrics = site.endpoint.receiver.metrics
    n_before = metrics.n_bytes
    head = (
        f"PATCH {path} HTTP/1.1\nHost: x\nAuthorization: Bearer {SECRET}\nTus-Resumable: 1.0.0\n"
        f"Content-Type: {OFFSETS}\nUpload-Offset: 0\nContent-Length: {len(data)}\n\n"
    )
    connection = site.raw(head, data[:n_sent])
    wait_until("the server has read them", lambda: metrics.n_bytes == n_before + n_sent)
    return connection


def is_held(site: UploadSite, path: str) -> bool:
    return path.rpartition("/")[2] in site.endpoint.resumable.locks


def test_a_second_writer_is_refused_and_a_look_takes_over_from_a_dead_one(site: UploadSite) -> None:
    data = fresh()
    path = site.begin(len(data))
    dead = half_a_patch(site, path, data, 3000)
    assert is_held(site, path)
    rival = site.patch(path, 0, data)
    assert (rival.status, rival.code, rival.headers["retry-after"]) == (423, "upload_locked", "1")
    assert site.offset(path) == 3000
    assert b" 409 " in dead.recv(65536)
    dead.close()
    assert site.patch(path, 3000, data[3000:]).status == 204
    assert data in site.landed().values()


def test_what_came_before_a_connection_broke_is_kept(site: UploadSite) -> None:
    data = fresh(LIMITS.checkpoint_bytes - 1)
    path = site.begin(len(data))
    connection = half_a_patch(site, path, data, 40_000)
    connection.close()
    wait_until("the server has noticed", lambda: len(site.endpoint.resumable.locks) == 0)
    offset = site.offset(path)
    assert offset == 40_000
    assert site.patch(path, offset, data[offset:]).status == 204
    assert data in site.landed().values()


def test_an_upload_that_was_cut_before_its_name_was_told_leaves_nothing(tmp_path: Path) -> None:
    head = (
        f"POST /files HTTP/1.1\nHost: x\nAuthorization: Bearer {SMALL}\nTus-Resumable: 1.0.0\nUpload-Length: 900\n"
        f"Content-Type: {OFFSETS}\nContent-Length: 900\n\n"
    )
    with running(tmp_path, LIMITS) as site:
        for _ in range(4):  # its quota is three files a day
            connection = site.raw(head, b"x" * 500)
            wait_until("it has begun", lambda: len(site.endpoint.resumable.locks) == 1)
            connection.close()
            wait_until("it is over", lambda: len(site.endpoint.resumable.locks) == 0)
        wait_until("it is gone", lambda: site.parts() == [])
        assert site.ask("PUT", "/upload/x", body=b"y" * 900, secret=SMALL).status == 201


def test_a_plain_file_that_is_cut_leaves_nothing(tmp_path: Path) -> None:
    with running(tmp_path, replace(LIMITS, max_bytes=1_000_000)) as site:
        cut_a_plain_file(site)


def cut_a_plain_file(site: UploadSite) -> None:
    before, parts = site.landed(), site.parts()
    head = f"PUT /upload/x HTTP/1.1\nHost: x\nAuthorization: Bearer {SECRET}\nContent-Length: 900000\n\n"
    connection = site.raw(head, b"x" * 500_000)
    wait_until("a part is there", lambda: len(site.parts()) == len(parts) + 1)
    connection.close()
    wait_until("the part is gone", lambda: site.parts() == parts)
    assert site.landed() == before


# -- lies, floods, snails


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("Content-Length: 5\nContent-Length: 50\n", b"x" * 50),
        ("Content-Length: 5, 6\n", b"x" * 50),
        ("Content-Length: -1\n", b"x" * 50),
        ("Content-Length: 0x10\n", b"x" * 16),
        ("Transfer-Encoding: gzip\n", b"x" * 50),
        ("Transfer-Encoding: chunked\n", b"zz\r\nhello"),
        ("Content-Length : 5\n", b"x" * 5),
        (f"X: {'y' * 70_000}\n", b""),
        ("Content-Length: 4\nTransfer-Encoding: chunked\n", b"5\r\nhello\r\n0\r\n\r\n"),
    ],
)
def test_a_request_that_can_be_read_in_two_ways_is_refused(site: UploadSite, head: str, body: bytes) -> None:
    before = site.landed()
    start = f"PUT /upload/x HTTP/1.1\nHost: x\nConnection: close\nAuthorization: Bearer {SECRET}\n"
    answer = everything_of(site.raw(start + head + "\n", body))
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 ", b"HTTP/1.1 431 ")), answer
    assert site.landed() == before


def test_bytes_behind_the_announced_length_are_no_part_of_the_file(site: UploadSite) -> None:
    data = fresh(90)
    head = f"PUT /upload/x HTTP/1.1\nHost: x\nAuthorization: Bearer {SECRET}\nContent-Length: 90\n\n"
    answer = everything_of(site.raw(head, data + b"more\r\n\r\n"))
    assert b"201 Created" in answer
    assert b"400 Bad Request" in answer  # what follows is no request
    assert data in site.landed().values()


@pytest.mark.parametrize("is_announced", [True, False])
def test_a_file_over_the_cap_is_refused(site: UploadSite, is_announced: bool) -> None:
    body, parts = b"x" * 200_001, site.parts()
    if is_announced:
        answer = site.ask("PUT", "/upload/x", body=body)
    else:
        answer = site.ask("PUT", "/upload/x", {"Transfer-Encoding": "chunked"}, iter([body[:150_000], body[150_000:]]))
    assert (answer.status, answer.code) == (413, "too_large")
    assert site.parts() == parts


def test_an_empty_file_is_refused(site: UploadSite) -> None:
    assert site.ask("PUT", "/upload/x", body=b"").code == "empty_upload"


def test_a_body_that_stops_is_cut_and_its_place_given_back(hasty: UploadSite) -> None:
    head = f"PUT /upload/x HTTP/1.1\nHost: x\nAuthorization: Bearer {SECRET}\nContent-Length: 5000\n\n"
    begun = time.monotonic()
    answer = everything_of(hasty.raw(head, b"x" * 100))
    assert time.monotonic() - begun < 6
    assert b" 408 " in answer
    assert b"too_slow" in answer
    assert hasty.parts() == []
    assert hasty.ask("PUT", "/upload/x", body=CAT).status == 201


def test_a_body_that_drips_is_cut(hasty: UploadSite) -> None:
    head = f"PUT /upload/x HTTP/1.1\nHost: x\nAuthorization: Bearer {SECRET}\nContent-Length: 5000\n\n"
    assert b" 408 " in dripped(hasty.raw(head), b"x")


def dripped(connection: socket.socket, drop: bytes) -> bytes:
    """Send a drop every 50 ms until the server closes; what it said meanwhile."""
    connection.settimeout(0.05)
    answer, deadline = b"", time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            connection.sendall(drop)
            if not (chunk := connection.recv(65536)):
                return answer
            answer += chunk
        except TimeoutError:
            continue
        except ConnectionError:
            return answer
    connection.close()
    raise AssertionError("the server has not closed the connection")


def test_a_header_that_drips_is_cut(hasty: UploadSite) -> None:
    assert dripped(hasty.raw("PUT /upload/x HTTP/1.1\nHost: x\n"), b"X: y\r\n") == b""


def test_a_refused_client_that_goes_on_sending_is_cut(hasty: UploadSite) -> None:
    head = "PUT /upload/x HTTP/1.1\nHost: x\nContent-Length: 1000000000\n\n"
    assert b" 401 " in dripped(hasty.raw(head), b"x" * 1000)


def test_more_uploads_than_places_are_told_to_wait(tmp_path: Path) -> None:
    with running(tmp_path, replace(LIMITS, n_in_flight=2)) as narrow:
        held = [half_a_patch(narrow, narrow.begin(5000), CAT, 10) for _ in range(2)]
        assert narrow.endpoint.receiver.n_in_flight == 2
        answer = narrow.ask("PUT", "/upload/x", body=CAT)
        assert (answer.status, answer.code, answer.headers["retry-after"]) == (429, "busy", "1")
        for connection in held:
            connection.close()
        wait_until("the places are free", lambda: narrow.endpoint.receiver.n_in_flight == 0)
        assert narrow.ask("PUT", "/upload/x", body=CAT).status == 201


def test_more_connections_than_allowed_are_closed_and_room_comes_back(hasty: UploadSite) -> None:
    idle = [hasty.raw("") for _ in range(8)]
    wait_until("a ninth is closed", lambda: b" 503 " in everything_of(hasty.raw("")))
    wait_until("idle ones were closed", lambda: _is_answered(hasty))
    for connection in idle:
        connection.close()


def _is_answered(site: UploadSite) -> bool:
    try:
        return site.ask("GET", "/health").status == 200
    except (OSError, http.client.HTTPException):
        return False


def test_too_many_unfinished_uploads_are_refused(tmp_path: Path) -> None:
    with running(tmp_path, replace(LIMITS, n_open_per_token=2)) as site:
        paths = [site.begin(10) for _ in range(2)]
        answer = site.tus("POST", "/files", {"Upload-Length": "10"})
        assert (answer.status, answer.code, answer.headers["retry-after"]) == (429, "too_many_open", "60")
        site.tus("DELETE", paths[0])
        site.begin(10)


# -- what else is served


def test_health_and_metrics_say_how_it_is(hasty: UploadSite) -> None:
    hasty.ask("PUT", "/upload/x", body=CAT)
    hasty.ask("PUT", "/upload/x", body=CAT)
    hasty.ask("PUT", "/upload/x", body=b"")
    assert hasty.ask("GET", "/health").json() == {"status": "ok", "in_flight": 0, "trouble": []}
    text = hasty.ask("GET", "/metrics").body.decode()
    lines = dict(line.rpartition(" ")[::2] for line in text.splitlines() if not line.startswith("#"))
    prefix = "media_assets_uploads_"
    assert lines[f'{prefix}received_total{{kind="new"}}'] == "1"
    assert lines[f'{prefix}received_total{{kind="repeat"}}'] == "1"
    assert lines[f'{prefix}refused_total{{code="empty_upload"}}'] == "1"
    assert lines[f"{prefix}body_bytes_total"] == str(2 * len(CAT))
    assert lines[f'{prefix}request_seconds_bucket{{le="+Inf"}}'] == lines[f"{prefix}request_seconds_count"] == "2"
    assert all(secret not in text for secret in (SECRET, "one", "phones"))


def test_health_is_unfit_while_nothing_can_be_kept(tmp_path: Path) -> None:
    with running(tmp_path, replace(LIMITS, free_bytes=2**60)) as site:
        answer = site.ask("GET", "/health")
        assert (answer.status, answer.json()["status"]) == (503, "unfit")
        assert site.ask("PUT", "/upload/x", body=CAT).status == 507


def test_health_tells_of_tokens_and_of_an_inbox_until_they_are_mended(site: UploadSite) -> None:
    def trouble() -> list[str]:
        return list(site.ask("GET", "/health").json()["trouble"])

    site.endpoint.tokens.clock = lambda: time.monotonic() * 1000  # a look is due at once
    tokens, inbox = site.root / "tokens.json", site.inbox
    tokens.rename(tokens.with_suffix(".away"))
    assert len(trouble()) == 1
    tokens.with_suffix(".away").rename(tokens)
    assert trouble() == []
    inbox.rename(inbox.with_suffix(".away"))
    assert "inbox" in trouble()[0]
    inbox.with_suffix(".away").rename(inbox)
    assert trouble() == []


def test_every_answer_forbids_framing_sniffing_and_other_origins(site: UploadSite) -> None:
    asked = [("GET", "/"), ("GET", "/page.js"), ("GET", "/page.css"), ("GET", "/nowhere"), ("PUT", "/upload/x")]
    for method, path in asked:
        headers = site.ask(method, path, {"Origin": "http://evil.example"}).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert not [name for name in headers if name.startswith("access-control")]
    assert site.ask("GET", "/nowhere").code == "no_such_page"
    assert site.ask("GET", "/upload").code == "method_not_allowed"


def test_the_page_keeps_its_own_policy(site: UploadSite) -> None:
    page = site.ask("GET", "/").body.decode()
    assert "<script src=" in page
    assert " style=" not in page
    assert " on" + "click" not in page


# -- the server as a whole


def test_another_address_than_loopback_needs_a_word() -> None:
    for host in ("0.0.0.0", "::"):
        with pytest.raises(SetupError, match="--public"):
            open_socket(host, 0, is_public=False)
    open_socket("0.0.0.0", 0, is_public=True).close()


@pytest.mark.parametrize(
    ("inbox", "state", "match"),
    [
        ("{root}/inbox", "{root}/inbox/.state", "outside the inbox"),
        ("{root}/inbox", "/proc", "file system"),
    ],
)
def test_folders_that_cannot_serve_are_refused(tmp_path: Path, inbox: str, state: str, match: str) -> None:
    given = replace(places(tmp_path), inbox=Path(inbox.format(root=tmp_path)), state=state.format(root=tmp_path))
    with pytest.raises(SetupError, match=match), open_endpoint(given, LIMITS):
        pass


def test_a_second_server_over_the_same_folders_is_refused(site: UploadSite) -> None:
    with pytest.raises(SetupError, match="no other upload server"), open_endpoint(places(site.root), LIMITS):
        pass


def test_every_code_has_a_status_and_stands_in_the_documentation() -> None:
    page = (ROOT / "docs" / "uploads.md").read_text("utf-8")
    assert set(STATUS) == set(UploadCode)
    assert [code for code in UploadCode if f"| `{code}` | {STATUS[code]} |" not in page] == []


def test_a_hundred_writers_at_once_all_land_or_are_told_to_wait(site: UploadSite) -> None:
    datas = [fresh(3000) for _ in range(100)]
    outcomes: list[int] = []

    def send(data: bytes) -> None:
        while (status := site.ask("PUT", "/upload/x", body=data).status) == 429:
            time.sleep(0.05)
        outcomes.append(status)

    threads = [threading.Thread(target=send, args=(data,)) for data in datas]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert outcomes == [201] * 100
    assert set(datas) <= set(site.landed().values())
