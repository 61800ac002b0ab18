"""What every drill is given and what it hands back: one shape, so that one summary can be made of all of them."""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_STARTED = time.monotonic()


@dataclass(frozen=True)
class Options:
    """The choices of one call. `small` takes sizes of seconds instead of minutes; `store`: the arrivals drill is on
    SeaweedFS; the last are the download drill's.
    """

    seed: int = 1
    small: bool = False
    store: bool = False
    fuzz_seconds: float = 60
    images: int = 10_000
    bad: int = 30
    batch_size: int = 5_000
    kills: int = 2


@dataclass
class Result:
    """What one drill did and found. Rows are counted over all tables and all faults."""

    drill: str
    seed: int
    kills: int = 0  # processes that ended by SIGKILL
    faults: int = 0  # everything that was done to the system, kills included
    lost: int = 0  # rows of a clean run that were missing after the next run
    twice: int = 0  # rows whose key was there already
    held: dict[str, bool] = field(default_factory=dict)  # promise → whether it held for every fault
    skipped: str | None = None  # why the drill could not run here
    seconds: float = 0.0
    figures: dict[str, float] = field(default_factory=dict)  # of this drill alone, for the summary
    detail: dict[str, Any] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)  # the first twenty cases in which a promise did not hold

    @property
    def is_held(self) -> bool:
        """Whether every promise held; a drill that was skipped promises nothing."""
        return self.skipped is not None or (bool(self.held) and all(self.held.values()))

    def promise(self, what: str, *, holds: bool, case: str = "") -> None:
        """Note that a promise held in one case, or did not."""
        self.held[what] = self.held.get(what, True) and holds
        if not holds:
            say(f"{self.drill}: BROKEN: {what}: {case}")
            if len(self.broken) < 20:
                self.broken.append(f"{what}: {case}")

    def count(self, name: str, key: str) -> None:
        """Count one more of something, in the details."""
        counts = self.detail.setdefault(name, Counter())
        counts[key] += 1

    def document(self) -> dict[str, Any]:
        """As it stands in the JSON."""
        shown: dict[str, Any] = {"seed": self.seed, "seconds": round(self.seconds, 1)}
        if self.skipped is not None:
            return shown | {"skipped": self.skipped}
        shown |= {"kills": self.kills, "faults": self.faults, "lost": self.lost, "twice": self.twice}
        return shown | {"held": self.held, "broken": self.broken, **self.detail}


def say(line: str) -> None:
    """Tell a person at the terminal how far it is."""
    print(f"[{time.monotonic() - _STARTED:7.1f} s] {line}", file=sys.stderr, flush=True)


def log_end(path: Path, n_lines: int = 12) -> str:
    """The end of a process' log, for a report."""
    return " | ".join(path.read_text(errors="replace").splitlines()[-n_lines:]) if path.exists() else "(no log)"
