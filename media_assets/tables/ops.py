"""Contracts of `ops`: what running the path leaves behind for those who watch over it."""

from __future__ import annotations

from typing import Annotated

import pandera.polars as pa
import polars as pl

from media_assets.tables.columns import batch_id_column, column
from media_assets.tables.contract import TableContract

NAMED_COUNT = pl.Struct({"name": pl.String, "n": pl.Int64})
FORMAT_COUNT = pl.Struct(
    {
        "name": pl.String,  # jpeg, heic, ...: what the ending of the item's name claims
        "n": pl.Int64,
        "n_failed": pl.Int64,  # at any stage
        "code": pl.String,  # the most frequent cause
    }
)


class BatchProfileModel(pa.DataFrameModel):
    """One ingest batch in counts."""

    batch_id: str = batch_id_column()
    source: str = column("Where it comes from, as in the manifest", str_length={"min_value": 1})
    planned_at: Annotated[pl.Datetime, "us", "UTC"] = column("When the batch was planned, UTC")
    n_items: pl.Int64 = column("Items that entered", ge=0)
    n_failed: pl.Int64 = column("Items that failed at any stage", ge=0)
    n_duplicates: pl.Int64 = column("Items that repeat another one of the batch", ge=0)
    formats: Annotated[pl.List, FORMAT_COUNT] = column("Items and failures by the format that their names claim")
    mimes: Annotated[pl.List, NAMED_COUNT] = column("Accepted items by mime type")
    licences: Annotated[pl.List, NAMED_COUNT] = column("Items by licence as stated")
    longer_sides: Annotated[pl.List, pl.Int64] = column(
        "Accepted items by longer side, bins of half octaves from 16 px"
    )
    aspects: Annotated[pl.List, pl.Int64] = column("Accepted items by width / height, bins of quarter octaves from 1:4")
    brightness: Annotated[pl.List, pl.Int64] = column(
        "Sampled tensors by mean level, 32 bins from 0 to 1; empty: none was at hand"
    )

    class Config:
        """Columns exactly as declared."""

        strict = True
        ordered = True


BATCH_PROFILES = TableContract(
    key=("ops", "batch_profiles"),
    model=BatchProfileModel,
    primary_key=("batch_id",),
    partition_by=("batch_id",),
    description="What each batch is like, in counts: what the drift checks hold new batches against. Derived, and "
    "written after the statuses; a missing row is measured again.",
)
