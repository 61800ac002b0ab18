"""The pairing of boxes: as good as any that trying all of them finds."""

from __future__ import annotations

import math
import random
from itertools import permutations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from media_assets.curation.answers import Region
from media_assets.curation.matching import iou, match_regions


def box(label: str, left: float, top: float, width: float, height: float) -> Region:
    return Region(label, ((left, left + width), (top, top + height)))


def stretch(label: str, start: float, end: float) -> Region:
    return Region(label, ((start, end),))


def test_iou_is_what_is_common_of_what_either_covers() -> None:
    assert iou(box("a", 0, 0, 2, 2), box("a", 1, 1, 2, 2)) == pytest.approx(1 / 7)
    assert iou(box("a", 0, 0, 2, 2), box("b", 2, 0, 2, 2)) == 0
    assert iou(stretch("a", 0, 10), stretch("a", 5, 20)) == pytest.approx(0.25)
    assert iou(stretch("a", 3, 3), stretch("a", 3, 3)) == 1
    assert iou(stretch("a", 3, 3), stretch("a", 4, 4)) == 0
    with pytest.raises(ValueError):
        iou(stretch("a", 0, 1), box("a", 0, 0, 1, 1))


def test_the_best_sum_wins_over_the_best_pair() -> None:
    """The best pair alone would leave the two others without a partner."""
    first = [stretch("a", 0, 10), stretch("a", 5, 15)]
    second = [stretch("a", 2, 12), stretch("a", -4, 6)]
    assert iou(first[0], second[0]) == max(iou(a, b) for a in first for b in second)
    assert [(i, j) for i, j, _ in match_regions(first, second)] == [(0, 1), (1, 0)]


def test_labels_must_be_equal() -> None:
    assert match_regions([box("cat", 0, 0, 1, 1)], [box("dog", 0, 0, 1, 1)]) == []


_regions = st.lists(
    st.builds(
        lambda label, x, w, y, h: box(label, x, y, w, h),
        st.sampled_from("ab"),
        *[st.integers(0, 5), st.integers(0, 4)] * 2,
    ),
    max_size=5,
)
_CROWD = [box("a", i, 0, 3, 3) for i in range(5)]


@settings(max_examples=150, deadline=None)
@given(_regions, _regions)
@example(_CROWD, [box("a", i + 0.5, 0, 3, 3) for i in range(4)])
@example([box("a", 0, 0, 4, 1), box("a", 3, 0, 4, 1)], [box("a", 1, 0, 4, 1), box("a", -3, 0, 4, 1)])
def test_no_pairing_overlaps_more(first: list[Region], second: list[Region]) -> None:
    pairs = match_regions(first, second)
    assert len({i for i, _, _ in pairs}) == len({j for _, j, _ in pairs}) == len(pairs)
    assert all(first[i].label == second[j].label and overlap == iou(first[i], second[j]) for i, j, overlap in pairs)
    few, many = sorted((first, second), key=len)
    best = max(
        math.fsum(iou(a, b) for a, b in zip(few, chosen, strict=True) if a.label == b.label)
        for chosen in permutations(many, len(few))
    )
    assert math.fsum(overlap for _, _, overlap in pairs) == pytest.approx(best)


def test_a_crowd_is_paired_quickly_when_each_overlaps_few() -> None:
    generator = random.Random(1)
    first = [box("a", i % 20, i // 20, 0.9, 0.9) for i in range(300)]
    second = [box("a", i % 20 + generator.random() / 5, i // 20, 0.9, 0.9) for i in range(300)]
    assert [(i, j) for i, j, _ in match_regions(first, second)] == [(i, i) for i in range(300)]
