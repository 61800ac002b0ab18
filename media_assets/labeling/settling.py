"""From answers to labels: the consensus of a batch, and what becomes of its tasks. Lake in, lake out.

What is computed follows from the answers and the queue alone, so that it is the same however often it is run; what was
accepted stays as it was accepted. Consensus is committed before the tasks move: a run that dies in between is completed
by the next. Not here: the rules (`curation/consensus.py`), or fetching answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl

from media_assets.curation.agreement import cohen_kappas, fleiss_kappa, krippendorff_alpha
from media_assets.curation.annotators import Judged, annotator_report, judge
from media_assets.curation.answers import QuestionKind
from media_assets.curation.consensus import GivenAnswer, Verdict, settle, without_earlier
from media_assets.curation.label_states import LabelActor, LabelMove, LabelState
from media_assets.labeling.project_files import LabelProject
from media_assets.labeling.queue import Applied, TaskMove, apply_moves
from media_assets.labeling.results import ResultUnreadable, answer_to
from media_assets.lake.delta import Lake, Provenance, Rewritten
from media_assets.tables import LABELS_ANNOTATIONS, LABELS_CONSENSUS, LABELS_QUEUE

SETTLING_CODE_VERSION = "1"

TASKS_COMPARED = 5_000
"""Tasks of a project over which agreement is computed, those that were answered last."""

_MOST_PAIRS = 20
_ANSWERED = (LabelState.ANNOTATED, LabelState.AGREED, LabelState.NEEDS_ADJUDICATION, LabelState.ACCEPTED)


@dataclass(frozen=True)
class Settled:
    """What one batch's answers came to. `unreadable`: annotation id → why it is no answer to its question."""

    n_settled: int
    n_ties: int
    applied: Applied
    unreadable: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Settling:
    """All rows of a batch, in order, and the moves that follow from them."""

    rows: pl.DataFrame
    moves: Sequence[TaskMove]
    unreadable: Mapping[str, str]


@dataclass(frozen=True)
class _Answers:
    """The latest answers about each task, those that could not be read, and how many of them each task has."""

    by_task: dict[str, list[tuple[GivenAnswer, float | None]]]
    unreadable: dict[str, str]
    n_unreadable: Mapping[str, int]


def settle_batch(
    lake: Lake, projects: Sequence[LabelProject], batch_id: str, at: datetime, provenance: Provenance
) -> Settled:
    """Compute `labels/consensus` of a batch from its answers, and move its tasks accordingly.

    Rows of projects that are not among these are left as they are. Of two runs at a time the later one begins from what
    the earlier one wrote, and a task moves only while its row is the one that the move follows from.
    """
    by_name = {project.name: project for project in projects}
    settling = _Settling(LABELS_CONSENSUS.frame([]), [], {})

    def change(table: pl.LazyFrame) -> Rewritten | None:
        nonlocal settling
        before = table.filter(pl.col("batch_id") == batch_id).collect()
        settling = _settling(lake, by_name, batch_id, before)
        is_same = settling.rows.equals(before.sort(LABELS_CONSENSUS.primary_key))
        return None if is_same else Rewritten([batch_id], settling.rows)

    lake.rewrite(LABELS_CONSENSUS, change, provenance)
    applied = apply_moves(lake, settling.moves, at, provenance, lambda: _unchanged(lake, batch_id, settling))
    n_ties = int(settling.rows["is_tie"].sum())
    return Settled(settling.rows.height - n_ties, n_ties, applied, settling.unreadable)


