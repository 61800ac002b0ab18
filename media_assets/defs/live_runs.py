"""Which batches another run is at work on now, so that two commands, or one and the daemon, do not do the same.

This saves work; that two runs cannot spoil each other's tables is held elsewhere (`stages/`). Not here: runs whose
process is gone (`dead_runs.py`).
"""

from __future__ import annotations

import time

import dagster as dg

from media_assets.defs.dead_runs import is_from_command_line, life_of
from media_assets.defs.run_process import Life

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
PARTITION, RUN_KEY = "dagster/partition", "dagster/run_key"
_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_DAEMON_IS_SILENT_AFTER_SECONDS = 180  # it reports every 30


def batches_in_progress(instance: dg.DagsterInstance) -> dict[str, str]:
    """Batch id → id of the unfinished run that has it.

    A run counts while its process lives. Where that cannot be told, one from the command line counts, and one of the
    daemon while the daemon reports.
    """
    found: dict[str, str] = {}
    runs = instance.get_runs(dg.RunsFilter(statuses=_UNFINISHED))
    if not runs:
        return found
    ordered, is_daemon_up = list(instance.get_dynamic_partitions("batches")), _is_daemon_up(instance)
    for run in runs:
        life = life_of(run)
        if life is Life.ALIVE or (life is Life.UNKNOWN and (is_from_command_line(run) or is_daemon_up)):
            found |= dict.fromkeys(batches_of(run, ordered), run.run_id)
    return found


def batches_of(run: dg.DagsterRun, ordered: list[str]) -> list[str]:
    """The batches that a run is over; `ordered` are all registered ones."""
    if (one := run.tags.get(PARTITION)) is not None:
        return [one]
    first, last = run.tags.get(RANGE_START), run.tags.get(RANGE_END)
    if first not in ordered or last not in ordered:
        return []
    return ordered[ordered.index(first) : ordered.index(last) + 1]


def _is_daemon_up(instance: dg.DagsterInstance) -> bool:
    beats = instance.get_daemon_heartbeats().values()
    return any(time.time() - beat.timestamp < _DAEMON_IS_SILENT_AFTER_SECONDS for beat in beats)
