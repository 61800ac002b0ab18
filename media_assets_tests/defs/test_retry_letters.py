"""Dead letters whose cause may pass are replayed by themselves within a budget; the others wait for a person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from media_assets.defs import retry_letters
from media_assets.defs.cursors import read_cursor
from media_assets.defs.resources import Settings
from media_assets.defs.retry_letters import Memory, retry_dead_letters
from media_assets.defs.runs import Launcher
from media_assets.lake.failure_history import batches_with_retryable_letters, failure_history
from media_assets.tables import ITEM_STATUS
from media_assets_tests.defs.sensor_ticks import Daemon
from media_assets_tests.shelf import Shelf

Plan = Callable[[], list[str]]


@pytest.fixture
def daemon(instance: dg.DagsterInstance, settings: Settings) -> Daemon:
    """Two replays of an item, without a wait."""
    return Daemon(instance, replace(settings, item_retries=2, item_retry_seconds=0), retry_dead_letters)


def fates(settings: Settings, batch_id: str) -> dict[str, tuple[str, int]]:
    """Item → status, and attempts, at the first stage."""
    rows = settings.open_lake().scan(ITEM_STATUS, {"batch_id": [batch_id], "stage": ["raw.media"]}).collect()
    return {row["item_key"]: (row["status"], row["attempts"]) for row in rows.iter_rows(named=True)}


@pytest.mark.slow
def test_what_may_pass_is_replayed_within_its_budget_and_nothing_else_is_touched(
    launcher: Launcher, plan_four: Plan, settings: Settings, shelf: Shelf, daemon: Daemon
) -> None:
    first, second = plan_four()[:2]
    shelf.statuses = {"0-1.jpg": 503, "1-1.jpg": 404}
    launcher.materialize([first, second])
    assert batches_with_retryable_letters(settings.open_lake()) == {first}
    shelf.hits.clear()
    (request,) = daemon.tick()
    assert request.partition_key == first
    assert request.run_config == {"ops": {"read_images": {"config": {"retry_items": {first: ["0-1.jpg"]}}}}}
    for again in (request, *daemon.tick(keep_cursor=False), request):  # repeated ticks
        daemon.run(again)
    assert fates(settings, first) == {"0-0.jpg": ("accepted", 1), "0-1.jpg": ("failed", 2), "0-2.jpg": ("accepted", 1)}
    assert len(daemon.tick_and_run()) == 1
    assert fates(settings, first)["0-1.jpg"] == ("failed", 3)
    assert daemon.tick() == [], "the budget is spent"
    daemon.cursor = None
    assert daemon.tick() == []
    assert set(shelf.hits) == {"0-1.jpg"}

    shelf.statuses = {}
    launcher.replay({first: ["0-1.jpg"], second: ["1-1.jpg"]})
    told = {row["item_key"]: row for row in failure_history(settings.open_lake()).to_dicts()}
    assert [failure["error_code"] for failure in told["0-1.jpg"]["failures"]] == ["server_error"] * 3
    assert {key: row["resolution"] for key, row in told.items()} == {"0-1.jpg": "accepted", "1-1.jpg": "accepted"}
    by = {failure["run_id"] for failure in told["0-1.jpg"]["failures"]} | {told["0-1.jpg"]["resolved_by"]}
    assert len(by) == 4
    assert daemon.tick() == []


def test_letters_that_a_person_accepted_are_replayed_and_stay_letters(
    launcher: Launcher, plan_four: Plan, settings: Settings, shelf: Shelf, daemon: Daemon, instance: dg.DagsterInstance
) -> None:
    first = plan_four()[0]
    shelf.statuses = {f"0-{i}.jpg": 503 for i in range(3)}
    assert launcher.materialize([first], accept_failures=True)[0].success
    for n_attempts in (2, 3):
        (run_id,) = daemon.tick_and_run()
        assert instance.get_run_by_id(run_id).status is dg.DagsterRunStatus.SUCCESS  # type: ignore[union-attr]
        assert set(fates(settings, first).values()) == {("failed", n_attempts)}
    assert daemon.tick() == [], "the budget is spent"


def test_a_replay_that_was_canceled_is_asked_for_again(
    launcher: Launcher, plan_four: Plan, shelf: Shelf, daemon: Daemon, instance: dg.DagsterInstance
) -> None:
    first = plan_four()[0]
    shelf.statuses = {"0-1.jpg": 503}
    launcher.materialize([first])
    (request,) = daemon.tick()
    keys = {str(request.run_key)}
    for _ in range(4):
        tags = {"dagster/run_key": str(request.run_key), "dagster/partition": first}
        create_run_for_test(instance, tags=tags, status=dg.DagsterRunStatus.CANCELED)
        daemon.cursor = None  # a minute later
        (request,) = daemon.tick()
        keys.add(str(request.run_key))
    assert len(keys) == 5
    create_run_for_test(instance, tags={"dagster/run_key": str(request.run_key)}, status=dg.DagsterRunStatus.CANCELED)
    daemon.cursor = None
    assert daemon.tick() == [], "whoever cancels them all is heard"


def test_letters_wait_longer_and_longer_and_ticks_in_between_read_nothing(
    launcher: Launcher,
    plan_four: Plan,
    settings: Settings,
    instance: dg.DagsterInstance,
    shelf: Shelf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = plan_four()[0]
    shelf.statuses = {"0-1.jpg": 503}
    launcher.materialize([first])
    daemon = Daemon(instance, settings, retry_dead_letters)
    assert daemon.tick() == []
    wait = datetime.fromtimestamp(read_cursor(daemon.cursor, Memory).due, UTC) - datetime.now(UTC)
    assert timedelta(minutes=59) < wait <= timedelta(hours=1)
    launcher.replay({first: ["0-1.jpg"]})
    daemon.tick()
    wait = datetime.fromtimestamp(read_cursor(daemon.cursor, Memory).due, UTC) - datetime.now(UTC)
    assert timedelta(hours=3, minutes=59) < wait <= timedelta(hours=4)

    monkeypatch.setattr(retry_letters, "waiting_letters", lambda lake, budget: pytest.fail("nothing is due"))
    assert daemon.tick() == []


def test_a_batch_that_somebody_is_at_work_on_is_waited_for(
    launcher: Launcher, plan_four: Plan, shelf: Shelf, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = plan_four()[0]
    shelf.statuses = {"0-1.jpg": 503}
    launcher.materialize([first])
    with monkeypatch.context() as patch:
        patch.setattr(retry_letters, "batches_in_progress", lambda instance: {first: "a run"})
        assert daemon.tick() == []
    due = read_cursor(daemon.cursor, Memory).due
    assert due < datetime.now(UTC).timestamp() + 61, "it is looked at again soon"
    monkeypatch.setattr(retry_letters, "_SOON_SECONDS", 0.0)
    daemon.cursor = None
    assert len(daemon.tick()) == 1


def test_batches_that_somebody_is_at_work_on_hold_up_no_other(
    launcher: Launcher, plan_four: Plan, shelf: Shelf, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_ids = plan_four()
    shelf.statuses = {f"{number}-1.jpg": 503 for number in range(4)}
    launcher.materialize(batch_ids)
    monkeypatch.setattr(retry_letters, "batches_in_progress", lambda instance: dict.fromkeys(batch_ids[:3], "a run"))
    assert [request.partition_key for request in daemon.tick()] == batch_ids[3:]


def test_a_replay_that_failed_as_a_whole_is_not_asked_for_again_and_holds_up_nobody(
    launcher: Launcher,
    plan_four: Plan,
    instance: dg.DagsterInstance,
    shelf: Shelf,
    daemon: Daemon,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retry_letters, "_MOST_REQUESTED", 1)
    monkeypatch.setattr(retry_letters, "_SOON_SECONDS", 0.0)
    first, second = plan_four()[:2]
    shelf.statuses = {"0-1.jpg": 503, "1-1.jpg": 503}
    launcher.materialize([first, second])
    (request,) = daemon.tick()
    tags = {"dagster/run_key": str(request.run_key), "dagster/partition": str(request.partition_key)}
    instance.add_run(dg.DagsterRun("job", status=dg.DagsterRunStatus.FAILURE, tags=tags))
    (other,) = daemon.tick()
    assert {request.partition_key, other.partition_key} == {first, second}


def test_nothing_is_replayed_where_the_budget_is_none(
    launcher: Launcher, plan_four: Plan, settings: Settings, instance: dg.DagsterInstance, shelf: Shelf
) -> None:
    first = plan_four()[0]
    shelf.statuses = {"0-1.jpg": 503}
    launcher.materialize([first])
    assert Daemon(instance, replace(settings, item_retries=0, item_retry_seconds=0), retry_dead_letters).tick() == []
