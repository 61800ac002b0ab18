"""Where the time of one `media-assets materialize` went, by Dagster's own records of its runs.

Dagster's share is what its runs of the image path took outside of `read_batch`: creating the run, steps, events,
checks, metadata. The interpreter's start and the imports are told apart: they are paid once, however many batches
there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg

from benchmarks.site import Site
from media_assets.defs.descriptions import asset_key
from media_assets.tables import MANIFEST, RAW_MEDIA


@dataclass(frozen=True)
class DagsterTimes:
    """Seconds of one process."""

    startup: float  # from the process's start to the first event of its first run
    read_batches: tuple[float, ...]  # inside `read_batch`, in the order of the batches
    outside_read_batch: float  # in the same runs
    statistics: float  # the run that measures them
    rest: float

    @property
    def dagster_percent(self) -> float:
        """Dagster's share of the runs of the image path."""
        total = sum(self.read_batches) + self.outside_read_batch
        return 100 * self.outside_read_batch / total

    @property
    def second_half_to_first(self) -> float | None:
        """How much longer the second half of the batches took than the first; None for an odd number of them."""
        half, odd = divmod(len(self.read_batches), 2)
        return None if odd else sum(self.read_batches[half:]) / sum(self.read_batches[:half])


def dagster_times(site: Site, started_at: float, seconds: float) -> DagsterTimes:
    """What the instance of a site recorded of its only `materialize`, which started then and took so long."""
    batches = site.lake.partition_values(MANIFEST)
    with dg.DagsterInstance.from_config(str(site.root / "dagster_home")) as instance:
        read = tuple(_seconds_of(instance, batch_id) for batch_id in batches)
        paths: list[tuple[float, float]] = []
        others: list[tuple[float, float]] = []
        for run in instance.get_runs():
            stamps = [record.timestamp for record in instance.all_logs(run.run_id)]
            is_path = run.asset_selection is None or asset_key(RAW_MEDIA) in run.asset_selection
            (paths if is_path else others).append((min(stamps), max(stamps)))
    in_paths = sum(end - start for start, end in paths)
    in_others = sum(end - start for start, end in others)
    startup = min(start for start, _ in [*paths, *others]) - started_at
    return DagsterTimes(startup, read, in_paths - sum(read), in_others, seconds - startup - in_paths - in_others)


def _seconds_of(instance: dg.DagsterInstance, batch_id: str) -> float:
    wanted = dg.AssetRecordsFilter(asset_key=asset_key(RAW_MEDIA), asset_partitions=[batch_id])
    found = instance.fetch_materializations(wanted, limit=1).records[0].asset_materialization
    assert found is not None, "a materialization was asked for"
    return float(found.metadata["seconds"].value)  # type: ignore[arg-type]
