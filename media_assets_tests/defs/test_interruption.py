"""Ctrl-C while runs are under way: they stop, nothing is tried again, and the next command goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable

import dagster as dg
import pytest
from dagster._utils.interrupts import capture_interrupts

from media_assets.defs.interruption import Interrupted, watched_signals
from media_assets.defs.resources import Settings
from media_assets.defs.runs import Launcher
from media_assets.tables import ITEM_STATUS
from media_assets_tests.shelf import Shelf


def done(settings: Settings) -> set[str]:
    """Batches with statuses."""
    return set(settings.open_lake().partition_values(ITEM_STATUS))


@pytest.mark.slow
def test_ctrl_c_ends_the_command_and_the_next_one_goes_on(
    start_command: Callable[..., subprocess.Popen[str]],
    plan_four: Callable[[], list[str]],
    settings: Settings,
    instance: dg.DagsterInstance,
    launcher: Launcher,
    shelf: Shelf,
) -> None:
    batch_ids = plan_four()
    launcher.materialize([batch_ids[1]])  # so that the others are two runs: the first, and the last two
    shelf.delays = {"0-1.jpg": 20}
    process = start_command("materialize", until=lambda: shelf.hits["0-1.jpg"])
    for _ in range(2):  # the impatient press it again
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    sent = time.monotonic()
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - sent < 15
    assert process.returncode == 130, out + err
    assert out == ""
    assert err.count("\n") == 1, err
    assert "goes on where it stopped" in err

    assert done(settings) == {batch_ids[1]}
    assert [shelf.hits[f"{batch}-0.jpg"] for batch in (2, 3)] == [0, 0], "no other run was begun"
    (run,) = (run for run in instance.get_runs() if run.status != dg.DagsterRunStatus.SUCCESS)
    assert run.status == dg.DagsterRunStatus.CANCELED, "automation would leave a failed batch alone"
    assert not any(
        event.dagster_event.is_step_up_for_retry for event in instance.all_logs(run.run_id) if event.dagster_event
    )

    shelf.delays = {}
    assert all(result.success for result in launcher.materialize([batch_ids[0], *batch_ids[2:]]))
    assert done(settings) == set(batch_ids)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_dagster_only_notes_is_not_lost(number: signal.Signals) -> None:
    handlers = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        with pytest.raises(Interrupted) as raised, watched_signals(), capture_interrupts():
            os.kill(os.getpid(), number)
        assert raised.value.signal_number == number
        with watched_signals(), capture_interrupts():
            pass
    finally:
        for each, handler in handlers.items():
            signal.signal(each, handler)
