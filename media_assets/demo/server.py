"""A real HTTP server for a sample set, on loopback only, with faults that can be switched while it runs.

    GET /images/{split}/{id}.jpg    the pictures           GET /metadata/{name}.csv    the lists
    GET /__hits                     counts, as JSON

In a thread: `with SampleServer(root) as server: ...`. As a process of its own (measuring, killing):
`python -m media_assets.demo.server ROOT --port N --faults-file FILE`, which prints one JSON line `{"port",
"url"}` once it answers. Files go out with ETag, Last-Modified, Range and keep-alive. Not here: what is broken
(`faults`), what the set holds (`corpus`), any client.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from media_assets.demo.corpus import Corpus, read_corpus
from media_assets.demo.faults import Faults, FaultsFile, How, Rule

HOST = "127.0.0.1"
NOT_FOUND_PAGE = "<!DOCTYPE html><title>404</title><h1>Not found</h1>\n"


@dataclass
class Counts:
    """What was asked and given. Paths start with `/`; `n_bytes` counts bodies of complete answers."""

    hits: Counter[str] = field(default_factory=Counter)  # requests by path, whatever the answer
    served: Counter[str] = field(default_factory=Counter)  # answers 200 and 206 whose whole body went out
    statuses: Counter[str] = field(default_factory=Counter)
    n_bytes: int = 0


class _CountedFile(web.FileResponse):
    """A file with ETag, Last-Modified and Range, counted once its last byte has gone out."""

    def __init__(self, path: Path, counts: Counts, content_type: str) -> None:
        super().__init__(path, headers={"Content-Type": content_type})
        self._counts = counts

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Sends everything: a file response has no separate body step."""
        writer = await super().prepare(request)
        self._counts.statuses[str(self.status)] += 1
        if self.status in (200, 206) and request.method == "GET":
            self._counts.served[request.path] += 1
            self._counts.n_bytes += self.content_length or 0
        return writer


