"""Telling an outage from bad items: only the share of the whole batch decides.

The part seen so far never does: otherwise the order of a list would.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from media_assets.errors import ItemError, Outage


@dataclass
class OutageGuard:
    """Counts the retryable failures of one batch and raises as soon as an outage is certain."""

    batch_id: str
    n_entered: int
    outage_share: float
    outage_least: int
    _retryable: Counter[str] = field(default_factory=Counter)

    def note(self, error: ItemError) -> None:
        """Count one failure.

        Raises:
            Outage: more than `outage_share` of the batch, and at least `outage_least` items, failed for causes that
                may pass.
        """
        if not error.is_retryable:
            return
        self._retryable[error.code.value] += 1
        n_failed = self._retryable.total()
        if n_failed >= self.outage_least and n_failed > self.outage_share * self.n_entered:
            raise Outage(
                f"Batch {self.batch_id}: more than {self.outage_share:.0%} of {self.n_entered} items failed for causes "
                f"that may pass ({dict(self._retryable)}); the latest: {error.message} Nothing was published, and what "
                f"was fetched stays fetched; run the batch again when the source is back."
            )
