"""Runs started from the command line: the same assets, in this process, recorded in the same Dagster instance.

Not here: what a run does (`images.py`), or which dead letters are meant (`lake/overview.py`).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

import dagster as dg
import polars as pl
from dagster._core.execution.plan.objects import StepFailureData

from media_assets.defs.batch_run import MAX_BATCHES_PER_RUN
from media_assets.defs.dead_runs import command_line_tags, fail_dead_runs
from media_assets.defs.descriptions import asset_key
from media_assets.defs.graph import build_defs
from media_assets.defs.interruption import watched_signals
from media_assets.defs.live_runs import RANGE_END, RANGE_START, batches_in_progress
from media_assets.defs.resources import Settings
from media_assets.defs.steps import PREDICT_STEP, READ_STEP, run_config, step_of
from media_assets.errors import SetupError
from media_assets.lake.delta import Lake
from media_assets.lake.overview import item_counts
from media_assets.stages.images import code_versions
from media_assets.stages.models import InstalledModel
from media_assets.stages.predictions import PredictOptions
from media_assets.stages.stage import IMAGE_STAGES, KEYFRAMES, PREDICTIONS, STAGES, Stage, stage_named
from media_assets.stages.workbench import Progress, ReadOptions, no_progress
from media_assets.tables import ITEM_STATUS, TENSORS_HISTOGRAMS, TENSORS_STATISTICS, TableContract
from media_assets.tables.columns import Status


@dataclass(frozen=True)
class RunResult:
    """How one run ended, or was found; `errors` are those of single batches, as far as they are known.

    `undone`: the stages of each step of a failed run that did not end well and names no batch: another one had failed
    before it, or it failed as a whole.
    """

    run_id: str
    batch_ids: tuple[str, ...]
    success: bool
    error: str | None
    errors: Mapping[str, str] = field(default_factory=dict)
    undone: tuple[tuple[Stage, ...], ...] = ()
    is_of_another: bool = False  # nothing was started: another process's run has these batches

    def error_of(self, batch_id: str) -> str:
        """Why a batch is not done: its own error, or the one of the batch at which the run ended before it."""
        if batch_id in self.errors or not self.errors:
            return self.errors.get(batch_id, self.error or "")
        return f"not begun: the run ended at {', '.join(self.errors)}"


def batch_results(lake: Lake, results: Sequence[RunResult]) -> list[dict[str, Any]]:
    """One row per batch of these runs: `done`, `FAILED` or `in progress` elsewhere, its items, and why it is not done.

    In a run over several batches those are done that failed at no step and have statuses by this run at each step that
    did not end well, whatever became of the others. A run over all batches has a row only when it failed.
    """
    counts = item_counts(lake, {batch_id for result in results for batch_id in result.batch_ids})
    rows = []
    for result in results:
        done = set(result.batch_ids) if result.success else _batches_done_by(lake, result)
        for batch_id in result.batch_ids or (() if result.success else ("all",)):
            is_done = batch_id in done and not result.is_of_another
            told = "in progress" if result.is_of_another else "done" if is_done else "FAILED"
            row: dict[str, Any] = {"batch_id": batch_id, "result": told}
            row |= counts.get(batch_id, {status.value: 0 for status in Status})
            rows.append(row | {"error": "" if is_done else result.error_of(batch_id), "run_id": result.run_id})
    return rows


def _batches_done_by(lake: Lake, result: RunResult) -> set[str]:
    done = set(result.batch_ids) - result.errors.keys()
    for stages in result.undone:
        if not done:
            break
        where = {"batch_id": sorted(done), "stage": [stage.name for stage in stages]}
        statuses = lake.scan(ITEM_STATUS, where).filter(pl.col("run_id") == result.run_id)
        done &= set(statuses.select("batch_id").unique().collect()["batch_id"])
    return done


@dataclass(frozen=True)
class Launcher:
    """Starts runs in this process."""

    settings: Settings
    instance: dg.DagsterInstance
    progress: Progress = no_progress

    def materialize(
        self,
        batch_ids: Sequence[str],
        stages: Sequence[Stage] = IMAGE_STAGES,
        *,
        refetch: bool = False,
        accept_failures: bool = False,
        again: bool = False,
    ) -> list[RunResult]:
        """Materialize stages of batches; neighbouring batches share a run. With nothing to do, dead runs are told too.

        `again`: models are asked about frames that they were asked about, too.
        `accept_failures`: failures that may pass become dead letters, however many they are, instead of an outage.

        Raises:
            SetupError: a batch is not a registered partition.
            Interrupted: SIGINT or SIGTERM came; what is done stays done, and the next group is not begun.
        """
        fail_dead_runs(self.instance)
        config = {
            READ_STEP: {"refetch": refetch, "accept_failures": accept_failures},
            PREDICT_STEP: {"again": again, "accept_failures": accept_failures},
        }
        return [
            result
            for keys in self._grouped(batch_ids)
            for result in self._run_what_is_free(keys, stages, lambda _: config)
        ]

    def remake(self, outdated: Mapping[str, Collection[str]]) -> list[RunResult]:
        """Make tables of batches anew, from kept bytes: batch id → their paths; and those after them."""
        by_stages: dict[tuple[Stage, ...], list[str]] = {}
        for batch_id, tables in outdated.items():
            named = [s for s in STAGES if s in self.stages or s.contract.path in tables]  # models may be gone
            stages = tuple(s for s in named if any(each.contract.path in tables for each in _line(s)))
            by_stages.setdefault(stages, []).append(batch_id)
        return [result for stages, batch_ids in by_stages.items() for result in self.materialize(batch_ids, stages)]

    def replay(self, items: Mapping[str, Sequence[str]], stages: Sequence[Stage] | None = None) -> list[RunResult]:
        """Try the failed items of these batches again, at all stages or these: batch id → item keys."""
        fail_dead_runs(self.instance)

        def config(free: tuple[str, ...]) -> dict[str, Any]:
            retry = {"retry_items": {key: list(items[key]) for key in free}}
            return {READ_STEP: retry, PREDICT_STEP: retry}

        return [
            result
            for keys in self._grouped(list(items))
            for result in self._run_what_is_free(keys, stages or self.stages, config)
        ]

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that are made without being named: where no model is configured nothing is asked of any."""
        return STAGES if self.settings.models else IMAGE_STAGES

    def label(self, batch_ids: Sequence[str], contract: TableContract) -> list[RunResult]:
        """Materialize `labels/queue` or `labels/consensus` of batches, one run each.

        Raises:
            SetupError: a batch is not a registered partition.
        """
        keys = [key for group in self._grouped(batch_ids) for key in group]
        return [self._execute((key,), [asset_key(contract)], {}, {"partition_key": key}) for key in keys]

    def measure_statistics(self) -> RunResult:
        """Materialize `tensors/histograms` of new batches, and `tensors/statistics` over all that are done."""
        return self._execute((), [asset_key(TENSORS_HISTOGRAMS), asset_key(TENSORS_STATISTICS)], {}, {})

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

    def _run_what_is_free(
        self, keys: tuple[str, ...], stages: Sequence[Stage], config: Callable[[tuple[str, ...]], dict[str, Any]]
    ) -> list[RunResult]:
        """Run those of these batches that no other run has; the others are told."""
        taken = batches_in_progress(self.instance)
        results = [_of_another(taken[key], key) for key in keys if key in taken]
        for free in self._grouped([key for key in keys if key not in taken]):
            results.append(self._run(free, stages, config(free)))
        return results

    def _run(self, keys: tuple[str, ...], stages: Sequence[Stage], config: dict[str, Any]) -> RunResult:
        target = {"partition_key": keys[0]} if len(keys) == 1 else {"tags": {RANGE_START: keys[0], RANGE_END: keys[-1]}}
        chosen = run_config(config, {step_of(stage) for stage in stages})
        return self._execute(keys, [asset_key(stage.contract) for stage in stages], chosen, target, stages)

    def _execute(
        self,
        keys: tuple[str, ...],
        selection: list[dg.AssetKey],
        run_config: dict[str, Any],
        target: dict[str, Any],
        stages: Sequence[Stage] = (),
    ) -> RunResult:
        fail_dead_runs(self.instance)
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        run_id = str(uuid.uuid4())
        with watched_signals():
            result = self._job.execute_in_process(
                run_config=run_config | quiet,
                instance=self.instance,
                asset_selection=selection,
                raise_on_error=False,
                run_id=run_id,
                **target | {"tags": command_line_tags(run_id) | target.get("tags", {})},
            )
        return _run_result(result, keys, stages)


