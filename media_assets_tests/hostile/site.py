"""One lake, planned and materialized as a user does it: `media-assets plan`, `media-assets materialize`, in processes.

Lives here: running the commands and reading what they left. Not here: what is right (`folder_run`, `http_run`).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.process_tree import ProcessTree
from media_assets.lake.blobs import BlobStore
from media_assets.lake.delta import Lake
from media_assets.lake.location import LakeLocation
from media_assets.tables import ITEM_STATUS

SPECS = '[{"size": [64, 64], "resize_shorter_px": 72}]'


@dataclass
class HostileSite:
    """A lake and its Dagster home below one folder, and what the commands used."""

    root: Path
    n_workers: int = 2
    peak_bytes: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def lake(self) -> Lake:
        """The lake's tables."""
        return Lake(LakeLocation(str(self.root / "lake")))

    @property
    def blobs(self) -> BlobStore:
        """The lake's blobs."""
        return BlobStore.at(self.lake.location)

    @property
    def log(self) -> Path:
        """All that the commands printed."""
        return self.root / "log.txt"

    def run(self, *arguments: str, max_seconds: float) -> None:
        """Run `media-assets …` to its end, watching the memory of all its processes."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MEDIA_ASSETS_")} | {
            "MEDIA_ASSETS_LAKE": str(self.root / "lake"),
            "DAGSTER_HOME": str(self.root / "dagster_home"),
            "MEDIA_ASSETS_WORKERS": str(self.n_workers),
            "MEDIA_ASSETS_TENSOR_SPECS": SPECS,
        }
        self.root.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        with self.log.open("a") as log:
            command = [sys.executable, "-m", "media_assets.cli", *arguments]
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            with ProcessTree(process.pid, interval_seconds=0.1) as tree:
                try:
                    code = process.wait(timeout=max_seconds)
                finally:
                    process.kill()
        self.seconds[arguments[0]] = round(time.monotonic() - started, 1)
        self.peak_bytes = max(self.peak_bytes, tree.peak_bytes)
        assert code == 0, f"media-assets {' '.join(arguments)} exited with {code}: {self.log.read_text()[-3000:]}"

    def fates(self, stage: str = "raw.media") -> dict[str, str]:
        """Item key → status, or failed/code. Two statuses of one item are an error of ours."""
        rows = self.lake.scan(ITEM_STATUS, {"stage": [stage]}).collect()
        keys = Counter(rows["item_key"].to_list())
        assert set(keys.values()) <= {1}, f"more than one status: {[key for key, n in keys.items() if n > 1][:5]}"
        return {
            row["item_key"]: row["status"] + (f"/{row['error_code']}" if row["error_code"] else "")
            for row in rows.iter_rows(named=True)
        }
