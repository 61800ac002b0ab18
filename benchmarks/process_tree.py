"""What a process and all its descendants use: peak of their summed memory, and their CPU time.

Memory is `Pss` (shared pages counted once, `/proc/PID/smaps_rollup`), sampled; CPU is user + system time of every
process that was ever seen, keyed by pid and start time. Linux only.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType

_TICKS = os.sysconf("SC_CLK_TCK")
_GONE = (FileNotFoundError, ProcessLookupError, PermissionError)


class ProcessTree:
    """Samples a process tree for as long as the `with` block lasts; `with_root=False` leaves the process itself out."""

    def __init__(self, pid: int, interval_seconds: float = 0.2, *, with_root: bool = True) -> None:
        self._pid, self._interval, self._with_root = pid, interval_seconds, with_root
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._cpu: dict[tuple[int, int], float] = {}
        self.peak_bytes = 0
        self.samples_bytes: list[int] = []

    @property
    def cpu_seconds(self) -> float:
        """User and system time of every process seen."""
        return sum(self._cpu.values())

    def __enter__(self) -> ProcessTree:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(self._interval):
            total = 0
            for pid in descendants(self._pid)[0 if self._with_root else 1 :]:
                try:
                    if _is_parents_memory(pid):
                        continue
                    total += _pss_bytes(pid)
                    start, cpu = _times(pid)
                except _GONE:
                    continue  # it ended meanwhile
                self._cpu[pid, start] = cpu
            self.samples_bytes.append(total)
            self.peak_bytes = max(self.peak_bytes, total)


def descendants(pid: int) -> list[int]:
    """A process and everything below it; the process itself first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except _GONE:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, queue = [], [pid]
    while queue:
        current = queue.pop()
        found.append(current)
        queue += children.get(current, [])
    return found


def cpu_seconds_now(pid: int) -> float:
    """User and system time of a process and its living descendants so far."""
    total = 0.0
    for member in descendants(pid):
        try:
            total += _times(member)[1]
        except _GONE:
            continue
    return total


def _is_parents_memory(pid: int) -> bool:
    """Whether a process was made a moment ago and is about to start its program.

    Until then it lives in its parent's memory (`vfork`), which would count twice: such pages are not shared between
    two maps, so `Pss` does not halve them.
    """
    parent = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1]
    (size, resident), (parents_size, parents_resident) = _pages(str(pid)), _pages(parent)
    return size == parents_size and abs(resident - parents_resident) <= parents_resident // 50


def _pages(pid: str) -> tuple[int, int]:
    size, resident = Path(f"/proc/{pid}/statm").read_text().split()[:2]
    return int(size), int(resident)


def _pss_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _times(pid: int) -> tuple[int, float]:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[19]), (int(fields[11]) + int(fields[12])) / _TICKS