def stages_selected(names: Sequence[str], unnamed: Sequence[Stage] = IMAGE_STAGES) -> tuple[Stage, ...]:
    """The stages of these names, in the order of the path; the `unnamed` ones for no name.

    Raises:
        SetupError: there is no such stage.
    """
    try:
        wanted = {stage_named(name) for name in names}
    except KeyError as error:
        raise SetupError(str(error.args[0])) from error
    return tuple(stage for stage in STAGES if stage in (wanted or unnamed))


def _line(stage: Stage) -> tuple[Stage, ...]:
    """The stages that an item may pass to come to a stage, and that stage."""
    return (*KEYFRAMES.line, *stage.line) if stage is PREDICTIONS else stage.line


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


def made_otherwise(
    lake: Lake, stages: Sequence[Stage], options: ReadOptions, models: tuple[InstalledModel, ...] = ()
) -> dict[str, set[str]]:
    """Batch id → paths of the tables in which it holds items of an earlier version of the code, or of other specs, or
    keyframes of another choice, or what other models said.
    """
    versions = code_versions(stages, options)
    if PREDICTIONS in stages:
        versions[PREDICTIONS.name] = PredictOptions(models).code_version
    told = lake.scan(ITEM_STATUS, {"stage": list(versions)}).select("batch_id", "stage", "code_version").unique()
    found: dict[str, set[str]] = {}
    for batch_id, stage, version in told.collect().iter_rows():
        if version != versions[stage]:
            found.setdefault(batch_id, set()).add(stage_named(stage).contract.path)
    return found


