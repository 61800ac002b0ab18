"""What answers come to: more than half, an expert, or a tie that nobody wins."""

from __future__ import annotations

import math
import random
import time
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from media_assets.curation.answers import Answer, QuestionKind, Region
from media_assets.curation.consensus import GivenAnswer, majority, settle, without_earlier
from media_assets.curation.matching import iou

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
REAL_FAKE, CHOICE, BOXES, TIMELINE = (
    QuestionKind.REAL_FAKE,
    QuestionKind.CHOICE,
    QuestionKind.BOXES,
    QuestionKind.TIMELINE,
)


def given_by(*answers: Answer, gold: Answer | None = None) -> list[GivenAnswer]:
    people = [GivenAnswer(f"ls:{i}", each, False, NOON + timedelta(minutes=i)) for i, each in enumerate(answers)]
    return [*people, GivenAnswer("ls:expert", gold, True, NOON)] if gold else people


def box(label: str, left: float, top: float = 0.0, width: float = 0.5, height: float = 0.5) -> Region:
    return Region(label, ((left, left + width), (top, top + height)))


def labels(*given: str) -> list[Answer]:
    return [Answer(label) for label in given]


@pytest.mark.parametrize(
    ("given", "settled"),
    [
        (["cat"], "cat"),
        (["cat", "cat"], "cat"),
        (["cat", "dog"], None),
        (["cat", "cat", "dog"], "cat"),
        (["cat", "dog", "fox"], None),
        (["cat", "cat", "dog", "dog"], None),
        (["cat", "cat", "dog", "fox"], None),
        (["unsure"], None),
        (["unsure", "unsure", "cat"], None),
        (["unsure", "cat", "cat"], "cat"),
        (["unsure", "cat"], None),
    ],
)
def test_more_than_half_of_all_who_answered_settle_a_label(given: list[str], settled: str | None) -> None:
    verdict = settle(given_by(*labels(*given)), CHOICE, ["unsure"])
    assert (verdict.answer.label if verdict.answer else None) == settled
    assert verdict.is_tie == (settled is None)
    assert (verdict.method, verdict.n_annotators) == ("majority", len(given))
    assert verdict.settled_at == NOON + timedelta(minutes=len(given) - 1)


def test_an_expert_settles_whatever_the_others_say() -> None:
    verdict = settle(given_by(*labels("cat", "cat", "dog"), gold=Answer("fox")), CHOICE)
    assert (verdict.answer, verdict.method, verdict.is_tie) == (Answer("fox"), "gold", False)
    assert verdict.agreement == pytest.approx(1 / 3), "of the people, without the expert"


def test_of_two_experts_the_one_who_answered_last_is_heard() -> None:
    experts = [GivenAnswer(name, Answer(name), True, NOON + timedelta(days=day)) for name, day in (("x", 2), ("y", 1))]
    assert settle(experts, CHOICE).answer == Answer("x")
    assert settle(experts[::-1], CHOICE).answer == Answer("x")


def test_the_method_of_a_fake_is_that_of_those_who_say_that_it_is_one() -> None:
    people = [Answer("fake", "face_swap"), Answer("fake", "face_swap"), Answer("fake", "lip_sync"), Answer("real")]
    assert majority(people, REAL_FAKE) == Answer("fake", "face_swap")
    assert majority([Answer("fake", "face_swap"), Answer("fake", "lip_sync"), Answer("real")], REAL_FAKE) == Answer(
        "fake"
    )


def test_the_region_of_a_fake_is_that_of_those_who_say_that_it_is_one() -> None:
    mouth, far = box("altered", 0.1), box("altered", 0.5, 0.5)
    people = [Answer("fake", None, (mouth,)), Answer("fake", None, (mouth, far)), Answer("fake"), Answer("real")]
    assert majority(people, REAL_FAKE) == Answer("fake", None, (mouth,))


def test_a_box_that_most_people_drew_stays_with_the_median_of_each_edge() -> None:
    people = [Answer(regions=(box("cat", left),)) for left in (0.0, 0.02, 0.1)]
    assert majority(people, BOXES) == Answer(regions=(box("cat", 0.02),))


def test_what_fewer_than_half_drew_goes_and_what_exactly_half_drew_is_a_tie() -> None:
    cat, dog = box("cat", 0), box("dog", 0.5)
    three = [Answer(regions=(cat, dog)), Answer(regions=(cat,)), Answer(regions=(cat,))]
    assert majority(three, BOXES) == Answer(regions=(cat,))
    assert majority(three[:2], BOXES) is None
    assert majority([Answer(), Answer(), Answer(regions=(cat,))], BOXES) == Answer()
    assert majority([Answer(regions=(cat,)), Answer(regions=(box("dog", 0),))], BOXES) is None


def test_one_persons_two_boxes_are_never_two_votes() -> None:
    twice = Answer(regions=(box("cat", 0.0), box("cat", 0.05)))
    assert majority([twice, Answer(), Answer()], BOXES) == Answer()
    both = majority([twice, twice, Answer()], BOXES)
    assert both is not None
    assert both.regions == (box("cat", 0.0), box("cat", 0.05))


def test_stretches_of_time_settle_as_boxes_do() -> None:
    people = [Answer(regions=(Region("fake", ((start, 100),)),)) for start in (10, 12, 60)]
    assert majority(people, TIMELINE) == Answer(regions=(Region("fake", ((11, 100),)),))


def test_answers_are_asked_for_once_of_each_person() -> None:
    with pytest.raises(ValueError, match="one answer of each person"):
        settle([], CHOICE)
    with pytest.raises(ValueError, match="one answer of each person"):
        settle(given_by(Answer("a")) * 2, CHOICE)


