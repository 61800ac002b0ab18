"""Agreement: the published examples give the published numbers, and no order of anything matters."""

from __future__ import annotations

import random
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media_assets.curation.agreement import (
    cohen_kappa,
    cohen_kappas,
    fleiss_kappa,
    krippendorff_alpha,
    mean_similarity,
    similarity,
)
from media_assets.curation.answers import Answer, QuestionKind, Region

Rating = tuple[str, str, str]
SCHEMA = {"subject_id": pl.String, "annotator": pl.String, "label": pl.String}


def ratings(rows: list[Rating]) -> pl.DataFrame:
    """(subject, annotator, label)"""
    return pl.DataFrame(rows, SCHEMA, orient="row")


def by_person(**answers: str) -> pl.DataFrame:
    """One letter for each subject; a dot for none."""
    return ratings(
        [
            (f"{place:02}", person, letter)
            for person, letters in answers.items()
            for place, letter in enumerate(letters)
            if letter != "."
        ]
    )


def by_table(yes_yes: int, yes_no: int, no_yes: int, no_no: int) -> pl.DataFrame:
    return by_person(
        a="y" * (yes_yes + yes_no) + "n" * (no_yes + no_no),
        b="y" * yes_yes + "n" * yes_no + "y" * no_yes + "n" * no_no,
    )


@pytest.mark.parametrize(
    ("table", "kappa"),
    [((20, 5, 10, 15), 0.4), ((45, 15, 25, 15), 0.1304), ((25, 35, 5, 35), 0.2593)],
    ids=["grant proposals", "unequal marginals", "equal agreement, other marginals"],
)
def test_cohens_kappa_is_that_of_the_textbook(table: tuple[int, int, int, int], kappa: float) -> None:
    frame = by_table(*table)
    assert cohen_kappa(frame, "a", "b") == pytest.approx(kappa, abs=5e-5)
    assert cohen_kappas(frame).rows() == [("a", "b", sum(table), cohen_kappa(frame, "a", "b"))]


def test_of_many_pairs_those_with_most_in_common_are_shown() -> None:
    frame = by_person(a="xxyy", b="xyyy", c="xy..", d="x...")
    assert cohen_kappas(frame, 1).select("first", "second", "n_subjects").rows() == [("a", "b", 4)]
    assert cohen_kappas(frame).height == 6


FLEISS_1971 = """
    0 0 0 0 14 / 0 2 6 4 2 / 0 0 3 5 6 / 0 3 9 2 0 / 2 2 8 1 1
    7 7 0 0 0 / 3 2 6 3 0 / 2 5 3 2 2 / 6 5 2 1 0 / 0 2 2 3 7
"""


def test_fleiss_kappa_is_that_of_the_textbook() -> None:
    """Fourteen people, ten subjects, five categories: 0.210."""
    rows = []
    for subject, counts in enumerate(FLEISS_1971.replace("\n    7", "/ 7").split("/")):
        labels = [str(label) for label, n in enumerate(counts.split()) for _ in range(int(n))]
        assert len(labels) == 14
        # Other people for each subject: Fleiss asks only that they are equally many.
        rows += [(f"{subject}", f"{subject}-{place}", label) for place, label in enumerate(labels)]
    assert fleiss_kappa(ratings(rows)) == pytest.approx(0.20993, abs=5e-6)


def test_fleiss_leaves_out_subjects_with_another_number_of_answers() -> None:
    three = by_person(a="xxyy", b="xxyy", c="xyyx")
    assert fleiss_kappa(pl.concat([three, ratings([("9", "a", "x"), ("9", "b", "y")])])) == fleiss_kappa(three)


@pytest.mark.parametrize(
    ("answers", "alpha"),
    [
        ({"meg": "0100000010", "owen": "1110010000"}, 0.095),
        ({"ben": "aabbdcccedda", "gerry": "babbbccceddd"}, 0.692),
        (
            {"a": "123321412...", "b": "1233224125.3", "c": ".3332342251.", "d": "12332441251."},
            0.743,
        ),
        ({"a": ".....34121133.3", "b": "1.213343.......", "c": "..21344.21133.4"}, 0.691),
    ],
    ids=["binary, two observers", "nominal, two observers", "four observers, gaps", "three coders, gaps"],
)
def test_krippendorffs_alpha_is_that_of_the_textbook(answers: dict[str, str], alpha: float) -> None:
    assert krippendorff_alpha(by_person(**answers)) == pytest.approx(alpha, abs=5e-4)


def test_nothing_is_said_where_nobody_answered_the_same() -> None:
    lonely = ratings([("1", "a", "x"), ("2", "b", "x")])
    assert cohen_kappa(lonely, "a", "b") is None
    assert cohen_kappas(lonely).is_empty()
    assert fleiss_kappa(lonely) is None
    assert krippendorff_alpha(lonely) is None
    assert krippendorff_alpha(ratings([])) is None