def _settling(lake: Lake, by_name: Mapping[str, LabelProject], batch_id: str, before: pl.DataFrame) -> _Settling:
    """What the answers of now come to, where `before` is what they came to."""
    here = {"batch_id": [batch_id]}
    tasks = lake.scan(LABELS_QUEUE, here).filter(pl.col("project").is_in(list(by_name))).collect()
    answers = read_answers(lake.scan(LABELS_ANNOTATIONS, here).collect(), by_name)
    kept = {(row["project"], row["subject_id"]): row for row in before.iter_rows(named=True)}
    rows = [row for row in kept.values() if row["project"] not in by_name]
    moves: list[TaskMove] = []
    for task in _latest_answered(tasks):
        old = kept.get((task["project"], task["subject_id"]))
        is_accepted = task["state"] == LabelState.ACCEPTED
        if is_accepted and old is not None and old["task_key"] == task["task_key"] and not old["is_tie"]:
            rows.append(old)
            continue
        given = [each for each, _ in answers.by_task.get(task["task_key"], [])]
        n_unreadable = answers.n_unreadable.get(task["task_key"], 0)
        project, verdict = by_name[task["project"]], None
        if n_unreadable and len(given) < task["annotators"] and not any(each.is_gold for each in given):
            told = f"{n_unreadable} answers cannot be read, and {len(given)} of {task['annotators']} can"
        elif given:
            verdict = settle(given, project.kind, project.abstentions)
            rows.append(_consensus_row(task, verdict))
            told = "nobody's answer has more than half" if verdict.is_tie else f"settled by {verdict.method}"
        else:
            continue
        moves += _moves(task, verdict, project, told)
    frame = LABELS_CONSENSUS.frame(rows).sort(LABELS_CONSENSUS.primary_key)
    return _Settling(frame, moves, answers.unreadable)


def _unchanged(lake: Lake, batch_id: str, settling: _Settling) -> frozenset[str]:
    """Keys of the tasks that are to move whose row, or having none, is still what was settled."""
    now = lake.scan(LABELS_CONSENSUS, {"batch_id": [batch_id]}).collect()
    ours, theirs = ({row["task_key"]: row for row in rows.to_dicts()} for rows in (settling.rows, now))
    return frozenset(move.task_key for move in settling.moves if ours.get(move.task_key) == theirs.get(move.task_key))


def read_answers(annotations: pl.DataFrame, projects: Mapping[str, LabelProject]) -> _Answers:
    """Each person's latest answer to each task, of the latest version of every annotation that was not taken back."""
    latest = (
        annotations.sort("updated_at", "seen_at", "version")
        .unique("annotation_id", keep="last", maintain_order=True)
        .filter(~pl.col("is_deleted") & pl.col("project").is_in(list(projects)))
    )
    by_task: dict[str, list[tuple[GivenAnswer, float | None]]] = {}
    unreadable: dict[str, str] = {}
    n_unreadable: Counter[str] = Counter()
    for row in latest.iter_rows(named=True):
        try:
            answer = answer_to(row["value"], projects[row["project"]])
        except ResultUnreadable as error:
            unreadable[row["annotation_id"]] = str(error)
            n_unreadable[row["task_key"]] += 1
            continue
        given = GivenAnswer(row["annotator"], answer, row["is_gold"], row["updated_at"])
        by_task.setdefault(row["task_key"], []).append((given, row["lead_time_seconds"]))
    return _Answers({key: _one_each(given) for key, given in by_task.items()}, unreadable, n_unreadable)


def _one_each(given: list[tuple[GivenAnswer, float | None]]) -> list[tuple[GivenAnswer, float | None]]:
    seconds = {id(each): time for each, time in given}
    return [(each, seconds[id(each)]) for each in without_earlier([each for each, _ in given])]


def _latest_answered(tasks: pl.DataFrame) -> list[dict[str, Any]]:
    """The tasks that are answered, the latest round of each subject that is."""
    answered = tasks.filter(pl.col("state").is_in([state.value for state in _ANSWERED]))
    latest = answered.sort("round").unique(["project", "subject_id"], keep="last", maintain_order=True)
    return latest.sort("task_key").to_dicts()


def _consensus_row(task: Mapping[str, Any], verdict: Verdict) -> dict[str, Any]:
    return {
        **{name: task[name] for name in ("batch_id", "project", "subject_id", "task_key", "round")},
        "n_annotators": verdict.n_annotators,
        "agreement": verdict.agreement,
        "method": verdict.method,
        "is_tie": verdict.is_tie,
        "value": verdict.answer.text() if verdict.answer is not None else None,
        "label": verdict.answer.label if verdict.answer is not None else None,
        "settled_at": verdict.settled_at,
    }


