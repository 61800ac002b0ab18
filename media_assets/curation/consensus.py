"""What the answers about one subject come to. Pure.

**An expert's answer** (ground truth) settles the question; of several the one that was given last.

Else **more than half of the people** do, all who answered counted:

- a label: the one that more than half gave. Labels that mean "I cannot say" are answers of people, never the result;
- the method of a fake: the one that more than half of those gave who gave the label; else none;
- a region: people mean the same one where the label is equal and the IoU at least one half. What more than half of them
  drew stays, with the median of each edge;
- the regions of a real or fake question: those of the people who gave the label that won.

**A tie is nobody's answer.** No label with more than half, or a region that exactly half of the people drew: it needs
adjudication, by an expert or by more people. No coin is tossed, and the order of answers never matters.

Not here: how far people agree (`agreement.py`), or what becomes of the task (`label_states.py`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import heapify, heappop, heappush
from statistics import median

from media_assets.curation.agreement import mean_similarity
from media_assets.curation.answers import Answer, Extent, QuestionKind, Region
from media_assets.curation.matching import overlapping

SAME_REGION_IOU = 0.5


@dataclass(frozen=True)
class GivenAnswer:
    """One person's latest answer to one question."""

    annotator: str
    answer: Answer
    is_gold: bool
    given_at: datetime


@dataclass(frozen=True)
class Verdict:
    """What the answers come to; `answer` is None for a tie. `agreement`: of every two people, 0 to 1 on average."""

    answer: Answer | None
    method: str  # gold or majority
    agreement: float
    n_annotators: int
    settled_at: datetime

    @property
    def is_tie(self) -> bool:
        """Whether nobody's answer won."""
        return self.answer is None


def settle(given: Sequence[GivenAnswer], kind: QuestionKind, abstentions: Collection[str] = ()) -> Verdict:
    """The verdict of the people, or of an expert among them.

    Args:
        given: at least one; one for each person.
        kind: what was asked.
        abstentions: labels that mean "I cannot say".

    Raises:
        ValueError: there is no answer, or two of one person.
    """
    if not given or len({(each.annotator, each.is_gold) for each in given}) != len(given):
        raise ValueError(f"expected one answer of each person, got those of {[each.annotator for each in given]}")
    people = [each for each in given if not each.is_gold]
    agreement = mean_similarity([each.answer for each in people or given], kind)
    last = max(each.given_at for each in given)
    if gold := expert_answer(given):
        return Verdict(gold, "gold", agreement, len(given), last)
    answer = majority([each.answer for each in given], kind, abstentions)
    return Verdict(answer, "majority", agreement, len(given), last)


def expert_answer(given: Sequence[GivenAnswer]) -> Answer | None:
    """The expert's answer that was given last, where there is one; of equals the one whose text is last."""
    experts = [each for each in given if each.is_gold]
    return max(experts, key=lambda each: (each.given_at, each.answer.text())).answer if experts else None


def majority(answers: Sequence[Answer], kind: QuestionKind, abstentions: Collection[str] = ()) -> Answer | None:
    """What more than half of these answers say, or None for a tie."""
    if kind is QuestionKind.CHOICE:
        label = _winner([answer.label for answer in answers], abstentions)
        return Answer(label) if label is not None else None
    if kind is QuestionKind.REAL_FAKE:
        label = _winner([answer.label for answer in answers], abstentions)
        if label is None:
            return None
        agreeing = [answer for answer in answers if answer.label == label]
        regions, _ = _common_regions(agreeing)
        return Answer(label, _winner([answer.method for answer in agreeing], ()), regions)
    regions, is_tie = _common_regions(answers)
    return None if is_tie else Answer(regions=regions)


def _winner(values: Sequence[str | None], abstentions: Collection[str]) -> str | None:
    """The value that more than half have, unless it is none."""
    value, n_votes = max(Counter(values).items(), key=lambda item: item[1])
    return value if 2 * n_votes > len(values) and value not in abstentions else None


def _common_regions(answers: Sequence[Answer]) -> tuple[tuple[Region, ...], bool]:
    """The regions that more than half of the people drew, and whether there is one that exactly half drew.

    One after the other the region is taken that most people drew, of equals the one that theirs overlap most, of these
    the first by label and edges; each person's closest region is one vote, and is used up.
    """
    ballots = _Ballots(answers)
    common, is_tie = [], False
    while (drawn := ballots.next()) is not None and 2 * len(drawn) >= len(answers):
        if 2 * len(drawn) > len(answers):
            common.append(Region(drawn[0].label, _median_extent(drawn)))
        is_tie |= 2 * len(drawn) == len(answers)
    return tuple(sorted(common)), is_tie


class _Ballots:
    """Who drew what, and what is not used up yet: as quick for a crowd as its regions have few near ones.

    A candidate's votes only ever become fewer and farther, so one that still has the votes with which it stands on top
    of the heap is the best of all.
    """

    def __init__(self, answers: Sequence[Answer]) -> None:
        """Find for each candidate the regions of each person that are near, the closest first."""
        self._left = [Counter(answer.regions) for answer in answers]
        self._candidates = sorted(set().union(*(answer.regions for answer in answers)))
        near: list[list[tuple[float, int]]] = [[] for _ in self._candidates]
        for i, j, overlap in overlapping(self._candidates, self._candidates):
            if overlap >= SAME_REGION_IOU:
                near[i].append((-overlap, j))
        self._near = [sorted(those) for those in near]
        self._heap = [(*self._standing(i), i) for i in range(len(self._candidates))]
        heapify(self._heap)

    def next(self) -> list[Region] | None:
        """What people drew of the best candidate that is left, taken away from each of them; None: nothing is left."""
        while self._heap:
            n_votes, overlap, i = heappop(self._heap)
            if not any(left[self._candidates[i]] for left in self._left):
                continue
            if (now := self._standing(i)) != (n_votes, overlap):
                heappush(self._heap, (*now, i))
                continue
            drawn = []
            for left, vote in zip(self._left, self._votes(i), strict=True):
                if vote is not None:
                    drawn.append(self._candidates[vote[1]])
                    left[drawn[-1]] -= 1
            heappush(self._heap, (*self._standing(i), i))  # somebody may have another one there
            return drawn
        return None

    def _standing(self, i: int) -> tuple[int, float]:
        votes = [vote for vote in self._votes(i) if vote is not None]
        return -len(votes), math.fsum(overlap for overlap, _ in votes)

    def _votes(self, i: int) -> list[tuple[float, int] | None]:
        """Of each person the closest region that is left: (minus its IoU, its index)."""
        return [next((each for each in self._near[i] if left[self._candidates[each[1]]]), None) for left in self._left]


def _median_extent(drawn: Sequence[Region]) -> Extent:
    return tuple(
        (median(begin for begin, _ in axis), median(end for _, end in axis))
        for axis in zip(*(region.extent for region in drawn), strict=True)
    )


def without_earlier(given: Sequence[GivenAnswer]) -> list[GivenAnswer]:
    """Each person's latest answer; as an expert and as one of the people they are two."""
    latest: dict[tuple[str, bool], GivenAnswer] = {}
    for each in sorted(given, key=lambda each: (each.given_at, each.answer.text())):
        latest[each.annotator, each.is_gold] = each
    return [latest[key] for key in sorted(latest)]