_many = st.lists(
    st.tuples(st.sampled_from("123456"), st.sampled_from("abcd"), st.sampled_from("xyz")),
    min_size=1,
    max_size=24,
    unique_by=lambda row: row[:2],
)


@settings(max_examples=60, deadline=None)
@given(_many, st.randoms(use_true_random=False))
def test_no_order_and_no_name_changes_a_coefficient(rows: list[Rating], shuffler: random.Random) -> None:
    shuffled = list(rows)
    shuffler.shuffle(shuffled)
    names = dict(zip("abcd", shuffler.sample("pqrs", 4), strict=True))
    renamed = [(subject, names[person], label) for subject, person, label in shuffled]
    for coefficient in (fleiss_kappa, krippendorff_alpha):
        before, after = coefficient(ratings(rows)), coefficient(ratings(renamed))
        assert before == pytest.approx(after, abs=1e-9) if before is not None else after is None
        assert before is None or -1 - 1e-9 <= before <= 1 + 1e-9
    for first, second, _, kappa in cohen_kappas(ratings(rows)).iter_rows():
        assert cohen_kappa(ratings(renamed), names[second], names[first]) == pytest.approx(kappa, abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from("xyz"), min_size=1, max_size=8), st.integers(2, 4))
def test_perfect_agreement_is_one(labels: list[str], n_people: int) -> None:
    frame = by_person(**{f"p{i}": "".join(labels) for i in range(n_people)})
    assert fleiss_kappa(frame) == pytest.approx(1)
    assert krippendorff_alpha(frame) == pytest.approx(1)
    assert cohen_kappas(frame)["kappa"].to_list() == pytest.approx([1] * (n_people * (n_people - 1) // 2))


def boxes(*edges: tuple[str, float, float, float, float]) -> Answer:
    return Answer(regions=tuple(Region(label, ((x, x + w), (y, y + h))) for label, x, y, w, h in edges))


def test_boxes_agree_by_what_they_share_and_each_missing_one_costs() -> None:
    one, two = ("cat", 0.0, 0.0, 0.5, 0.5), ("cat", 0.5, 0.5, 0.25, 0.25)
    assert similarity(boxes(one, two), boxes(two, one), QuestionKind.BOXES) == 1
    assert similarity(boxes(one, two), boxes(one), QuestionKind.BOXES) == 0.5
    assert similarity(boxes(), boxes(), QuestionKind.BOXES) == 1
    assert similarity(boxes(one), boxes(), QuestionKind.BOXES) == 0
    half = ("cat", 0.0, 0.0, 0.25, 0.5)
    assert similarity(boxes(one), boxes(half), QuestionKind.BOXES) == 0.5


def test_stretches_of_time_agree_by_what_they_share() -> None:
    first, second = (
        Answer(regions=(Region("speech", ((0, 100),)),)),
        Answer(regions=(Region("speech", ((50, 100),)), Region("music", ((0, 10),)))),
    )
    assert similarity(first, second, QuestionKind.TIMELINE) == 0.25


def test_labels_agree_or_do_not_whatever_the_rest_says() -> None:
    kind = QuestionKind.REAL_FAKE
    assert similarity(Answer("fake", "face_swap"), Answer("fake", "lip_sync"), kind) == 1
    assert similarity(Answer("fake"), Answer("real"), kind) == 0
    assert mean_similarity([Answer("fake")], kind) == 1
    assert mean_similarity([Answer("fake"), Answer("fake"), Answer("real")], kind) == pytest.approx(1 / 3)


_edges = st.tuples(st.sampled_from(["cat", "dog"]), *[st.integers(0, 3), st.integers(0, 3), *[st.integers(1, 3)] * 2])
_answers = st.lists(st.lists(_edges, max_size=4).map(lambda edges: boxes(*edges)), min_size=2, max_size=4)


@settings(max_examples=80, deadline=None)
@given(_answers, st.randoms(use_true_random=False))
def test_similarity_is_symmetric_bounded_and_one_for_equal_answers(
    answers: list[Answer], shuffler: random.Random
) -> None:
    for a, b in pairwise(answers):
        assert similarity(a, b, QuestionKind.BOXES) == similarity(b, a, QuestionKind.BOXES)
        assert 0 <= similarity(a, b, QuestionKind.BOXES) <= 1
    assert all(similarity(each, each, QuestionKind.BOXES) == 1 for each in answers)
    shuffled = [Answer(regions=tuple(shuffler.sample(each.regions, len(each.regions)))) for each in answers]
    shuffler.shuffle(shuffled)
    assert mean_similarity(shuffled, QuestionKind.BOXES) == mean_similarity(answers, QuestionKind.BOXES)
