"""A batch whose run failed is tried again by itself, later and later, so many times; then it waits for a person."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from media_assets.defs import images, retry_batches, tensors
from media_assets.defs.backoff import Budget
from media_assets.defs.cursors import read_cursor
from media_assets.defs.failed_batches import RETRY_TAG, failed_batches
from media_assets.defs.resources import Settings
from media_assets.defs.retry_batches import Memory, retry_failed_batches
from media_assets.defs.run_process import RunProcess
from media_assets.defs.runs import Launcher
from media_assets.stages import assemble
from media_assets.stages.done import done_batches
from media_assets.stages.report import BatchReport
from media_assets.stages.stage import IMAGE_STAGES
from media_assets.stages.workbench import Workbench
from media_assets_tests.defs.sensor_ticks import Daemon
from media_assets_tests.shelf import Shelf

Plan = Callable[[], list[str]]
FAILURE, SUCCESS = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS


@pytest.fixture(autouse=True)
def retry_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries inside a run happen, but nobody waits seconds for them."""
    monkeypatch.setattr("dagster.RetryPolicy.calculate_delay", lambda self, attempt: 0.0)


@pytest.fixture
def hasty(settings: Settings) -> Settings:
    """Two automated retries, without a wait."""
    return replace(settings, batch_retries=2, batch_retry_seconds=0)


@pytest.fixture
def daemon(instance: dg.DagsterInstance, hasty: Settings) -> Daemon:
    return Daemon(instance, hasty, retry_failed_batches)


def stuck(instance: dg.DagsterInstance) -> dict[str, tuple[int, bool]]:
    """Batches whose last run failed: automated retries so far, and whether one more may help."""
    return {batch.batch_id: (batch.n_retries, batch.may_pass) for batch in failed_batches(instance)}


@pytest.mark.slow
def test_a_failed_batch_is_tried_again_within_its_budget_then_shown_and_run_by_one_command(
    launcher: Launcher, plan_four: Plan, instance: dg.DagsterInstance, shelf: Shelf, daemon: Daemon
) -> None:
    first, second = plan_four()[:2]
    shelf.statuses = {f"0-{i}.jpg": 503 for i in range(3)}
    results = launcher.materialize([first, second])  # one run: an outage of one of its batches
    assert [result.success for result in results] == [False]
    assert stuck(instance) == {first: (0, True)}
    first_try = daemon.tick()
    assert [(run.partition_key, run.tags[RETRY_TAG]) for run in first_try] == [(first, "1")]
    for request in (*first_try, *daemon.tick(keep_cursor=False), *first_try):  # ticks that are repeated
        daemon.run(request)
    assert stuck(instance) == {first: (1, True)}
    daemon.cursor = "lost"
    (last_try,) = daemon.tick_and_run()
    assert instance.get_run_by_id(last_try).tags[RETRY_TAG] == "2"  # type: ignore[union-attr]
    for cursor in (daemon.cursor, None):
        daemon.cursor = cursor
        assert daemon.tick() == [], "the budget is spent"
    assert stuck(instance) == {first: (2, True)}

    shelf.statuses = {}
    (failed,) = failed_batches(instance)
    assert failed.command == f"media-assets materialize --failed --batch {first}"
    assert "Outage" in failed.told or "failed for causes that may pass" in failed.told
    (result,) = launcher.materialize([failed.batch_id])
    assert result.success, result.error
    assert stuck(instance) == {}
    assert daemon.tick() == []
    assert instance.get_runs_count() == 4  # the first, two retries, and the person's


def test_what_a_retry_mends_is_done_and_the_batch_is_no_longer_told(
    launcher: Launcher, plan_four: Plan, instance: dg.DagsterInstance, shelf: Shelf, daemon: Daemon, hasty: Settings
) -> None:
    first = plan_four()[0]
    shelf.is_down = True
    launcher.materialize([first])
    shelf.is_down = False
    (retried,) = daemon.tick_and_run()
    assert instance.get_run_by_id(retried).status is SUCCESS  # type: ignore[union-attr]
    assert done_batches(hasty.open_lake(), IMAGE_STAGES) == {first}
    assert (stuck(instance), daemon.tick()) == ({}, [])


