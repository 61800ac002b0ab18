"""The annotator report: each person's own numbers, and nobody else's."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
from polars.testing import assert_frame_equal

from media_assets.curation.annotators import REPORT_SCHEMA, annotator_report, judge
from media_assets.curation.answers import Answer, QuestionKind
from media_assets.curation.consensus import GivenAnswer, settle

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CHOICE = QuestionKind.CHOICE


def task(*answers: tuple[str, str, float | None], gold: str | None = None) -> list[tuple[GivenAnswer, float | None]]:
    given = [(GivenAnswer(name, Answer(label), False, NOON), seconds) for name, label, seconds in answers]
    return [*given, (GivenAnswer("expert", Answer(gold), True, NOON), 60.0)] if gold else given


TASKS = [
    task(("a", "cat", 2.0), ("b", "cat", 10.0), ("c", "dog", None)),
    task(("a", "cat", 4.0), ("b", "dog", 20.0), gold="cat"),
    task(("a", "cat", 9.0), ("b", "dog", 30.0)),  # a tie: held against nothing
]


def test_each_persons_numbers_are_their_own() -> None:
    judged = [
        each for given in TASKS for each in judge(given, settle([answer for answer, _ in given], CHOICE).answer, CHOICE)
    ]
    expected = pl.DataFrame(
        [("a", 3, 2, 1.0, 1, 1.0, 4.0), ("b", 3, 2, 0.5, 1, 0.0, 20.0), ("c", 1, 1, 0.0, 0, None, None)],
        REPORT_SCHEMA,
        orient="row",
    )
    assert_frame_equal(annotator_report(judged), expected)
    assert_frame_equal(annotator_report(judged[::-1]), expected)


def test_nobody_is_a_report_without_rows() -> None:
    assert annotator_report([]).schema == REPORT_SCHEMA
