"""What a hostile server does, one route each, and what may become of an item that meets it. Not here: running them."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

from media_assets_tests.ingest.fetch.hostile_server import Exchange, HostileServer
from media_assets_tests.media.pictures import HTML, make_jpeg

Fates = frozenset[str]


def failed(*codes: str) -> Fates:
    """Failed for one of these causes."""
    return frozenset(f"failed/{code}" for code in codes)


OK = frozenset({"accepted"})
REPEAT = frozenset({"duplicate"})
"""The same bytes as an item before it."""
REFUSED = failed("url_refused", "address_refused")
NO_HTTP = failed("http_error")
BROKEN_OFF = failed("truncated_body")
NO_ANSWER = failed("connection_failed")
_ELSEWHERE: dict[str, Fates] = {
    "long": NO_HTTP,  # the client gives up on the header before anybody reads the URL in it
    "no-host": failed("not_found"),  # relative, by the standard: a path on the same server
    "port-0": NO_ANSWER,  # any port of a network that was opened on purpose may be tried
}
"""What may become of redirects that need not be refused as URLs."""


@dataclass(frozen=True)
class Behaviour:
    """One route. `server` names the server it is on: a host that asks for a pause takes all its items along."""

    name: str
    route: Callable[[Exchange], Awaitable[None]] = field(repr=False)
    fates: Fates
    server: str = "main"


def picture(number: int) -> bytes:
    """A good file, different for every number: equal ones would be duplicates."""
    return make_jpeg(1000 + number, (48, 32))


def behaviours(n_slow_seconds: float) -> Iterator[Behaviour]:
    """All of them; what drips does so for longer than `n_slow_seconds`."""
    for group in (_good, _lengths, _encodings, _answers, _statuses, _broken, _redirects, _changes):
        yield from group()
    yield from _slow(n_slow_seconds)


def head(length: int | str | None, *lines: str, status: str = "200 OK") -> bytes:
    """The head of an answer; None for no length."""
    lengths = [] if length is None else [f"Content-Length: {length}"]
    return "\r\n".join([f"HTTP/1.1 {status}", *lengths, *lines, "", ""]).encode()


def raw(content: bytes, *, is_closed: bool = True) -> Callable[[Exchange], Awaitable[None]]:
    """A route that writes these bytes as they are, and hangs up."""

    async def route(exchange: Exchange) -> None:
        await exchange.send(content)
        if is_closed:
            exchange.close()

    return route


def _chunked(body: bytes, size: int = 999) -> bytes:
    parts = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


def _good() -> Iterator[Behaviour]:
    body = picture(0)
    yield Behaviour("plain", raw(head(len(body)) + body, is_closed=False), OK)
    chunked = head(None, "Transfer-Encoding: chunked")
    yield Behaviour("chunked", raw(chunked + _chunked(picture(1)) + b"0\r\n\r\n", is_closed=False), OK)
    yield Behaviour("until-closed", raw(head(None, "Connection: close") + picture(2)), OK)
    yield Behaviour("http-1.0", raw(b"HTTP/1.0 200 OK\r\n\r\n" + picture(3)), OK)
    body = picture(4)
    odd = head(len(body), "Content-Type: text/html", "Content-Disposition: attachment; filename=../../etc/passwd")
    yield Behaviour("type-and-name-lie", raw(odd + body, is_closed=False), OK)
    body = picture(5)
    cookies = [f"Set-Cookie: c{i}={'x' * 90}" for i in range(40)]
    yield Behaviour("cookies", raw(head(len(body), *cookies) + body, is_closed=False), OK)
    chunks = b"".join(b"1;x=%d\r\n%c\r\n" % (i, byte) for i, byte in enumerate(picture(6)))
    yield Behaviour("chunks-of-one-byte", raw(chunked + chunks + b"0\r\n\r\n", is_closed=False), OK)
    body = picture(7)
    yield Behaviour("early-hints", raw(b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" + head(len(body)) + body), OK)


def _lengths() -> Iterator[Behaviour]:
    body = picture(10)
    yield Behaviour("says-more", raw(head(len(body) + 1000) + body), BROKEN_OFF)
    # the rest may look like an answer to whoever asks next on this connection
    second = head(6) + b"secret"
    yield Behaviour("says-less", raw(head(len(body)) + body + second, is_closed=False), OK)
    cut = picture(11)
    # half a picture, or no HTTP: the client reads what is behind the body as the next answer
    yield Behaviour("says-less-than-the-picture", raw(head(len(cut) - 200) + cut), failed("truncated") | NO_HTTP)
    yield Behaviour("says-10-GB", raw(head(10**10) + body), failed("too_many_bytes"))
    yield Behaviour("says-negative", raw(head(-5) + body), NO_HTTP)
    yield Behaviour("says-text", raw(head("many") + body), NO_HTTP)
    yield Behaviour("says-hexadecimal", raw(head("0x10") + body), NO_HTTP)
    yield Behaviour("says-10-to-the-40", raw(head(10**40) + body), NO_HTTP)
    twice = head(5, f"Content-Length: {len(body)}")
    yield Behaviour("says-two-lengths", raw(twice + body), NO_HTTP)
    both = head(5, "Transfer-Encoding: chunked")
    # smuggling: either reading is refused, or the one that standards prefer (chunked) is taken
    yield Behaviour("length-and-chunks", raw(both + _chunked(picture(12)) + b"0\r\n\r\n"), NO_HTTP | OK)
    yield Behaviour("no-bytes", raw(head(0), is_closed=False), failed("empty"))
    yield Behaviour("no-bytes-until-closed", raw(head(None)), failed("empty"))
    yield Behaviour("no-content", raw(head(None, status="204 No Content"), is_closed=False), failed("empty"))


def _encodings() -> Iterator[Behaviour]:
    bomb = gzip.compress(bytes(20 * 2**20), mtime=0)
    for coding in ("gzip", "deflate", "br", "zstd", "compress", "gzip, gzip, gzip", "identity, gzip", "nonsense"):
        body = zlib.compress(bytes(20 * 2**20)) if coding == "deflate" else bomb
        name = coding.replace(", ", "-")
        route = raw(head(len(body), f"Content-Encoding: {coding}") + body)
        yield Behaviour(f"encoded-{name}", route, failed("encoding_refused"))
    # a client that does not know the transfer's coding cannot know where the body ends
    transfer = head(None, "Transfer-Encoding: gzip, chunked")
    yield Behaviour(
        "transfer-gzip", raw(transfer + _chunked(bomb, 60_000) + b"0\r\n\r\n"), failed("encoding_refused") | NO_HTTP
    )
    yield Behaviour("gzip-not-said", raw(head(len(bomb)) + bomb), failed("unsupported_format"))


def _answers() -> Iterator[Behaviour]:
    yield Behaviour("error-page", raw(head(len(HTML), "Content-Type: image/jpeg") + HTML), failed("unsupported_format"))
    js = b'{"error": "quota"}'
    yield Behaviour("error-document", raw(head(len(js)) + js), failed("unsupported_format"))
    playlist = b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1/\n"
    yield Behaviour("playlist", raw(head(len(playlist)) + playlist), failed("unsupported_format"))
    yield Behaviour("not-http", raw(b"\xff\xd8\xff\xe0" * 500), NO_HTTP)
    yield Behaviour("ssh", raw(b"SSH-2.0-OpenSSH_9.2\r\n"), NO_HTTP)
    yield Behaviour("icy", raw(b"ICY 200 OK\r\n\r\n" + picture(20)), NO_HTTP)
    yield Behaviour("tls-alert", raw(b"\x15\x03\x01\0\x02\x02\x0a"), NO_HTTP)
    yield Behaviour("http-2", raw(b"\0\0\x12\x04\0\0\0\0\0" + bytes(18)), NO_HTTP)
    yield Behaviour("http-9.9", raw(b"HTTP/9.9 200 OK\r\nContent-Length: 0\r\n\r\n"), NO_HTTP | failed("empty"))
    yield Behaviour("status-of-text", raw(b"HTTP/1.1 OK\r\n\r\n"), NO_HTTP)
    yield Behaviour("status-only", raw(b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"), NO_HTTP | failed("empty"))
    yield Behaviour("status-999", raw(b"HTTP/1.1 999 No\r\nContent-Length: 0\r\n\r\n"), NO_HTTP)
    yield Behaviour("status-7", raw(b"HTTP/1.1 7 No\r\nContent-Length: 0\r\n\r\n"), NO_HTTP)
    yield Behaviour("header-of-1-MB", raw(head(None, "X: " + "x" * 2**20)), NO_HTTP)
    yield Behaviour("headers-100000", raw(head(None, *["X: x"] * 100_000)), NO_HTTP)
    yield Behaviour("header-without-colon", raw(head(0, "no colon here")), NO_HTTP)
    yield Behaviour("header-folded", raw(head(0, "X: a\r\n b")), NO_HTTP | failed("empty"))
    yield Behaviour("header-with-zeros", raw(head(0, "X: \0")), NO_HTTP)
    yield Behaviour(
        "switching-protocols", raw(head(None, "Upgrade: x", status="101 Switching Protocols")), NO_HTTP | NO_ANSWER
    )
    yield Behaviour(
        "range-not-asked-for",
        raw(head(5, "Content-Range: bytes 5-9/10", status="206 Partial Content") + b"abcde"),
        NO_HTTP,
    )
    body = picture(21)
    bad = head(None, "Transfer-Encoding: chunked")
    yield Behaviour("chunk-of-text", raw(bad + b"many\r\n" + body), BROKEN_OFF | NO_HTTP)
    yield Behaviour("chunk-of-16-exabytes", raw(bad + b"FFFFFFFFFFFFFFFF\r\n" + body), BROKEN_OFF | NO_HTTP)
    yield Behaviour("chunk-negative", raw(bad + b"-5\r\n" + body), BROKEN_OFF | NO_HTTP)
    yield Behaviour("chunk-shorter-than-said", raw(bad + b"5\r\nabcdefgh\r\n0\r\n\r\n"), BROKEN_OFF | NO_HTTP)
    # passed over as it comes, never kept: what is left is a text of five letters
    extended = bad + b"5;" + b"x" * 2**20 + b"\r\nabcde\r\n0\r\n\r\n"
    yield Behaviour("chunk-extension-of-1-MB", raw(extended), failed("unsupported_format") | NO_HTTP)
    yield Behaviour("chunks-without-end", raw(bad + _chunked(body)), BROKEN_OFF)
    yield Behaviour(
        "trailer-of-1-MB",
        raw(bad + _chunked(picture(22)) + b"0\r\nX: " + b"x" * 2**20 + b"\r\n\r\n"),
        OK | BROKEN_OFF | NO_HTTP,
    )


def _statuses() -> Iterator[Behaviour]:
    codes = {
        "not_found": (404, 410),
        "forbidden": (401, 403, 451),
        "http_error": (300, 304, 305, 400, 405, 406, 418, 416, 499),
        "server_error": (500, 502, 503, 504, 599),
        "rate_limited": (429,),
    }
    for code, statuses in codes.items():
        for status in statuses:
            # a redirect status without a place to go is an error as well
            yield Behaviour(
                f"status-{status}", raw(head(0, status=f"{status} Whatever"), is_closed=False), failed(code)
            )
    # one pause stands for all items of a host: each has a server of its own
    for server, status, wait, fates in (
        ("pause-1", 429, "86400", failed("rate_limited")),
        ("pause-2", 503, "86400", failed("server_error")),
        ("pause-3", 429, "Fri, 31 Dec 2099 23:59:59 GMT", failed("rate_limited")),
        ("pause-4", 429, "9" * 12, failed("rate_limited")),
    ):
        route = raw(head(0, f"Retry-After: {wait}", status=f"{status} Later"), is_closed=False)
        yield Behaviour(f"{status}-on-{server}", route, fates, server)
    for number, wait in enumerate(("0", "-5", "soon", "9" * 400, "Fri, 31 Dec 1999 23:59:59 GMT")):
        yield Behaviour(f"429-once-{number}", _once(429, wait, picture(30 + number)), OK, f"pause-{5 + number}")


def _once(status: int, wait: str, body: bytes) -> Callable[[Exchange], Awaitable[None]]:
    async def route(exchange: Exchange) -> None:
        if exchange.n == 1:
            await exchange.send(head(0, f"Retry-After: {wait}", status=f"{status} Later"))
        else:
            await exchange.reply(200, body)

    return route


def _broken() -> Iterator[Behaviour]:
    body = picture(40)

    def reset_after(content: bytes) -> Callable[[Exchange], Awaitable[None]]:
        async def route(exchange: Exchange) -> None:
            if content:
                await exchange.send(content)
            exchange.reset()

        return route

    yield Behaviour("closed-at-once", raw(b""), NO_ANSWER)
    yield Behaviour("reset-at-once", reset_after(b""), NO_ANSWER)
    yield Behaviour("reset-in-the-head", reset_after(b"HTTP/1.1 200 OK\r\nContent-Le"), NO_ANSWER)
    yield Behaviour("closed-in-the-head", raw(b"HTTP/1.1 200 OK\r\nContent-Le"), NO_ANSWER | NO_HTTP)
    yield Behaviour("reset-after-the-head", reset_after(head(len(body))), BROKEN_OFF | NO_ANSWER)
    yield Behaviour("reset-in-the-body", reset_after(head(len(body)) + body[:500]), BROKEN_OFF | NO_ANSWER)
    yield Behaviour("closed-in-the-body", raw(head(len(body)) + body[:500]), BROKEN_OFF)
    chunked = head(None, "Transfer-Encoding: chunked")
    yield Behaviour("reset-between-chunks", reset_after(chunked + _chunked(body[:500])), BROKEN_OFF | NO_ANSWER)

    async def later(exchange: Exchange) -> None:
        if exchange.n < 3:
            exchange.reset()
        else:
            await exchange.reply(200, picture(41))

    yield Behaviour("reset-twice-then-good", later, OK)


def _redirects() -> Iterator[Behaviour]:
    def to(place: str | bytes, status: int = 302) -> Callable[[Exchange], Awaitable[None]]:
        target = place.encode() if isinstance(place, str) else place
        return raw(b"HTTP/1.1 %d Go\r\nContent-Length: 0\r\nLocation: %b\r\n\r\n" % (status, target), is_closed=False)

    for status in (301, 302, 303, 307, 308):
        yield Behaviour(f"redirect-{status}", to(f"/redirect-{status}-end", status), OK)
        yield Behaviour(f"redirect-{status}-end", raw(head(None) + picture(50 + status)), REPEAT)
    for n in range(1, 8):
        # five hops are followed, a sixth is not
        fates = failed("too_many_redirects") if n > 5 else REPEAT if n > 1 else OK
        yield Behaviour(f"chain-{n}", to(f"/chain-{n - 1}" if n > 1 else "/chain-end"), fates)
    yield Behaviour("chain-end", raw(head(None) + picture(60)), REPEAT)
    yield Behaviour("circle", to("/circle"), failed("too_many_redirects"))
    yield Behaviour("circle-of-two", to("/circle-back"), failed("too_many_redirects"))
    yield Behaviour("circle-back", to("/circle-of-two"), failed("too_many_redirects"))
    yield Behaviour("to-nowhere", raw(head(0, status="302 Go"), is_closed=False), NO_HTTP)
    for name, place in {
        "file": "file:///etc/passwd",
        "ftp": "ftp://127.0.0.1/x",
        "gopher": "gopher://127.0.0.1:6379/_FLUSHALL",
        "javascript": "javascript:alert(1)",
        "data": "data:image/jpeg;base64,/9j/4AAQ",
        "user-info": "http://user:secret@127.9.9.9/",
        "metadata": "http://169.254.169.254/latest/meta-data/",
        "metadata-v6": "http://[fd00:ec2::254]/",
        "ten": "http://10.0.0.1/",
        "no-host": "http:///etc/passwd",
        "long": "http://127.9.9.9/" + "x" * 8500,
        "brackets": "http://[127.9.9.9]/",
        "port-0": "http://127.9.9.9:0/",
        "port-99999": "http://127.9.9.9:99999/",
        "spaces": "http://127.9.9.9 .example/",
    }.items():
        yield Behaviour(f"to-{name}", to(place), REFUSED | _ELSEWHERE.get(name, frozenset()))
    yield Behaviour("to-bytes", to(b"http://\xff\xfe\xfd/"), REFUSED)


def _changes() -> Iterator[Behaviour]:
    first, second = picture(70), picture(71)

    async def replaced(exchange: Exchange) -> None:
        if exchange.n == 1:
            await exchange.object(first, '"v1"', cut_at=len(first) // 2)
        else:  # the range was for another version: the whole of the new one
            await exchange.object(second, '"v2"')

    async def mixed(exchange: Exchange) -> None:
        body = picture(72)
        if exchange.n == 1:
            await exchange.object(body, '"v1"', cut_at=len(body) // 2)
        elif "range" in exchange.headers:
            start = len(body) // 2
            span = f"bytes {start}-{len(body) - 1}/{len(body)}"
            await exchange.reply(206, body[start:][::-1], ETag='"v2"', Content_Range=span)
        else:
            await exchange.reply(200, body)

    async def resumed(exchange: Exchange) -> None:
        body = picture(74)
        await exchange.object(body, '"v1"', cut_at=len(body) // 2 if exchange.n == 1 else None)

    async def elsewhere(exchange: Exchange) -> None:
        body = picture(75)
        if exchange.n == 1:
            await exchange.object(body, '"v1"', cut_at=len(body) // 2)
        elif "range" in exchange.headers:
            await exchange.reply(206, body[5:], ETag='"v1"', Content_Range=f"bytes 5-{len(body) - 1}/{len(body)}")
        else:
            await exchange.reply(200, body)

    async def always_cut(exchange: Exchange) -> None:
        await exchange.object(picture(76), f'"v{exchange.n}"', cut_at=300)

    async def not_satisfiable(exchange: Exchange) -> None:
        body = picture(77)
        if exchange.n == 1:
            await exchange.object(body, '"v1"', cut_at=300)
        else:
            await exchange.reply(
                416 if "range" in exchange.headers else 200, b"" if "range" in exchange.headers else body
            )

    yield Behaviour("replaced-before-the-retry", replaced, OK)
    yield Behaviour("rest-of-another-version", mixed, OK)
    yield Behaviour("rest-of-the-same-version", resumed, OK)
    yield Behaviour("rest-from-another-place", elsewhere, OK)
    yield Behaviour("cut-every-time", always_cut, BROKEN_OFF)
    yield Behaviour("rest-not-satisfiable", not_satisfiable, OK)


def _slow(n_seconds: float) -> Iterator[Behaviour]:
    async def drip(exchange: Exchange, content: bytes) -> None:
        step = n_seconds / 20
        for byte in content:
            await exchange.send(bytes((byte,)))
            try:
                async with asyncio.timeout(step):
                    await exchange.server.closing.wait()
                return
            except TimeoutError:
                continue

    async def body(exchange: Exchange) -> None:
        await exchange.send(head(5000))
        await drip(exchange, picture(80)[:200])

    async def headers(exchange: Exchange) -> None:
        await drip(exchange, (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 500)[:200])

    async def silent(exchange: Exchange) -> None:
        await exchange.hang()

    async def stopped(exchange: Exchange) -> None:
        await exchange.send(head(5000) + picture(81)[:500])
        await exchange.hang()

    async def endless(exchange: Exchange) -> None:
        await exchange.send(head(None))
        while not exchange.writer.is_closing():
            await exchange.send(bytes(65536))

    async def endless_chunks(exchange: Exchange) -> None:
        await exchange.send(head(None, "Transfer-Encoding: chunked"))
        while not exchange.writer.is_closing():
            await exchange.send(b"10000\r\n" + bytes(65536) + b"\r\n")

    async def endless_head(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\n")
        while not exchange.writer.is_closing():
            await exchange.send(b"X-Y: " + b"z" * 4000 + b"\r\n")

    async def endless_line(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 ")
        while not exchange.writer.is_closing():
            await exchange.send(b"z" * 65536)

    async def endless_interim(exchange: Exchange) -> None:
        while not exchange.writer.is_closing():
            await exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
            await asyncio.sleep(0.01)

    late = failed("too_slow", "timeout")
    yield Behaviour("drip-body", body, failed("too_slow"))
    yield Behaviour("drip-head", headers, late)
    yield Behaviour("silence", silent, late)
    yield Behaviour("silence-in-the-body", stopped, late)
    yield Behaviour("endless-body", endless, failed("too_many_bytes"))
    yield Behaviour("endless-chunks", endless_chunks, failed("too_many_bytes"))
    yield Behaviour("endless-head", endless_head, NO_HTTP)
    yield Behaviour("endless-line", endless_line, NO_HTTP)
    yield Behaviour("endless-interim-answers", endless_interim, late | NO_HTTP)


def servers(found: list[Behaviour]) -> dict[str, HostileServer]:
    """The servers that these behaviours need, by name, not started yet; none of them on the canary's address."""
    made: dict[str, HostileServer] = {}
    for behaviour in found:
        server = made.setdefault(behaviour.server, HostileServer(host="127.9.9.9"))
        server.routes[f"/{behaviour.name}"] = behaviour.route
    return made
