"""How much batches of one source differ from each other beyond chance: the usual shares and their correlation.

Items of one batch are alike (one camera, one user, one crawl), so that counts scatter more than independent items
would. With the intraclass correlation r a batch of n items scatters as if it had n / (1 + (n - 1) r) of them: Kish's
design effect (*Survey Sampling*, 1965, section 5.4), which Brier (*Biometrika* 67, 1980) uses for counts in several
categories. Not here: judging a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LEAST_BATCHES = 5
"""Of a source with fewer past batches nobody knows what is usual."""

LEAST_CORRELATION = 0.001
"""Batches are never taken to be more alike than this: a source that was quiet for a week is no natural constant."""

_Z75 = 0.6744897501960817  # three quarters of a normal distribution lie below

Counts = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Usual:
    """What past batches were like: the share of each category, and how much batches differ.

    Attributes:
        shares: of each category, above 0, their sum is 1.
        correlation: intraclass correlation, 0 to 1.
        spread_of_mean: variance of `shares` themselves, as a part of p (1 - p).
        n_batches: how many batches this was learned from.
    """

    shares: Counts
    correlation: float
    spread_of_mean: float
    n_batches: int

    def design_effect(self, n: float) -> float:
        """How much more a batch of n items scatters around `shares` than independent items would."""
        return 1 + (n - 1) * self.correlation + n * self.spread_of_mean


def usual_of(history: Counts, *, is_cautious: bool = False) -> Usual:
    """Learn from the counts of past batches, one row a batch, one column a category; each row has items.

    The correlation is estimated by moments, from Pearson's statistic of each batch against the pooled shares.
    `is_cautious` takes the value that the true one is below in three of four cases instead (chi-square, by the
    approximation of Wilson and Hilferty, 1931): few batches may look more alike than they are.
    """
    n, total = history.sum(axis=1), float(history.sum())
    n_batches, n_categories = history.shape
    shares = (history.sum(axis=0) + 0.5) / (total + 0.5 * n_categories)
    expected = n[:, None] * shares
    pearson = ((history - expected) ** 2 / expected).sum(axis=1) / (n_categories - 1)
    chance = (1 - n / total).sum()  # what it would be if items were independent
    excess = float(pearson.sum()) * (_upper_factor(n_batches - 1) if is_cautious else 1.0) - float(chance)
    weight = float(((n - 1) * (1 - n / total)).sum())
    correlation = min(0.999, max(LEAST_CORRELATION, excess / weight)) if weight > 0 else LEAST_CORRELATION
    spread = float((n * (1 + (n - 1) * correlation)).sum()) / total**2
    return Usual(shares, correlation, spread, n_batches)


def without_outliers(order: Sequence[int], is_unusual: Callable[[int, list[int]], bool]) -> list[int]:
    """Rows of the past without those that were unusual themselves: at most a quarter, and never below `LEAST_BATCHES`.

    An incident therefore neither hides the next one nor passes for usual before it has lasted. From the largest number
    of candidates downwards, as in Rosner's generalized test (*Technometrics* 25, 1983), so that several do not mask
    each other. `order` names the rows, the most extreme first; `is_unusual` judges one against others.
    """
    for n_dropped in range(len(order) // 4, 0, -1):
        rest = list(order[n_dropped:])
        if len(rest) >= LEAST_BATCHES and all(is_unusual(at, rest) for at in order[:n_dropped]):
            return sorted(rest)
    return sorted(order)


def _upper_factor(df: int) -> float:
    """A mean square times this is above the true one in three of four cases."""
    lower = 1 - 2 / (9 * df) - _Z75 * (2 / (9 * df)) ** 0.5
    return float(1 / max(lower, 0.3) ** 3)
