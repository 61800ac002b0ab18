"""Column types shared by the contracts, and the closed vocabularies of their values."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import pandera.polars as pa
import polars as pl

UTC_MICROSECONDS = pl.Datetime("us", "UTC")
"""Wall clock: the finest resolution that Delta keeps."""

BATCH_ID = r"^[a-z0-9][A-Za-z0-9._-]*$"
"""`batch_id` is a Dagster partition key and a folder name, so its letters are few."""

SHA256 = r"^[0-9a-f]{64}$"


class Status(StrEnum):
    """What became of an item at a stage."""

    ACCEPTED = "accepted"
    CONVERTED = "converted"  # accepted, but the output does not hold all that the input did
    DUPLICATE = "duplicate"  # same bytes as an earlier item of the same batch
    FILTERED = "filtered"  # policy said no
    FAILED = "failed"
    ERASED = "erased"

    @property
    def goes_on(self) -> bool:
        """Whether items with this status enter the next stage."""
        return self in (Status.ACCEPTED, Status.CONVERTED)

    @property
    def rank(self) -> int:
        """Place among the statuses of one item over all stages: the least says most of what became of it."""
        return _MOST_TELLING.index(self)


_MOST_TELLING = (
    Status.FAILED,
    Status.CONVERTED,
    Status.DUPLICATE,
    Status.FILTERED,
    Status.ERASED,
    Status.ACCEPTED,
)


class Kind(StrEnum):
    """What sort of media an item holds."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    TEXT = "text"


def column(description: str, **rules: Any) -> Any:
    """A pandera field whose description (with the unit) is not optional."""
    return pa.Field(description=description, **rules)


def batch_id_column() -> Any:
    """The column that every per-item table is partitioned by."""
    return column("The ingest batch: Dagster partition key and Delta partition", str_matches=BATCH_ID)
