"""A batch against the recent past of its source: one verdict for each check, in words and numbers. Pure.

Not here: where profiles come from (`stages/profiles.py`), pictures (`media/drift_plots.py`), Dagster (`defs/drift.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from media_assets.curation.between_batches import LEAST_BATCHES
from media_assets.curation.formats import failing_formats
from media_assets.curation.mixes import LEAST_ITEMS, Comparison, Group, compare_categories, compare_histograms
from media_assets.curation.profile import ASPECT_BINS, BRIGHTNESS_BINS, SIDE_BINS, BatchProfile, FormatCount
from media_assets.curation.shares import ALPHA, Share, usual_share

WINDOW = 20
"""Past batches of the source that a batch is held against, the newest that were planned before it."""

_FAILURES_EXCESS, _DUPLICATES_EXCESS = 0.01, 0.02

State = Literal["usual", "learning", "too few items", "drifted", "not judged"]


@dataclass(frozen=True)
class Verdict:
    """What a check found. `state` says why it passed, or did not: `drifted`, `not judged` (its own error is told).

    What is drawn are shares from 0 to 1: either `now`, `past` (of the batches before, the oldest first) and `limit`
    (above which one is unusual), or `groups`.
    """

    check: str
    state: State
    told: str
    is_error: bool = False
    now: float | None = None
    past: tuple[float, ...] = ()
    limit: float | None = None
    groups: tuple[Group, ...] = ()
    numbers: Mapping[str, float | int | str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether nothing is unusual, as far as can be told."""
        return self.state not in ("drifted", "not judged")


@dataclass(frozen=True)
class DriftCheck:
    """One check: its name, the table it stands on, what it says, what is drawn, and the function that judges."""

    name: str
    table: str
    drawn: str
    description: str
    judge: Callable[[str, BatchProfile, Sequence[BatchProfile]], Verdict]


def judge(profile: BatchProfile, history: Sequence[BatchProfile]) -> dict[str, Verdict]:
    """Every check's verdict on a batch, by name. `history`: past batches of its source, the oldest first."""
    return {check.name: check.judge(check.name, profile, history) for check in CHECKS}


def _formats(name: str, profile: BatchProfile, history: Sequence[BatchProfile]) -> Verdict:
    failing = failing_formats(profile, history)
    groups = tuple(_format_group(each, history) for each in profile.formats)
    numbers: dict[str, float | int | str] = {
        f".{each.format}": f"{each.n_failed} of {each.n} failed" for each in profile.formats
    }
    if not failing:
        return Verdict(name, "usual", _no_format_told(profile, history), groups=groups, numbers=numbers)
    told = f"Expected every format to decode as before; {'; '.join(map(str, failing))}."
    is_error = any(each.is_error for each in failing)
    return Verdict(name, "drifted", told, is_error, groups=groups, numbers=numbers)


def _format_group(count: FormatCount, history: Sequence[BatchProfile]) -> Group:
    """The failed share of one format."""
    before = [each for past in history for each in past.formats if each.format == count.format and each.n]
    shares = [each.n_failed / each.n for each in before] or [0.0]
    usual = sum(each.n_failed for each in before) / max(1, sum(each.n for each in before))
    low, high = np.quantile(shares, [0.1, 0.9])
    return Group(f".{count.format}", count.n_failed / max(1, count.n), usual, float(low), float(high))


def _no_format_told(profile: BatchProfile, history: Sequence[BatchProfile]) -> str:
    if not profile.formats:
        return "No items."
    seen = {each.format for past in history for each in past.formats}
    new = [each for each in profile.formats if each.format not in seen]
    told = f"All {len(profile.formats)} formats decode as usual."
    if history and new:
        told += f" New here: {', '.join(f'.{each.format} ({each.n} items)' for each in new)}."
    return told


def _failures(name: str, profile: BatchProfile, history: Sequence[BatchProfile]) -> Verdict:
    shares = [Share(past.n_failed, past.n_items) for past in history]
    return _share_verdict(name, "items failed", Share(profile.n_failed, profile.n_items), shares, _FAILURES_EXCESS)


def _duplicates(name: str, profile: BatchProfile, history: Sequence[BatchProfile]) -> Verdict:
    shares = [Share(past.n_duplicates, past.n_items) for past in history]
    share = Share(profile.n_duplicates, profile.n_items)
    return _share_verdict(name, "items repeat another item of their batch", share, shares, _DUPLICATES_EXCESS)


