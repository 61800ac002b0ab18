"""One lane of the pool: a thread with its worker process, taking works and giving outcomes.

Lives here: what each way of losing a worker means for the item it held. A worker that has served other items
may die of what they left behind, so an item is called a crasher, or too large, only by a fresh worker: it is
tried
once more.
"""

from __future__ import annotations

import math
import os
import queue
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Generic

import msgspec

from media_assets.engine.evaluate import printable
from media_assets.engine.imports import import_path
from media_assets.engine.limits import WorkerLimits
from media_assets.engine.protocol import Assignment, Hello, Ready, Reply
from media_assets.engine.sources import check_size, open_source
from media_assets.engine.starts import Starts
from media_assets.engine.tasks import Key, Outcome, Req, Res, Task, Work
from media_assets.engine.transfer import Outgoing
from media_assets.engine.worker_process import (
    WorkerDiedError,
    WorkerProcess,
    WorkerTimeoutError,
    WorkerUnintelligibleError,
    cause_of_death,
)
from media_assets.errors import ErrorCode, ItemError

_DYING_SECONDS = 1.0
_SUSPECT = frozenset({ErrorCode.DECODER_CRASHED, ErrorCode.DECODER_MEMORY})


@dataclass(frozen=True)
class LaneFailure:
    """A lane ended for a reason that no item is to blame for."""

    error: BaseException


class _StoppedError(Exception):
    """The run is over; nobody waits for the item in hand."""


@dataclass(frozen=True)
class _Attempt(Generic[Res]):
    result: Res | ItemError
    is_worker_lost: bool
    cpu_seconds: float
    wall_seconds: float


