"""How long an automated retry waits, and how often one is made. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

_GROWTH = 4
_MOST_SECONDS, _MOST_DOUBLINGS = 365 * 24 * 3600, 15


@dataclass(frozen=True)
class Budget:
    """So many retries, the first after `first_seconds`, each next one after four times as long."""

    n_retries: int
    first_seconds: int

    def next_at(self, failed_at: datetime, n_retries: int) -> datetime | None:
        """When to try again after a failure that `n_retries` retries came before; None: never, it is spent."""
        if n_retries >= self.n_retries:
            return None
        seconds = self.first_seconds * _GROWTH ** min(n_retries, _MOST_DOUBLINGS)
        return failed_at + timedelta(seconds=min(seconds, _MOST_SECONDS))
