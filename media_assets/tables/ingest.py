"""Contracts of the `ingest` stage: what is expected, and what became of it."""

from __future__ import annotations

from typing import Annotated

import pandera.polars as pa
import polars as pl

from media_assets.errors import ErrorCode
from media_assets.tables.columns import SHA256, UTC_MICROSECONDS, Kind, Status, batch_id_column, column
from media_assets.tables.contract import TableContract

LABEL = pl.Struct(
    {
        "name": pl.String,  # the source's own class id, such as /m/01g317
        "display_name": pl.String,
        "annotator": pl.String,  # as the source calls it: verification, xclick, machine, ...
        "confidence": pl.Float64,  # 0..1; 0 of a human means verified absent
        "x_min": pl.Float64,  # boxes: 0..1 of the width or height; null for labels of the whole picture
        "y_min": pl.Float64,
        "x_max": pl.Float64,
        "y_max": pl.Float64,
        "is_occluded": pl.Boolean,
        "is_truncated": pl.Boolean,
        "is_group_of": pl.Boolean,
        "is_depiction": pl.Boolean,
        "is_inside": pl.Boolean,
    }
)


class ManifestModel(pa.DataFrameModel):
    """One expected item."""

    batch_id: str = batch_id_column()
    item_key: str = column("Stable and unique inside its source", str_length={"min_value": 1, "max_value": 4096})
    position: pl.Int64 = column("0-based place in the batch; the earlier of two equal items is the original", ge=0)
    source: str = column("Where it comes from: open-images, folder, ...", str_length={"min_value": 1})
    uri: str = column(
        "Where its bytes are, http(s)://, file:// or s3://, as it was given: the one column that may hold a secret",
        str_length={"min_value": 1},
    )
    kind: str = column("What sort of media is expected", isin=[k.value for k in Kind])
    declared_bytes: pl.Int64 = column("Size promised by the source, bytes", nullable=True, ge=0)
    declared_checksum: str = column(
        "Checksum promised by the source, of exactly the bytes behind `uri`: `sha256:hex` or `md5:hex`",
        nullable=True,
        str_matches=r"^(sha256:[0-9a-f]{64}|md5:[0-9a-f]{32})$",
    )
    licence: str = column("Licence as the source states it (name or URL); a claim, not a finding", nullable=True)
    attribution: str = column("Whom to credit: title, author and profile", nullable=True)
    landing_uri: str = column("The page on which licence and author can be checked", nullable=True)
    rotation_degrees: pl.Int64 = column(
        "Counter-clockwise turn that makes the picture upright, as the source says; null: unknown",
        nullable=True,
        isin=[0, 90, 180, 270],
    )
    subject_id: str = column("Who or what is shown, for leak-free splits", nullable=True)
    original_id: str = column("What it was derived from, for leak-free splits", nullable=True)
    split_hint: str = column("The split the source put it in", nullable=True)
    labels: Annotated[pl.List, LABEL] = column("Labels the source already knows; boxes carry coordinates 0..1")
    planned_at: Annotated[pl.Datetime, "us", "UTC"] = column("When it was planned, UTC")

    class Config:
        """Columns exactly as declared."""

        strict = True
        ordered = True


MANIFEST = TableContract(
    key=("ingest", "manifest"),
    model=ManifestModel,
    primary_key=("batch_id", "item_key"),
    partition_by=("batch_id",),
    description="What is expected: one row per raw file, written when a batch is planned and closed by it. Later only "
    "an update of its list replaces rows, of items that failed or never ran.",
)


