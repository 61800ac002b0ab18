"""The queue of label tasks in the lake: asking, moving, withdrawing. Lake in, lake out.

Every change is one `Lake.rewrite`: read, changed and written back as one step, so that two writers never lose a move,
and a repetition after a crash changes nothing. A task exists once for each project, subject and round, whatever is run
again, and in whichever batches the same picture lies: the batch that was first has it.

Not here: which moves there are (`curation/label_states.py`), what is asked first (`curation/priorities.py`), or Label
Studio.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl

from media_assets.curation.label_states import IllegalMove, LabelActor, LabelMove, LabelState, after, is_made_already
from media_assets.curation.priorities import due, pick
from media_assets.labeling.project_files import LabelProject
from media_assets.lake.delta import Lake, Provenance, Rewritten
from media_assets.media.identity import label_task_key
from media_assets.tables import ITEM_STATUS, LABELS_QUEUE
from media_assets.tables.columns import Status

QUEUE_CODE_VERSION = "1"

_Row = dict[str, Any]


@dataclass(frozen=True)
class Enqueued:
    """What became of a batch's subjects: newly queued, known already, and queued by another batch or over the limit."""

    n_new: int
    n_known: int
    n_elsewhere: int
    n_left_out: int


def enqueue(
    lake: Lake,
    project: LabelProject,
    batch_id: str,
    candidates: pl.DataFrame,
    at: datetime,
    provenance: Provenance,
) -> Enqueued:
    """Queue the best of a batch's subjects, at most `project.per_batch` in all, however often this is run.

    Tasks that are there stay; those still waiting get the priority of now. A subject that was withdrawn is not asked
    about again, and one that another batch has queued is that batch's.

    Args:
        candidates: one row for each subject: `subject_id`, `item_key`, `media_id`, `blob`, `media_type`, `uncertainty`,
            `perceptual_hash`.
        at: now, with a time zone.
    """
    counts = Enqueued(0, 0, 0, 0)

    def change(table: pl.LazyFrame) -> Rewritten | None:
        nonlocal counts
        of_project = pl.col("project") == project.name
        elsewhere = table.filter(of_project & (pl.col("batch_id") != batch_id)).select("subject_id")
        taken = set(elsewhere.unique().collect()["subject_id"])
        rows = table.filter(pl.col("batch_id") == batch_id).collect()
        known = rows.filter(of_project)
        withdrawn = set(known.filter(pl.col("state") == LabelState.WITHDRAWN)["subject_id"])
        there = set(known["subject_id"]) - withdrawn
        subject = pl.col("subject_id")
        free = candidates.filter(~subject.is_in(list(taken | withdrawn)))
        # All of them are ranked, those that wait already too: asked in another order it is the same order.
        picked = pick(free.rename({"subject_id": "frame_id"}), project.per_batch, project.weights)
        picked = picked.rename({"frame_id": "subject_id"})
        new = picked.filter(~subject.is_in(list(there))).head(max(project.per_batch - len(there), 0))
        n_elsewhere = len(taken & set(candidates["subject_id"]))
        counts = Enqueued(new.height, len(there), n_elsewhere, free.height - new.height - len(there))
        updated = _with_priorities(rows, project.name, dict(picked.select("subject_id", "priority").iter_rows()))
        if new.is_empty() and updated.equals(rows):
            return None
        added = LABELS_QUEUE.frame([_new_row(project, batch_id, row, at) for row in new.iter_rows(named=True)])
        return Rewritten([batch_id], pl.concat([updated, added]))

    lake.rewrite(LABELS_QUEUE, change, provenance)
    return counts


def _with_priorities(rows: pl.DataFrame, project: str, priorities: Mapping[str, float]) -> pl.DataFrame:
    is_waiting = (pl.col("project") == project) & (pl.col("state") == LabelState.QUEUED) & (pl.col("round") == 1)
    latest = pl.col("subject_id").replace_strict(priorities, default=None, return_dtype=pl.Float64)
    return rows.with_columns(priority=pl.when(is_waiting).then(latest).fill_null(pl.col("priority")))


