"""What the lake says of failures over time: dead letters that are open, how earlier ones were resolved. Read only.

`ingest/item_status` has the last word on what is a dead letter: a run that dies between its last two commits leaves
rows in `ingest/failures` that its statuses never confirmed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import polars as pl

from media_assets.lake.delta import Lake
from media_assets.tables import FAILURES, ITEM_STATUS
from media_assets.tables.columns import Status

LETTER = ["stage", "batch_id", "item_key", "first_failed_at"]
_RESOLVED = ["resolution", "resolved_at", "resolved_by"]


def failure_history(lake: Lake, batch_ids: Collection[str] | None = None) -> pl.DataFrame:
    """`ingest/failures` as the statuses confirm it, the latest failure first; of these batches, or of all."""
    where = {"batch_id": sorted(batch_ids)} if batch_ids is not None else {}
    if batch_ids is not None and not batch_ids:
        return FAILURES.frame([])
    told = lake.scan(FAILURES, where).collect()
    open_now = open_letters(lake, where).select(*LETTER, pl.lit(True).alias("is_open"))
    confirmed = told.join(open_now, on=LETTER, how="left").filter(
        pl.col("is_open") | pl.col("resolution").is_not_null()
    )
    is_open = pl.col("is_open").is_not_null()
    kept = confirmed.with_columns(
        pl.when(is_open).then(None).otherwise(pl.col(name)).alias(name) for name in _RESOLVED
    ).drop("is_open")
    return kept.sort("last_failed_at", *LETTER[:3], descending=[True, False, False, False])


def open_letters(lake: Lake, where: dict[str, list[str]]) -> pl.DataFrame:
    """The statuses of failed items, without those of lists' lines."""
    statuses = lake.scan(ITEM_STATUS, where).filter(
        (pl.col("status") == Status.FAILED.value) & (pl.col("stage") != "ingest.manifest")
    )
    return statuses.collect()


def batches_with_retryable_letters(lake: Lake) -> set[str]:
    """Batches in which an item failed for a cause that may pass. Read from the table's log alone."""
    if (table := lake.table(ITEM_STATUS)) is None:
        return set()
    files = pl.DataFrame(table.get_add_actions(flatten=True))
    if files.is_empty():
        return set()
    if "max.is_retryable" not in files.columns:  # no file has such a row, or no statistics
        return set(files["partition.batch_id"].to_list())
    may_hold = files.filter(pl.col("max.is_retryable") | (pl.col("max.is_retryable").is_null() & _is_untold(files)))
    return set(may_hold["partition.batch_id"].to_list())


def _is_untold(files: pl.DataFrame) -> pl.Expr:
    """Whether a file's statistics leave it open: they count the nulls of a column that is null throughout."""
    if "null_count.is_retryable" not in files.columns:
        return pl.lit(True)
    return pl.col("null_count.is_retryable").is_null() | (pl.col("null_count.is_retryable") < pl.col("num_records"))


def as_lines(history: pl.DataFrame) -> Iterable[dict[str, Any]]:
    """One short line per dead letter, for people."""
    for row in history.iter_rows(named=True):
        codes = [failure["error_code"] for failure in row["failures"]]
        yield {
            "batch_id": row["batch_id"],
            "item_key": row["item_key"],
            "stage": row["stage"],
            "failures": ", ".join(codes),
            "first_failed_at": row["first_failed_at"],
            "last_failed_at": row["last_failed_at"],
            "resolution": row["resolution"] or "a dead letter yet",
            "resolved_at": row["resolved_at"],
            "resolved_by": row["resolved_by"],
        }
