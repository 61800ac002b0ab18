"""A real HTTP server for a sample set, on loopback only, with faults that can be switched while it runs.

    GET /images/{split}/{id}.jpg    the pictures           GET /metadata/{name}.csv    the lists
    GET /__hits                     counts, as JSON

In a thread: `with SampleServer(root) as server: ...`. As a process of its own (measuring, killing):
`python -m media_assets.demo.server ROOT --port N --faults-file FILE`, which prints one JSON line `{"port",
"url"}` once it answers. Files go out with ETag, Range and keep-alive. Not here: what is broken
(`faults`), what a request gets (`answers`), what the set holds (`corpus`), any client.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import threading
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from aiohttp import web

from media_assets.demo.answers import Answers, Counts
from media_assets.demo.corpus import read_corpus
from media_assets.demo.faults import Faults, FaultsFile, How, Rule

HOST = "127.0.0.1"


async def _start(answers: Answers, port: int) -> tuple[web.AppRunner, int]:
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
        self._answers = Answers(self._corpus, lambda: self._faults)
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

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
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
    _, bound = await _start(Answers(read_corpus(root), faults), port)
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
