"""Runs started from the command line: the same assets, in this process, recorded in the same Dagster instance.

Not here: what a run does (`images.py`), or which dead letters are meant (`lake/overview.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import islice
from typing import Any

import dagster as dg
import polars as pl

from media_assets.defs.dead_runs import fail_dead_runs, own_process_tags
from media_assets.defs.descriptions import asset_key
from media_assets.defs.graph import build_defs
from media_assets.defs.images import MAX_BATCHES_PER_RUN
from media_assets.defs.resources import Settings
from media_assets.errors import SetupError
from media_assets.lake.delta import Lake
from media_assets.lake.overview import batch_overview, item_counts
from media_assets.lake.publications import unfinished_publications
from media_assets.stages.stage import IMAGE_STAGES, Stage, stage_named
from media_assets.stages.workbench import Progress, no_progress
from media_assets.tables import ITEM_STATUS, TENSORS_IMAGES, TENSORS_STATISTICS
from media_assets.tables.columns import Status

_RANGE_START, _RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


@dataclass(frozen=True)
class RunResult:
    """How one run ended."""

    run_id: str
    batch_ids: tuple[str, ...]
    success: bool
    error: str | None


def batch_results(lake: Lake, results: Sequence[RunResult]) -> list[dict[str, Any]]:
    """One row per batch of these runs: `done` or `FAILED`, what became of its items, and why its run failed.

    In a run over several batches those are done that have statuses by this run, whatever became of the others. A run
    over all batches has a row only when it failed.
    """
    counts = item_counts(lake, {batch_id for result in results for batch_id in result.batch_ids})
    rows = []
    for result in results:
        done = set(result.batch_ids) if result.success else _batches_done_by(lake, result)
        for batch_id in result.batch_ids or (() if result.success else ("all",)):
            row: dict[str, Any] = {"batch_id": batch_id, "result": "done" if batch_id in done else "FAILED"}
            row |= counts.get(batch_id, {status.value: 0 for status in Status})
            rows.append(row | {"error": "" if batch_id in done else result.error or "", "run_id": result.run_id})
    return rows


def _batches_done_by(lake: Lake, result: RunResult) -> set[str]:
    if not result.batch_ids:
        return set()
    statuses = lake.scan(ITEM_STATUS, {"batch_id": result.batch_ids}).filter(pl.col("run_id") == result.run_id)
    return set(statuses.select("batch_id").unique().collect()["batch_id"])


@dataclass(frozen=True)
class Launcher:
    """Starts runs in this process."""

    settings: Settings
    instance: dg.DagsterInstance
    progress: Progress = no_progress

    def materialize(
        self, batch_ids: Sequence[str], stages: Sequence[Stage] = IMAGE_STAGES, *, refetch: bool = False
    ) -> list[RunResult]:
        """Materialize stages of batches; neighbouring batches share a run. With nothing to do, dead runs are told too.

        Raises:
            SetupError: a batch is not a registered partition.
        """
        fail_dead_runs(self.instance)
        return [self._run(keys, stages, {"refetch": refetch}) for keys in self._grouped(batch_ids)]

    def replay(self, items: Mapping[str, Sequence[str]]) -> list[RunResult]:
        """Try the failed items of these batches again: batch id → item keys."""
        results = []
        for keys in self._grouped(list(items)):
            results.append(self._run(keys, IMAGE_STAGES, {"retry_items": {key: list(items[key]) for key in keys}}))
        return results

    def measure_statistics(self) -> RunResult:
        """Materialize `tensors/statistics` over everything there is."""
        return self._execute((), [asset_key(TENSORS_STATISTICS)], {}, {})

    @cached_property
    def _job(self) -> dg.JobDefinition:
        """Every asset, built once for all runs of a command."""
        return build_defs(self.settings, {"progress": self.progress}).resolve_implicit_global_asset_job_def()

    def _grouped(self, batch_ids: Sequence[str]) -> list[tuple[str, ...]]:
        """Runs of neighbouring partitions, in the order of the partitions definition."""
        ordered = list(self.instance.get_dynamic_partitions("batches"))
        if unknown := sorted(set(batch_ids) - set(ordered)):
            raise SetupError(
                f"Expected registered batches, got {unknown[:5]}. Run `media-assets plan …` again: it completes what "
                f"an interrupted plan left out."
            )
        groups: list[list[str]] = []
        wanted, last = set(batch_ids), -2
        for place, key in enumerate(ordered):
            if key not in wanted:
                continue
            if place != last + 1 or len(groups[-1]) >= MAX_BATCHES_PER_RUN:
                groups.append([])
            groups[-1].append(key)
            last = place
        return [tuple(group) for group in groups]

    def _run(self, keys: tuple[str, ...], stages: Sequence[Stage], config: dict[str, Any]) -> RunResult:
        target = (
            {"partition_key": keys[0]} if len(keys) == 1 else {"tags": {_RANGE_START: keys[0], _RANGE_END: keys[-1]}}
        )
        return self._execute(
            keys,
            [asset_key(stage.contract) for stage in stages],
            {"ops": {"read_images": {"config": config}}},
            target,
        )

    def _execute(
        self,
        keys: tuple[str, ...],
        selection: list[dg.AssetKey],
        run_config: dict[str, Any],
        target: dict[str, Any],
    ) -> RunResult:
        fail_dead_runs(self.instance)
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        result = self._job.execute_in_process(
            run_config=run_config | quiet,
            instance=self.instance,
            asset_selection=selection,
            raise_on_error=False,
            **target | {"tags": own_process_tags() | target.get("tags", {})},
        )
        return RunResult(result.run_id, keys, result.success, None if result.success else _first_error(result))


def stages_selected(names: Sequence[str]) -> tuple[Stage, ...]:
    """The stages of these names, in the order of the path; all of them for no name.

    Raises:
        SetupError: there is no such stage.
    """
    try:
        wanted = {stage_named(name) for name in names}
    except KeyError as error:
        raise SetupError(str(error.args[0])) from error
    return tuple(stage for stage in IMAGE_STAGES if stage in wanted or not wanted)


def matching_batches(instance: dg.DagsterInstance, pattern: str) -> list[str]:
    """Registered batches whose id matches a glob, in the order of registration.

    Raises:
        SetupError: there is none, and the glob means some.
    """
    registered = instance.get_dynamic_partitions("batches")
    matching = [key for key in registered if fnmatchcase(key, pattern)]
    if not matching and pattern != "*":
        known = f"{len(registered)} are registered, such as {registered[0]!r}" if registered else "none is registered"
        raise SetupError(
            f"Expected a glob that matches the id of a batch, got {pattern!r}; {known}. `media-assets status` lists "
            f"them, `media-assets plan …` makes new ones."
        )
    return matching


def done_batches(lake: Lake, stages: Collection[Stage]) -> set[str]:
    """Planned batches in which every item that entered these stages, or one before them, has its status there, and
    that are not half published. Nothing enters a stage when the one before let nothing through: it is done then.
    """
    up_to = IMAGE_STAGES[: 1 + max(IMAGE_STAGES.index(stage) for stage in stages)]
    rows = batch_overview(lake).filter(pl.col("stage").is_in([stage.name for stage in up_to]))
    told = pl.sum_horizontal(status.value for status in Status)
    complete = rows.group_by("batch_id").agg((told == pl.col("expected")).all().alias("is_done")).filter("is_done")
    return set(complete["batch_id"]) - unfinished_publications(lake.location)


def statistics_are_behind(lake: Lake) -> bool:
    """Whether `tensors/statistics` counts other tensors than there are: a run was killed before it measured them."""
    there = lake.scan(TENSORS_IMAGES).group_by("spec").len("n").collect()
    counted = lake.scan(TENSORS_STATISTICS).select("spec", "n_tensors").unique().collect()
    return dict(there.iter_rows()) != dict(counted.iter_rows())


def _first_error(result: dg.ExecuteInProcessResult) -> str:
    failures = (event.step_failure_data for event in result.all_events if event.is_step_failure)
    for failure in islice(failures, 1):
        if failure.user_failure_data is not None and failure.user_failure_data.description:
            return str(failure.user_failure_data.description)
        if failure.error is not None:
            cause = failure.error.cause or failure.error
            return str(cause.message).strip()
    return "The run failed before its step began; see `dagster dev`, Runs."
