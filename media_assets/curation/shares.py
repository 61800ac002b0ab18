"""Is a share higher than usual: failures, duplicates. One-sided: fewer of them are no trouble.

The number of hits among n items follows a beta-binomial: the share of a batch is drawn around the usual one, as widely
as past batches differ (`between_batches.py`), the items of a batch then by chance. A batch is unusual when so many hits
or more would come once in ten thousand usual batches, when no usual batch of the past had such a share, and when the
excess is worth a person's time. Past batches that were unusual themselves are not learned from. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from media_assets.curation.between_batches import LEAST_BATCHES, Usual, usual_of, without_outliers
from media_assets.curation.distributions import beta_binomial_tail

ALPHA = 1e-4
"""Probability at which a batch counts as unusual; checks that look at several things at once divide it among them."""

LEAST_HITS = 3
"""Fewer hits are noise, whatever the arithmetic says."""


@dataclass(frozen=True)
class Share:
    """`n_hits` of `n` items."""

    n_hits: int
    n: int

    @property
    def value(self) -> float:
        """0 to 1; 0 of nothing."""
        return self.n_hits / max(self.n, 1)


@dataclass(frozen=True)
class UsualShare:
    """What past batches say of a share; `highest` is the highest one of a usual batch."""

    usual: Usual
    highest: float

    @property
    def value(self) -> float:
        """The usual share, above 0."""
        return float(self.usual.shares[0])

    @cached_property
    def _parameters(self) -> tuple[float, float]:
        spread = min(0.999, self.usual.correlation + self.usual.spread_of_mean)
        strength = (1 - spread) / spread
        return self.value * strength, (1 - self.value) * strength

    def probability(self, share: Share) -> float:
        """Of so many hits or more in a usual batch of this size."""
        return beta_binomial_tail(share.n_hits, share.n, *self._parameters)

    def is_exceeded(self, share: Share, excess: float, alpha: float = ALPHA) -> bool:
        """Whether a batch has more hits than chance and usual differences explain, by at least `excess` (0 to 1)."""
        return (
            share.n_hits >= LEAST_HITS
            and share.value >= self.value + excess
            and share.value > self.highest
            and self.probability(share) < alpha
        )

    def limit(self, n: int, excess: float, alpha: float = ALPHA) -> int:
        """The smallest number of hits among n items that exceeds the usual; n + 1 where no number does."""
        low, high = 0, n + 1
        while low < high:
            middle = (low + high) // 2
            if self.is_exceeded(Share(middle, n), excess, alpha):
                high = middle
            else:
                low = middle + 1
        return low


def usual_share(history: Sequence[Share], excess: float) -> UsualShare | None:
    """What is usual, learned from past batches; None where they are too few."""
    past = [share for share in history if share.n]
    if len(past) < LEAST_BATCHES:
        return None

    def is_unusual(at: int, rest: list[int]) -> bool:
        return _fitted([past[each] for each in rest]).is_exceeded(past[at], excess)

    order = sorted(range(len(past)), key=lambda at: -past[at].value)
    return _fitted([past[at] for at in without_outliers(order, is_unusual)])


def _fitted(past: Sequence[Share]) -> UsualShare:
    counts = np.array([(share.n_hits, share.n - share.n_hits) for share in past], np.float64)
    return UsualShare(usual_of(counts, is_cautious=True), max(share.value for share in past))
