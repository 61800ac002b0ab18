"""Has a mix changed: mime types, licences, sizes, brightness. Two-sided, over all categories at once.

The counts of a batch are held against the pooled shares of past batches by Pearson's chi-square, divided by the design
effect (Rao and Scott, *Annals of Statistics* 12, 1984) and judged by F with (groups - 1, past batches - 1) degrees of
freedom, since the design effect is itself estimated (McCullagh and Nelder, *Generalized Linear Models*, section 4.5).
Its size is the population stability index, the sum of (now - usual) ln(now / usual), of which 0.1 is commonly called
a moderate and 0.25 a large shift (Siddiqi, *Credit Risk Scorecards*, 2006). A drift is improbable, of some size, and
larger than in any past batch: sources whose batches are each of another kind have no usual mix, and are not told of.
Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from media_assets.curation.between_batches import LEAST_BATCHES, Usual, usual_of
from media_assets.curation.distributions import f_tail
from media_assets.curation.shares import ALPHA, Share, usual_share

LEAST_ITEMS = 20
"""A batch of fewer items says nothing of a mix."""

LEAST_PSI = 0.1
_LEAST_EXPECTED = 5.0  # Cochran's rule for chi-square; rarer categories are taken together
_LEAST_SHARE = 0.01  # so are those that a single odd batch would dominate
_SMALLEST_SHARE = 0.001  # stands for none in the index, whose logarithm would be infinite
_MOST_GROUPS = 8
_ITEMS_PER_GROUP = 10
RARE = "rare or new"

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Group:
    """One category, or several taken together: its share now, usually, and in the middle 80 % of past batches."""

    name: str
    now: float
    usual: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """A batch's mix against the usual one; `highest_psi` is the highest index of a past batch."""

    groups: tuple[Group, ...]
    psi: float
    highest_psi: float
    probability: float
    n: int

    def has_drifted(self, alpha: float = ALPHA) -> bool:
        """Whether the mix is unlikely, and further from the usual one than matters and than any past batch."""
        return self.probability < alpha and self.psi >= LEAST_PSI and self.psi > self.highest_psi

    @property
    def widest(self) -> Group:
        """The group that differs most."""
        return max(self.groups, key=lambda group: _psi_part(group.now, group.usual))


def compare_categories(now: Mapping[str, int], history: Sequence[Mapping[str, int]]) -> Comparison | None:
    """Compare counts by name; None where this batch or the past holds too little to judge."""
    names = sorted({name for counts in (now, *history) for name in counts})
    table = np.array([[counts.get(name, 0) for name in names] for counts in history], np.float64)
    return _compare(np.array([now.get(name, 0) for name in names], np.float64), table, names, is_ordered=False)


def compare_histograms(
    now: Sequence[int], history: Sequence[Sequence[int]], bin_names: Sequence[str]
) -> Comparison | None:
    """Compare counts in ordered bins, neighbouring ones taken together so that each group is usually as large.

    None where this batch or the past holds too little to judge. `bin_names` name the bins' lower ends.
    """
    usable = [counts for counts in history if len(counts) == len(bin_names)]
    table = np.array(usable, np.float64).reshape(len(usable), len(bin_names))
    return _compare(np.array(now, np.float64), table, list(bin_names), is_ordered=True)


def _compare(now: Numbers, history: Numbers, names: list[str], *, is_ordered: bool) -> Comparison | None:
    history = history[history.sum(axis=1) > 0] if history.size else history.reshape(0, len(now))
    if now.sum() < LEAST_ITEMS or len(history) < LEAST_BATCHES:
        return None
    n = float(now.sum())
    pooled = history.sum(axis=0) / history.sum()
    groups = _ordered_groups(pooled, n) if is_ordered else [[at] for at in range(len(names))]
    kept = [group for group in groups if pooled[group].sum() >= max(_LEAST_SHARE, _LEAST_EXPECTED / n)]
    if not kept:  # everything is rare: the largest stands for itself
        kept = [[int(pooled.argmax())]]
    taken = {at for group in kept for at in group}
    joined = [*kept, [at for at in range(len(names)) if at not in taken]]
    past = np.stack([history[:, group].sum(axis=1) for group in joined], axis=1)
    mine = np.array([now[group].sum() for group in joined])
    usual = usual_of(past)
    return Comparison(
        _groups(joined, names, mine, past, usual, is_ordered),
        _psi(mine / n, usual.shares),
        max(_psi(row / row.sum(), usual.shares) for row in past),
        _probability(mine, past, usual),
        int(n),
    )


def _probability(now: Numbers, past: Numbers, usual: Usual) -> float:
    """Of a mix this far from the usual one: twice the lesser of two tests, of all groups and of the rare one alone.

    Chi-square is no good where next to nothing is expected, and something new is what matters most.
    """
    of_all = f_tail(_statistic(now, usual), len(now) - 1, usual.n_batches - 1)
    rare = usual_share([Share(int(row[-1]), int(row.sum())) for row in past], 0.0)
    assert rare is not None, "there are enough batches"
    return min(1.0, 2 * min(of_all, rare.probability(Share(int(now[-1]), int(now.sum())))))


def _statistic(now: Numbers, usual: Usual) -> float:
    """Pearson's chi-square over its degrees of freedom and the design effect; the last group is the rare one."""
    n = float(now.sum())
    expected = usual.shares * n
    # What is rare may be rarer still; only more of it counts, against no less than what the approximation bears.
    expected[-1] = max(expected[-1], _LEAST_EXPECTED)
    excess = now - expected
    excess[-1] = max(excess[-1], 0)
    return float((excess**2 / expected).sum()) / (len(now) - 1) / usual.design_effect(n)


def _ordered_groups(pooled: Numbers, n: float) -> list[list[int]]:
    """Neighbouring bins taken together until each group holds its part; a bin that does so alone stays alone."""
    n_groups = min(_MOST_GROUPS, max(2, int(n // _ITEMS_PER_GROUP)))
    groups: list[list[int]] = [[]]
    for at, share in enumerate(pooled):
        if share >= 1 / n_groups:
            groups += [[at], []]
            continue
        groups[-1].append(at)
        if pooled[groups[-1]].sum() >= 1 / n_groups:
            groups.append([])
    return [group for group in groups if group]


def _groups(
    joined: list[list[int]], names: list[str], now: Numbers, past: Numbers, usual: Usual, is_ordered: bool
) -> tuple[Group, ...]:
    n, shares = now.sum(), past / past.sum(axis=1, keepdims=True)
    low, high = np.quantile(shares, [0.1, 0.9], axis=0)
    told = [_name(group, names, is_ordered) for group in joined[:-1]] + [RARE]
    found = (
        Group(name, float(now[at] / n), float(usual.shares[at]), float(low[at]), float(high[at]))
        for at, name in enumerate(told)
    )
    return tuple(group for group in found if group.name != RARE or group.now or group.high)


def _name(group: list[int], names: list[str], is_ordered: bool) -> str:
    if not is_ordered:
        return names[group[0]]
    after = group[-1] + 1
    return f"{names[group[0]]} to {names[after]}" if after < len(names) else f"{names[group[0]]} and more"


def _psi(now: Numbers, usual: Numbers) -> float:
    return float(sum(_psi_part(a, b) for a, b in zip(now.tolist(), usual.tolist(), strict=True)))


def _psi_part(now: float, usual: float) -> float:
    now, usual = max(now, _SMALLEST_SHARE), max(usual, _SMALLEST_SHARE)
    return (now - usual) * math.log(now / usual)
