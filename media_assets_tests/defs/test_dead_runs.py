"""A run whose process was killed is reported as failed, and the next one is not held up by it."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import replace

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test
from dagster._daemon.monitoring.run_monitoring import check_run_timeout

from media_assets.defs.dead_runs import KILLED as KILLED_TAG
from media_assets.defs.dead_runs import command_line_tags, fail_dead_runs, life_of
from media_assets.defs.resources import Settings
from media_assets.defs.run_process import Life, Place, RunProcess
from media_assets.defs.runs import Launcher

STARTED = dg.DagsterRunStatus.STARTED

KILLED = """
import os, signal, sys
from media_assets.defs import images
from media_assets.defs.resources import Settings, open_instance
from media_assets.defs.runs import Launcher
images.BatchRun.read = lambda self, batch_id, later: os.kill(os.getpid(), signal.SIGKILL)
settings = Settings(lake=sys.argv[1], n_workers=0)
Launcher(settings, open_instance(settings)).materialize([sys.argv[2]])
"""


@pytest.mark.slow
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
    failed = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
    assert [run.tags[KILLED_TAG] for run in failed] == ["true"] * 3


def test_a_living_run_is_left_alone(instance: dg.DagsterInstance) -> None:
    run_id = str(uuid.uuid4())
    instance.add_run(dg.DagsterRun("job", run_id, status=STARTED, tags=command_line_tags(run_id)))
    assert fail_dead_runs(instance) == []


def test_tags_that_were_copied_from_a_dead_run_say_nothing_of_the_new_one(instance: dg.DagsterInstance) -> None:
    dead = RunProcess("another run", 1, "1").tags
    run = create_run_for_test(instance, status=STARTED, tags=dead)
    assert life_of(run) is Life.UNKNOWN
    assert fail_dead_runs(instance) == []


def test_a_run_that_ends_while_it_is_looked_at_stays_what_it_is(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = str(uuid.uuid4())
    run = dg.DagsterRun("job", run_id, status=STARTED, tags=RunProcess(run_id, 1, "1").tags)
    instance.add_run(run.with_status(dg.DagsterRunStatus.SUCCESS))
    monkeypatch.setattr(instance, "get_runs", lambda filters: [run])
    assert fail_dead_runs(instance) == []
    assert instance.get_run_by_id(run_id).status is dg.DagsterRunStatus.SUCCESS  # type: ignore[union-attr]


def test_a_run_from_the_command_line_may_take_longer_than_one_of_the_daemon(instance: dg.DagsterInstance) -> None:
    run_id = str(uuid.uuid4())
    instance.add_run(dg.DagsterRun("job", run_id, tags=command_line_tags(run_id)))
    event = dg.DagsterEvent("PIPELINE_START", job_name="job")
    started, daemon = time.time() - 7 * 3600, create_run_for_test(instance, job_name="job").run_id
    for each in (run_id, daemon):
        instance.report_dagster_event(event, each, timestamp=started)
        record = instance.get_run_record_by_id(each)
        assert record is not None
        assert record.start_time == pytest.approx(started, abs=1e-5), "it is kept in microseconds"
        check_run_timeout(instance, record, logging.getLogger(), instance.run_monitoring_max_runtime_seconds)
    states = {run.run_id: run.status for run in instance.get_runs()}
    assert states == {run_id: STARTED, daemon: dg.DagsterRunStatus.FAILURE}


HERE = Place("host", "machine", "boot", "4026531836")
CONTAINER = replace(HERE, pid_namespace="1")


@pytest.mark.parametrize(
    ("here", "there", "life"),
    [
        (HERE, HERE, Life.GONE),
        (CONTAINER, CONTAINER, Life.GONE),
        (CONTAINER, replace(HERE, pid_namespace="2"), Life.UNKNOWN),  # a second one with the same host name
        (HERE, CONTAINER, Life.UNKNOWN),
        (HERE, replace(HERE, host="other"), Life.UNKNOWN),
        (HERE, replace(HERE, machine="other"), Life.UNKNOWN),
        (replace(HERE, boot="next"), HERE, Life.GONE),  # the machine was started again
        (replace(HERE, boot="next", machine=""), replace(HERE, machine=""), Life.UNKNOWN),
        (replace(HERE, boot="next", machine="other"), HERE, Life.UNKNOWN),
        (replace(CONTAINER, boot="next"), CONTAINER, Life.UNKNOWN),  # or one that moved
    ],
)
def test_only_what_is_certainly_gone_is_called_gone(here: Place, there: Place, life: Life) -> None:
    nobody = RunProcess("run", 2**22 + 1, "1", there)
    assert RunProcess.told_by("run", nobody.tags) == nobody
    assert nobody.life(here) is life


def test_a_process_lives_until_it_ends_even_if_nobody_asks_how() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    process = RunProcess.of("run", child.pid)
    assert process.life() is Life.ALIVE
    assert replace(process, start_ticks="1").life() is Life.GONE, "another process with its pid"
    child.kill()
    deadline = time.monotonic() + 10
    while process.life() is Life.ALIVE and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.life() is Life.GONE
    child.communicate()
