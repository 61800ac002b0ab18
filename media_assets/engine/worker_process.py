"""The parent's side of one worker process: start it, exchange messages, hold the clock, kill it.

Lives here: everything about a single process. A worker has a session and a socket of its own, so that killing
it, or its dying in the middle of an answer, touches nothing else. Not here: which item goes to which worker,
and what a failure means for an item (`process_pool.py`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from media_assets.engine.transfer import Incoming, Outgoing
from media_assets.engine.worker_output import WorkerOutput

SILENT = {"ORT_DISABLE_TELEMETRY": "1"}
"""Builds of ONNX Runtime from 1.29 on tell their maker of each use, unless this is set before they are imported."""

_REAP_SECONDS = 5.0
_READABLE = select.POLLIN | select.POLLHUP | select.POLLERR
_log = logging.getLogger(__name__)


class WorkerLostError(Exception):
    """The worker is of no more use, and its item has no answer."""


class WorkerTimeoutError(WorkerLostError):
    """No whole answer came in time."""


class WorkerDiedError(WorkerLostError):
    """The process ended, or closed its channel, before its answer was whole."""


class WorkerUnintelligibleError(WorkerLostError):
    """What came is not an answer."""


class WorkerProcess:
    """One running worker. Only the thread that made it may exchange messages; any thread may `kill` it.

    That thread must outlive the worker: the kernel ties the worker's life to it.
    """

    def __init__(self) -> None:
        """Start the process; it waits for its first message.

        Raises:
            OSError: the system gives no more processes, descriptors or memory.
        """
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._channel = ours
        try:
            with theirs:
                self._process = _start(theirs)
        except BaseException:
            ours.close()
            raise
        assert self._process.stdout is not None
        self._output = WorkerOutput(self._process.stdout)
        self._lock = threading.Lock()  # no signal may go to a process id that is already given back
        self._is_reaped = False
        self._is_ended = False
        self._exit_status: int | None = None
        self._pidfd = _open_pidfd(self._process.pid)
        self._poll = select.poll()
        self._poll.register(self._channel, select.POLLIN)
        self._poll.register(self._output.fileno(), select.POLLIN)
        if self._pidfd is not None:
            self._poll.register(self._pidfd, select.POLLIN)
        self.cpu_seconds = 0.0

    @property
    def pid(self) -> int:
        """Process id, also the id of the worker's session and process group."""
        return self._process.pid

    def is_idle_and_alive(self) -> bool:
        """Whether it runs and has said nothing that it was not asked."""
        events = dict(self._poll.poll(0))
        return self._channel.fileno() not in events and (self._pidfd is None or self._pidfd not in events)

    def exchange(self, outgoing: Outgoing, max_reply_bytes: int, seconds: float) -> bytearray:
        """Send one frame, receive one message.

        Raises:
            WorkerTimeoutError: the answer is not whole after `seconds`.
            WorkerDiedError: there will be none.
            WorkerUnintelligibleError: what came is longer than `max_reply_bytes`, or no frame.
        """
        deadline = time.monotonic() + seconds
        incoming = Incoming(self._channel, max_reply_bytes)
        self._output.forget()
        try:
            outgoing.send_some(self._channel)
            while not incoming.is_whole:
                self._wait_and_move(outgoing, incoming, deadline)
        except ValueError as error:
            raise WorkerUnintelligibleError(str(error)) from error
        except (BrokenPipeError, ConnectionResetError) as error:
            raise WorkerDiedError from error
        return incoming.message

    def _wait_and_move(self, outgoing: Outgoing, incoming: Incoming, deadline: float) -> None:
        left_seconds = deadline - time.monotonic()
        if left_seconds <= 0:
            raise WorkerTimeoutError
        self._poll.modify(self._channel, select.POLLIN if outgoing.is_sent else select.POLLIN | select.POLLOUT)
        events = dict(self._poll.poll(left_seconds * 1000 + 1))
        on_channel = events.get(self._channel.fileno(), 0)
        if self._output.fileno() in events and not self._output.take():
            self._poll.unregister(self._output.fileno())
        if on_channel & select.POLLOUT:
            outgoing.send_some(self._channel)
        if on_channel & _READABLE:
            if not incoming.receive_some():
                raise WorkerDiedError
        elif self._pidfd is not None and self._pidfd in events:
            raise WorkerDiedError  # even if a process that it started still holds the channel open

    def kill(self) -> None:
        """Kill the worker and all that it started. Safe from any thread, any number of times."""
        with self._lock:
            if not self._is_reaped:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)

    def last_words(self) -> str:
        """The end of what it printed since the last exchange began."""
        return self._output.last_words()

    def end(self, grace_seconds: float = 0.0) -> int | None:
        """Kill, reap and forget it. A worker that is dying by itself gets `grace_seconds` to do so.

        Returns its exit status as `Popen.returncode`; None if it was alive until it was killed here.
        """
        if self._is_ended:
            return self._exit_status
        self._is_ended = True
        is_own_death = self._dies_within(grace_seconds)
        self.kill()
        deadline = time.monotonic() + _REAP_SECONDS
        while not self._reap() and time.monotonic() < deadline:
            time.sleep(0.001)
        if not self._is_reaped:
            _log.warning("worker process %d was killed and does not end; it is left behind", self.pid)
        self._channel.close()
        self._output.take_all()
        self._output.close()
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None
        self._exit_status = self._process.returncode if is_own_death else None
        return self._exit_status

    def _dies_within(self, seconds: float) -> bool:
        """Whether it has ended by itself, or does so in that time."""
        if self._pidfd is None:
            time.sleep(min(seconds, 0.1))  # it cannot be watched here: what it does in this time has to do
            return seconds > 0
        death = select.poll()
        death.register(self._pidfd, select.POLLIN)
        return bool(death.poll(seconds * 1000))

    def _reap(self) -> bool:
        with self._lock:
            if not self._is_reaped:
                pid, status, usage = os.wait4(self._process.pid, os.WNOHANG)
                if pid:
                    self._is_reaped = True
                    self._process.returncode = os.waitstatus_to_exitcode(status)
                    self.cpu_seconds = usage.ru_utime + usage.ru_stime
            return self._is_reaped


