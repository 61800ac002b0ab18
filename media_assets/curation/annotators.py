"""How each annotator does: how much, how fast, how often as the others, and how often as the experts. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from media_assets.curation.agreement import similarity
from media_assets.curation.answers import Answer, QuestionKind
from media_assets.curation.consensus import GivenAnswer, expert_answer

REPORT_SCHEMA = pl.Schema(
    {
        "annotator": pl.String,
        "n_answers": pl.Int64,
        "n_compared": pl.Int64,
        "agreement": pl.Float64,
        "n_gold": pl.Int64,
        "gold_accuracy": pl.Float64,
        "median_lead_time_seconds": pl.Float64,
    }
)


@dataclass(frozen=True)
class Judged:
    """One person's answer to one question, held against what it came to.

    `agreement` with the settled answer, 0 to 1, the person's own vote included; None for a tie. `gold`: likeness to the
    expert's answer; None where no expert answered.
    """

    annotator: str
    agreement: float | None
    gold: float | None
    lead_time_seconds: float | None


def judge(
    given: Iterable[tuple[GivenAnswer, float | None]], settled: Answer | None, kind: QuestionKind
) -> list[Judged]:
    """The people's answers to one question (with the seconds each took) against the settled one and the expert's.

    An expert's own answer is no annotator's work and is left out.
    """
    given = list(given)
    gold = expert_answer([each for each, _ in given])
    return [
        Judged(
            each.annotator,
            similarity(each.answer, settled, kind) if settled is not None else None,
            similarity(each.answer, gold, kind) if gold is not None else None,
            seconds,
        )
        for each, seconds in given
        if not each.is_gold
    ]


def annotator_report(judged: Iterable[Judged]) -> pl.DataFrame:
    """One row for each annotator, by name: answers, means of agreement and gold accuracy (null: none), median time."""
    rows = [(each.annotator, each.agreement, each.gold, each.lead_time_seconds) for each in judged]
    kinds = {"annotator": pl.String, **dict.fromkeys(("agreement", "gold", "seconds"), pl.Float64)}
    return (
        pl.DataFrame(rows, kinds, orient="row")
        .sort(pl.all())
        .group_by("annotator")
        .agg(
            n_answers=pl.len().cast(pl.Int64),
            n_compared=pl.col("agreement").count().cast(pl.Int64),
            agreement=pl.col("agreement").mean(),
            n_gold=pl.col("gold").count().cast(pl.Int64),
            gold_accuracy=pl.col("gold").mean(),
            median_lead_time_seconds=pl.col("seconds").median(),
        )
        .sort("annotator")
        .select(REPORT_SCHEMA.names())
        .cast(REPORT_SCHEMA)
    )
