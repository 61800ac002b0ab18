"""A raw HTTP server on loopback that lies, breaks off, drips and loops on command, and a tripwire that counts callers.

Nothing here parses or checks what it sends: a route writes whatever bytes it likes. Not here: what a client should
make of it.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType

Route = Callable[["Exchange"], Awaitable[None]]


@dataclass
class Exchange:
    """One request and the means to answer it. `n` counts the requests for this path, from 1."""

    path: str
    query: str
    headers: dict[str, str]
    n: int
    writer: asyncio.StreamWriter
    server: HostileServer

    async def send(self, raw: bytes) -> None:
        """Write bytes as they are."""
        self.writer.write(raw)
        await self.writer.drain()

    async def reply(self, status: int = 200, body: bytes = b"", *, announce: int | None = None, **headers: str) -> None:
        """A plain answer; `announce` lies about its length. Underscores in header names become hyphens."""
        length = len(body) if announce is None else announce
        lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {length}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    async def object(self, body: bytes, etag: str = '"v1"', *, cut_at: int | None = None, **headers: str) -> None:
        """An object as a well-behaved store serves it, ranges included; `cut_at` breaks its body off there."""
        head = {"ETag": etag, "Accept_Ranges": "bytes", "Content_Type": "image/jpeg", **headers}
        start = 0
        if self.headers.get("if-range") == etag and "range" in self.headers:
            start = int(self.headers["range"].removeprefix("bytes=").removesuffix("-"))
            head["Content_Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        rest = body[start:]
        sent = rest if cut_at is None else rest[:cut_at]
        await self.reply(206 if start else 200, sent, announce=len(rest), **head)
        if cut_at is not None:
            self.close()

    def close(self) -> None:
        """End the connection after what was written."""
        self.writer.close()

    def reset(self) -> None:
        """End the connection with a TCP reset."""
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def hang(self) -> None:
        """Say nothing more until the client goes away or the server closes."""
        await self.server.closing.wait()


class _LoopThread:
    """An event loop in a thread with one or more listening sockets, for the time of a `with` block."""

    closing: asyncio.Event

    def __init__(self) -> None:
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def _sockets(self) -> list[socket.socket]:
        raise NotImplementedError

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.closing = asyncio.Event()
        servers = [await asyncio.start_server(self._guarded, sock=each) for each in self._sockets()]
        self._up.set()
        await self.closing.wait()
        for server in servers:
            server.close()

    async def _guarded(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._handle(reader, writer)
        writer.close()

    def _start(self) -> None:
        self._thread.start()
        assert self._up.wait(10)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self.closing.set)
        self._thread.join(10)


class HostileServer(_LoopThread):
    """Serves `routes` (path to behaviour) on a loopback address; notes requests in `seen` and counts connections."""

    def __init__(self, routes: dict[str, Route] | None = None, host: str = "127.0.0.1") -> None:
        super().__init__()
        self.routes: dict[str, Route] = dict(routes or {})
        self.seen: list[Exchange] = []
        self.hits: Counter[str] = Counter()
        self.n_connections = 0
        self.host = host
        self._socket = socket.create_server((host, 0), backlog=256)
        self.port: int = self._socket.getsockname()[1]

    def __enter__(self) -> HostileServer:
        self._start()
        return self

    def route(self, path: str) -> Callable[[Route], Route]:
        """Decorator: serve a path with this behaviour."""

        def add(route: Route) -> Route:
            self.routes[path] = route
            return route

        return add

    def url(self, path: str) -> str:
        """Where a path is served."""
        return f"http://{self.host}:{self.port}{path}"

    def _sockets(self) -> list[socket.socket]:
        return [self._socket]

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.n_connections += 1
        while not writer.is_closing():
            first = await reader.readexactly(1)
            if first == b"\x16":  # a TLS client
                writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
                return
            head = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            request_line, *lines = head.rstrip().split("\r\n")
            target = request_line.split(" ")[1]
            path, _, query = target.partition("?")
            self.hits[path] += 1
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            exchange = Exchange(path, query, headers, self.hits[path], writer, self)
            self.seen.append(exchange)
            route = self.routes.get(path)
            await (route(exchange) if route else exchange.reply(404, b"no such route"))


class Tripwire(_LoopThread):
    """Listens on 127.0.0.1 and, where there is IPv6, on ::1 at the same port; counts who connects, answers 200.

    `more_hosts` are further loopback addresses to listen on.
    """

    def __init__(self, *more_hosts: str) -> None:
        super().__init__()
        self.n_connections = 0
        self._v4 = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._v4.getsockname()[1]
        self._listening = [self._v4, *(socket.create_server((host, self.port)) for host in more_hosts)]
        with suppress(OSError):
            self._listening.append(socket.create_server(("::1", self.port), family=socket.AF_INET6))

    @property
    def has_ipv6(self) -> bool:
        """Whether ::1 is listened on, too."""
        return self._listening[-1].family == socket.AF_INET6

    def __enter__(self) -> Tripwire:
        self._start()
        return self

    def _sockets(self) -> list[socket.socket]:
        return self._listening

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.n_connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecret")
        await writer.drain()