def environment() -> dict[str, str]:
    """A worker's whole environment: where modules are, one thread per library, nothing else."""
    search_path = os.pathsep.join(str(Path(place).absolute()) for place in sys.path if Path(place).exists())
    one_thread = dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), "1"
    )
    # glibc gives blocks above 128 KiB back to the kernel at once, and fetches them anew page by page for the next
    # picture: a tenth of all the time that a picture takes. Kept, they are at hand; the memory limit is the same.
    allocator = {"MALLOC_MMAP_THRESHOLD_": str(64 << 20), "MALLOC_TRIM_THRESHOLD_": str(256 << 20)}
    libraries = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    return {"PYTHONPATH": search_path, "PYTHONUTF8": "1", **SILENT, **one_thread, **allocator, **libraries}


def _start(theirs: socket.socket) -> subprocess.Popen[bytes]:
    # -P: the working directory is no place for modules
    # faulthandler: a crash names the line of Python that it happened in
    command = [sys.executable, "-P", "-X", "faulthandler", "-m", "media_assets.engine.worker"]
    return subprocess.Popen(
        [*command, str(theirs.fileno()), str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,  # what a library prints is never taken for an answer
        stderr=subprocess.STDOUT,
        bufsize=0,
        close_fds=True,
        pass_fds=[theirs.fileno()],
        env=environment(),
        cwd="/",
        start_new_session=True,
    )


def _open_pidfd(pid: int) -> int | None:
    if sys.platform != "linux":
        return None  # death is then seen by the channel's end alone
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def cause_of_death(status: int | None) -> str:
    """In words, of an exit status as `Popen.returncode` gives it."""
    if status is None:
        return "closed its channel"
    if status >= 0:
        return f"ended with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    hint = " (the kernel does this when memory runs out)" if -status == signal.SIGKILL else ""
    return f"was killed by {name}{hint}"