def _share_verdict(name: str, what: str, share: Share, history: Sequence[Share], excess: float) -> Verdict:
    past = tuple(each.value for each in history if each.n)
    told = f"{share.n_hits:,} of {share.n:,} {what} ({share.value:.2%})"
    usual = usual_share(history, excess)
    if usual is None:
        return Verdict(name, "learning", f"{told}. {_learning(len(past))}", now=share.value, past=past)
    limit = usual.limit(share.n, excess) / max(share.n, 1)
    numbers: dict[str, float | int | str] = {
        "share": round(share.value, 5),
        "usual_share": round(usual.value, 5),
        "limit": round(limit, 5),
        "probability": usual.probability(share),
    }
    is_drift = usual.is_exceeded(share, excess)
    return Verdict(
        name,
        "drifted" if is_drift else "usual",
        f"Expected at most {limit:.2%}, as in the last {len(past)} batches (usually {usual.value:.2%}); {told}."
        if is_drift
        else f"{told}; usually {usual.value:.2%}, at most {limit:.2%} is no news.",
        now=share.value,
        past=past,
        limit=min(limit, 1.0),
        numbers=numbers,
    )


def _mimes(name: str, profile: BatchProfile, history: Sequence[BatchProfile]) -> Verdict:
    return _mix_verdict(name, history, {"mime types": compare_categories(profile.mimes, [p.mimes for p in history])})


def _licences(name: str, profile: BatchProfile, history: Sequence[BatchProfile]) -> Verdict:
    compared = compare_categories(profile.licences, [p.licences for p in history])
    return _mix_verdict(name, history, {"licences": compared})


def _dimensions(name: str, profile: BatchProfile, history: Sequence[BatchProfile]) -> Verdict:
    sides = compare_histograms(profile.longer_sides, [p.longer_sides for p in history], SIDE_BINS)
    aspects = compare_histograms(profile.aspects, [p.aspects for p in history], ASPECT_BINS)
    return _mix_verdict(name, history, {"longer sides": sides, "width / height": aspects})


def _brightness(name: str, profile: BatchProfile, history: Sequence[BatchProfile]) -> Verdict:
    levels = compare_histograms(profile.brightness, [p.brightness for p in history], BRIGHTNESS_BINS)
    return _mix_verdict(name, history, {"brightness": levels})


def _mix_verdict(name: str, history: Sequence[BatchProfile], compared: Mapping[str, Comparison | None]) -> Verdict:
    known = {what: each for what, each in compared.items() if each is not None}
    if not known:
        if len(history) < LEAST_BATCHES:
            return Verdict(name, "learning", _learning(len(history)))
        return Verdict(name, "too few items", f"Fewer than {LEAST_ITEMS} items, or too few before, to judge a mix.")
    drifted = {what: each for what, each in known.items() if each.has_drifted(ALPHA / len(known))}
    what, shown = max((drifted or known).items(), key=lambda pair: pair[1].psi)
    widest = shown.widest
    found = f"{what}: {widest.now:.1%} are {widest.name}, usually {widest.usual:.1%}; stability index {shown.psi:.2f}"
    numbers: dict[str, float | int | str] = {"stability_index": round(shown.psi, 4), "probability": shown.probability}
    numbers |= {each.name: f"{each.now:.1%}, usually {each.usual:.1%}" for each in shown.groups}
    if not drifted:
        return Verdict(name, "usual", f"As usual. {found}.", groups=shown.groups, numbers=numbers)
    return Verdict(
        name,
        "drifted",
        f"Expected the mix of the last batches, got another one of {found}.",
        groups=shown.groups,
        numbers=numbers,
    )


def _learning(n_batches: int) -> str:
    return f"Learning: {n_batches} of at least {LEAST_BATCHES} past batches of this source are known, so this passes."


CHECKS: tuple[DriftCheck, ...] = (
    DriftCheck(
        "formats_decode",
        "raw/media",
        "share of each format that failed",
        "No claimed format, new or known, fails as a whole or far more often than before.",
        _formats,
    ),
    DriftCheck(
        "failures_are_usual",
        "raw/media",
        "share of items that failed",
        "No more items failed than in the batches before.",
        _failures,
    ),
    DriftCheck(
        "duplicates_are_usual",
        "raw/media",
        "share of items that repeat another one",
        "No more items repeat another one than in the batches before.",
        _duplicates,
    ),
    DriftCheck(
        "mime_mix_is_usual",
        "raw/media",
        "share of each mime type",
        "Mime types come in the shares of the batches before.",
        _mimes,
    ),
    DriftCheck(
        "dimensions_are_usual",
        "raw/media",
        "share of each size",
        "Pictures are as large and as wide as in the batches before.",
        _dimensions,
    ),
    DriftCheck(
        "licence_mix_is_usual",
        "raw/media",
        "share of each licence",
        "Licences come in the shares of the batches before.",
        _licences,
    ),
    DriftCheck(
        "brightness_is_usual",
        "tensors/images",
        "share of each mean level, 0 black to 1 white",
        "Pictures are as bright as in the batches before.",
        _brightness,
    ),
)
"""Every drift check, in the order of the page."""
