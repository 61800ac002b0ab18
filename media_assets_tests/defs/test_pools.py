"""What keeps every core busy is bounded by its pool, and a run whose process was killed keeps no place in it."""

from __future__ import annotations

import uuid

import dagster as dg
from dagster._core.execution.api import create_execution_plan
from dagster._core.op_concurrency_limits_counter import compute_run_op_concurrency_info_for_snapshot
from dagster._core.remote_origin import InProcessCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.snap import snapshot_from_execution_plan
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from media_assets.defs.dead_runs import fail_dead_runs
from media_assets.defs.graph import build_defs
from media_assets.defs.resources import Settings
from media_assets.defs.retry_batches import bound_cores
from media_assets.defs.run_process import RunProcess
from media_assets.stages.stage import IMAGE_STAGES
from media_assets.tables import TENSORS_HISTOGRAMS, TENSORS_STATISTICS

LIMIT = 2
QUEUED, STARTED = dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTED


def launched(instance: dg.DagsterInstance) -> list[str]:
    """The queued runs that the daemon would launch now."""
    daemon = QueuedRunCoordinatorDaemon(interval_seconds=1)
    config = instance.get_concurrency_config()
    return [run.run_id for run in daemon._get_runs_to_dequeue(instance, config, None)]


MEASURED = (TENSORS_HISTOGRAMS, TENSORS_STATISTICS)  # one step makes both


def add_run(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus, path: str, process: RunProcess | None = None
) -> str:
    """A run that makes one table, or one and what is made with it."""
    job = build_defs(Settings()).resolve_implicit_global_asset_job_def()
    paths = {contract.path for contract in MEASURED} if path in {contract.path for contract in MEASURED} else {path}
    chosen = job.get_subset(asset_selection={dg.AssetKey(each.split("/")) for each in paths})
    plan = snapshot_from_execution_plan(create_execution_plan(chosen), "snapshot")
    location = InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name="media_assets.definitions"))
    run = dg.DagsterRun(
        "job",
        process.run_id if process else str(uuid.uuid4()),
        status=status,
        tags=process.tags if process else {},
        run_op_concurrency=compute_run_op_concurrency_info_for_snapshot(plan),
        remote_job_origin=RemoteRepositoryOrigin(location, "repository").get_job_origin("job"),
    )
    instance.add_run(run)
    return run.run_id


def test_heavy_runs_are_bounded_and_a_killed_one_gives_its_place_back(instance: dg.DagsterInstance) -> None:
    bound_cores(instance)
    queued = [add_run(instance, QUEUED, stage.contract.path) for stage in IMAGE_STAGES]
    queued.append(add_run(instance, QUEUED, TENSORS_STATISTICS.path))
    assert launched(instance) == queued[:LIMIT]
    killed = RunProcess(str(uuid.uuid4()), 2**22 + 1, "1")
    add_run(instance, STARTED, "raw/media", killed)
    assert launched(instance) == queued[: LIMIT - 1]
    assert fail_dead_runs(instance) == [killed.run_id]
    assert launched(instance) == queued[:LIMIT]
