"""What a process and all its descendants use: peak of their summed memory, and their CPU time.

Memory is `Pss` (shared pages counted once, `/proc/PID/smaps_rollup`), sampled; CPU is user + system time of every
process that was ever seen, keyed by pid and start time. Linux only.
"""

from __future__ import annotations

import ctypes
import os
import platform
import threading
from pathlib import Path
from types import TracebackType

_KCMP, _KCMP_VM = {"x86_64": 312, "aarch64": 272}.get(platform.machine(), -1), 1  # syscall, what to compare
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
            parents = parents_below(self._pid)
            for pid in list(parents)[0 if self._with_root else 1 :]:
                try:
                    if not _has_memory_of(pid, parents[pid]):
                        total += _pss_bytes(pid)
                    start, cpu = _times(pid)
                except _GONE:
                    continue  # it ended meanwhile
                self._cpu[pid, start] = cpu
            self.samples_bytes.append(total)
            self.peak_bytes = max(self.peak_bytes, total)


def descendants(pid: int) -> list[int]:
    """A process and everything below it; the process itself first."""
    return list(parents_below(pid))


def parents_below(pid: int) -> dict[int, int]:
    """The parent of a process and of everything below it; the process itself first, with 0."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except _GONE:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, queue = {pid: 0}, [pid]
    while queue:
        current = queue.pop()
        below = children.get(current, [])
        found |= dict.fromkeys(below, current)
        queue += below
    return found


def _has_memory_of(pid: int, parent: int) -> bool:
    """Whether a process is between `vfork` and `exec`: it lives in its parent's memory, which would count twice."""
    return bool(parent) and ctypes.CDLL(None).syscall(_KCMP, pid, parent, _KCMP_VM, 0, 0) == 0


def cpu_seconds_now(pid: int) -> float:
    """User and system time of a process and its living descendants so far."""
    total = 0.0
    for member in descendants(pid):
        try:
            total += _times(member)[1]
        except _GONE:
            continue
    return total


def _pss_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _times(pid: int) -> tuple[int, float]:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[19]), (int(fields[11]) + int(fields[12])) / _TICKS
