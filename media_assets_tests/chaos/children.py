"""Light processes that read one batch and die on the way: forked from a server that has imported everything already.

A start costs some tens of milliseconds instead of the seconds that Dagster takes. Not here: what is expected of them.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from media_assets_tests.chaos.ground import Batches

MAX_SECONDS = 90


@dataclass(frozen=True)
class Errand:
    """What one process does: read a batch, and die at the `number`-th time that it reaches `point` (if any)."""

    batches: Batches
    root: Path
    batch_id: str
    point: str = ""
    number: int = 1
    dies_with_group: bool = False
    retry: tuple[str, ...] | None = None
    n_workers: int = 0


class Child:
    """One such process, in a process group of its own, from the moment at which it begins to read."""

    def __init__(self, errand: Errand) -> None:
        ours, theirs = _server().Pipe(duplex=False)
        self._process = _server().Process(target=_read, args=(errand, theirs), daemon=True)
        self._process.start()
        theirs.close()
        with ours, contextlib.suppress(EOFError):
            if not ours.poll(MAX_SECONDS):
                raise TimeoutError("the process did not begin in time")
            ours.recv()

    @property
    def pid(self) -> int:
        """Process id, also of its group."""
        assert self._process.pid is not None
        return self._process.pid

    def wait(self, seconds: float = MAX_SECONDS) -> int | None:
        """Its exit code (-9: killed), or None if it lives on."""
        self._process.join(seconds)
        return self._process.exitcode

    def end(self) -> int:
        """Its exit code, once it has ended by itself."""
        if (code := self.wait()) is None:
            self.kill()
            raise TimeoutError("the process did not end in time")
        return code

    def kill(self, *, group: bool = False) -> None:
        """`kill -9`."""
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.pid, signal.SIGKILL)
        self._process.join(MAX_SECONDS)


def _server() -> Any:
    """Processes are forked from a server without threads: forking one that has run Delta or polars would hang."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["media_assets_tests.chaos.ground", "media_assets.ingest.fetch.fetch_all"])
    return context


def _read(errand: Errand, begun: Connection) -> None:
    from media_assets.lake.crash_points import watch_crash_points

    os.setpgid(0, 0)
    log = os.open(errand.root.parent / f"{errand.root.name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    n_reached = 0

    def die(point: str) -> None:
        nonlocal n_reached
        if point == errand.point:
            n_reached += 1
            if n_reached == errand.number:
                (os.killpg if errand.dies_with_group else os.kill)(os.getpid(), signal.SIGKILL)
                time.sleep(MAX_SECONDS)  # the signal is on its way

    watch_crash_points(die)
    begun.send("begun")
    begun.close()
    errand.batches.read(errand.root, errand.batch_id, retry=errand.retry, n_workers=errand.n_workers)


def workers_of(pid: int) -> list[int]:
    """Ids of the decoding workers that a process has started and not reaped."""
    found = []
    for child in _children(pid):
        with contextlib.suppress(OSError):
            if b"media_assets.engine.worker" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
    return found


def _children(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                yield from map(int, (task / "children").read_text().split())


def are_gone(pids: list[int], seconds: float = 10.0) -> bool:
    """Whether processes have ended, after waiting for it."""
    deadline = time.monotonic() + seconds
    while any(map(_runs, pids)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (OSError, IndexError):
        return False