def _of_another(run_id: str, batch_id: str) -> RunResult:
    told = f"left alone: run {run_id[:8]} is at work on it"
    return RunResult(run_id, (batch_id,), True, told, is_of_another=True)


def _run_result(result: dg.ExecuteInProcessResult, keys: tuple[str, ...], stages: Sequence[Stage]) -> RunResult:
    if result.success:
        return RunResult(result.run_id, keys, True, None)
    undone: dict[str, tuple[Stage, ...]] = {}
    for stage in stages:
        undone[step_of(stage)] = (*undone.get(step_of(stage), ()), stage)
    for event in result.all_events:
        if event.is_step_success and event.step_key in undone:
            del undone[event.step_key]
    told, errors = "The run failed before its step began; see `dagster dev`, Runs.", dict[str, str]()
    for event in result.all_events:
        if not event.is_step_failure:
            continue
        told, errors = _told(event.step_failure_data, keys)
        if errors and event.step_key in undone:
            del undone[event.step_key]
        break
    return RunResult(result.run_id, keys, False, told, errors, tuple(undone.values()))


def _told(failure: StepFailureData, keys: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """Why a step failed, and each of its batches, where that is known."""
    if (told := failure.user_failure_data) is not None and told.description:
        return told.description, {key: str(value.value) for key, value in told.metadata.items() if key in keys}
    error = failure.error
    return ("", {}) if error is None else (str((error.cause or error).message).strip(), {})
