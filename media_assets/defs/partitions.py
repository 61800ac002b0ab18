"""The one partitions definition, and how a planned batch becomes a partition.

Not here: planning (`ingest/planning.py`). A partition is an ingest batch, never an item: item state lives in Delta.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from media_assets.lake.crash_points import crash_point

MANIFEST_KEY = dg.AssetKey(["ingest", "manifest"])

BATCHES = dg.DynamicPartitionsDefinition(name="batches")
"""Every per-item table is partitioned by ingest batch. A batch is added when it is planned, closed, and known."""


@dataclass(frozen=True)
class PartitionRegistry:
    """Registers planned batches with a Dagster instance."""

    instance: dg.DagsterInstance

    def registered(self) -> set[str]:
        """Ids of every registered batch."""
        return set(self.instance.get_dynamic_partitions("batches"))

    def register(self, batch_id: str, n_items: int, metadata: Mapping[str, Any]) -> None:
        """Report the manifest's materialization, then add the partition: last, since automation may run it now."""
        crash_point("before registration")
        self.instance.report_runless_asset_event(
            dg.AssetMaterialization(
                MANIFEST_KEY,
                partition=batch_id,
                metadata={"dagster/partition_row_count": n_items, **metadata},
            )
        )
        crash_point("before partition")
        self.instance.add_dynamic_partitions("batches", [batch_id])
        crash_point("after partition")
