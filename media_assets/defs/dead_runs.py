"""Runs whose process was killed: they stay STARTED, unless somebody says that they are dead.

Each run carries the process it lives in: one from the command line from its beginning, one of the daemon from its
first step on. Whoever starts runs, and a sensor, report as failed those whose process is gone from this machine. Runs
of other machines, and those that were killed before their first step, are left to `max_runtime_seconds`.
"""

from __future__ import annotations

import os
from typing import Any

import dagster as dg

from media_assets.defs.run_process import TAG, Life, RunProcess

KILLED = "media_assets/killed"
_RUNNING = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.CANCELING]
_LONGEST_SECONDS = 604_800  # of a run from the command line, whose process can be told from a dead one: a week


def command_line_tags(run_id: str) -> dict[str, str]:
    """What a run of this process carries: `max_runtime_seconds` is for runs of the daemon, this one may take longer."""
    return {**RunProcess.of(run_id).tags, dg.MAX_RUNTIME_SECONDS_TAG: str(_LONGEST_SECONDS)}


def is_from_command_line(run: dg.DagsterRun) -> bool:
    """Whether a run lives in the process that started it, rather than in one of the daemon's."""
    return TAG in run.tags and run.remote_job_origin is None


def life_of(run: dg.DagsterRun) -> Life:
    """Whether the process of a run lives, as far as this machine can tell."""
    process = RunProcess.told_by(run.run_id, dict(run.tags))
    return Life.UNKNOWN if process is None else process.life()


def note_process_of(context: dg.AssetExecutionContext) -> None:
    """Inside an asset: note on the run which process it lives in, once."""
    run = context.run
    if life_of(run) is Life.ALIVE:
        return
    if (pid := _worker_of(context.instance, run.run_id)) is not None:
        context.instance.add_run_tags(run.run_id, RunProcess.of(run.run_id, pid).tags)


def fail_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Report as failed every run whose process is gone from this machine; their ids."""
    dead = []
    for run in instance.get_runs(dg.RunsFilter(statuses=_RUNNING)):
        if life_of(run) is not Life.GONE:
            continue
        now = instance.get_run_by_id(run.run_id)
        if now is None or now.is_finished:  # it had ended when its process did
            continue
        instance.add_run_tags(run.run_id, {KILLED: "true"})
        instance.report_run_failed(now, "The process of this run was killed; its batches are done by the next run.")
        dead.append(run.run_id)
    return dead


def _worker_of(instance: dg.DagsterInstance, run_id: str) -> int | None:
    """Pid of the process that a run lives in, if that is this one or its parent: a step may have its own."""
    events = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT, limit=10).records
    told = [_pid_in(record.event_log_entry.dagster_event) for record in events]
    ours = (os.getpid(), os.getppid())
    return next((pid for pid in told if pid in ours), None)


def _pid_in(event: Any) -> int | None:
    value = event.engine_event_data.metadata.get("pid") if event is not None else None
    text = str(getattr(value, "value", ""))
    return int(text) if text.isdigit() else None
