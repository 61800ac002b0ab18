"""How the label queue stands: depth by state, age, throughput, agreement. Lake in, numbers out; read only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import polars as pl

from media_assets.curation.label_states import LabelState
from media_assets.labeling.project_files import LabelProject
from media_assets.lake.delta import Lake
from media_assets.tables import LABELS_ANNOTATIONS, LABELS_CONSENSUS, LABELS_QUEUE

_UNSETTLED = tuple(state.value for state in LabelState if not state.is_settled and not state.is_final)


@dataclass(frozen=True)
class QueueOverview:
    """The queue now. `depth`: project → state → tasks; `ages_days`: of each task that is not settled."""

    depth: Mapping[str, Mapping[str, int]]
    ages_days: Sequence[float]


@dataclass(frozen=True)
class AnswersOverview:
    """What came back, by UTC day: answers submitted, agreement (0..1) of each task that they decided, ties."""

    answers: Mapping[date, int]
    agreement: Mapping[date, list[float]]
    ties: Mapping[date, int]


def queue_overview(lake: Lake, at: datetime) -> QueueOverview:
    """Every project that has tasks, whether it is configured or not."""
    tasks = lake.scan(LABELS_QUEUE).select("project", "state", "queued_at").collect()
    depth: dict[str, dict[str, int]] = {}
    for project, state, n in tasks.group_by("project", "state").len().sort("project", "state").iter_rows():
        depth.setdefault(project, {})[state] = n
    waiting = tasks.filter(pl.col("state").is_in(_UNSETTLED))
    ages = waiting.select((pl.lit(at) - pl.col("queued_at")).dt.total_seconds() / 86_400).to_series()
    return QueueOverview(depth, [max(age, 0.0) for age in ages.sort()])


def answers_overview(lake: Lake) -> AnswersOverview:
    """Over all projects and days."""
    given = (
        lake.scan(LABELS_ANNOTATIONS)
        .filter(~pl.col("is_deleted"))
        .select("annotation_id", day=pl.col("created_at").dt.date())
    )
    answers = given.unique("annotation_id").group_by("day").len().collect()
    settled = lake.scan(LABELS_CONSENSUS).select("agreement", "is_tie", day=pl.col("settled_at").dt.date()).collect()
    agreement: dict[date, list[float]] = {}
    ties: dict[date, int] = {}
    for value, is_tie, day in settled.sort("day", "agreement").iter_rows():
        agreement.setdefault(day, []).append(value)
        ties[day] = ties.get(day, 0) + is_tie
    return AnswersOverview(dict(answers.iter_rows()), agreement, ties)


def status_rows(lake: Lake, projects: Sequence[LabelProject], at: datetime) -> list[dict[str, object]]:
    """One row for each project that is configured or has tasks: what is left of the day's budget, tasks by state, the
    oldest that waits, answers of the last seven days, and how many of the decided tasks are ties.
    """
    tasks = lake.scan(LABELS_QUEUE).select("project", "state", "queued_at", "pushed_at").collect()
    answers = lake.scan(LABELS_ANNOTATIONS).filter(
        ~pl.col("is_deleted"), pl.col("created_at") >= at - timedelta(days=7)
    )
    recent = dict(answers.group_by("project").agg(pl.col("annotation_id").n_unique()).collect().iter_rows())
    decided = lake.scan(LABELS_CONSENSUS).group_by("project").agg(pl.col("agreement").mean()).collect()
    agreement = dict(decided.iter_rows())
    budgets = {project.name: project.per_day for project in projects}
    rows: list[dict[str, object]] = []
    for name in sorted({*budgets, *tasks["project"]}):
        mine = tasks.filter(pl.col("project") == name)
        n_pushed = mine.filter(pl.col("pushed_at").dt.date() == at.date()).height
        waiting = mine.filter(pl.col("state").is_in(_UNSETTLED))["queued_at"].to_list()
        row: dict[str, object] = {"project": name, "is_on": name in budgets}
        row |= {state.value: mine.filter(pl.col("state") == state.value).height for state in LabelState}
        row["left_today"] = max(budgets[name] - n_pushed, 0) if name in budgets else 0
        row["oldest_days"] = round((at - min(waiting)).total_seconds() / 86_400, 1) if waiting else None
        row["answers_7_days"] = recent.get(name, 0)
        row["mean_agreement"] = round(agreement[name], 3) if name in agreement else None
        rows.append(row)
    return rows