class ItemStatusModel(pa.DataFrameModel):
    """What became of one item at one stage."""

    stage: str = column("The stage's table: raw.media, frames.images, tensors.images, ...", str_length={"min_value": 1})
    batch_id: str = batch_id_column()
    item_key: str = column("The manifest's item", str_length={"min_value": 1, "max_value": 4096})
    status: str = column("What became of it", isin=[s.value for s in Status])
    error_code: str = column("Stable cause of a failure", nullable=True, isin=[c.value for c in ErrorCode])
    is_retryable: bool = column("Whether the same attempt may succeed later", nullable=True)
    message: str = column("What was expected, what came, what to do; or what was converted", nullable=True)
    attempts: pl.Int64 = column("How often this stage tried the item, over all runs", ge=0)
    first_failed_at: Annotated[pl.Datetime, "us", "UTC"] = column("First failure, UTC", nullable=True)
    last_failed_at: Annotated[pl.Datetime, "us", "UTC"] = column("Latest failure, UTC", nullable=True)
    n_outputs: pl.Int64 = column("Rows it has in the stage's table", ge=0)
    code_version: str = column("Version of the stage's code")
    blob: str = column("SHA-256 of the item's bytes where they were kept", nullable=True, str_matches=SHA256)
    run_id: str = column("The run that wrote this row")
    updated_at: Annotated[pl.Datetime, "us", "UTC"] = column("When this row was written, UTC")

    @pa.dataframe_check
    @classmethod
    def failed_rows_have_a_code_and_only_they(cls, data: pa.PolarsData) -> pl.LazyFrame:
        """A failure without a cause would be silent."""
        failed = pl.col("status") == Status.FAILED.value
        return data.lazyframe.select(failed == pl.col("error_code").is_not_null())

    class Config:
        """Columns exactly as declared."""

        strict = True
        ordered = True


ITEM_STATUS = TableContract(
    key=("ingest", "item_status"),
    model=ItemStatusModel,
    primary_key=("stage", "batch_id", "item_key"),
    partition_by=("stage", "batch_id"),
    description="What became of each item at each stage. Committed last: this commit is what makes a stage done.",
)

FAILURE = pl.Struct(
    {
        "failed_at": UTC_MICROSECONDS,
        "error_code": pl.String,
        "message": pl.String,
        "run_id": pl.String,
        "attempts": pl.Int64,  # of the item's status after it
    }
)


class FailureModel(pa.DataFrameModel):
    """One dead letter, from its first failure to its resolution."""

    stage: str = column("The stage's table: raw.media, frames.images, tensors.images, ...", str_length={"min_value": 1})
    batch_id: str = batch_id_column()
    item_key: str = column("The manifest's item", str_length={"min_value": 1, "max_value": 4096})
    first_failed_at: Annotated[pl.Datetime, "us", "UTC"] = column("First failure, UTC; as in ingest/item_status")
    last_failed_at: Annotated[pl.Datetime, "us", "UTC"] = column("Latest failure, UTC")
    n_failures: pl.Int64 = column("Failed attempts in a row", ge=1)
    failures: Annotated[pl.List, FAILURE] = column("Each failed attempt, oldest first")
    resolution: str = column(
        "What the item became instead; withdrawn: it does not enter this stage any more; null: it is a dead letter yet",
        nullable=True,
        isin=[*(s.value for s in Status if s is not Status.FAILED), "withdrawn"],
    )
    resolved_at: Annotated[pl.Datetime, "us", "UTC"] = column("When it was resolved, UTC", nullable=True)
    resolved_by: str = column("The run that resolved it", nullable=True)

    class Config:
        """Columns exactly as declared."""

        strict = True
        ordered = True


FAILURES = TableContract(
    key=("ingest", "failures"),
    model=FailureModel,
    primary_key=("stage", "batch_id", "item_key", "first_failed_at"),
    partition_by=("batch_id",),
    description="What failed, over time: one row per dead letter, kept when it is resolved. Committed before the "
    "statuses, which have the last word: a row speaks of a dead letter only where they do.",
)

__all__ = [
    "FAILURES",
    "ITEM_STATUS",
    "LABEL",
    "MANIFEST",
    "UTC_MICROSECONDS",
    "FailureModel",
    "ItemStatusModel",
    "ManifestModel",
]
