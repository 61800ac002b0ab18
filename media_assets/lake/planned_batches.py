"""Which batches were planned, of which source and when: read from the log of `ingest/manifest`, not from its rows.

Delta keeps the least and greatest value of each column of each file, so that twenty thousand batches take a fraction of
a second and no file is opened. Not here: what became of a batch (`overview.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from media_assets.lake.delta import Lake
from media_assets.tables import MANIFEST

_BATCH = "partition.batch_id"
_TOLD = (_BATCH, "num_records", "min.source", "max.source", "min.planned_at")


@dataclass(frozen=True, order=True)
class PlannedBatch:
    """One batch of the manifest. They sort as they were planned."""

    planned_at: datetime
    batch_id: str
    source: str
    n_items: int


def planned_batches(lake: Lake) -> list[PlannedBatch]:
    """Every planned batch, in the order of planning. An update of a list leaves a batch where it was.

    Raises:
        TableDamaged: the manifest's log cannot be read.
    """
    if (table := lake.table(MANIFEST)) is None:
        return []
    files = pl.DataFrame(table.get_add_actions(flatten=True))
    if files.is_empty():
        return []
    files = files.select(pl.col(name) if name in files.columns else pl.lit(None).alias(name) for name in _TOLD)
    by_batch = files.group_by(_BATCH).agg(
        pl.col("num_records").sum(),
        pl.col("min.source").min(),
        pl.col("max.source").max(),
        pl.col("min.planned_at").min(),
        is_told=pl.all_horizontal(pl.col("num_records", "min.source", "min.planned_at").is_not_null()).all(),
    )
    found, untold = list[PlannedBatch](), list[str]()
    for batch_id, n_items, source, last_source, planned_at, is_told in by_batch.iter_rows():
        if is_told and source == last_source:
            found.append(PlannedBatch(planned_at, batch_id, source, n_items))
        else:  # written without figures, or a name so long that the log holds only its beginning
            untold.append(batch_id)
    return sorted([*found, *_read(lake, untold)])


def latest_of_each_source(batches: Iterable[PlannedBatch]) -> dict[str, PlannedBatch]:
    """Source → its newest batch, of batches in the order of planning."""
    return {batch.source: batch for batch in batches}


def _read(lake: Lake, batch_ids: list[str]) -> list[PlannedBatch]:
    if not batch_ids:
        return []
    rows = lake.scan(MANIFEST, {"batch_id": batch_ids}).group_by("batch_id", "source")
    told = rows.agg(pl.col("planned_at").min(), pl.len()).collect()
    return [PlannedBatch(at, batch_id, source, n) for batch_id, source, at, n in told.iter_rows()]
