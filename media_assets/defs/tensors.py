"""`tensors/statistics`: mean and standard deviation over the whole dataset, in one pass, with its plot.

Every tensor is read for it, each time: some 0.2 ms of one core for 224x224 pixels that are in the page cache.

Not here: the counting (`media/statistics.py`) and the streaming read (`serving/statistics.py`).
"""

from collections.abc import Mapping

import dagster as dg
import numpy as np
import polars as pl

from media_assets.defs.automation import CORES, OVER_ALL_BATCHES
from media_assets.defs.dead_runs import note_process_of
from media_assets.defs.descriptions import Metadata, asset_key, definition_metadata
from media_assets.defs.interruption import interrupted_runs_are_canceled
from media_assets.defs.resources import WorkbenchResource
from media_assets.lake.delta import Lake, Provenance
from media_assets.lake.store_errors import store_errors_told
from media_assets.media.contact_sheet import as_markdown_image
from media_assets.media.plots import channel_histograms_png
from media_assets.serving.statistics import measure_statistics, tensors_digest
from media_assets.tables import TENSORS_IMAGES, TENSORS_STATISTICS

STATISTICS_CODE_VERSION = "1"


@dg.asset(
    key=asset_key(TENSORS_STATISTICS),
    deps=[asset_key(TENSORS_IMAGES)],
    description=TENSORS_STATISTICS.description,
    kinds={"deltalake", "polars"},
    code_version=STATISTICS_CODE_VERSION,
    metadata=definition_metadata(TENSORS_STATISTICS),
    automation_condition=OVER_ALL_BATCHES,
    pool=CORES,
    check_specs=[
        dg.AssetCheckSpec("contract_holds", asset=asset_key(TENSORS_STATISTICS), blocking=True),
    ],
)
def statistics(context: dg.AssetExecutionContext, workbench: WorkbenchResource) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster knows only the bare class
    """Measure every channel of every TensorSpec whose normalization is known."""
    settings = workbench.settings()
    note_process_of(context)
    with interrupted_runs_are_canceled(context), store_errors_told("tensors/statistics"):
        lake, normalizations = settings.open_lake(), {spec.name: (spec.mean, spec.std) for spec in settings.specs()}
        version, left_out = _newest_version(lake), dict[str, str]()
        measured = measure_statistics(
            lake, normalizations=normalizations, version=version, leave_out=left_out.__setitem__
        )
        provenance = Provenance(context.run.run_id, measured_version(tensors_digest(lake, version)))
        lake.overwrite(TENSORS_STATISTICS, measured, {}, provenance)
    for told in left_out.values():
        context.log.warning(f"Left out: {told}")
    check = dg.AssetCheckResult(passed=True, check_name="contract_holds", metadata={"n_rows": measured.height})
    return dg.MaterializeResult(metadata=_metadata(measured, left_out), check_results=[check])


def measured_version(digest: str) -> str:
    """The code version of a commit of statistics, which also names the tensors that were measured."""
    return f"{STATISTICS_CODE_VERSION}/{digest}"


def statistics_are_behind(lake: Lake) -> bool:
    """Whether `tensors/statistics` was measured over other tensors than there are: a run was killed before it was."""
    measured = lake.table(TENSORS_STATISTICS)
    if lake.table(TENSORS_IMAGES) is None:
        return False
    if not (digest := tensors_digest(lake)) and measured is None:
        return False  # nothing was made yet
    commits = measured.history(limit=1) if measured is not None else []
    return not any(commit.get("media_assets/code_version") == measured_version(digest) for commit in commits)


def _newest_version(lake: Lake) -> int | None:
    """One version for the measurement and for its digest, whatever is committed meanwhile."""
    table = lake.table(TENSORS_IMAGES)
    return None if table is None else table.version()


def _metadata(measured: pl.DataFrame, left_out: Mapping[str, str]) -> Metadata:
    metadata: Metadata = {"dagster/row_count": measured.height}
    if left_out:
        metadata["left out: normalization not known"] = dg.MetadataValue.json(dict(left_out))
    for (spec,), channels in measured.group_by(["spec"], maintain_order=True):
        rows = channels.sort("channel")
        histograms = np.array(rows["histogram"].to_list(), dtype=np.int64)
        mean, std = _triple(rows["mean"]), _triple(rows["std"])
        plot = channel_histograms_png(histograms, mean, std, f"{spec}: {rows['n_tensors'][0]:,} tensors")
        metadata[f"{spec} histogram"] = dg.MetadataValue.md(as_markdown_image(plot, f"channel histograms of {spec}"))
        metadata[f"{spec} mean"] = ", ".join(f"{value:.4f}" for value in mean)
        metadata[f"{spec} std"] = ", ".join(f"{value:.4f}" for value in std)
    return metadata


def _triple(values: pl.Series) -> tuple[float, float, float]:
    red, green, blue = values.to_list()
    return red, green, blue
