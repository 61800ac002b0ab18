"""Batches for tests: pictures on a shelf, a manifest over them, and a workbench that counts what is decoded."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from media_assets.engine.map_items import InProcessEngine
from media_assets.engine.tasks import Outcome, Task, Work
from media_assets.ingest.fetch.addresses import AddressPolicy
from media_assets.ingest.fetch.limits import FetchLimits
from media_assets.lake.blobs import BlobStore
from media_assets.lake.delta import Lake, Provenance
from media_assets.lake.location import LakeLocation
from media_assets.media.tensors import TensorSpec
from media_assets.stages.images import read_batch
from media_assets.stages.report import BatchReport
from media_assets.stages.stage import IMAGE_STAGES, Stage
from media_assets.stages.workbench import FetchSettings, ReadOptions, RetryOnly, Workbench
from media_assets.tables import MANIFEST

SMALL = TensorSpec(size=(32, 32), resize_shorter_px=36)
FAST = FetchLimits(max_attempts=2, backoff_seconds=0.01, max_backoff_seconds=0.05, idle_seconds=5, total_seconds=10)
LOOPBACK = AddressPolicy(allowed_networks=("127.0.0.0/8",))
BATCH = "test.0001"


class CountingEngine(InProcessEngine):
    """Decodes in this process and remembers what it opened."""

    def __init__(self) -> None:
        super().__init__()
        self.n_opened = 0

    def map_items(self, task: Task[Any, Any], works: Iterable[Work[Any, Any]]) -> Generator[Outcome[Any, Any]]:
        """Count, then run."""
        for outcome in super().map_items(task, works):
            self.n_opened += 1
            yield outcome


def make_bench(root: Path) -> Workbench:
    """A workbench over a lake below `root`."""
    location = LakeLocation(str(root))
    fetch = FetchSettings(limits=FAST, policy=LOOPBACK)
    return Workbench(Lake(location), BlobStore.at(location), CountingEngine(), fetch)


def write_manifest(lake: Lake, items: Iterable[dict[str, Any]], batch_id: str = BATCH) -> None:
    """A manifest whose items have at least an `item_key` and a `uri`."""
    rows = [
        {
            "batch_id": batch_id,
            "position": position,
            "source": "test",
            "kind": "image",
            "labels": [],
            "planned_at": datetime(2026, 1, 1, tzinfo=UTC),
            **item,
        }
        for position, item in enumerate(items)
    ]
    lake.overwrite(MANIFEST, MANIFEST.frame(rows), {"batch_id": [batch_id]}, Provenance("plan", "1"))


@dataclass
class Case:
    """A lake with one planned batch."""

    bench: Workbench
    options: ReadOptions = field(default_factory=lambda: ReadOptions(specs=(SMALL,), n_thumbnails=4))
    n_runs: int = 0

    def run(
        self, stages: Iterable[Stage] = IMAGE_STAGES, retry: Iterable[str] | None = None, **changes: Any
    ) -> BatchReport:
        """Read the batch once more."""
        self.n_runs += 1
        chosen = {"specs": self.options.specs, "n_thumbnails": self.options.n_thumbnails} | changes
        options = ReadOptions(retry_only=None if retry is None else RetryOnly(frozenset(retry)), **chosen)
        return read_batch(self.bench, BATCH, list(stages), options, Provenance(f"run-{self.n_runs}", "1"))

    def statuses(self, stage: str = "raw.media") -> dict[str, str]:
        """Item key → status, or failed/code."""
        from media_assets.tables import ITEM_STATUS

        rows = self.bench.lake.scan(ITEM_STATUS, {"batch_id": [BATCH], "stage": [stage]}).collect()
        return {
            row["item_key"]: row["status"] + (f"/{row['error_code']}" if row["error_code"] else "")
            for row in rows.iter_rows(named=True)
        }

    @property
    def n_opened(self) -> int:
        """Items decoded so far."""
        assert isinstance(self.bench.engine, CountingEngine)
        return self.bench.engine.n_opened