class Lane(threading.Thread, Generic[Key, Req, Res]):
    """The thread. It makes, leads and ends its workers, and outlives each of them."""

    def __init__(
        self,
        task: Task[Req, Res],
        limits: WorkerLimits,
        starts: Starts,
        works: queue.SimpleQueue[Work[Key, Req] | None],
        outcomes: queue.SimpleQueue[Outcome[Key, Res] | LaneFailure],
        is_stopping: threading.Event,
    ) -> None:
        super().__init__(name="media-assets-lane", daemon=True)
        self._task, self._limits, self._starts = task, limits, starts
        self._works, self._outcomes, self._is_stopping = works, outcomes, is_stopping
        self._encoder = msgspec.msgpack.Encoder()
        self._replies = msgspec.msgpack.Decoder(Reply)
        self._responses = msgspec.msgpack.Decoder(task.response_type)
        self._worker: WorkerProcess | None = None
        self._worker_lock = threading.Lock()
        self._n_attempts = 0  # of the worker in hand
        self._cpu_seconds = 0.0  # that it had used before the item in hand
        self._number = 0

    def kill(self) -> None:
        """Kill the worker in hand, if any: whatever waits for its answer wakes up. For other threads."""
        with self._worker_lock:
            if self._worker is not None:
                self._worker.kill()

    def run(self) -> None:
        """Take works until told to stop."""
        try:
            while (work := self._works.get()) is not None and not self._is_stopping.is_set():
                self._outcomes.put(self._outcome(work))
                del work  # its bytes are not kept while waiting for the next
        except _StoppedError:
            pass
        except BaseException as error:
            self._outcomes.put(LaneFailure(error))
        finally:
            self._end_worker()

    def _outcome(self, work: Work[Key, Req]) -> Outcome[Key, Res]:
        fd = None
        try:
            if isinstance(work.source, Path):
                fd, n_bytes = open_source(work.source, self._limits.max_source_bytes)
            else:
                check_size(n_bytes := len(work.source), self._limits.max_source_bytes)
            return self._answered(work, fd, n_bytes)
        except ItemError as error:
            return Outcome(work.key, None, error, 0.0, 0.0)
        finally:
            if fd is not None:
                os.close(fd)

    def _answered(self, work: Work[Key, Req], fd: int | None, n_bytes: int) -> Outcome[Key, Res]:
        cpu_seconds = wall_seconds = 0.0
        while True:
            worker = self._ready_worker()
            is_fresh = self._n_attempts == 0
            attempt = self._attempt(worker, work, fd, n_bytes)
            cpu_seconds += attempt.cpu_seconds
            wall_seconds += attempt.wall_seconds
            result = attempt.result
            if not isinstance(result, ItemError):
                return Outcome(work.key, result, None, cpu_seconds, wall_seconds)
            if attempt.is_worker_lost:
                self._end_worker()
            if is_fresh or not attempt.is_worker_lost or result.code not in _SUSPECT:
                return Outcome(work.key, None, result, cpu_seconds, wall_seconds)

    def _attempt(self, worker: WorkerProcess, work: Work[Key, Req], fd: int | None, n_bytes: int) -> _Attempt[Res]:
        self._n_attempts += 1
        self._number += 1
        request = msgspec.Raw(self._encoder.encode(work.request))
        message = self._encoder.encode(
            Assignment(self._number, n_bytes, fd is not None, self._limits.cpu_seconds, request)
        )
        raw = work.source if isinstance(work.source, bytes) else b""
        began, cpu_before = time.monotonic(), self._cpu_seconds
        result, is_lost = self._exchange(worker, Outgoing(message, raw, fd))
        return _Attempt(result, is_lost, max(0.0, self._cpu_seconds - cpu_before), time.monotonic() - began)

    def _exchange(self, worker: WorkerProcess, outgoing: Outgoing) -> tuple[Res | ItemError, bool]:
        """The item's result, and whether the worker is of no more use."""
        limits = self._limits
        try:
            answer = worker.exchange(outgoing, limits.max_reply_bytes, limits.wall_seconds)
            return self._understood(answer)
        except WorkerTimeoutError:
            self._lose(worker, 0.0)
            return ItemError(
                ErrorCode.DECODER_TIMEOUT,
                f"expected an answer within {limits.wall_seconds:g} s (wall clock), none came; the worker was killed",
            ), True
        except WorkerDiedError:
            return self._explained(worker, self._lose(worker, _DYING_SECONDS)), True
        except (WorkerUnintelligibleError, ValueError, RecursionError) as error:
            self._lose(worker, 0.0)
            return ItemError(
                ErrorCode.DECODER_CRASHED,
                f"expected an answer of type {self._task.response_type.__name__}, "
                f"the worker sent something else ({printable(str(error))[:200]}) and was replaced",
            ), True

    def _understood(self, answer: bytearray) -> tuple[Res | ItemError, bool]:
        reply = self._replies.decode(answer)
        if reply.number != self._number:
            raise WorkerUnintelligibleError(f"it answers item {reply.number}, {self._number} was asked")
        if not 0.0 <= reply.total_cpu_seconds < math.inf:
            raise WorkerUnintelligibleError("its CPU time is no time")
        result = (
            self._responses.decode(reply.response)
            if reply.code is None
            else ItemError(reply.code, printable(reply.message))
        )
        self._cpu_seconds = reply.total_cpu_seconds
        # memory that ran out once is fragmented or held: not a worker for the next item
        return result, reply.code is ErrorCode.DECODER_MEMORY

    def _lose(self, worker: WorkerProcess, grace_seconds: float) -> int | None:
        status = worker.end(grace_seconds)
        self._cpu_seconds = worker.cpu_seconds
        return status

    def _explained(self, worker: WorkerProcess, status: int | None) -> ItemError:
        if self._is_stopping.is_set():
            raise _StoppedError
        if status == -signal.SIGXCPU:
            return ItemError(
                ErrorCode.DECODER_TIMEOUT,
                f"the item took more than {self._limits.cpu_seconds:g} s of CPU time (CPU limit); "
                "the worker was killed",
            )
        words = worker.last_words()
        return ItemError(
            ErrorCode.DECODER_CRASHED,
            f"expected an answer, the worker process {cause_of_death(status)}"
            + (f"; it last said: {words}" if words else ""),
        )

    def _ready_worker(self) -> WorkerProcess:
        if self._worker is not None:
            is_spent = self._n_attempts >= self._limits.items_per_worker
            if is_spent or not self._worker.is_idle_and_alive():
                self._end_worker()
        while self._worker is None:
            self._start_worker()
        return self._worker

    def _start_worker(self) -> None:
        if self._is_stopping.is_set():
            raise _StoppedError
        hello = Hello(
            self._task.function,
            import_path(self._task.request_type),
            import_path(self._task.response_type),
            self._limits.memory_bytes,
            self._limits.max_reply_bytes,
            self._task.takes_file,
            tuple(str(file.absolute()) for file in self._task.files),
        )
        try:
            worker = WorkerProcess()
        except OSError as error:
            self._starts.failed(self._task.function, f"the system starts no process ({error})")
            return
        with self._worker_lock:
            self._worker = worker
        if self._is_stopping.is_set():  # `kill` may have come too early to see it
            raise _StoppedError
        try:
            answer = worker.exchange(Outgoing(self._encoder.encode(hello)), 65536, self._limits.start_seconds)
            ready = msgspec.msgpack.decode(answer, type=Ready)
        except (
            WorkerTimeoutError,
            WorkerDiedError,
            WorkerUnintelligibleError,
            msgspec.MsgspecError,
        ) as error:
            self._start_failed(worker, error)
        else:
            self._n_attempts, self._cpu_seconds = 0, ready.cpu_seconds
            self._starts.succeeded(ready.missing)

    def _start_failed(self, worker: WorkerProcess, error: Exception) -> None:
        is_late = isinstance(error, WorkerTimeoutError)
        status = worker.end(0.0 if is_late else _DYING_SECONDS)
        cause = f"was not ready within {self._limits.start_seconds:g} s" if is_late else cause_of_death(status)
        words = worker.last_words()
        self._end_worker()
        if self._is_stopping.is_set():
            raise _StoppedError
        self._starts.failed(self._task.function, f"the process {cause}; it last said: {words or '(nothing)'}")

    def _end_worker(self) -> None:
        with self._worker_lock:
            worker, self._worker = self._worker, None
        if worker is not None:
            worker.end()
