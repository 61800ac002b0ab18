"""Does every claimed format still decode: the check for a format that fails as a whole, new or known. Pure.

Two rules. A format of which at least half fails (five items or more, or all of three) is a fault whatever was usual:
that needs no history and is told in the first batch. A format that fails clearly more often than usual (beta-binomial,
`shares.py`; a format that is new is held against all items of its source) is told as well. What was always so, over
ten batches, is no longer told as an error, yet still told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from media_assets.curation.between_batches import LEAST_BATCHES
from media_assets.curation.profile import BatchProfile, FormatCount
from media_assets.curation.shares import ALPHA, LEAST_HITS, Share, UsualShare, usual_share

EXCESS = 0.05
WHOLE = 0.5
_LEAST_ITEMS_OF_A_WHOLE = 5
_KNOWN_BATCHES = 10


@dataclass(frozen=True)
class FormatFailure:
    """A format that fails. `usual` is the share that failed before, None where nobody knows."""

    count: FormatCount
    usual: float | None
    is_new: bool
    is_whole: bool
    was_always: bool

    @property
    def is_error(self) -> bool:
        """Whether it is lost as a whole, and that is news."""
        return self.is_whole and not self.was_always

    def __str__(self) -> str:
        count = self.count
        told = f"{count.n_failed} of {count.n} .{count.format} failed"
        if count.code:
            told += f", mostly {count.code}"
        if self.is_new:
            return f"{told} (new here)"
        if self.was_always:
            return f"{told} (as in the batches before)"
        return f"{told} (usually {self.usual:.1%})" if self.usual is not None else told


def failing_formats(profile: BatchProfile, history: Sequence[BatchProfile]) -> list[FormatFailure]:
    """The formats of a batch that fail as a whole or unusually often, the largest first."""
    of_source = usual_share([Share(past.n_failed, past.n_items) for past in history], EXCESS)
    n_judged = max(1, len(profile.formats))
    found = [_judged(count, history, of_source, ALPHA / n_judged) for count in profile.formats if count.n_failed]
    return sorted((each for each in found if each is not None), key=lambda each: -each.count.n_failed)


def _judged(
    count: FormatCount, history: Sequence[BatchProfile], of_source: UsualShare | None, alpha: float
) -> FormatFailure | None:
    before = [
        Share(each.n_failed, each.n)
        for past in history
        for each in past.formats
        if each.format == count.format and each.n
    ]
    share = Share(count.n_failed, count.n)
    # A format that came only now and then is held against its source: of itself nobody knows enough.
    usual = (usual_share(before, EXCESS) if len(before) >= LEAST_BATCHES else None) or of_source
    is_whole = share.value >= WHOLE and (
        share.n >= _LEAST_ITEMS_OF_A_WHOLE or (share.n_hits == share.n and share.n >= LEAST_HITS)
    )
    was_always = len(before) >= _KNOWN_BATCHES and median(each.value for each in before) >= WHOLE
    if not is_whole and (usual is None or not usual.is_exceeded(share, EXCESS, alpha)):
        return None
    known = sum(each.n_hits for each in before) / sum(each.n for each in before) if before else None
    return FormatFailure(count, known, not before, is_whole, was_always)
