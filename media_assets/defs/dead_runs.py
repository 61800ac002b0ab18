"""Runs whose process was killed: they stay STARTED for ever, unless somebody says that they are dead.

A run started from the command line carries the process it lives in. Before the next one starts, every such run whose
process is gone from this machine is reported as failed. Not here: runs of the daemon: `max_runtime_seconds`.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

import dagster as dg

_HOST, _PROCESS = "media_assets/host", "media_assets/process"


def own_process_tags() -> dict[str, str]:
    """Tags that name this process beyond doubt: a pid alone is used again."""
    return {_HOST: socket.gethostname(), _PROCESS: f"{os.getpid()}.{_start_ticks(os.getpid())}"}


def is_from_command_line(run: dg.DagsterRun) -> bool:
    """Whether a run lives in the process that started it, rather than in one of the daemon's."""
    return _PROCESS in run.tags


def may_be_alive(run: dg.DagsterRun) -> bool:
    """Whether the process that started a run lives, as far as this machine can tell."""
    return run.tags.get(_HOST) != socket.gethostname() or _is_alive(run.tags.get(_PROCESS, ""))


def fail_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Report as failed every run that was started from a process of this machine which is gone; their ids."""
    running = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.CANCELING]
    found = instance.get_runs(dg.RunsFilter(statuses=running, tags={_HOST: socket.gethostname()}))
    dead = [run for run in found if not _is_alive(run.tags.get(_PROCESS, ""))]
    for run in dead:
        instance.report_run_failed(run, "The process of this run was killed; its batches are done by the next run.")
    return [run.run_id for run in dead]


def _is_alive(process: str) -> bool:
    pid, _, ticks = process.partition(".")
    return pid.isdigit() and _start_ticks(int(pid)) == ticks


def _start_ticks(pid: int) -> str:
    """When a process was started, in clock ticks after boot; empty when there is none, `0` where /proc is missing."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.parent.parent.is_dir():
        return "0"
    try:
        return stat.read_text().rsplit(")", 1)[1].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return ""
