"""One body over HTTP: what every kind of answer becomes, retries, resuming, bounds."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from media_assets.errors import ErrorCode
from media_assets.ingest.fetch.answers import Validators
from media_assets.ingest.fetch.fetch_all import Fetched, FetchFailed, FetchRequest, fetch_all
from media_assets_tests.ingest.fetch.hostile_server import Exchange, HostileServer, Tripwire
from media_assets_tests.ingest.fetch.running import LOOPBACK, QUICK, MemorySink, code, failed, fetched, run
from media_assets_tests.ingest.fetch.test_tripwire import ScriptedResolver

BODY = bytes(range(256)) * 1_000
OTHER = bytes(reversed(BODY))


@pytest.fixture
def server() -> Iterator[HostileServer]:
    with HostileServer() as running:
        yield running


# ---- success


def test_body_is_stored_under_its_hash_when_all_is_well(server: HostileServer) -> None:
    @server.route("/a.jpg")
    async def _(exchange: Exchange) -> None:
        await exchange.object(BODY)

    outcome, body = fetched(server.url("/a.jpg?v=1"))
    assert body == BODY
    assert outcome.media_id == hashlib.sha256(BODY).hexdigest()
    assert (outcome.size_bytes, outcome.n_attempts) == (len(BODY), 1)
    assert (outcome.content_type, outcome.etag) == ("image/jpeg", '"v1"')
    assert outcome.final_uri == server.url("/a.jpg?v=1")
    assert outcome.fetched_at.utcoffset() is not None


def test_request_says_who_asks_and_asks_for_plain_bytes(server: HostileServer) -> None:
    @server.route("/a")
    async def _(exchange: Exchange) -> None:
        await exchange.reply(200, b"x", Set_Cookie="session=1")

    run([server.url("/a"), server.url("/a")], limits=replace(QUICK, n_connections=1))
    for exchange in server.seen:
        assert exchange.headers["user-agent"] == "tests/1"
        assert exchange.headers["accept-encoding"] == "identity"
        assert "cookie" not in exchange.headers
    assert server.n_connections == 1


def test_body_is_taken_when_it_comes_in_chunks_or_ends_with_the_connection(server: HostileServer) -> None:
    @server.route("/chunked")
    async def _(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")

    @server.route("/until-close")
    async def _(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.0 200 OK\r\n\r\nabcde")
        exchange.close()

    for path in ("/chunked", "/until-close"):
        assert fetched(server.url(path))[1] == b"abcde"


def test_body_is_spooled_when_it_is_larger_than_memory_allows(server: HostileServer, tmp_path: Path) -> None:
    @server.route("/big")
    async def _(exchange: Exchange) -> None:
        await exchange.reply(200, BODY)

    (outcome,), sink = run(
        [server.url("/big")], limits=replace(QUICK, memory_bytes=1_000), spool_dir=tmp_path / "spool"
    )
    assert isinstance(outcome, Fetched)
    assert sink.bodies[outcome.media_id] == BODY
    assert sink.spooled == {outcome.media_id}
    assert list((tmp_path / "spool").iterdir()) == []


def test_spool_holds_no_more_than_what_is_under_way(server: HostileServer, tmp_path: Path) -> None:
    @server.route("/big")
    async def _(exchange: Exchange) -> None:
        await exchange.reply(200, BODY)

    class CountingSink(MemorySink):
        most = 0

        async def put_if_absent(self, media_id: str, body: bytes | Path) -> None:
            self.most = max(self.most, sum(path.is_file() for path in tmp_path.rglob("*")))

    sink = CountingSink()
    limits = replace(QUICK, memory_bytes=1_000, n_connections=1)
    requests = [FetchRequest(n, server.url("/big")) for n in range(5)]
    list(fetch_all(requests, sink, limits=limits, policy=LOOPBACK, user_agent="tests/1", spool_dir=tmp_path))
    assert sink.most == 1


def test_spool_is_empty_when_a_large_body_failed(server: HostileServer, tmp_path: Path) -> None:
    @server.route("/big")
    async def _(exchange: Exchange) -> None:
        await exchange.reply(200, BODY, announce=len(BODY) + 1)
        exchange.close()

    limits = replace(QUICK, memory_bytes=1_000, max_attempts=2)
    assert code(server.url("/big"), limits=limits, spool_dir=tmp_path) is ErrorCode.TRUNCATED_BODY
    assert list(tmp_path.iterdir()) == []


# ---- status


@pytest.mark.parametrize(
    ("status", "expected", "n_requests"),
    [
        (404, ErrorCode.NOT_FOUND, 1),
        (410, ErrorCode.NOT_FOUND, 1),
        (401, ErrorCode.FORBIDDEN, 1),
        (403, ErrorCode.FORBIDDEN, 1),
        (451, ErrorCode.FORBIDDEN, 1),
        (400, ErrorCode.HTTP_ERROR, 1),
        (418, ErrorCode.HTTP_ERROR, 1),
        (304, ErrorCode.HTTP_ERROR, 1),
        (206, ErrorCode.HTTP_ERROR, 1),
        (204, ErrorCode.EMPTY, 1),
        (200, ErrorCode.EMPTY, 1),
        (202, ErrorCode.HTTP_ERROR, 1),
        (999, ErrorCode.HTTP_ERROR, 1),
        (429, ErrorCode.RATE_LIMITED, 4),
        (500, ErrorCode.SERVER_ERROR, 4),
        (503, ErrorCode.SERVER_ERROR, 4),
    ],
)
def test_status_becomes_its_code(server: HostileServer, status: int, expected: ErrorCode, n_requests: int) -> None:
    @server.route("/a")
    async def _(exchange: Exchange) -> None:
        await exchange.reply(status)

    found = failed(server.url("/a?token=hunter2"))
    assert (found.error.code, found.n_attempts, server.hits["/a"]) == (expected, n_requests, n_requests)
    assert "hunter2" not in found.error.message
    assert found.error.__traceback__ is None


def test_connection_is_used_again_when_an_error_page_is_small(server: HostileServer) -> None:
    limits = replace(QUICK, n_connections=1)
    outcomes, _ = run([server.url("/missing")] * 5, limits=limits)
    assert len(outcomes) == 5
    assert server.n_connections == 1


def test_item_succeeds_when_the_server_recovers(server: HostileServer) -> None:
    @server.route("/a")
    async def _(exchange: Exchange) -> None:
        await exchange.reply(*((500,) if exchange.n < 3 else (200, BODY)))

    outcome, body = fetched(server.url("/a"))
    assert (outcome.n_attempts, body) == (3, BODY)


# ---- waiting when asked to


@pytest.mark.parametrize("status", [429, 503])
def test_host_is_left_in_peace_when_it_asks_for_a_pause(server: HostileServer, status: int) -> None:
    asked_at: list[float] = []
    seen_at: list[float] = []

    @server.route("/busy")
    async def _(exchange: Exchange) -> None:
        if exchange.n == 1:
            asked_at.append(time.monotonic())
            return await exchange.reply(status, Retry_After="1")
        return await exchange.reply(200, BODY)

    @server.route("/other")
    async def _(exchange: Exchange) -> None:
        seen_at.append(time.monotonic())
        await exchange.reply(200, BODY)

    limits = replace(QUICK, n_connections=1)
    outcomes, _ = run([server.url("/busy"), server.url("/other")], limits=limits)
    assert all(isinstance(outcome, Fetched) for outcome in outcomes)
    assert [outcome.n_attempts for outcome in outcomes] == [2, 1]
    assert seen_at[0] - asked_at[0] >= 0.95


def test_item_is_given_up_when_the_pause_asked_for_is_too_long(server: HostileServer) -> None:
    @server.route("/a")
    async def _(exchange: Exchange) -> None:
        await exchange.reply(429, Retry_After="3600")

    started = time.monotonic()
    outcomes, _ = run([server.url("/a")] * 20, limits=replace(QUICK, n_connections=1))
    assert time.monotonic() - started < 5
    assert {outcome.error.code for outcome in outcomes if isinstance(outcome, FetchFailed)} == {ErrorCode.RATE_LIMITED}
    assert server.hits["/a"] == 1  # nobody else even knocks
    assert any("3600 seconds" in outcome.error.message for outcome in outcomes if isinstance(outcome, FetchFailed))


# ---- bodies that lie


def test_body_is_truncated_when_it_is_shorter_than_announced(server: HostileServer) -> None:
    @server.route("/short")
    async def _(exchange: Exchange) -> None:
        await exchange.reply(200, BODY, announce=len(BODY) + 10)
        exchange.close()

    @server.route("/chunks")
    async def _(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n")
        exchange.close()

    for path in ("/short", "/chunks"):
        found = failed(server.url(path))
        assert (found.error.code, found.n_attempts) == (ErrorCode.TRUNCATED_BODY, 4)


def test_next_item_is_not_poisoned_when_a_server_sends_more_than_announced(server: HostileServer) -> None:
    forged = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"

    @server.route("/long")
    async def _(exchange: Exchange) -> None:
        await exchange.reply(200, BODY + forged, announce=len(BODY))

    @server.route("/next")
    async def _(exchange: Exchange) -> None:
        await exchange.reply(200, OTHER)

    outcomes, sink = run([server.url("/long"), server.url("/next")] * 5, limits=replace(QUICK, n_connections=1))
    bodies = [sink.bodies[outcome.media_id] for outcome in outcomes if isinstance(outcome, Fetched)]
    assert bodies == [BODY, OTHER] * 5


def test_next_item_is_not_poisoned_when_the_excess_comes_late(server: HostileServer) -> None:
    @server.route("/long")
    async def _(exchange: Exchange) -> None:
        await exchange.reply(200, BODY)
        await asyncio.sleep(0.05)
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")

    @server.route("/next")
    async def _(exchange: Exchange) -> None:
        await exchange.reply(200, OTHER)

    class Unhurried(MemorySink):
        async def put_if_absent(self, media_id: str, body: bytes | Path) -> None:
            await asyncio.sleep(0.1)  # the late bytes come while the connection is idle
            await super().put_if_absent(media_id, body)

    sink = Unhurried()
    requests = [FetchRequest(path, server.url(path)) for path in ("/long", "/next")]
    limits = replace(QUICK, n_connections=1)
    for outcome in fetch_all(requests, sink, limits=limits, policy=LOOPBACK, user_agent="tests/1"):
        assert isinstance(outcome, Fetched)
    assert sorted(sink.bodies.values()) == sorted([BODY, OTHER])


def test_body_is_refused_when_more_than_the_cap_is_announced_or_comes(server: HostileServer) -> None:
    @server.route("/announced")
    async def _(exchange: Exchange) -> None:
        await exchange.reply(200, b"x", announce=10**12)

    @server.route("/endless")
    async def _(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while not exchange.writer.is_closing():
            await exchange.send(bytes(65_536))

    for path in ("/announced", "/endless"):
        found = failed(server.url(path))
        assert (found.error.code, found.n_attempts) == (ErrorCode.TOO_MANY_BYTES, 1)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"])
def test_cap_is_exact(server: HostileServer, head: bytes) -> None:
    @server.route("/a")
    async def _(exchange: Exchange) -> None:
        await exchange.send((head % len(BODY) if b"%" in head else head) + BODY)
        exchange.close()

    assert fetched(server.url("/a"), limits=replace(QUICK, max_bytes=len(BODY)))[1] == BODY
    assert code(server.url("/a"), limits=replace(QUICK, max_bytes=len(BODY) - 1)) is ErrorCode.TOO_MANY_BYTES


@pytest.mark.parametrize("header", ["Content-Encoding: gzip", "Content-Encoding: br", "Transfer-Encoding: gzip"])
def test_body_is_refused_when_it_comes_compressed(server: HostileServer, header: str) -> None:
    @server.route("/a")
    async def _(exchange: Exchange) -> None:
        await exchange.send(f"HTTP/1.1 200 OK\r\nConnection: close\r\n{header}\r\n\r\n".encode() + b"\x1f\x8b")
        exchange.close()

    assert code(server.url("/a")) is ErrorCode.ENCODING_REFUSED


@pytest.mark.parametrize(
    "checksum", [f"sha256:{hashlib.sha256(BODY).hexdigest()}", f"MD5:{hashlib.md5(BODY).hexdigest().upper()}"]
)
def test_body_is_held_against_what_was_declared(server: HostileServer, checksum: str) -> None:
    @server.route("/a")
    async def _(exchange: Exchange) -> None:
        await exchange.object(BODY)

    @server.route("/b")
    async def _(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.0 200 OK\r\n\r\n" + OTHER)
        exchange.close()

    fetched(FetchRequest(0, server.url("/a"), declared_bytes=len(BODY), declared_checksum=checksum))
    for request in (
        FetchRequest(0, server.url("/b"), declared_checksum=checksum),
        FetchRequest(0, server.url("/a"), declared_bytes=len(BODY) + 1),
        FetchRequest(0, server.url("/b"), declared_bytes=len(BODY) - 1),
    ):
        found = failed(request)
        assert (found.error.code, found.n_attempts) == (ErrorCode.CHECKSUM_MISMATCH, 1)


@pytest.mark.parametrize("checksum", ["", "abc", "sha256:abc", "crc32c:AAAAAA==", "md5:" + "g" * 32])
def test_item_is_refused_when_its_declared_checksum_is_unreadable(server: HostileServer, checksum: str) -> None:
    assert code(FetchRequest(0, server.url("/a"), declared_checksum=checksum)) is ErrorCode.BAD_ROW
    assert not server.seen


# ---- resuming


def test_body_is_resumed_when_it_broke_off_and_is_the_same_version(server: HostileServer) -> None:
    @server.route("/a")
    async def _(exchange: Exchange) -> None:
        await exchange.object(BODY, cut_at=100_000 if exchange.n < 3 else None)

    outcome, body = fetched(FetchRequest(0, server.url("/a"), declared_checksum=f"md5:{hashlib.md5(BODY).hexdigest()}"))
    assert (body, outcome.n_attempts) == (BODY, 3)
    ranges = [exchange.headers.get("range") for exchange in server.seen]
    assert ranges == [None, "bytes=100000-", "bytes=200000-"]
    assert {exchange.headers.get("if-range") for exchange in server.seen[1:]} == {'"v1"'}


def test_body_is_resumed_when_it_was_spooled(server: HostileServer) -> None:
    @server.route("/a")
    async def _(exchange: Exchange) -> None:
        await exchange.object(BODY, cut_at=100_000 if exchange.n == 1 else None)

    _, body = fetched(server.url("/a"), limits=replace(QUICK, memory_bytes=10_000))
    assert body == BODY
    assert server.seen[1].headers["range"] == "bytes=100000-"


def test_versions_are_never_mixed_when_the_object_changed_between_attempts(server: HostileServer) -> None:
    @server.route("/a")
    async def _(exchange: Exchange) -> None:
        first = exchange.n == 1
        await exchange.object(BODY if first else OTHER, '"v1"' if first else '"v2"', cut_at=100_000 if first else None)

    outcome, body = fetched(server.url("/a"))
    assert (body, outcome.etag) == (OTHER, '"v2"')


@pytest.mark.parametrize(
    "lie",
    [
        {"ETag": '"v2"'},
        {"Content_Range": "bytes 0-255999/256000"},
        {"Content_Range": "bytes 100000-255999/300000"},
        {"Content_Range": "bytes 99999-255999/256000"},
        {"Content_Range": "bytes=100000"},
        {"Content_Type": "multipart/byteranges; boundary=x", "Content_Range": ""},
    ],
)
def test_body_starts_over_when_its_rest_does_not_fit(server: HostileServer, lie: dict[str, str]) -> None:
    @server.route("/a")
    async def _(exchange: Exchange) -> None:
        if exchange.n == 1:
            return await exchange.object(BODY, cut_at=100_000)
        if "range" in exchange.headers:
            head = {"ETag": '"v1"', "Content_Range": "bytes 100000-255999/256000"} | lie
            return await exchange.reply(206, OTHER[100_000:], **head)
        return await exchange.object(OTHER)

    _, body = fetched(server.url("/a"))
    assert body == OTHER
    assert [("range" in exchange.headers) for exchange in server.seen] == [False, True, False]


def test_body_starts_over_when_the_range_is_not_satisfiable(server: HostileServer) -> None:
    @server.route("/a")
    async def _(exchange: Exchange) -> None:
        if "range" in exchange.headers:
            return await exchange.reply(416)
        return await exchange.object(BODY, cut_at=100_000 if exchange.n == 1 else None)

    assert fetched(server.url("/a"))[1] == BODY


@pytest.mark.parametrize("weakness", [{"ETag": 'W/"v1"'}, {"Accept_Ranges": "none"}, {"ETag": ""}])
def test_no_range_is_asked_for_when_the_version_cannot_be_told(server: HostileServer, weakness: dict[str, str]) -> None:
    @server.route("/a")
    async def _(exchange: Exchange) -> None:
        head = {"ETag": '"v1"', "Accept_Ranges": "bytes"} | weakness
        await exchange.reply(200, BODY if exchange.n > 1 else BODY[:100_000], announce=len(BODY), **head)
        if exchange.n == 1:
            exchange.close()

    assert fetched(server.url("/a"))[1] == BODY
    assert all("range" not in exchange.headers for exchange in server.seen)


# ---- connections that fail


def test_connection_fails_when_nobody_listens_or_it_is_cut(server: HostileServer) -> None:
    @server.route("/reset")
    async def _(exchange: Exchange) -> None:
        exchange.reset()

    @server.route("/silent-close")
    async def _(exchange: Exchange) -> None:
        exchange.close()

    for url in ("http://127.0.0.1:9/", server.url("/reset"), server.url("/silent-close")):
        found = failed(url)
        assert (found.error.code, found.n_attempts) == (ErrorCode.CONNECTION_FAILED, 4)


def test_body_is_truncated_when_the_connection_is_reset_in_it(server: HostileServer) -> None:
    @server.route("/a")
    async def _(exchange: Exchange) -> None:
        await exchange.reply(200, BODY, announce=2 * len(BODY))
        await asyncio.sleep(0.05)
        exchange.reset()

    assert code(server.url("/a")) is ErrorCode.TRUNCATED_BODY


def test_tls_fails_at_once_when_the_server_speaks_plain_http(server: HostileServer) -> None:
    found = failed(server.url("/a").replace("http://", "https://"))
    assert (found.error.code, found.n_attempts) == (ErrorCode.TLS_FAILED, 1)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_tls_fails_when_nobody_vouches_for_the_certificate(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "1",
    ]
    made += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate]
    subprocess.run(made, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    heard = []

    def listen(listener: socket.socket) -> None:
        with suppress(OSError), context.wrap_socket(listener.accept()[0], server_side=True) as connection:
            heard.append(connection.recv(1))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=listen, args=[listener])
        thread.start()
        assert code(f"https://127.0.0.1:{listener.getsockname()[1]}/") is ErrorCode.TLS_FAILED
        thread.join()
    assert not any(heard), "nothing is asked of whoever answers there"


def test_no_cookie_is_carried_from_one_item_to_the_next(server: HostileServer) -> None:
    @server.route("/a")
    async def _(exchange: Exchange) -> None:
        await exchange.reply(200, BODY, **{"Set-Cookie": "visitor=7; Path=/"})

    url = server.url("/a").replace(server.host, "photos.example")
    names = ScriptedResolver([server.host])
    for _ in range(2):
        run([url, url], resolver=lambda: names, limits=replace(QUICK, n_connections=1))
    assert [exchange.headers.get("cookie") for exchange in server.seen] == [None] * 4


def test_name_does_not_resolve_when_it_is_invalid() -> None:
    found = failed("http://no-such-host.invalid/a")
    assert (found.error.code, found.n_attempts) == (ErrorCode.DNS_FAILED, 4)
    assert "no-such-host.invalid" in found.error.message


# ---- time


def test_item_times_out_when_nothing_comes(server: HostileServer) -> None:
    @server.route("/no-answer")
    async def _(exchange: Exchange) -> None:
        await exchange.hang()

    @server.route("/stalls")
    async def _(exchange: Exchange) -> None:
        await exchange.reply(200, b"some", announce=100)
        await exchange.hang()

    limits = replace(QUICK, idle_seconds=0.2, max_attempts=2)
    outcomes, _ = run([server.url("/no-answer"), server.url("/stalls")], limits=limits)
    for outcome in outcomes:
        assert isinstance(outcome, FetchFailed)
        assert (outcome.error.code, outcome.n_attempts) == (ErrorCode.TIMEOUT, 2)


@pytest.mark.parametrize("where", ["body", "headers", "interim"])
def test_item_is_too_slow_when_bytes_drip(server: HostileServer, where: str) -> None:
    @server.route("/drip")
    async def _(exchange: Exchange) -> None:
        await exchange.send(
            {"body": b"HTTP/1.1 200 OK\r\n\r\n", "headers": b"HTTP/1.1 200 OK\r\nX: ", "interim": b""}[where]
        )
        while not exchange.writer.is_closing():
            await exchange.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" if where == "interim" else b"x")
            await asyncio.sleep(0.02)

    started = time.monotonic()
    found = failed(server.url("/drip"), limits=replace(QUICK, total_seconds=0.5))
    assert (found.error.code, found.n_attempts) == (ErrorCode.TOO_SLOW, 1)
    assert time.monotonic() - started < 3


def test_time_is_bounded_over_all_attempts_when_each_is_slow(server: HostileServer) -> None:
    @server.route("/slow-then-cut")
    async def _(exchange: Exchange) -> None:
        await asyncio.sleep(0.1)
        exchange.close()

    started = time.monotonic()
    found = failed(server.url("/slow-then-cut"), limits=replace(QUICK, total_seconds=0.5, max_attempts=100))
    assert found.error.code is ErrorCode.TOO_SLOW
    assert 1 < found.n_attempts < 10
    assert time.monotonic() - started < 3


# ---- redirects


def _redirect_to(server: HostileServer, path: str, location: str, status: int = 302) -> None:
    @server.route(path)
    async def _(exchange: Exchange) -> None:
        await exchange.reply(status, b"moved", Location=location)


def test_redirects_are_followed_when_they_are_few(server: HostileServer) -> None:
    for n, status in enumerate((301, 302, 303, 307, 308)):
        _redirect_to(server, f"/{n}", f"/{n + 1}?signature=hunter2", status)

    @server.route("/5")
    async def _(exchange: Exchange) -> None:
        assert exchange.query == "signature=hunter2"
        await exchange.object(BODY)

    outcome, body = fetched(server.url("/0"))
    assert (body, outcome.n_attempts) == (BODY, 1)
    assert outcome.final_uri == server.url("/5")


def test_redirects_are_given_up_when_they_are_many_or_loop(server: HostileServer) -> None:
    _redirect_to(server, "/loop", "/loop?token=hunter2")
    found = failed(server.url("/loop"))
    assert (found.error.code, server.hits["/loop"]) == (ErrorCode.TOO_MANY_REDIRECTS, 6)
    assert "hunter2" not in found.error.message


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("file:///etc/passwd", ErrorCode.URL_REFUSED),
        ("ftp://example.com/", ErrorCode.URL_REFUSED),
        ("data:image/png;base64,AAAA", ErrorCode.URL_REFUSED),
        ("javascript:alert(1)", ErrorCode.URL_REFUSED),
        ("http://me:hunter2@example.com/", ErrorCode.URL_REFUSED),
        ("http://10.0.0.1/", ErrorCode.ADDRESS_REFUSED),
        ("//10.0.0.1/", ErrorCode.ADDRESS_REFUSED),
        ("http://169.254.169.254/latest/meta-data?hunter2", ErrorCode.ADDRESS_REFUSED),
        ("http://[::1]/", ErrorCode.ADDRESS_REFUSED),
        ("http://[", ErrorCode.URL_REFUSED),
        ("", ErrorCode.HTTP_ERROR),
    ],
)
def test_redirect_is_refused_when_it_leads_astray(server: HostileServer, location: str, expected: ErrorCode) -> None:
    _redirect_to(server, "/a", location)
    found = failed(server.url("/a"))
    assert (found.error.code, found.n_attempts) == (expected, 1)
    assert "hunter2" not in found.error.message


def test_redirect_is_not_followed_when_it_leads_from_https_to_http(
    server: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from media_assets.ingest.fetch import downloader

    # Loopback has no certificate: the first hop claims to be https and is fetched as http.
    real = downloader.Downloader._request

    async def plain(self: downloader.Downloader, url: downloader.URL, transfer: downloader.Transfer) -> object:
        return await real(self, url.with_scheme("http").with_port(url.port), transfer)

    monkeypatch.setattr(downloader.Downloader, "_request", plain)
    _redirect_to(server, "/a", server.url("/b"))
    found = failed(server.url("/a").replace("http://", "https://"))
    assert found.error.code is ErrorCode.URL_REFUSED
    assert "from https to http" in found.error.message
    assert server.hits["/b"] == 0


def test_redirect_target_may_hold_raw_utf8(server: HostileServer) -> None:
    @server.route("/a")
    async def _(exchange: Exchange) -> None:
        await exchange.send("HTTP/1.1 302 F\r\nContent-Length: 0\r\nLocation: /straße 1\r\n\r\n".encode())

    @server.route("/stra%C3%9Fe%201")
    async def _(exchange: Exchange) -> None:
        await exchange.reply(200, BODY)

    assert fetched(server.url("/a"))[1] == BODY


def test_body_starts_over_when_the_redirect_leads_to_another_place_on_the_second_attempt(
    server: HostileServer,
) -> None:
    @server.route("/a")
    async def _(exchange: Exchange) -> None:
        await exchange.reply(302, Location="/mirror-1" if exchange.n == 1 else "/mirror-2")

    @server.route("/mirror-1")
    async def _(exchange: Exchange) -> None:
        await exchange.object(BODY, cut_at=100_000)

    @server.route("/mirror-2")
    async def _(exchange: Exchange) -> None:
        await exchange.object(OTHER)  # the same ETag, other bytes

    assert fetched(server.url("/a"))[1] == OTHER


# ---- answers that are not HTTP


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00\xff" * 500 + b"\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.0\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nabcde",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nabcde",
        b"HTTP/1.1 302 F\r\nLocation: \xff\xfe\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
    ],
)
def test_item_fails_with_one_code_and_the_batch_goes_on_when_the_answer_is_garbage(
    server: HostileServer, raw: bytes
) -> None:
    @server.route("/bad")
    async def _(exchange: Exchange) -> None:
        await exchange.send(raw)
        exchange.close()

    @server.route("/good")
    async def _(exchange: Exchange) -> None:
        await exchange.reply(200, BODY)

    limits = replace(QUICK, n_connections=1, max_attempts=2)
    (bad, good), _ = run([server.url("/bad"), server.url("/good")], limits=limits)
    assert isinstance(good, Fetched)
    assert isinstance(bad, FetchFailed)
    assert bad.error.code in {
        ErrorCode.HTTP_ERROR,
        ErrorCode.TRUNCATED_BODY,
        ErrorCode.CONNECTION_FAILED,
        ErrorCode.URL_REFUSED,
        ErrorCode.EMPTY,
    }


def test_answer_is_asked_for_again_when_it_is_garbage_once(server: HostileServer) -> None:
    @server.route("/a")
    async def _(exchange: Exchange) -> None:
        await (exchange.reply(200, BODY) if exchange.n > 1 else exchange.send(b"garbage\r\n\r\n"))

    outcome, body = fetched(server.url("/a"))
    assert (outcome.n_attempts, body) == (2, BODY)


def test_broken_chunks_are_a_truncated_body(server: HostileServer) -> None:
    @server.route("/a")
    async def _(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabcde\r\n")
        exchange.close()

    assert code(server.url("/a")) in {ErrorCode.TRUNCATED_BODY, ErrorCode.HTTP_ERROR}


# ---- proxy


def test_proxy_gets_every_request_when_one_is_configured(server: HostileServer) -> None:
    @server.route("http://photos.example/a.jpg")  # a proxy is sent whole URLs
    async def _(exchange: Exchange) -> None:
        await exchange.reply(200, BODY)

    with Tripwire() as wire:
        urls = ["http://photos.example/a.jpg", f"http://127.0.0.1:{wire.port}/", server.url("/")]
        outcomes, _ = run(urls, proxy=server.url(""), policy=replace(LOOPBACK, allowed_networks=()))
        assert wire.n_connections == 0
    assert isinstance(outcomes[0], Fetched)
    for outcome in outcomes[1:]:
        assert isinstance(outcome, FetchFailed)
        assert outcome.error.code is ErrorCode.ADDRESS_REFUSED
    assert server.n_connections == 1


def test_proxy_itself_is_not_asked_for_even_when_its_network_is_open(server: HostileServer) -> None:
    assert code(server.url("/admin"), proxy=server.url(""), policy=LOOPBACK) is ErrorCode.ADDRESS_REFUSED
    assert server.n_connections == 0


def test_proxy_of_the_environment_is_ignored(server: HostileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    @server.route("/a")
    async def _(exchange: Exchange) -> None:
        await exchange.reply(200, BODY)

    with Tripwire() as wire:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{wire.port}")
        assert fetched(server.url("/a"))[1] == BODY
        assert wire.n_connections == 0


# ---- a version that is known


def test_no_body_is_fetched_when_the_known_version_is_still_there(server: HostileServer) -> None:
    @server.route("/a")
    async def _(exchange: Exchange) -> None:
        if exchange.headers.get("if-none-match") == '"v1"':
            await exchange.reply(304)
        else:
            await exchange.object(BODY)

    first, _ = fetched(server.url("/a?token=1"))
    assert first.validators == Validators(server.url("/a"), '"v1"', None)
    again = failed(FetchRequest("", server.url("/a?token=2"), known=first.validators))
    assert again.is_unchanged
    assert again.n_attempts == 1
    assert not failed(server.url("/none")).is_unchanged
    other = replace(first.validators, etag='"v0"')
    assert fetched(FetchRequest("", server.url("/a"), known=other))[1] == BODY


def test_a_known_version_of_another_address_is_not_asked_about(server: HostileServer) -> None:
    @server.route("/moved")
    async def _(exchange: Exchange) -> None:
        assert "if-none-match" not in exchange.headers
        await exchange.reply(302, Location="/b")

    @server.route("/b")
    async def _(exchange: Exchange) -> None:
        is_known = "if-none-match" in exchange.headers
        await exchange.reply(304 if is_known else 200, b"" if is_known else BODY, ETag='W/"v1"')

    first, _ = fetched(server.url("/moved"))
    assert first.validators == Validators(server.url("/b"), 'W/"v1"', None)
    assert failed(FetchRequest("", server.url("/moved"), known=first.validators)).is_unchanged
    elsewhere = replace(first.validators, location=server.url("/c"))
    assert fetched(FetchRequest("", server.url("/moved"), known=elsewhere))[1] == BODY


def test_not_modified_is_a_failure_when_nothing_was_known(server: HostileServer) -> None:
    @server.route("/a")
    async def _(exchange: Exchange) -> None:
        await exchange.reply(304)

    outcome = failed(server.url("/a"))
    assert (outcome.error.code, outcome.is_unchanged) == (ErrorCode.HTTP_ERROR, False)


def test_the_rest_of_a_body_is_asked_for_without_conditions(server: HostileServer) -> None:
    """A changed object breaks off: its rest is that of the new version, which nobody knows yet."""

    @server.route("/a")
    async def _(exchange: Exchange) -> None:
        is_first = exchange.headers.get("if-none-match") == '"v0"'
        assert is_first == ("range" not in exchange.headers)
        await exchange.object(BODY, cut_at=1000 if is_first else None)

    known = Validators(server.url("/a"), '"v0"', None)
    outcome, body = fetched(FetchRequest("", server.url("/a"), known=known))
    assert (body, outcome.n_attempts) == (BODY, 2)
    assert outcome.validators == replace(known, etag='"v1"')


def test_a_part_is_refused_when_only_a_newer_version_was_asked_for(server: HostileServer) -> None:
    @server.route("/a")
    async def _(exchange: Exchange) -> None:
        await exchange.reply(206, BODY[:10], ETag='"v2"', Content_Range=f"bytes 0-9/{len(BODY)}")

    outcome = failed(FetchRequest("", server.url("/a"), known=Validators(server.url("/a"), '"v1"', None)))
    assert "not asked for" in outcome.error.message
    assert outcome.error.code is ErrorCode.HTTP_ERROR
