"""`tensors/histograms` and `tensors/statistics`: mean and standard deviation over the whole dataset, with its plot.

Each batch is read for it once: some 0.2 ms of one core for a tensor of 224x224 pixels that is in the page cache. Both
tables come of one step, since the histograms are added up as they are made.

Not here: the counting (`media/statistics.py`), the streaming read (`serving/counts.py`), and what is kept
(`stages/histograms.py`).
"""

from collections.abc import Iterator

import dagster as dg
import numpy as np
import polars as pl

from media_assets.defs.automation import CORES, OVER_ALL_BATCHES
from media_assets.defs.dead_runs import note_process_of
from media_assets.defs.descriptions import Metadata, asset_key, definition_metadata
from media_assets.defs.interruption import interrupted_runs_are_canceled
from media_assets.defs.resources import WorkbenchResource
from media_assets.defs.retries import retried_if_it_may_pass
from media_assets.lake.delta import Lake, Provenance
from media_assets.lake.store_errors import store_errors_told
from media_assets.media.contact_sheet import as_markdown_image
from media_assets.media.plots import channel_histograms_png
from media_assets.serving.files import open_table
from media_assets.serving.statistics import tensors_digest
from media_assets.serving.unfinished import Unfinished
from media_assets.stages.histograms import HISTOGRAMS_CODE_VERSION, Measured, update_histograms
from media_assets.tables import TENSORS_HISTOGRAMS, TENSORS_IMAGES, TENSORS_STATISTICS, TableContract

STATISTICS_CODE_VERSION = "2"


def _spec(contract: TableContract, dep: TableContract, code_version: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        asset_key(contract),
        deps=[asset_key(dep)],
        description=contract.description,
        kinds={"deltalake", "polars"},
        code_version=code_version,
        metadata=definition_metadata(contract),
        automation_condition=OVER_ALL_BATCHES,
    )


@dg.multi_asset(
    name="measure_tensors",
    specs=[
        _spec(TENSORS_HISTOGRAMS, TENSORS_IMAGES, HISTOGRAMS_CODE_VERSION),
        _spec(TENSORS_STATISTICS, TENSORS_HISTOGRAMS, STATISTICS_CODE_VERSION),
    ],
    pool=CORES,
    check_specs=[
        dg.AssetCheckSpec("contract_holds", asset=asset_key(contract), blocking=True)
        for contract in (TENSORS_HISTOGRAMS, TENSORS_STATISTICS)
    ],
)
def measure_tensors(context: dg.AssetExecutionContext, workbench: WorkbenchResource) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]  # Dagster knows only the bare class
    """Measure every channel of every TensorSpec whose normalization is known, over the batches that are done."""
    settings = workbench.settings()
    note_process_of(context)
    told = store_errors_told("tensors/histograms and tensors/statistics")
    with interrupted_runs_are_canceled(context), retried_if_it_may_pass(context), told:
        lake, normalizations = settings.open_lake(), {spec.name: (spec.mean, spec.std) for spec in settings.specs()}
        table = open_table(lake, include_unfinished=False)
        provenance = Provenance(context.run.run_id, HISTOGRAMS_CODE_VERSION)
        measured = update_histograms(table, normalizations, provenance)
        provenance = Provenance(context.run.run_id, measured_version(tensors_digest(table)))
        lake.overwrite(TENSORS_STATISTICS, measured.statistics, {}, provenance)
    for left_out in _told(measured, table.left_out):
        context.log.warning(f"Left out: {left_out}")
    yield _result(TENSORS_HISTOGRAMS, _counts_metadata(measured), measured.n_rows)
    yield _result(TENSORS_STATISTICS, _statistics_metadata(measured, table.left_out), measured.statistics.height)


def measured_version(digest: str) -> str:
    """The code version of a commit of statistics, which also names the tensors that were measured."""
    return f"{STATISTICS_CODE_VERSION}/{digest}"


def statistics_are_behind(lake: Lake) -> bool:
    """Whether `tensors/statistics` was measured over other tensors than there are in the batches that are done: a run
    was killed before it was, or batches became done since. So it is when the histograms it is the sum of are no more.
    """
    measured = lake.table(TENSORS_STATISTICS)
    if lake.table(TENSORS_IMAGES) is None:
        return False
    if not (digest := tensors_digest(open_table(lake, include_unfinished=False))) and measured is None:
        return False  # nothing was made yet
    if digest and lake.table(TENSORS_HISTOGRAMS) is None:
        return True
    commits = measured.history(limit=1) if measured is not None else []
    return not any(commit.get("media_assets/code_version") == measured_version(digest) for commit in commits)


def _told(measured: Measured, unfinished: Unfinished) -> list[str]:
    """What the statistics leave out, and why."""
    return [*measured.left_out.values(), *([unfinished.summary()] if unfinished.batch_ids else [])]


def _result(contract: TableContract, metadata: Metadata, n_rows: int) -> dg.MaterializeResult:  # type: ignore[type-arg]
    check = dg.AssetCheckResult(
        passed=True, asset_key=asset_key(contract), check_name="contract_holds", metadata={"n_rows": n_rows}
    )
    return dg.MaterializeResult(asset_key(contract), metadata=metadata, check_results=[check])


def _counts_metadata(measured: Measured) -> Metadata:
    return {
        "batches measured": measured.n_measured,
        "batches measured before": measured.n_recorded,
        "batches removed": measured.n_removed,
    }


def _statistics_metadata(measured: Measured, unfinished: Unfinished) -> Metadata:
    metadata: Metadata = {"dagster/row_count": measured.statistics.height}
    if measured.left_out:
        metadata["left out: normalization not known"] = dg.MetadataValue.json(dict(measured.left_out))
    if unfinished.batch_ids:
        metadata["left out: not done"] = unfinished.summary()
    for (spec,), channels in measured.statistics.group_by(["spec"], maintain_order=True):
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
