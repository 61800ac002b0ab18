"""What a fuzz target met: how often it ran, how many kinds of outcome there were, and inputs with a wrong one."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MAX_SEEDS = 3000
"""Inputs that a target keeps in order to change them."""


@dataclass
class Findings:
    """What one target met."""

    folder: Path
    n_executions: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    outside: dict[str, str] = field(default_factory=dict)

    def note(self, outcome: str) -> bool:
        """Count an execution; whether its outcome, numbers and quotes left out, is a new one."""
        self.n_executions += 1
        kind = re.sub(r"b?'[^']*'|\d+|0x[0-9a-f]+", "…", outcome)[:160]
        self.outcomes[kind] += 1
        return self.outcomes[kind] == 1

    def keep(self, content: bytes, why: str) -> None:
        """Save an input whose outcome is outside of the closed set; one per kind of outcome."""
        kind = re.sub(r"\d+", "…", why)[:200]
        if kind not in self.outside:
            path = self.folder / f"{hashlib.sha256(content).hexdigest()[:16]}.bin"
            path.write_bytes(content)
            self.outside[kind] = f"{why[:600]} ({path})"

    def summary(self) -> dict[str, Any]:
        """The figures of this target."""
        return {
            "executions": self.n_executions,
            "distinct_outcomes": len(self.outcomes),
            "outside": len(self.outside),
            "details": sorted(self.outside.values()),
        }
