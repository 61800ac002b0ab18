"""Two at once on one lake: a batch that another run is at work on is left alone, as long as somebody works."""

from __future__ import annotations

import subprocess
import time
import uuid
from collections.abc import Callable

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test
from dagster._daemon.types import DaemonHeartbeat

from media_assets.defs.live_runs import RANGE_END, RANGE_START, batches_in_progress
from media_assets.defs.resources import Settings
from media_assets.defs.run_process import Place, RunProcess
from media_assets.defs.runs import Launcher, batch_results
from media_assets_tests.shelf import Shelf


@pytest.mark.slow
def test_a_batch_that_another_command_is_at_work_on_is_left_alone(
    start_command: Callable[..., subprocess.Popen[str]],
    plan_four: Callable[[], list[str]],
    settings: Settings,
    launcher: Launcher,
    shelf: Shelf,
) -> None:
    batch_ids = plan_four()
    shelf.delays = {"1-1.jpg": 20}
    other = start_command("materialize", "--batch", batch_ids[1], until=lambda: shelf.hits["1-1.jpg"])
    rows = batch_results(settings.open_lake(), launcher.materialize(batch_ids))
    results = {row["batch_id"]: row["result"] for row in rows}
    assert results == dict.fromkeys(batch_ids, "done") | {batch_ids[1]: "in progress"}
    (left,) = (row for row in rows if row["result"] == "in progress")
    assert left["run_id"][:8] in left["error"]
    assert shelf.hits["1-1.jpg"] == 1
    (replayed,) = launcher.replay({batch_ids[1]: ["1-0.jpg"]})
    assert replayed.is_of_another

    other.kill()
    other.wait()
    shelf.delays = {}
    (result,) = launcher.materialize([batch_ids[1]])
    assert result.success, result.error
    assert not result.is_of_another


NOT_STARTED, STARTED = dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED


@pytest.mark.parametrize("status", [NOT_STARTED, STARTED])
def test_runs_of_the_daemon_count_while_it_reports(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus, plan_four: Callable[[], list[str]]
) -> None:
    batch_ids = plan_four()
    one = create_run_for_test(instance, status=status, tags={"dagster/partition": batch_ids[0]})
    few = create_run_for_test(instance, status=status, tags={RANGE_START: batch_ids[2], RANGE_END: batch_ids[3]})
    create_run_for_test(instance, status=dg.DagsterRunStatus.SUCCESS, tags={"dagster/partition": batch_ids[1]})
    assert batches_in_progress(instance) == {}, "no daemon will ever finish them"
    for age, expected in ((3600, {}), (10, {0: one, 2: few, 3: few})):
        instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - age, "SENSOR", "1"))
        assert batches_in_progress(instance) == {batch_ids[i]: run.run_id for i, run in expected.items()}


def test_a_run_of_another_machine_counts(instance: dg.DagsterInstance, plan_four: Callable[[], list[str]]) -> None:
    first, second = plan_four()[:2]
    elsewhere = Place("other", "machine", "boot", "1")
    theirs, gone = RunProcess(str(uuid.uuid4()), 1, "1", elsewhere), RunProcess(str(uuid.uuid4()), 2**22 + 1, "1")
    states = [(first, theirs), (second, gone)]
    for batch_id, process in states:
        tags = {**process.tags, "dagster/partition": batch_id}
        create_run_for_test(instance, run_id=process.run_id, status=STARTED, tags=tags)
    assert batches_in_progress(instance) == {first: theirs.run_id}
