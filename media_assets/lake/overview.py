"""What the lake says of its batches: counts by stage, and the dead letters. Read only."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

import polars as pl

from media_assets.lake.delta import Lake
from media_assets.lake.sql import open_sql
from media_assets.tables import ITEM_STATUS, MANIFEST
from media_assets.tables.columns import Status

STAGES = {
    "raw.media": None,
    "frames.images": "raw.media",
    "tensors.images": "frames.images",
    "frames.keyframes": "raw.media",
}
"""Stage → the stage whose items enter it."""

PREDICTIONS = "predictions.frames"
"""A stage whose items come from both branches; a row of it is there where a model was asked."""

_BRANCHES = ("frames.images", "frames.keyframes")


def is_of_other_branch(stage: str, status: str) -> bool:
    """Whether a status only says that a video is no picture, or a picture no video: the other branch has the item."""
    return stage in _BRANCHES and status == Status.FILTERED


def batch_overview(lake: Lake) -> pl.DataFrame:
    """One row per batch and stage: expected, one column per status, and pending.

    `expected` of the first stage is the manifest's count; of a later stage, what the stage before let through.
    `pending` is what entered and has no status yet; it is 0 once the stage is done. Lines of a list that could not be
    planned follow as a batch of their own, `{list}.rejected` at stage `ingest.manifest`: all of them failed (at most
    the first 10,000 are kept; the last one's message counts the others).
    """
    planned = lake.scan(MANIFEST).group_by("batch_id").len("planned").sort("batch_id").collect()
    counted = lake.scan(ITEM_STATUS).group_by("batch_id", "stage", "status").len("n").collect()
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for batch_id, stage, status, n in counted.iter_rows():
        counts.setdefault((batch_id, stage), {})[status] = n
    rows: list[dict[str, Any]] = []
    for batch_id, expected in planned.iter_rows():
        let_through: dict[str | None, int] = {None: expected}
        for stage, before in STAGES.items():
            by_status, entered = counts.pop((batch_id, stage), {}), let_through[before]
            row = {"batch_id": batch_id, "stage": stage, "expected": entered}
            row |= {status.value: by_status.get(status.value, 0) for status in Status}
            rows.append(row | {"pending": max(0, entered - sum(by_status.values()))})
            let_through[stage] = sum(n for status, n in by_status.items() if Status(status).goes_on)
        if by_status := counts.pop((batch_id, PREDICTIONS), {}):
            entered = sum(let_through[branch] for branch in _BRANCHES)
            row = {"batch_id": batch_id, "stage": PREDICTIONS, "expected": entered}
            row |= {status.value: by_status.get(status.value, 0) for status in Status}
            rows.append(row | {"pending": max(entered - sum(by_status.values()), 0)})
    for (batch_id, stage), by_status in counts.items():  # no manifest row stands behind these
        row = {"batch_id": batch_id, "stage": stage, "expected": sum(by_status.values())}
        rows.append(row | {status.value: by_status.get(status.value, 0) for status in Status} | {"pending": 0})
    rows.sort(key=lambda row: row["batch_id"])
    schema = ["batch_id", "stage", "expected", *(status.value for status in Status), "pending"]
    return pl.DataFrame(rows, schema=schema, orient="row") if rows else pl.DataFrame(schema=schema)


def item_counts(lake: Lake, batch_ids: Collection[str]) -> dict[str, dict[str, int]]:
    """Batch id → number of items by what became of them over all stages: the status that says most about an item.

    An item that was accepted as a file and failed as a frame counts as failed, once. Batches without a status are
    missing; every status is named.
    """
    rank = {status.value: status.rank for status in Status}
    statuses = lake.scan(ITEM_STATUS, {"batch_id": sorted(batch_ids)}) if batch_ids else lake.scan(ITEM_STATUS).head(0)
    of_other_branch = pl.col("stage").is_in(_BRANCHES) & (pl.col("status") == Status.FILTERED.value)
    worst = (
        statuses.filter(~of_other_branch)
        .select("batch_id", "item_key", pl.col("status").replace_strict(rank, return_dtype=pl.Int64))
        .group_by("batch_id", "item_key")
        .agg(pl.col("status").min())
        .group_by("batch_id", "status")
        .len("n")
        .collect()
    )
    counts: dict[str, dict[str, int]] = {}
    named = {place: status for status, place in rank.items()}
    for batch_id, place, n in worst.iter_rows():
        of_batch = counts.setdefault(batch_id, {status.value: 0 for status in Status})
        of_batch[named[place]] = n
    return counts


@dataclass(frozen=True)
class DeadLetterFilter:
    """Which dead letters are meant; every given part must match. `batch` is a glob."""

    stage: str | None = None
    code: str | None = None
    batch: str | None = None
    item: str | None = None
    older_than: timedelta | None = None

    def matches_batch(self, batch_id: str) -> bool:
        """Whether a batch is meant."""
        return self.batch is None or fnmatchcase(batch_id, self.batch)


def dead_letters(lake: Lake, wanted: DeadLetterFilter, now: datetime | None = None) -> pl.DataFrame:
    """The rows of `marts.dead_letters` that match, oldest failure first."""
    with open_sql(lake) as sql:
        letters: pl.DataFrame = sql.sql("SELECT * FROM marts.dead_letters").pl()
    if wanted.stage:
        letters = letters.filter(pl.col("stage") == wanted.stage.replace("/", "."))
    if wanted.code:
        letters = letters.filter(pl.col("error_code") == wanted.code)
    if wanted.item:
        letters = letters.filter(pl.col("item_key") == wanted.item)
    if wanted.older_than is not None:
        letters = letters.filter(pl.col("last_failed_at") <= (now or datetime.now(UTC)) - wanted.older_than)
    if wanted.batch:
        meant = [batch for batch in letters["batch_id"].unique().to_list() if wanted.matches_batch(batch)]
        letters = letters.filter(pl.col("batch_id").is_in(meant))
    return letters.sort("last_failed_at", "stage", "batch_id", "item_key")
