"""What the lake says that no event tells: how many of a source's items fail. Not here: what Dagster knows."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from media_assets.lake.delta import Lake
from media_assets.ops.alerts.troubles import source_of
from media_assets.tables import ITEM_STATUS, MANIFEST
from media_assets.tables.columns import Status

FEWEST_ITEMS = 20
"""Of fewer items no share is told: one of three is nothing to call somebody for."""


@dataclass(frozen=True)
class FailureRate:
    """How many of a source's items failed, of those that were tried lately."""

    source: str
    n_items: int
    n_failed: int

    @property
    def share(self) -> float:
        """The part that failed, 0 to 1."""
        return self.n_failed / self.n_items


def failure_rates(lake: Lake, since: datetime) -> list[FailureRate]:
    """Of each source with twenty items or more that were tried since then. An item counts once, whatever its stages."""
    told = (
        lake.scan(ITEM_STATUS)
        .filter((pl.col("updated_at") >= since) & (pl.col("stage") != MANIFEST.name))
        .group_by("batch_id", "item_key")
        .agg((pl.col("status") == Status.FAILED.value).any().alias("has_failed"))
        .group_by("batch_id")
        .agg(pl.len().alias("n_items"), pl.col("has_failed").sum().alias("n_failed"))
        .collect()
    )
    counted: dict[str, tuple[int, int]] = {}
    for batch_id, n_items, n_failed in told.sort("batch_id").iter_rows():
        before = counted.get(source_of(batch_id), (0, 0))
        counted[source_of(batch_id)] = (before[0] + n_items, before[1] + n_failed)
    return [FailureRate(source, *numbers) for source, numbers in counted.items() if numbers[0] >= FEWEST_ITEMS]


def planned_at(lake: Lake, batch_ids: Collection[str]) -> dict[str, datetime]:
    """Batch id → when it was planned, of those of these batches that have rows."""
    if not batch_ids:
        return {}
    rows = lake.scan(MANIFEST, {"batch_id": sorted(batch_ids)}).group_by("batch_id").agg(pl.col("planned_at").max())
    return dict(rows.collect().iter_rows())