def _new_row(project: LabelProject, batch_id: str, candidate: Mapping[str, Any], at: datetime) -> _Row:
    subject_id = candidate["subject_id"]
    is_gold = is_chosen_for_gold(project, subject_id)
    return {
        "task_key": label_task_key(project.name, subject_id, 1),
        "batch_id": batch_id,
        "project": project.name,
        "subject": project.subject,
        **{name: candidate[name] for name in ("subject_id", "item_key", "media_id", "blob", "media_type", "priority")},
        "round": 1,
        "state": LabelState.QUEUED.value,
        "annotators": project.annotators,
        "is_gold": is_gold,
        "reason": "gold" if is_gold else "priority",
        "queued_at": at,
        "state_at": at,
    }


def is_chosen_for_gold(project: LabelProject, subject_id: str) -> bool:
    """Whether an expert is to answer too: by a hash of the subject, the same on every machine and in every run."""
    digest = hashlib.sha256(f"gold/1:{project.name}:{subject_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < project.gold_share * 2**64


@dataclass(frozen=True)
class TaskMove:
    """One move of one task. `ls_project_id`, `ls_task_id` and `pushed_at` are kept where they are given."""

    task_key: str
    move: LabelMove
    actor: LabelActor
    reason: str
    ls_project_id: int | None = None
    ls_task_id: int | None = None
    pushed_at: datetime | None = None


@dataclass(frozen=True)
class Applied:
    """How many moves were made, how many were made before, and which the state machine refused: task key → why."""

    n_made: int = 0
    n_made_before: int = 0
    refused: Mapping[str, str] = field(default_factory=dict)


def apply_moves(lake: Lake, moves: Sequence[TaskMove], at: datetime, provenance: Provenance) -> Applied:
    """Make moves, in their order, in one commit. Those that were made before change nothing; illegal ones are told.

    A refused move leaves its task as it is, and later moves of that task are tried all the same. It is no error here: a
    task may have been withdrawn since somebody looked.
    """
    applied = Applied()

    def change(table: pl.LazyFrame) -> Rewritten | None:
        nonlocal applied
        keys = list({move.task_key for move in moves})
        batch_ids = _batches_of(table, pl.col("task_key").is_in(keys))
        rows = table.filter(pl.col("batch_id").is_in(batch_ids)).collect()
        by_key = {row["task_key"]: row for row in rows.filter(pl.col("task_key").is_in(keys)).iter_rows(named=True)}
        before = {key: dict(row) for key, row in by_key.items()}
        applied = _move_all(by_key, moves, at)
        changed = [row for key, row in by_key.items() if row != before[key]]
        return _replaced(rows, changed)

    if moves:
        lake.rewrite(LABELS_QUEUE, change, provenance)
    return applied


def _move_all(by_key: dict[str, _Row], moves: Sequence[TaskMove], at: datetime) -> Applied:
    n_made, n_made_before, refused = 0, 0, {}
    for each in moves:
        row = by_key.get(each.task_key)
        if row is None:
            refused[each.task_key] = "expected a task of the queue, got a key that it does not have"
            continue
        state = LabelState(row["state"])
        if is_made_already(state, each.move):
            n_made_before += 1
        else:
            try:
                row["state"] = after(state, each.move, each.actor).value
            except IllegalMove as error:
                refused[each.task_key] = str(error)
                continue
            n_made += 1
            row |= {"state_at": at, "reason": each.reason[:200]}
        given = {"ls_project_id": each.ls_project_id, "ls_task_id": each.ls_task_id, "pushed_at": each.pushed_at}
        row |= {name: value for name, value in given.items() if value is not None}
        if row["state"] == LabelState.QUEUED:  # it is not there any more
            row["ls_task_id"] = None  # `pushed_at` stays: it has used up its place in that day's budget
    return Applied(n_made, n_made_before, refused)


def withdraw_media(
    lake: Lake, media_ids: Collection[str], reason: str, actor: LabelActor, at: datetime, provenance: Provenance
) -> list[str]:
    """Withdraw every task about these media, whatever its state and batch; returned are the keys withdrawn now."""
    return _withdraw(lake, pl.col("media_id").is_in(list(media_ids)), reason, actor, at, provenance)


def withdraw_erased(lake: Lake, batch_id: str, at: datetime, provenance: Provenance) -> list[str]:
    """Withdraw a batch's tasks about items whose status is `erased`; returned are the keys withdrawn now.

    Nothing else is taken for an erasure: a batch that is being made again lacks items for a while, and a withdrawal is
    final.
    """
    statuses = lake.scan(ITEM_STATUS, {"batch_id": [batch_id]}).filter(pl.col("status") == Status.ERASED)
    erased = statuses.select("item_key").unique().collect()["item_key"]
    if erased.is_empty():
        return []
    is_gone = (pl.col("batch_id") == batch_id) & pl.col("item_key").is_in(erased.to_list())
    return _withdraw(lake, is_gone, "media erased", LabelActor.ERASURE, at, provenance)


def _withdraw(
    lake: Lake,
    which: pl.Expr,
    reason: str,
    actor: LabelActor,
    at: datetime,
    provenance: Provenance,
) -> list[str]:
    withdrawn: list[str] = []

    def change(table: pl.LazyFrame) -> Rewritten | None:
        is_meant = which & (pl.col("state") != LabelState.WITHDRAWN)
        rows = table.filter(pl.col("batch_id").is_in(_batches_of(table, is_meant))).collect()
        changed = rows.filter(is_meant).to_dicts()
        for row in changed:
            state = after(LabelState(row["state"]), LabelMove.WITHDRAW, actor)
            row |= {"state": state.value, "state_at": at, "reason": reason[:200]}
        withdrawn[:] = sorted(row["task_key"] for row in changed)
        return _replaced(rows, changed)

    lake.rewrite(LABELS_QUEUE, change, provenance)
    return withdrawn


def _batches_of(table: pl.LazyFrame, which: pl.Expr) -> list[str]:
    return sorted(table.filter(which).select("batch_id").unique().collect()["batch_id"])


def _replaced(rows: pl.DataFrame, changed: Sequence[_Row]) -> Rewritten | None:
    if not changed:
        return None
    keys = [row["task_key"] for row in changed]
    batch_ids = sorted({row["batch_id"] for row in changed})
    kept = rows.filter(pl.col("batch_id").is_in(batch_ids) & ~pl.col("task_key").is_in(keys))
    return Rewritten(batch_ids, pl.concat([kept, LABELS_QUEUE.frame(changed)]))


def due_tasks(lake: Lake, project: LabelProject, at: datetime) -> pl.DataFrame:
    """Rows of the queue to push now, the first one first, within what is left of the project's budget of the day."""
    rows = lake.scan(LABELS_QUEUE).filter(pl.col("project") == project.name).collect()
    return due(rows, at, project.per_day, project.weights)


def another_round(
    lake: Lake, task_keys: Collection[str], reason: str, at: datetime, provenance: Provenance
) -> list[str]:
    """Ask again from the start: a task of the next round for each of these; returned are the keys of the new tasks.

    Run again it changes nothing: the next round of a round is one task.
    """
    keys: list[str] = []

    def change(table: pl.LazyFrame) -> Rewritten | None:
        batch_ids = _batches_of(table, pl.col("task_key").is_in(list(task_keys)))
        rows = table.filter(pl.col("batch_id").is_in(batch_ids)).collect()
        asked = rows.filter(pl.col("task_key").is_in(list(task_keys)) & (pl.col("state") != LabelState.WITHDRAWN))
        new = [_next_round(row, reason, at) for row in asked.iter_rows(named=True)]
        keys[:] = sorted(row["task_key"] for row in new)
        there = set(rows["task_key"])
        return _replaced(rows, [row for row in new if row["task_key"] not in there])

    lake.rewrite(LABELS_QUEUE, change, provenance)
    return keys


def _next_round(row: Mapping[str, Any], reason: str, at: datetime) -> _Row:
    return dict(row) | {
        "task_key": label_task_key(row["project"], row["subject_id"], row["round"] + 1),
        "round": row["round"] + 1,
        "state": LabelState.QUEUED.value,
        "priority": 1.0,
        "reason": reason[:200],
        "queued_at": at,
        "state_at": at,
        "ls_project_id": None,
        "ls_task_id": None,
        "pushed_at": None,
    }
