"""Which process a run lives in, written down so that another process can tell beyond doubt whether it is gone.

A pid alone is used again, and two containers with one host name and one Dagster home have pids of their own. Not here:
what is done about a run whose process is gone (`dead_runs.py`).
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

TAG = "media_assets/process"
_FIRST_PID_NAMESPACE = "4026531836"  # that of the machine itself, on every Linux: no container's
_N_PARTS = 6  # of the tag


class Life(Enum):
    """What can be told of a process from here."""

    ALIVE = "alive"
    GONE = "gone"
    UNKNOWN = "unknown"  # it is, or was, somewhere else


@dataclass(frozen=True)
class Place:
    """Where pids have their meaning: a machine since it was started, and a container on it."""

    host: str
    machine: str  # outlives a restart; empty where it is not told
    boot: str
    pid_namespace: str

    @classmethod
    def here(cls) -> Place:
        """That of this process."""
        return cls(
            socket.gethostname().replace("/", "-"),
            _first_letters("/etc/machine-id"),
            _first_letters("/proc/sys/kernel/random/boot_id"),
            _pid_namespace(),
        )

    def is_this_machine_before_its_restart(self, earlier: Place) -> bool:
        """Whether nothing that ran at `earlier` can run any more: the machine, no container, was started again."""
        outside = self.pid_namespace == earlier.pid_namespace == _FIRST_PID_NAMESPACE
        same = self.machine == earlier.machine != "" and self.host == earlier.host
        return outside and same and self.boot != earlier.boot


@dataclass(frozen=True)
class RunProcess:
    """The process of one run. The run's own id is part of it: tags are copied when a run is executed again."""

    run_id: str
    pid: int
    start_ticks: str = field(default="")
    place: Place = field(default_factory=Place.here)

    @classmethod
    def of(cls, run_id: str, pid: int | None = None) -> RunProcess:
        """A process of this machine, this one if none is named."""
        pid = os.getpid() if pid is None else pid
        return cls(run_id, pid, start_ticks_of(pid))

    @property
    def tags(self) -> dict[str, str]:
        """What a run carries."""
        place = self.place
        where = f"{place.host}/{place.machine}/{place.boot}/{place.pid_namespace}"
        return {TAG: f"{self.run_id}/{where}/{self.pid}.{self.start_ticks}"}

    @classmethod
    def told_by(cls, run_id: str, tags: dict[str, str]) -> RunProcess | None:
        """What a run's tags say; None where they say nothing, or speak of another run."""
        parts = tags.get(TAG, "").split("/")
        if len(parts) != _N_PARTS or parts[0] != run_id:
            return None
        pid, _, ticks = parts[-1].partition(".")
        return cls(run_id, int(pid), ticks, Place(*parts[1:-1])) if pid.isdigit() else None

    def life(self, here: Place | None = None) -> Life:
        """Whether it lives, as far as can be told from here."""
        here = here or Place.here()
        if here.is_this_machine_before_its_restart(self.place):
            return Life.GONE
        if here != self.place:
            return Life.UNKNOWN
        return Life.ALIVE if start_ticks_of(self.pid) == self.start_ticks else Life.GONE


def start_ticks_of(pid: int) -> str:
    """When a process was started, in clock ticks after boot; empty when there is none, `0` where /proc is missing."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.parent.parent.is_dir():
        return "0"
    try:
        state, *rest = stat.read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if state in "ZX" else rest[18]  # ended, and nobody has asked for its exit code yet


def _first_letters(path: str) -> str:
    try:
        return Path(path).read_text().strip().replace("-", "")[:12]
    except OSError:
        return ""


def _pid_namespace() -> str:
    try:
        return Path("/proc/self/ns/pid").readlink().name.strip("pid:[]")
    except OSError:
        return ""
