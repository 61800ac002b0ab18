"""A run whose process was killed is reported as failed, and the next one is not held up by it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable

import dagster as dg

from media_assets.defs.dead_runs import fail_dead_runs, own_process_tags
from media_assets.defs.resources import Settings
from media_assets.defs.runs import Launcher

KILLED = """
import os, signal, sys
from media_assets.defs import images
from media_assets.defs.resources import Settings, open_instance
from media_assets.defs.runs import Launcher
images._BatchRun.read = lambda self, batch_id: os.kill(os.getpid(), signal.SIGKILL)
settings = Settings(lake=sys.argv[1], n_workers=0)
Launcher(settings, open_instance(settings)).materialize([sys.argv[2]])
"""


def test_killed_runs_are_failed_and_hold_up_nobody(
    plan_four: Callable[[], list[str]], settings: Settings, instance: dg.DagsterInstance, launcher: Launcher
) -> None:
    first, second = plan_four()[:2]
    for batch_id in (first, second, first):  # as many as any limit on runs or pools would allow, and one more
        command = [sys.executable, "-c", KILLED, settings.lake, batch_id]
        assert subprocess.run(command, timeout=100, check=False).returncode == -signal.SIGKILL
    started = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
    assert len(instance.get_runs(started)) == 1  # each one buried the one before
    launcher.materialize([])  # nothing to do
    assert instance.get_runs(started) == []
    (result,) = launcher.materialize([first])
    assert result.success, result.error
    assert len(instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))) == 3


def test_a_living_run_is_left_alone(instance: dg.DagsterInstance) -> None:
    run = dg.DagsterRun("job", status=dg.DagsterRunStatus.STARTED, tags=own_process_tags())
    instance.add_run(run)
    assert fail_dead_runs(instance) == []