def _moves(task: Mapping[str, Any], verdict: Verdict | None, project: LabelProject, told: str) -> list[TaskMove]:
    """From where the task is to where its answers put it; without a verdict too few of them can be read."""
    state, key = LabelState(task["state"]), task["task_key"]
    is_settled, is_gold = verdict is not None and not verdict.is_tie, verdict is not None and verdict.method == "gold"
    wanted = LabelState.AGREED if is_settled else LabelState.NEEDS_ADJUDICATION
    steps: list[LabelMove] = []
    if state is LabelState.NEEDS_ADJUDICATION and is_gold:
        steps = [LabelMove.ADJUDICATE]
    elif state is not LabelState.ACCEPTED:
        if state not in (LabelState.ANNOTATED, wanted):
            steps.append(LabelMove.RECONSIDER)
        if state is not wanted:
            steps.append(LabelMove.AGREE if is_settled else LabelMove.DISAGREE)
        if is_settled and (project.accepts_agreed or is_gold):
            steps.append(LabelMove.ACCEPT)
    return [TaskMove(key, step, LabelActor.SETTLING, told) for step in steps]


def forget_withdrawn(lake: Lake, batch_id: str, provenance: Provenance) -> int:
    """Take what was settled of withdrawn tasks of a batch out of `labels/consensus`; how many rows that were."""
    n_forgotten = 0

    def change(table: pl.LazyFrame) -> Rewritten | None:
        nonlocal n_forgotten
        is_withdrawn = pl.col("state") == LabelState.WITHDRAWN
        queue = lake.scan(LABELS_QUEUE, {"batch_id": [batch_id]})
        withdrawn = queue.filter(is_withdrawn).select("task_key").collect()
        rows = table.filter(pl.col("batch_id") == batch_id).collect()
        kept = rows.join(withdrawn, on="task_key", how="anti")
        n_forgotten = rows.height - kept.height
        return Rewritten([batch_id], kept) if n_forgotten else None

    lake.rewrite(LABELS_CONSENSUS, change, provenance)
    return n_forgotten


@dataclass(frozen=True)
class ProjectAgreement:
    """How far the people of one project agree, over the tasks that were answered last."""

    n_answers: int
    alpha: float | None
    fleiss: float | None
    cohen: pl.DataFrame
    annotators: pl.DataFrame


def project_agreement(lake: Lake, project: LabelProject, n_tasks: int = TASKS_COMPARED) -> ProjectAgreement:
    """Coefficients (of labels; None where regions alone are asked for) and the annotator report, experts left out.

    Of more than `n_tasks` tasks, those that were answered last: it is shown after each batch, and costs no more then.
    """
    of_project = pl.col("project") == project.name
    answered = lake.scan(LABELS_ANNOTATIONS).filter(of_project).group_by("batch_id", "task_key")
    latest = answered.agg(pl.col("updated_at").max()).sort("updated_at", "task_key", descending=True)
    last = latest.head(n_tasks).select("batch_id", "task_key").collect()
    there = lake.scan(LABELS_ANNOTATIONS, {"batch_id": sorted(set(last["batch_id"]))})
    annotations = there.filter(of_project & pl.col("task_key").is_in(last["task_key"].to_list())).collect()
    given = read_answers(annotations, {project.name: project}).by_task
    judged: list[Judged] = []
    ratings: list[tuple[str, str, str]] = []
    for key, answers in given.items():
        verdict = settle([each for each, _ in answers], project.kind, project.abstentions)
        judged += judge(answers, verdict.answer, project.kind)
        ratings += [
            (key, each.annotator, each.answer.label)
            for each, _ in answers
            if not each.is_gold and each.answer.label is not None
        ]
    schema = {"subject_id": pl.String, "annotator": pl.String, "label": pl.String}
    frame = pl.DataFrame(ratings, schema, orient="row")
    has_labels = project.kind in (QuestionKind.CHOICE, QuestionKind.REAL_FAKE)
    return ProjectAgreement(
        len(judged),
        krippendorff_alpha(frame) if has_labels else None,
        fleiss_kappa(frame) if has_labels else None,
        cohen_kappas(frame, _MOST_PAIRS),
        annotator_report(judged),
    )
