"""`labels/annotations`: every version of every answer, appended as it is seen. Lake in, lake out.

Rows are never changed: an answer that was changed, or taken back, gets another version. What is there is compared in
the commit, so that a pull that is repeated, or two at a time, add nothing twice. How far pulls have come, and of which
batches the graph was told, is kept in the log of the same table. Not here: Label Studio, or what answers come to.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from media_assets.curation.label_states import LabelState
from media_assets.lake.delta import Lake, Provenance
from media_assets.tables import LABELS_ANNOTATIONS, LABELS_QUEUE

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)
_APPENDED = "labels/annotations/appended"
_TOLD = "labels/annotations/told"


@dataclass(frozen=True)
class AnswerVersion:
    """One version of one answer, as it is to be kept. Times have a time zone."""

    annotation_id: str
    task_key: str
    batch_id: str
    project: str
    round: int
    annotator: str
    value: str
    label: str | None
    is_gold: bool
    lead_time_seconds: float | None
    created_at: datetime
    updated_at: datetime
    is_deleted: bool = False

    @property
    def version(self) -> str:
        """SHA-256 of what was answered and when: an answer that is changed back is another version all the same."""
        told = [
            self.annotation_id,
            self.value,
            self.is_gold,
            self.is_deleted,
            self.updated_at.astimezone(UTC).isoformat(),
        ]
        return hashlib.sha256(json.dumps(told, separators=(",", ":")).encode()).hexdigest()

    def row(self, seen_at: datetime) -> dict[str, Any]:
        """As it stands in the table."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return fields | {"version": self.version, "seen_at": seen_at}


def latest_answers(lake: Lake, task_keys: Collection[str], batch_ids: Collection[str]) -> pl.DataFrame:
    """The latest version of each answer to some tasks, those that were taken back among them.

    Raises:
        TableDamaged: files are missing.
    """
    if not task_keys or not batch_ids:
        return LABELS_ANNOTATIONS.frame([])
    rows = lake.scan(LABELS_ANNOTATIONS, {"batch_id": sorted(batch_ids)})
    return _latest(rows.filter(pl.col("task_key").is_in(list(task_keys))).collect())


def append_answers(
    lake: Lake, answers: Sequence[AnswerVersion], seen_at: datetime, provenance: Provenance
) -> list[AnswerVersion]:
    """Keep the versions that are not kept yet, in one commit; returned are those.

    Raises:
        ContractBroken: one is no row of the table; nothing is written.
        CommitFailedError: other writers won every one of twelve rounds.
    """
    added: list[AnswerVersion] = []
    if not answers:
        return added
    unique = list({(each.annotation_id, each.version): each for each in answers}.values())
    batch_ids = sorted({each.batch_id for each in unique})

    def write(table: DeltaTable, commit_id: str) -> None:
        there = lake.scan(LABELS_ANNOTATIONS, {"batch_id": batch_ids}, version=table.version())
        known = set(there.select("annotation_id", "version").collect().iter_rows())
        added[:] = [each for each in unique if (each.annotation_id, each.version) not in known]
        if added:
            told = _time(table.transaction_version(_TOLD) or 0)
            # never before what was told: a clock that was set back must not hide what came since
            frame = LABELS_ANNOTATIONS.frame([each.row(max(seen_at, told + _TICK)) for each in added])
            LABELS_ANNOTATIONS.require(frame)
            _append(table, frame, provenance, commit_id, {_APPENDED: (table.transaction_version(_APPENDED) or 0) + 1})

    lake.commit(LABELS_ANNOTATIONS, write)
    return added


def taken_back(latest: pl.DataFrame, is_gone: Callable[[str], bool]) -> list[AnswerVersion]:
    """The last versions of those answers that are not there any more; `is_gone` is asked for each.

    They are dated just after what was taken back, by the server's clock: ours may be ahead of what people do next.
    """
    living = latest.filter(~pl.col("is_deleted"))
    return [
        replace(version, is_deleted=True, updated_at=version.updated_at + _TICK)
        for version in map(_version, living.iter_rows(named=True))
        if is_gone(version.annotation_id)
    ]


