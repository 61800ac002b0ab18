"""The image path without Dagster: `read_batch` on every planned batch of a lake, then the statistics over all of them.

`python -m benchmarks.jobs.without_dagster LAKE RESULT.json`. What `media-assets materialize` does beside this is
Dagster's share.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from media_assets.engine.map_items import ProcessPoolEngine
from media_assets.ingest.fetch.addresses import AddressPolicy
from media_assets.lake.blobs import BlobStore
from media_assets.lake.delta import Lake, Provenance
from media_assets.lake.location import LakeLocation
from media_assets.serving.files import open_table
from media_assets.stages.histograms import update_histograms
from media_assets.stages.images import read_batch
from media_assets.stages.stage import IMAGE_STAGES
from media_assets.stages.workbench import FetchSettings, ReadOptions, Workbench
from media_assets.tables import MANIFEST, TENSORS_STATISTICS


def main(root: str, result: str) -> None:
    """Read every batch, one after the other."""
    location = LakeLocation(root)
    lake, options = Lake(location), ReadOptions()
    fetch = FetchSettings(policy=AddressPolicy(allowed_networks=("127.0.0.0/8",)))
    bench = Workbench(lake, BlobStore.at(location), ProcessPoolEngine(), fetch)
    provenance = Provenance("benchmark", "benchmark")
    seconds = []
    for batch_id in lake.partition_values(MANIFEST):
        seconds.append(read_batch(bench, batch_id, IMAGE_STAGES, options, provenance).seconds)
    started = time.monotonic()
    normalizations = {spec.name: (spec.mean, spec.std) for spec in options.specs}
    measured = update_histograms(open_table(lake, include_unfinished=False), normalizations, provenance)
    lake.overwrite(TENSORS_STATISTICS, measured.statistics, {}, provenance)
    told = {"read_batch_seconds": seconds, "statistics_seconds": time.monotonic() - started}
    Path(result).write_text(json.dumps(told), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
