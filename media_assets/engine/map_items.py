"""One way to run a task over many items, whatever runs it.

`Engine` is the seam: stages take one and do not know which. Here is the one that runs everything in this
process; the pool of worker processes, which is also the sandbox for untrusted bytes, is in `process_pool.py`.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Generator, Iterable
from typing import Any, Protocol

from media_assets.engine.evaluate import evaluate
from media_assets.engine.limits import WorkerLimits
from media_assets.engine.process_pool import ProcessPoolEngine
from media_assets.engine.sources import check_size, check_unchanged, file_over, open_source, read_source
from media_assets.engine.tasks import Key, Outcome, Req, Res, Task, Work
from media_assets.engine.worker_process import SILENT
from media_assets.errors import ItemError

__all__ = ["Engine", "InProcessEngine", "ProcessPoolEngine", "WorkerLimits"]


class Engine(Protocol):
    """Runs a task over works."""

    def map_items(
        self, task: Task[Req, Res], works: Iterable[Work[Key, Req]]
    ) -> Generator[Outcome[Key, Res], None, None]:
        """Yield exactly one outcome per work, in any order.

        Works are pulled only as capacity frees, in the consumer's own thread, so `works` may be a generator
        of any length. An exception of `works` reaches the consumer after the outcomes that were finished by
        then. Closing the generator ends everything that was started for it; use `contextlib.closing` where
        leaving early must be prompt.

        Raises:
            SetupError: the task cannot be run here at all; no item is to blame.
        """
        ...


class InProcessEngine:
    """Runs items one after the other in this process: for trusted bytes, tests and debugging.

    An item means here what it means in the pool, except that nothing limits it: a crash or a hang takes all
    with it.
    """

    def __init__(self, max_source_bytes: int = WorkerLimits().max_source_bytes) -> None:
        self._max_source_bytes = max_source_bytes

    def map_items(
        self, task: Task[Req, Res], works: Iterable[Work[Key, Req]]
    ) -> Generator[Outcome[Key, Res], None, None]:
        """As `Engine.map_items`; one item is held at a time."""
        os.environ.update(SILENT)
        function = task.load()
        run = self._on_file if task.takes_file else self._on_bytes
        for work in works:
            wall, cpu = time.monotonic(), time.thread_time()
            result = run(function, task.response_type, work)
            cpu_seconds, wall_seconds = time.thread_time() - cpu, time.monotonic() - wall
            if isinstance(result, ItemError):
                yield Outcome(work.key, None, result, cpu_seconds, wall_seconds)
            else:
                yield Outcome(work.key, result, None, cpu_seconds, wall_seconds)

    def _on_bytes(
        self, function: Callable[[Any, Req], Res], response_type: type[Res], work: Work[Key, Req]
    ) -> Res | ItemError:
        return evaluate(function, response_type, lambda: read_source(work.source, self._max_source_bytes), work.request)

    def _on_file(
        self, function: Callable[[Any, Req], Res], response_type: type[Res], work: Work[Key, Req]
    ) -> Res | ItemError:
        try:
            source = work.source
            if isinstance(source, bytes):
                check_size(len(source), self._max_source_bytes)
                return evaluate(function, response_type, lambda: io.BytesIO(source), work.request)
            fd, n_bytes = open_source(source, self._max_source_bytes)
            try:
                result = evaluate(function, response_type, lambda: file_over(fd), work.request)
                check_unchanged(fd, n_bytes)
                return result
            finally:
                os.close(fd)
        except ItemError as error:
            return error