def given_again(answers: Sequence[AnswerVersion], latest: pl.DataFrame) -> list[AnswerVersion]:
    """Answers that are there, each dated after the version that said it was taken back, where that is the latest."""
    gone = dict(latest.filter(pl.col("is_deleted")).select("annotation_id", "updated_at").iter_rows())
    return [
        replace(each, updated_at=max(each.updated_at, gone[each.annotation_id] + _TICK))
        if each.annotation_id in gone
        else each
        for each in answers
    ]


def watermark(lake: Lake, ls_project_id: int) -> datetime | None:
    """How far the answers of a project have been pulled; None before the first time."""
    table = lake.table(LABELS_ANNOTATIONS)
    kept = None if table is None else table.transaction_version(_mark_of(ls_project_id))
    return None if kept is None else _time(kept)


def keep_watermark(lake: Lake, ls_project_id: int, mark: datetime, provenance: Provenance) -> None:
    """Say how far the answers of a project have been pulled: once everything before it is kept. It never goes back."""
    number, name = _number(mark), _mark_of(ls_project_id)

    def write(table: DeltaTable, commit_id: str) -> None:
        if number > (table.transaction_version(name) or 0):
            _append(table, LABELS_ANNOTATIONS.frame([]), provenance, commit_id, {name: number})

    lake.commit(LABELS_ANNOTATIONS, write)


@dataclass(frozen=True)
class Untold:
    """Batches with answers that came, or tasks that were answered, since the graph was told last; `mark`: the last."""

    batches: Sequence[str]
    mark: datetime
    n_appended: int


def untold(lake: Lake) -> Untold:
    """What the graph has to be told: it stays so, over failures and deaths, until `keep_told`.

    Raises:
        TableDamaged: files are missing.
    """
    table = lake.ensure(LABELS_ANNOTATIONS)
    told = _time(table.transaction_version(_TOLD) or 0)
    is_answered = pl.col("state") == LabelState.ANNOTATED
    sources = (
        lake.scan(LABELS_ANNOTATIONS, version=table.version()).select("batch_id", at="seen_at"),
        lake.scan(LABELS_QUEUE).filter(is_answered).select("batch_id", at="state_at"),
    )
    news = pl.concat([rows.filter(pl.col("at") > told).collect() for rows in sources])
    return Untold(
        news["batch_id"].unique().sort().to_list(),
        max([told, *news["at"]]),
        table.transaction_version(_APPENDED) or 0,
    )


def keep_told(lake: Lake, news: Untold, provenance: Provenance) -> None:
    """Say that the graph was told, after it was. Where answers came meanwhile nothing is kept: all is told again."""

    def write(table: DeltaTable, commit_id: str) -> None:
        is_news = _number(news.mark) > (table.transaction_version(_TOLD) or 0)
        if is_news and news.n_appended == (table.transaction_version(_APPENDED) or 0):
            marks = {_TOLD: _number(news.mark), _APPENDED: news.n_appended + 1}  # so that no other append fits between
            _append(table, LABELS_ANNOTATIONS.frame([]), provenance, commit_id, marks)

    lake.commit(LABELS_ANNOTATIONS, write)


def _append(
    table: DeltaTable, frame: pl.DataFrame, provenance: Provenance, commit_id: str, transactions: Mapping[str, int]
) -> None:
    write_deltalake(
        table,
        frame,
        mode="append",
        schema_mode="merge",
        commit_properties=CommitProperties(
            custom_metadata=provenance.commit_metadata(commit_id),
            app_transactions=[Transaction(name, number) for name, number in transactions.items()],
        ),
    )


def _latest(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.sort("updated_at", "seen_at", "version").unique("annotation_id", keep="last", maintain_order=True)


def _version(row: Mapping[str, Any]) -> AnswerVersion:
    return AnswerVersion(**{name: row[name] for name in AnswerVersion.__dataclass_fields__})


def _number(moment: datetime) -> int:
    return (moment - _EPOCH) // _TICK


def _time(number: int) -> datetime:
    return _EPOCH + number * _TICK


def _mark_of(ls_project_id: int) -> str:
    return f"labels/annotations/pulled/{ls_project_id}"