def test_statistics_that_failed_are_measured_again_within_the_budget(
    launcher: Launcher, instance: dg.DagsterInstance, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError("the disk is away")

    monkeypatch.setattr(tensors, "open_table", fails)
    assert not launcher.measure_statistics().success
    for number in (1, 2):
        (request,) = daemon.tick()
        assert (request.tags[RETRY_TAG], request.partition_key) == (str(number), None)
        assert {key.path[-1] for key in request.asset_selection or ()} == {"histograms", "statistics"}
        daemon.run(request)
        assert daemon.run(request) is None, "a repeated tick"
    assert daemon.tick() == [], "the budget is spent"


def test_what_was_left_undone_by_a_run_that_ended_early_is_retried_batch_by_batch(
    launcher: Launcher,
    plan_four: Plan,
    instance: dg.DagsterInstance,
    shelf: Shelf,
    daemon: Daemon,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch_ids = plan_four()
    shelf.statuses = {f"0-{i}.jpg": 503 for i in range(3)}
    sound = images.read_batch

    def read(bench: Workbench, batch_id: str, *arguments: Any) -> BatchReport:
        if batch_id == batch_ids[1]:
            raise RuntimeError("a bug")
        return sound(bench, batch_id, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(images, "read_batch", read)
        launcher.materialize(batch_ids)
    assert stuck(instance) == dict.fromkeys(batch_ids, (0, True))
    assert sorted(str(request.partition_key) for request in daemon.tick()) == batch_ids


def test_a_later_run_of_one_table_does_not_hide_what_failed(
    launcher: Launcher, plan_four: Plan, instance: dg.DagsterInstance, shelf: Shelf
) -> None:
    first = plan_four()[0]
    shelf.is_down = True
    launcher.materialize([first])
    shelf.is_down = False
    (result,) = launcher.materialize([first], stages=IMAGE_STAGES[:1])
    assert result.success, result.error
    assert stuck(instance) == {first: (0, True)}


def test_a_raised_budget_is_meant_for_what_waits_already(
    launcher: Launcher,
    plan_four: Plan,
    instance: dg.DagsterInstance,
    shelf: Shelf,
    hasty: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retry_batches, "_OVERLAP_SECONDS", 0.0)  # as if they had failed long ago
    first, second = plan_four()[:2]
    shelf.is_down = True
    for batch_id in (first, second):
        launcher.materialize([batch_id])
    daemon = Daemon(instance, replace(hasty, batch_retries=0), retry_failed_batches)
    assert daemon.tick() == daemon.tick() == []
    raised = Daemon(instance, hasty, retry_failed_batches, daemon.cursor)
    assert sorted(str(request.partition_key) for request in raised.tick()) == [first, second]


def test_what_needs_a_person_is_left_to_one(
    launcher: Launcher,
    plan_four: Plan,
    instance: dg.DagsterInstance,
    daemon: Daemon,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = plan_four()[:2]
    sound = assemble.raw_row
    monkeypatch.setattr(assemble, "raw_row", lambda reading: sound(reading) | {"size_bytes": 0})
    launcher.materialize([first])
    instance.report_run_failed(_started(instance, second))  # by max_runtime_seconds, say: nobody knows why
    assert stuck(instance) == {first: (0, False), second: (0, True)}
    assert [request.partition_key for request in daemon.tick()] == [second]


def test_a_killed_run_is_failed_and_tried_again_at_once(
    plan_four: Plan, instance: dg.DagsterInstance, settings: Settings
) -> None:
    first, second = plan_four()[:2]
    killed, slow = _started(instance, first, RunProcess(str(uuid.uuid4()), 2**22 + 1, "1")), _started(instance, second)
    daemon = Daemon(instance, settings, retry_failed_batches)  # its first wait is ten minutes
    assert [request.partition_key for request in daemon.tick()] == [first]
    states = {run.run_id: run.status for run in instance.get_runs()}
    assert states == {killed.run_id: FAILURE, slow.run_id: dg.DagsterRunStatus.STARTED}
    instance.report_run_failed(slow)
    assert daemon.tick() == []
    _, due = read_cursor(daemon.cursor, Memory).waiting[second]
    assert timedelta(minutes=9) < datetime.fromtimestamp(due, UTC) - datetime.now(UTC) <= timedelta(minutes=10)


def test_a_retry_is_the_same_run_of_the_failed_batch_alone(
    plan_four: Plan, instance: dg.DagsterInstance, daemon: Daemon
) -> None:
    first, second = plan_four()[:2]
    frames = dg.AssetKey(["frames", "images"])
    config = {"retry_items": {first: ["0-1.jpg"], second: ["1-1.jpg"]}}
    run = dg.DagsterRun(
        "job",
        tags={"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": second},
        run_config={"ops": {"read_images": {"config": config}}, "loggers": {}},
        asset_selection=frozenset([frames]),
    )
    instance.add_run(run)
    instance.report_run_failed(run)
    requests = {request.partition_key: request for request in daemon.tick()}
    assert set(requests) == {first, second}
    assert requests[second].asset_selection == [frames]
    told = {"ops": {"read_images": {"config": {"retry_items": {second: ["1-1.jpg"]}}}}}
    assert requests[second].run_config == told
    assert failed_batches(instance)[0].command.startswith("media-assets dead-letters replay --batch")


@pytest.mark.parametrize("newer", ["canceled", "begun"])
def test_a_batch_that_somebody_has_in_hand_is_left_alone(
    plan_four: Plan, instance: dg.DagsterInstance, daemon: Daemon, newer: str
) -> None:
    first = plan_four()[0]
    instance.report_run_failed(_started(instance, first))
    states = {"canceled": dg.DagsterRunStatus.CANCELED, "begun": dg.DagsterRunStatus.NOT_STARTED}
    instance.add_run(dg.DagsterRun("job", status=states[newer], tags={"dagster/partition": first}))
    assert (daemon.tick(), stuck(instance)) == ([], {})


def test_a_tick_looks_at_what_failed_since_the_last_one_only(
    plan_four: Plan, instance: dg.DagsterInstance, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_ids = plan_four()
    for batch_id in batch_ids[:2]:
        instance.report_run_failed(_started(instance, batch_id))
    assert len(daemon.tick()) == 2
    asked: list[dg.RunsFilter] = []
    get = instance.get_run_records

    def watched(filters: dg.RunsFilter, **more: object) -> object:
        asked.append(filters)
        return get(filters, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(instance, "get_run_records", watched)
    monkeypatch.setattr("media_assets.defs.retry_batches._OVERLAP_SECONDS", 0.0)
    assert daemon.tick() == [], "asked for a moment ago"
    (failures,) = (each for each in asked if each.statuses == [FAILURE])
    assert failures.updated_after is not None
    assert datetime.now(UTC) - failures.updated_after < timedelta(minutes=5)
    instance.report_run_failed(_started(instance, batch_ids[2]))
    assert [request.partition_key for request in daemon.tick()] == [batch_ids[2]]


def test_waits_grow_until_the_budget_is_spent() -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    budget = Budget(3, 600)
    waits = [budget.next_at(noon, n) for n in range(4)]
    assert [at and at - noon for at in waits] == [*(timedelta(minutes=m) for m in (10, 40, 160)), None]


@pytest.mark.parametrize("cursor", [None, "", "not json", "[]", '{"waiting": 3}'])
def test_a_cursor_that_cannot_be_read_remembers_nothing(cursor: str | None) -> None:
    assert read_cursor(cursor, Memory).waiting == {}


def _started(instance: dg.DagsterInstance, batch_id: str, process: RunProcess | None = None) -> dg.DagsterRun:
    """A run of one batch that has begun."""
    run_id = process.run_id if process else str(uuid.uuid4())
    tags = {"dagster/partition": batch_id, **(process.tags if process else {})}
    run = dg.DagsterRun("job", run_id, status=dg.DagsterRunStatus.STARTED, tags=tags)
    instance.add_run(run)
    return run
