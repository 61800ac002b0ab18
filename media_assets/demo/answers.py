"""The request handlers of the sample server: files with ETag and Range, faults acted out, everything counted.

Lives here: what one request gets. Not here: sockets, threads and processes (`server`), what is broken (`faults`).
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from aiohttp import web

from media_assets.demo.corpus import Corpus
from media_assets.demo.faults import Faults, How


@dataclass
class Counts:
    """What was asked and given. Paths start with `/`; `n_bytes` counts bodies of complete answers."""

    hits: Counter[str] = field(default_factory=Counter)  # requests by path, whatever the answer
    served: Counter[str] = field(default_factory=Counter)  # answers 200 and 206 whose whole body went out
    statuses: Counter[str] = field(default_factory=Counter)
    n_bytes: int = 0

    def deliver(self, path: str, n_bytes: int) -> None:
        """Counts one body that went out whole."""
        self.served[path] += 1
        self.n_bytes += n_bytes

    def to_json(self) -> dict[str, object]:
        """As `/__hits` answers."""
        return {"hits": self.hits, "served": self.served, "statuses": self.statuses, "n_bytes": self.n_bytes}


class _Counted(web.Response):
    """A body that is counted when it is handed, whole, to an open connection.

    Before, not after: a client that has read everything may look at the counts at once.
    """

    def __init__(self, counts: Counts, body: bytes = b"", **options: Any) -> None:
        super().__init__(body=body, **options)
        self._counts = counts
        self._n_bytes = len(body)

    async def write_eof(self, data: bytes = b"") -> None:
        """Sends the body; `prepare` has sent the headers only."""
        request = self._req
        self._counts.statuses[str(self.status)] += 1
        if request is not None and self.status in (200, 206) and request.method == "GET":
            transport = request.transport
            if transport is not None and not transport.is_closing():
                self._counts.deliver(request.path, self._n_bytes)
        await super().write_eof(data)


def _read(path: Path) -> tuple[bytes, str]:
    """Bytes and ETag of a small file. It blocks, on purpose: handing it to a thread costs more than the page cache."""
    with path.open("rb") as stream:
        stat = os.fstat(stream.fileno())
        return stream.read(), f"{stat.st_mtime_ns:x}-{stat.st_size:x}"


def _part(request: web.Request, size: int, etag: str) -> slice | None:
    """What of the file is wanted (RFC 9110, section 14); None: nothing that there is."""
    if request.headers.get("If-Range", f'"{etag}"') != f'"{etag}"':
        return slice(0, size)
    try:
        wanted = request.http_range
    except ValueError:
        return None
    start = wanted.start or 0
    start = max(0, size + start) if start < 0 else start
    stop = size if wanted.stop is None else min(wanted.stop, size)
    return slice(start, stop) if start < stop or size == 0 else None


class Answers:
    """The request handlers: one corpus, the faults of the moment, the counts."""

    def __init__(self, corpus: Corpus, faults: Callable[[], Faults]) -> None:
        self.counts = Counts()
        self._corpus = corpus
        self._faults = faults
        self._flaky = corpus.flaky
        self._content_types = corpus.content_types

    def application(self) -> web.Application:
        """The routes, to be run once."""
        app = web.Application()
        app.router.add_get("/__hits", self.tell_hits)
        app.router.add_get(r"/images/{split:\w+}/{name}.jpg", self.image)
        app.router.add_get("/metadata/{name}.csv", self.table)
        return app

    async def tell_hits(self, request: web.Request) -> web.Response:
        """The counts."""
        return web.json_response(self.counts.to_json())

    async def table(self, request: web.Request) -> web.StreamResponse:
        """A CSV file."""
        faults = self._begin(request)
        if faults.is_outage:
            return self._refuse(503)
        path = self._corpus.metadata / f"{request.match_info['name']}.csv"
        return self._file(request, path, "text/csv")

    async def image(self, request: web.Request) -> web.StreamResponse:
        """A picture, or what is wrong with it at the moment."""
        faults = self._begin(request)
        if faults.delay_seconds:
            await asyncio.sleep(faults.delay_seconds)
        image_id = request.match_info["name"]
        how = faults.of(image_id)
        if faults.is_outage or how == "503" or (image_id in self._flaky and not faults.is_mended):
            return self._refuse(503)
        if how in ("404", "429"):
            return self._refuse(int(how))
        path = self._path(request.match_info["split"], image_id, faults)
        if path is None:
            return self._refuse(404)
        if how is not None:
            return await self._spoil(request, path, how, faults)
        return self._file(request, path, self._content_types.get(image_id, "image/jpeg"))

    def _begin(self, request: web.Request) -> Faults:
        self.counts.hits[request.path] += 1
        try:
            return self._faults()
        except ValueError as error:
            raise web.HTTPInternalServerError(text=f"the faults file is unreadable: {error}\n") from error

    def _path(self, split: str, image_id: str, faults: Faults) -> Path | None:
        """The file behind an image now; the name is one path component, as routes match no slash."""
        if split != "validation":
            return None
        now, later = self._corpus.images / f"{image_id}.jpg", self._corpus.later / f"{image_id}.jpg"
        return later if faults.is_mended and later.is_file() else now if now.is_file() else None

    def _refuse(self, status: int) -> web.Response:
        self.counts.statuses[str(status)] += 1
        headers = {"Retry-After": "1"} if status == 429 else {}
        page = f"<!DOCTYPE html><title>{status}</title><h1>{HTTPStatus(status).phrase}</h1>\n"
        return web.Response(status=status, text=page, content_type="text/html", headers=headers)

    def _file(self, request: web.Request, path: Path, content_type: str) -> web.Response:
        try:
            data, etag = _read(path)
        except FileNotFoundError:
            return self._refuse(404)
        headers = {"Content-Type": content_type, "ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
        part = _part(request, len(data), etag)
        if any(tag.value in (etag, "*") for tag in request.if_none_match or ()):
            return _Counted(self.counts, status=304, headers=headers)
        if part is None:
            return _Counted(self.counts, status=416, headers={"Content-Range": f"bytes */{len(data)}"})
        if part.stop - part.start < len(data):
            headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{len(data)}"
            return _Counted(self.counts, status=206, body=data[part], headers=headers)
        return _Counted(self.counts, body=data, headers=headers)

    async def _spoil(self, request: web.Request, path: Path, how: How, faults: Faults) -> web.StreamResponse:
        """Announces the whole file, and sends half of it, or all of it in a trickle."""
        data = await asyncio.to_thread(path.read_bytes)
        response = web.StreamResponse(headers={"Content-Type": "image/jpeg", "Content-Length": str(len(data))})
        await response.prepare(request)
        self.counts.statuses["200"] += 1
        if how == "slow":
            await self._trickle(response, data[:-1], faults.slow_bytes_per_second)
            self.counts.deliver(request.path, len(data))
            await response.write(data[-1:])
            return response
        await response.write(data[: len(data) // 2])
        if request.transport is not None:
            _hang_up(request.transport, is_reset=how == "reset")
        return response

    async def _trickle(self, response: web.StreamResponse, data: bytes, bytes_per_second: int) -> None:
        step = max(1, bytes_per_second // 10)
        for start in range(0, len(data), step):
            await response.write(data[start : start + step])
            await asyncio.sleep(0.1)


def _hang_up(transport: asyncio.Transport, is_reset: bool) -> None:
    """Ends a connection after what was written, or resets it: a linger time of 0 turns the closing into an RST."""
    if is_reset:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()