def test_the_latest_answer_of_each_person_counts() -> None:
    first = GivenAnswer("ls:1", Answer("a"), False, NOON)
    later = GivenAnswer("ls:1", Answer("b"), False, NOON + timedelta(seconds=1))
    as_expert = GivenAnswer("ls:1", Answer("c"), True, NOON)
    for order in ([first, later, as_expert], [as_expert, later, first]):
        assert without_earlier(order) == [later, as_expert]


_boxes = st.builds(box, st.sampled_from(["cat", "dog"]), st.sampled_from([0.0, 0.1, 0.25]), st.sampled_from([0.0, 0.1]))
_answers: st.SearchStrategy[Any] = st.lists(
    st.builds(
        Answer,
        st.sampled_from(["real", "fake", "unsure"]),
        st.sampled_from([None, "face_swap", "lip_sync"]),
        st.lists(_boxes, max_size=3, unique=True).map(tuple),
    ),
    min_size=1,
    max_size=5,
)
_CHAIN = [Answer("fake", None, (box("cat", left),)) for left in (0.0, 0.1, 0.25, 0.1, 0.0)]


@settings(max_examples=120, deadline=None)
@given(_answers, st.sampled_from(QuestionKind), st.randoms(use_true_random=False))
@example(_CHAIN, BOXES, random.Random(2))
@example(labels("fake", "real", "real", "fake"), REAL_FAKE, random.Random(2))
def test_no_order_of_answers_or_regions_changes_the_verdict(
    answers: list[Answer], kind: QuestionKind, shuffler: random.Random
) -> None:
    verdict = settle(given_by(*answers), kind, ["unsure"])
    shuffled = [Answer(a.label, a.method, tuple(shuffler.sample(a.regions, len(a.regions)))) for a in answers]
    shuffler.shuffle(shuffled)
    again = settle(given_by(*shuffled), kind, ["unsure"])
    assert (again.answer, again.agreement) == (verdict.answer, verdict.agreement)
    assert 0 <= verdict.agreement <= 1
    if verdict.answer is not None and kind in (CHOICE, REAL_FAKE):
        assert 2 * sum(a.label == verdict.answer.label for a in answers) > len(answers)
        assert verdict.answer.label != "unsure"


@settings(max_examples=40, deadline=None)
@given(_answers.map(lambda answers: answers[0]), st.sampled_from(QuestionKind), st.integers(1, 4))
def test_equal_answers_are_the_verdict(answer: Answer, kind: QuestionKind, n_people: int) -> None:
    verdict = settle(given_by(*[answer] * n_people), kind)
    assert verdict.agreement == 1
    assert verdict.answer is not None
    if kind in (CHOICE, REAL_FAKE):
        assert verdict.answer.label == answer.label
    else:
        assert verdict.answer.regions == tuple(sorted(answer.regions))


def test_equal_answers_have_equal_text() -> None:
    regions = (box("dog", 0.5), box("cat", 0.0))
    assert Answer(regions=regions).text() == Answer(regions=regions[::-1]).text()
    assert Answer("fake", "lip_sync", (Region("a", ((1, 2),)),)).text() == (
        '{"label":"fake","method":"lip_sync","regions":[{"end":2,"label":"a","start":1}]}'
    )
    assert Answer().text() == '{"regions":[]}'


def _one_by_one(answers: list[Answer]) -> tuple[tuple[Region, ...], bool]:
    """The rule as it is told, without any short cut."""
    left = [sorted(answer.regions) for answer in answers]
    common, is_tie = [], False
    while candidates := sorted({region for regions in left for region in regions}):
        votes = max(
            ([_closest(candidate, regions) for regions in left] for candidate in candidates),
            key=lambda found: (sum(each is not None for each in found), math.fsum(each[1] for each in found if each)),
        )
        drawn = [each[0] for each in votes if each is not None]
        if 2 * len(drawn) < len(answers):
            break
        if 2 * len(drawn) > len(answers):
            axes = zip(*(region.extent for region in drawn), strict=True)
            edges = tuple((median(a for a, _ in axis), median(b for _, b in axis)) for axis in axes)
            common.append(Region(drawn[0].label, edges))
        is_tie |= 2 * len(drawn) == len(answers)
        for regions, vote in zip(left, votes, strict=True):
            if vote is not None:
                regions.remove(vote[0])
    return tuple(sorted(common)), is_tie


def _closest(candidate: Region, regions: list[Region]) -> tuple[Region, float] | None:
    near = [(r, iou(candidate, r)) for r in regions if r.label == candidate.label and iou(candidate, r) >= 0.5]
    return max(near, key=lambda each: each[1]) if near else None


_near_boxes = st.builds(
    box,
    st.sampled_from(["cat", "dog"]),
    *[st.sampled_from([0.0, 0.05, 0.1, 0.2, 0.6])] * 2,
    *[st.sampled_from([0.5, 0.4, 0.0])] * 2,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(_near_boxes, max_size=6).map(tuple), min_size=1, max_size=5))
def test_common_regions_are_those_of_the_rule_one_by_one(drawn: list[tuple[Region, ...]]) -> None:
    answers = [Answer(regions=regions) for regions in drawn]
    regions, is_tie = _one_by_one(answers)
    assert majority(answers, BOXES) == (None if is_tie else Answer(regions=regions))


def test_a_crowd_is_settled_quickly() -> None:
    generator = random.Random(1)
    places = [(generator.random() * 0.9, generator.random() * 0.9) for _ in range(200)]
    answers = [
        Answer(regions=tuple(box("face", x + generator.random() * 0.005, y, 0.05, 0.05) for x, y in places))
        for _ in range(3)
    ]
    begin = time.process_time()
    settled = settle(given_by(*answers), BOXES).answer
    assert settled is not None
    assert len(settled.regions) == 200
    assert time.process_time() - begin < 5, "one by one it takes minutes"