class _Answers:
    """The request handlers: one corpus, the faults of the moment, the counts."""

    def __init__(self, corpus: Corpus, faults: Callable[[], Faults]) -> None:
        self.counts = Counts()
        self._corpus = corpus
        self._faults = faults
        self._flaky = corpus.flaky
        self._content_types = corpus.content_types

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/__hits", self.tell_hits)
        app.router.add_get(r"/images/{split:\w+}/{name}.jpg", self.image)
        app.router.add_get("/metadata/{name}.csv", self.table)
        return app

    async def tell_hits(self, request: web.Request) -> web.Response:
        return web.json_response(asdict(self.counts))

    async def table(self, request: web.Request) -> web.StreamResponse:
        faults = self._begin(request)
        if faults.is_outage:
            return self._refuse(503)
        path = self._corpus.metadata / f"{request.match_info['name']}.csv"
        return _CountedFile(path, self.counts, "text/csv")

    async def image(self, request: web.Request) -> web.StreamResponse:
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
        return _CountedFile(path, self.counts, self._content_types.get(image_id, "image/jpeg"))

    def _begin(self, request: web.Request) -> Faults:
        self.counts.hits[request.path] += 1
        try:
            return self._faults()
        except ValueError as error:
            raise web.HTTPInternalServerError(text=f"the faults file is unreadable: {error}\n") from error

    def _path(self, split: str, image_id: str, faults: Faults) -> Path | None:
        """The file behind an image now; the name is one path component, as routes match no slash."""
        folders = [self._corpus.images, self._corpus.later] if faults.is_mended else [self._corpus.images]
        if split != "validation":
            return None
        return next((path for folder in folders if (path := folder / f"{image_id}.jpg").is_file()), None)

    def _refuse(self, status: int) -> web.Response:
        self.counts.statuses[str(status)] += 1
        headers = {"Retry-After": "1"} if status == 429 else {}
        return web.Response(status=status, text=NOT_FOUND_PAGE, content_type="text/html", headers=headers)

    async def _spoil(self, request: web.Request, path: Path, how: How, faults: Faults) -> web.StreamResponse:
        """Announces the whole file, and sends half of it, or all of it in a trickle."""
        data = await asyncio.to_thread(path.read_bytes)
        response = web.StreamResponse(
            headers={"Content-Type": "image/jpeg", "Content-Length": str(len(data))}
        )
        await response.prepare(request)
        self.counts.statuses["200"] += 1
        if how == "slow":
            return await self._trickle(response, data, faults.slow_bytes_per_second)
        await response.write(data[: len(data) // 2])
        transport = request.transport
        if transport is not None:
            transport.abort() if how == "reset" else transport.close()
        return response

    async def _trickle(
        self, response: web.StreamResponse, data: bytes, bytes_per_second: int
    ) -> web.StreamResponse:
        step = max(1, bytes_per_second // 10)
        for start in range(0, len(data), step):
            await response.write(data[start : start + step])
            await asyncio.sleep(0.1)
        return response


async def _start(answers: _Answers, port: int) -> tuple[web.AppRunner, int]:
    runner = web.AppRunner(answers.application(), access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, HOST, port).start()
    return runner, int(runner.addresses[0][1])


class SampleServer:
    """Serves a sample set from a thread of this process for as long as the `with` block lasts.

    Raises (on entry):
        SetupError: `root` holds no complete sample set.
        OSError: the port is taken.
    """

    def __init__(self, root: Path, port: int = 0) -> None:
        self._wanted_port = port
        self._faults = Faults()
        self._corpus = read_corpus(root)
        self._answers = _Answers(self._corpus, lambda: self._faults)
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="sample-server", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self.port = 0

    def __enter__(self) -> SampleServer:
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=10)

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        return f"http://{HOST}:{self.port}"

    @property
    def metadata_url(self) -> str:
        """The folder of CSV files, without a slash at the end."""
        return f"{self.url}/metadata"

    @property
    def image_url_template(self) -> str:
        """Image addresses, with `{split}` and `{image_id}` to be filled in."""
        return self.url + "/images/{split}/{image_id}.jpg"

    @property
    def counts(self) -> Counts:
        """Live counts; `hits`, `served` and `statuses` are keyed by path or status."""
        return self._answers.counts

    @property
    def hits(self) -> Counter[str]:
        """Requests by path."""
        return self._answers.counts.hits

    def n_downloads(self, image_id: str) -> int:
        """How often the whole picture went out."""
        return self._answers.counts.served[f"/images/validation/{image_id}.jpg"]

    @property
    def faults(self) -> Faults:
        """What is broken now; assign to change it all at once."""
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._faults = faults

    def mend(self) -> None:
        """Flaky and missing images are there from now on; other faults stay."""
        self._faults = replace(self._faults, is_mended=True)

    def outage(self, is_on: bool = True) -> None:
        """503 to everything, or no longer."""
        self._faults = replace(self._faults, is_outage=is_on)

    def break_(self, which: Iterable[str] | float, how: How = "503") -> None:
        """Breaks the named images, or a fixed share (0..1) of all; adds to what is broken already."""
        rule = Rule(how, fraction=which) if isinstance(which, int | float) else Rule(how, frozenset(which))
        self._faults = replace(self._faults, rules=(*self._faults.rules, rule))

    def heal(self) -> None:
        """Takes back every `break_`; mending and outage stay as they are."""
        self._faults = replace(self._faults, rules=())

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._failure = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        runner, self.port = await _start(self._answers, self._wanted_port)
        self._started.set()
        await self._stop.wait()
        await runner.cleanup()


async def _serve_alone(root: Path, port: int, faults_file: Path | None) -> None:
    faults = FaultsFile(faults_file).current if faults_file else Faults
    _, bound = await _start(_Answers(read_corpus(root), faults), port)
    sys.stdout.write(json.dumps({"port": bound, "url": f"http://{HOST}:{bound}"}) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


def main(arguments: list[str] | None = None) -> None:
    """Serves until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m media_assets.demo.server", description=main.__doc__)
    parser.add_argument("root", type=Path, help="a folder written by write_corpus or write_large_corpus")
    parser.add_argument("--port", type=int, default=0, help="0: any free one (printed)")
    parser.add_argument("--faults-file", type=Path, help="JSON as of Faults.to_json; read again when changed")
    options = parser.parse_args(arguments)
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve_alone(options.root, options.port, options.faults_file))


if __name__ == "__main__":
    main()
