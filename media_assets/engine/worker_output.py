"""What a worker prints: kept short, made safe to store, told when the worker dies."""

from __future__ import annotations

import os
from typing import IO

from media_assets.engine.evaluate import printable

_KEPT_BYTES = 16 * 1024
_TOLD_CHARACTERS = 300
_FATAL = "Fatal Python error"
_LEFT_OUT = ("Extension modules:", "Current thread 0x", "Thread 0x")  # long, or different each time


class WorkerOutput:
    """The end of a worker's joint stdout and stderr. Reading never waits."""

    def __init__(self, pipe: IO[bytes]) -> None:
        os.set_blocking(pipe.fileno(), False)
        self._pipe = pipe
        self._tail = b""

    def fileno(self) -> int:
        """The pipe's descriptor, for polling."""
        return self._pipe.fileno()

    def forget(self) -> None:
        """Start anew: what was printed so far belongs to another item."""
        self.take_all()
        self._tail = b""

    def take(self) -> bool:
        """Read once; False at the pipe's end."""
        try:
            part = os.read(self._pipe.fileno(), 65536)
        except BlockingIOError:
            return True
        self._tail = (self._tail + part)[-_KEPT_BYTES:]
        return bool(part)

    def take_all(self) -> None:
        """Read what has been printed, as far as the pipe holds it now (at most 1 MiB on Linux)."""
        for _ in range(17):
            before = self._tail
            if not self.take() or self._tail is before:
                return

    def last_words(self) -> str:
        """At most 300 characters: the start of a fatal error's report, else the end of what was printed."""
        text = self._tail.decode("utf-8", errors="replace")
        lines = [line.strip() for line in text.splitlines() if not line.startswith(_LEFT_OUT)]
        told = printable(" | ".join(line for line in lines if line))
        if _FATAL in told:
            return told[told.index(_FATAL) :][:_TOLD_CHARACTERS]
        return told[-_TOLD_CHARACTERS:]

    def close(self) -> None:
        """Let go of the pipe."""
        self._pipe.close()
