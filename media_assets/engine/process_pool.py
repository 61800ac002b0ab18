"""The pool: many confined worker processes, each led by one thread of this process.

Lives here: which item goes where, what is pulled when, and how everything ends. What a lost worker means for
the item it held is in `lane.py`, one process in `worker_process.py`.
"""

from __future__ import annotations

import atexit
import logging
import os
import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from typing import Generic

from media_assets.engine.cores import n_usable_cores
from media_assets.engine.lane import Lane, LaneFailure
from media_assets.engine.limits import WorkerLimits
from media_assets.engine.starts import Starts
from media_assets.engine.tasks import Key, Outcome, Req, Res, Task, Work
from media_assets.errors import SetupError

_WORKS_PER_WORKER = 4  # pulled ahead, so that no worker waits while the consumer is busy with an outcome
_log = logging.getLogger(__name__)


class ProcessPoolEngine:
    """Runs items in worker processes without rights, under limits of memory, CPU and wall time.

    A worker that crashes, hangs or answers nonsense costs the one item it held. Workers live as long as one
    call of `map_items`; at most four works per worker are held at a time, each with its bytes if the source
    is bytes.

    Attributes:
        missing_protections: what this machine did not offer to confine workers with, as far as workers have
        told.
    """

    def __init__(self, n_workers: int | None = None, limits: WorkerLimits | None = None) -> None:
        """`n_workers` processes at most, one per usable core by default."""
        if n_workers is not None and n_workers < 1:
            raise SetupError(f"expected at least 1 worker, got n_workers={n_workers}")
        self.n_workers = n_workers or n_usable_cores()
        self.limits = limits or WorkerLimits()
        self.missing_protections: frozenset[str] = frozenset()

    def map_items(
        self, task: Task[Req, Res], works: Iterable[Work[Key, Req]]
    ) -> Generator[Outcome[Key, Res], None, None]:
        """As `Engine.map_items`.

        Raises:
            SetupError: workers do not start, three times in a row; the message ends with what the last one
            printed.
        """
        run = _Run[Key, Req, Res](task, self.n_workers, self.limits)
        try:
            # a run that is still open when the interpreter ends has to stop while its threads can: later they
            # are halted where they stand, and since Python 3.13 joining one of those never returns
            atexit.register(run.stop)
            yield from run.outcomes(iter(works))
        finally:
            run.stop()
            atexit.unregister(run.stop)
            self._note_missing(run.starts.missing)

    def _note_missing(self, missing: frozenset[str]) -> None:
        if news := missing - self.missing_protections:
            self.missing_protections |= news
            _log.warning("this machine cannot confine decoders fully; missing: %s", ", ".join(sorted(news)))


class _Run(Generic[Key, Req, Res]):
    """One call of `map_items`: its lanes, and the works and outcomes between them and the consumer."""

    def __init__(self, task: Task[Req, Res], n_workers: int, limits: WorkerLimits) -> None:
        self.starts = Starts()
        self._task = task
        self._limits = limits
        self._n_workers = n_workers
        self._lanes: list[Lane[Key, Req, Res]] = []
        self._works: queue.SimpleQueue[Work[Key, Req] | None] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[Outcome[Key, Res] | LaneFailure] = queue.SimpleQueue()
        self._is_stopping = threading.Event()
        self._n_in_flight = 0
        self._owner_pid = os.getpid()

    def outcomes(self, works: Iterator[Work[Key, Req]]) -> Iterator[Outcome[Key, Res]]:
        """Alternate between giving out what is finished and pulling what is next."""
        is_exhausted = False
        while not is_exhausted or self._n_in_flight:
            must_wait = is_exhausted or self._n_in_flight >= self._n_workers * _WORKS_PER_WORKER
            if (outcome := self._finished(must_wait)) is not None:
                yield outcome
            if is_exhausted:
                continue
            try:
                work = next(works)
            except StopIteration:
                is_exhausted = True
            except Exception:
                while (outcome := self._finished(must_wait=False)) is not None:
                    yield outcome
                raise
            else:
                self._submit(work)

    def stop(self) -> None:
        """End every thread and process of this run; returns when they are gone. May be called again."""
        if os.getpid() != self._owner_pid:
            return  # in a forked copy of this process: the workers are the original's, and its threads are not here
        self._is_stopping.set()
        for lane in self._lanes:
            lane.kill()
            self._works.put(None)
        for lane in self._lanes:
            lane.join()

    def _submit(self, work: Work[Key, Req]) -> None:
        self._works.put(work)
        self._n_in_flight += 1
        if len(self._lanes) < min(self._n_workers, self._n_in_flight):
            lane = Lane(self._task, self._limits, self.starts, self._works, self._outcomes, self._is_stopping)
            lane.start()
            self._lanes.append(lane)

    def _finished(self, must_wait: bool) -> Outcome[Key, Res] | None:
        try:
            result = self._outcomes.get(block=must_wait)
        except queue.Empty:
            return None
        if isinstance(result, LaneFailure):
            raise result.error
        self._n_in_flight -= 1
        return result
