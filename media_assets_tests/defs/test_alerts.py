"""The sensor `alerts` on a real instance, lake and webhook: what events and the lake say arrives, as does its end."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from unittest import mock

import dagster as dg
import pytest
from dagster._core.events import StepFailureData
from dagster._core.execution.plan.objects import UserFailureData
from dagster._core.remote_representation.handle import RepositoryHandle
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.test_utils import create_run_for_test
from dagster._utils.error import SerializableErrorInfo

from media_assets.defs import alert_events, resources
from media_assets.defs import alerts as alerts_module
from media_assets.defs.alert_events import EventCursor, read_events
from media_assets.defs.alerts import alerts, remembered, watch
from media_assets.defs.dead_runs import command_line_tags
from media_assets.defs.failed_batches import RETRY_TAG
from media_assets.defs.graph import build_defs
from media_assets.defs.live_runs import PARTITION, RANGE_END, RANGE_START
from media_assets.defs.resources import Settings, WorkbenchResource
from media_assets.defs.runs import Launcher
from media_assets.errors import AlertUndelivered, SetupError
from media_assets.ingest.fetch.limits import FetchLimits
from media_assets.lake.crash_points import watch_crash_points
from media_assets.lake.delta import Lake
from media_assets.ops.alerts.telling import Outcome
from media_assets.ops.alerts.troubles import Kind
from media_assets.stages.stage import IMAGE_STAGES
from media_assets.tables import ITEM_STATUS
from media_assets_tests.lake.lakes import US, plan
from media_assets_tests.ops.alerts.webhook import Webhook
from media_assets_tests.shelf import Shelf
from media_assets_tests.tables.rows import valid

RAW = dg.AssetKey(["raw", "media"])
RUN_ID = str(uuid.uuid4())
TOKEN = "t0ken-in-the-path-9b2e"
STARTED = dg.DagsterRunStatus.STARTED


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Webhook() as server:
        yield server


@pytest.fixture
def told(settings: Settings, webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings with a webhook to tell."""
    monkeypatch.setenv("MEDIA_ASSETS_ALERT_URLS", f"{webhook.url}/{TOKEN}")
    return replace(settings, alert_urls=f"{webhook.url}/{TOKEN}", ui_url="http://ui.example:3000/")


@pytest.fixture
def memory_instance() -> Iterator[dg.DagsterInstance]:
    """An instance in memory, which is quicker."""
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


@dataclass
class SensorTicks:
    """A running sensor's past, as the daemon writes it."""

    instance: dg.DagsterInstance
    name: str

    def __post_init__(self) -> None:
        repository = RepositoryHandle.for_test(location_name="media_assets", repository_name="__repository__")
        origin = repository.get_remote_origin().get_instigator_origin(self.name)
        self.state = InstigatorState(
            origin, InstigatorType.SENSOR, InstigatorStatus.DECLARED_IN_CODE, SensorInstigatorData()
        )
        self.instance.add_instigator_state(self.state)

    def tick(self, status: TickStatus) -> None:
        """One more tick, which ended so."""
        error = SerializableErrorInfo("the inbox cannot be listed", [], None)
        data = TickData(
            self.state.instigator_origin_id,
            self.name,
            InstigatorType.SENSOR,
            status,
            time.time(),
            error=error if status is TickStatus.FAILURE else None,
            selector_id=self.state.selector_id,
        )
        self.instance.create_tick(data)


def look(instance: dg.DagsterInstance, settings: Settings, later: float = 0.0) -> list[Outcome]:
    """One look, so many seconds from now."""
    return watch(instance, settings, settings.alert_destinations(), time.time() + later)


def evaluate(
    instance: dg.DagsterInstance,
    passed: bool,
    batch_id: str | None,
    check: str = "few_items_failed",
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
    run_id: str = RUN_ID,
) -> None:
    """Log what a check said in a run."""
    metadata = {"failed": 7, "entered": 9, "next": f"media-assets dead-letters list --batch {batch_id}"}
    said = dg.AssetCheckEvaluation(RAW, check, passed, metadata=metadata, partition=batch_id, severity=severity)
    kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION.value
    instance.report_dagster_event(dg.DagsterEvent(kind, "job", event_specific_data=said), run_id)


def end_run(instance: dg.DagsterInstance, tags: dict[str, str], failure: str | None = None) -> str:
    """A run that succeeded, or failed."""
    run = create_run_for_test(instance, tags=tags, status=dg.DagsterRunStatus.STARTED)
    if failure is not None:
        instance.report_run_failed(run, failure)
    else:
        event = dg.DagsterEvent(dg.DagsterEventType.PIPELINE_SUCCESS.value, "job")
        instance.report_dagster_event(event, run.run_id)
    return run.run_id


def report(lake: Lake, batch_id: str, n_failed: int, n_items: int, stages: Sequence[str] = ("raw.media",)) -> None:
    """Statuses of a batch of which so many items failed at the first stage, and the others passed all of these."""
    for stage in stages:
        rows = [
            valid(
                ITEM_STATUS,
                batch_id=batch_id,
                stage=stage,
                item_key=str(number),
                status="failed" if number < n_failed else "accepted",
                error_code="not_found" if number < n_failed else None,
                updated_at=datetime.now(UTC),
            )
            for number in range(n_items)
            if stage == stages[0] or number >= n_failed
        ]
        lake.overwrite(ITEM_STATUS, ITEM_STATUS.frame(rows), {"stage": [stage], "batch_id": [batch_id]}, US)


def tick(instance: dg.DagsterInstance, settings: Settings) -> str:
    """The sensor as the daemon evaluates it; what it says."""
    context = dg.build_sensor_context(instance=instance)
    reason = alerts(context, workbench=WorkbenchResource.of(settings))
    assert isinstance(reason, dg.SkipReason)
    return str(reason.skip_message)


def test_a_failed_check_is_told_with_where_and_what_to_do_and_then_its_end(
    instance: dg.DagsterInstance, told: Settings, webhook: Webhook
) -> None:
    assert tick(instance, told) == "Nothing to tell."
    evaluate(instance, False, "photos.0007", severity=dg.AssetCheckSeverity.WARN)
    assert tick(instance, told) == "JSON 1 was told of 1 troubles"
    evaluate(instance, True, "photos.0007")
    assert tick(instance, told) == "JSON 1 was told of 1 troubles"
    assert tick(instance, told) == "Nothing to tell."
    (failed, over) = webhook.seen
    assert failed["title"] == "WARNING: batch photos.0007 failed the check few_items_failed of raw/media"
    assert failed["type"] == "warning"
    for line in (
        "What: entered 9; failed 7",
        "Where: raw/media, photos.0007",
        "What to do: `media-assets dead-letters list --batch photos.0007`",
        "Look: http://ui.example:3000/assets/raw/media?view=checks&checkDetail=few_items_failed",
        f"From the lake {told.lake}",
    ):
        assert line in failed["message"]
    assert over["title"].startswith("OK again: batch photos.0007")
    assert over["type"] == "success"


def test_a_check_that_is_gone_is_over(memory_instance: dg.DagsterInstance, told: Settings, webhook: Webhook) -> None:
    definitions = build_defs(told)

    def tick_of_the_graph() -> None:
        context = dg.build_sensor_context(instance=memory_instance, definitions=definitions)
        alerts(context, workbench=WorkbenchResource.of(told))

    evaluate(memory_instance, False, "photos.0001", check="was_removed")
    evaluate(memory_instance, False, "photos.0001", check="few_items_failed")
    tick(memory_instance, told)
    tick_of_the_graph()
    assert "2 open" in webhook.seen[0]["title"]
    assert webhook.seen[1]["title"] == "OK again: batch photos.0001 failed the check was_removed of raw/media"


def test_many_at_once_are_one_message_and_read_in_bounded_pieces(
    memory_instance: dg.DagsterInstance, told: Settings, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_events, "MOST_EVENTS", 4)
    monkeypatch.setattr(alert_events, "_OVERLAP", 2)
    for number in range(8):
        evaluate(memory_instance, False, f"photos.{number:04d}")
        evaluate(memory_instance, True, f"photos.{number:04d}", check="contract_holds")
    look(memory_instance, told)
    (message,) = webhook.seen
    assert message["title"] == "ERROR: 8 batches of photos failed the check few_items_failed of raw/media"
    assert "photos.0000, photos.0001, photos.0002 and 5 more" in message["message"]
    assert "media-assets dead-letters list --batch 'photos.*'" in message["message"]


def test_a_flood_that_takes_too_long_is_told_of_as_far_as_it_was_read_and_the_rest_later(
    memory_instance: dg.DagsterInstance, told: Settings, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_events, "MOST_EVENTS", 1)
    monkeypatch.setattr(alert_events, "_OVERLAP", 2)
    monkeypatch.setattr(alerts_module, "_READING_SECONDS", 0.0)
    for number in range(5):
        evaluate(memory_instance, False, f"photos.{number:04d}")
    look(memory_instance, told)
    look(memory_instance, told, 1000)
    look(memory_instance, told, 2000)
    assert [message["title"].split()[1] for message in webhook.seen] == ["3", "4", "5"]


def test_no_event_is_passed_over_when_one_type_has_more_of_them_than_another(
    memory_instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_events, "MOST_EVENTS", 1)
    monkeypatch.setattr(alert_events, "_OVERLAP", 1)
    for number in range(5):
        evaluate(memory_instance, False, f"photos.{number:04d}")
    end_run(memory_instance, {}, "gone")
    cursor, read, has_more = EventCursor(), list[str](), True
    while has_more:
        records, has_more = read_events(memory_instance, cursor, time.time())
        read += [record.event_log_entry.dagster_event_type.value for record in records]
    assert read == [dg.DagsterEventType.ASSET_CHECK_EVALUATION.value] * 5 + ["PIPELINE_FAILURE"]


def test_an_event_that_shows_late_below_those_that_were_read_is_taken(instance: dg.DagsterInstance) -> None:
    for number in range(5):
        evaluate(instance, False, f"photos.{number:04d}")
    cursor = EventCursor()
    records, _ = read_events(instance, cursor, time.time())
    ids = [record.storage_id for record in records]
    assert len(ids) == 5
    assert read_events(instance, cursor, time.time()) == ([], False)
    cursor.seen.remove(ids[2])
    assert [record.storage_id for record in read_events(instance, cursor, time.time())[0]] == [ids[2]]


def test_the_first_look_goes_back_a_day(memory_instance: dg.DagsterInstance) -> None:
    evaluate(memory_instance, False, "photos.0001")
    assert read_events(memory_instance, EventCursor(), time.time() + 25 * 3600)[0] == []
    assert len(read_events(memory_instance, EventCursor(), time.time() + 23 * 3600)[0]) == 1


def test_a_failed_run_is_told_with_its_cause_until_one_succeeds(
    instance: dg.DagsterInstance,
    settings: Settings,
    told: Settings,
    webhook: Webhook,
    shelf: Shelf,
    plan_four: Callable[[], list[str]],
) -> None:
    (first, *_) = plan_four()
    patient = replace(told, alert_stuck_minutes=525_600)
    shelf.is_down = True
    with (
        mock.patch("dagster.RetryPolicy.calculate_delay", return_value=0.0),
        mock.patch.object(resources, "FetchLimits", partial(FetchLimits, max_attempts=1)),
    ):
        Launcher(settings, instance).materialize([first])
    tick(instance, patient)
    (failed,) = webhook.seen
    assert failed["title"] == f"WARNING: batch {first}: run failed"
    assert "What: 1 of 1 batches failed" not in failed["message"], "the batch's own words"
    assert "503" in failed["message"]
    assert f"`media-assets materialize --batch {first}`" in failed["message"]
    assert "Look: http://ui.example:3000/runs/" in failed["message"]
    end_run(instance, {PARTITION: first})
    tick(instance, patient)
    assert webhook.seen[-1]["title"] == f"OK again: batch {first}: run failed"


def test_a_run_over_a_range_tells_of_each_batch_and_shows_no_secret(
    memory_instance: dg.DagsterInstance, told: Settings, webhook: Webhook
) -> None:
    instance = memory_instance
    instance.add_dynamic_partitions("batches", ["a.0001", "a.0002", "a.0003"])
    tags = {RANGE_START: "a.0001", RANGE_END: "a.0003"}
    run_id = end_run(instance, tags, "killed, at http://user:pass@host/x?sig=abc by @everyone")
    evaluate(instance, False, "a.0002", check="contract_holds", run_id=run_id)
    evaluate(instance, False, None, check="contract_holds", run_id=run_id)  # of the range as a whole
    tick(instance, told)
    (message,) = webhook.seen
    assert message["title"].startswith("Media Assets: 2 open; first: batch a.0002 failed the check contract_holds")
    assert "3 batches of a: run failed" in message["message"]
    assert "http://…@host/x?…" in message["message"]
    assert "@everyone" not in message["message"]
    end_run(instance, tags)
    evaluate(instance, True, "a.0002", check="contract_holds", run_id=run_id)
    tick(instance, told)
    assert webhook.seen[-1]["title"].startswith("Media Assets: 2 OK again")
    assert "[OK again] 3 batches of a: run failed" in webhook.seen[-1]["message"]


def test_a_check_of_no_batch_and_a_run_of_no_batch_are_told(
    memory_instance: dg.DagsterInstance, told: Settings, webhook: Webhook
) -> None:
    evaluate(memory_instance, False, None, check="sources_are_fresh")
    end_run(memory_instance, {}, "no space left")
    tick(memory_instance, told)
    (message,) = webhook.seen
    assert "[error] check sources_are_fresh of raw/media failed." in message["message"]
    assert "[warning] run of " in message["message"]
    assert "What: no space left" in message["message"]


def test_a_run_over_batches_is_told_by_batch_however_many_runs_came_after_it(
    memory_instance: dg.DagsterInstance, told: Settings, webhook: Webhook
) -> None:
    """Dagster evaluates a check of each batch, and once more the check of the whole run."""
    instance = memory_instance
    instance.add_dynamic_partitions("batches", ["a.0001", "a.0002"])
    runs = []
    for _ in range(3):
        run = create_run_for_test(instance, tags={RANGE_START: "a.0001", RANGE_END: "a.0002"}, status=STARTED)
        for batch_id in ("a.0001", "a.0002", None):
            for check in ("few_items_failed", "failures_are_usual"):
                evaluate(instance, False, batch_id, check=check, run_id=run.run_id)
        runs.append(run)
    for _ in range(120):
        evaluate(instance, True, None)
    tick(instance, told)
    for check in ("few_items_failed", "failures_are_usual"):
        for batch_id in ("a.0001", "a.0002"):
            evaluate(instance, True, batch_id, check=check)
    tick(instance, told)
    assert {group.over_at is None for group in remembered(instance).desk.ledger.groups.values()} <= {False}


def test_a_check_that_says_the_same_again_is_no_news(
    memory_instance: dg.DagsterInstance, told: Settings, webhook: Webhook
) -> None:
    """That of a quiet source is evaluated every six hours; a reminder comes once a day."""
    for hours in (0, 6, 12, 18):
        evaluate(memory_instance, False, None, check="uploads_is_fresh")
        look(memory_instance, told, hours * 3600.0)
    assert len(webhook.seen) == 1
    look(memory_instance, told, 25 * 3600.0)
    assert len(webhook.seen) == 2


def test_of_many_failed_runs_each_tells_of_its_own_batches_only(
    memory_instance: dg.DagsterInstance, told: Settings, webhook: Webhook
) -> None:
    instance = memory_instance
    names = [f"a.{number:04d}" for number in range(140)]
    instance.add_dynamic_partitions("batches", names)
    for number in range(0, 140, 2):
        run = create_run_for_test(
            instance, tags={RANGE_START: names[number], RANGE_END: names[number + 1]}, status=STARTED
        )
        instance.report_dagster_event(step_failure(names[number]), run.run_id)
        instance.report_run_failed(run, "failed")
    tick(instance, told)
    (group,) = [g for g in remembered(instance).desk.ledger.groups.values() if g.kind is Kind.RUN]
    assert set(group.open) == set(names[::2])


def step_failure(batch_id: str) -> dg.DagsterEvent:
    """The step of a run over several batches in which one of them failed."""
    told = UserFailureData("RetryRequested", "1 of 2 batches failed", {batch_id: dg.MetadataValue.text("gone")})
    data = StepFailureData(error=None, user_failure_data=told)
    return dg.DagsterEvent(
        dg.DagsterEventType.STEP_FAILURE.value, "job", step_key="read_images", event_specific_data=data
    )


def test_a_failed_replay_says_how_it_is_made_again(
    memory_instance: dg.DagsterInstance, told: Settings, webhook: Webhook
) -> None:
    memory_instance.add_dynamic_partitions("batches", ["a.0001"])
    run = create_run_for_test(
        memory_instance,
        tags={PARTITION: "a.0001"},
        status=STARTED,
        run_config={"ops": {"read_images": {"config": {"retry_items": {"a.0001": ["1.jpg"]}}}}},
    )
    memory_instance.report_run_failed(run, "gone")
    tick(memory_instance, told)
    (message,) = webhook.seen
    assert "What to do: `media-assets dead-letters replay --batch a.0001`" in message["message"]


def test_a_sensor_that_fails_again_and_again_is_told_until_it_does_not(
    instance: dg.DagsterInstance, told: Settings, webhook: Webhook
) -> None:
    sensor = SensorTicks(instance, "inbox")
    for _ in range(2):
        sensor.tick(TickStatus.FAILURE)
    look(instance, told)
    assert webhook.seen == [], "it may pass"
    sensor.tick(TickStatus.FAILURE)
    look(instance, told, 400)
    (message,) = webhook.seen
    assert message["title"] == "ERROR: the sensor inbox fails"
    assert "What: its last 3 ticks failed: the inbox cannot be listed" in message["message"]
    sensor.tick(TickStatus.SKIPPED)
    look(instance, told, 800)
    assert webhook.seen[-1]["title"] == "OK again: the sensor inbox fails"


def test_a_batch_that_nobody_is_at_work_on_is_stuck_until_it_is_done(
    memory_instance: dg.DagsterInstance, told: Settings, webhook: Webhook
) -> None:
    lake, long_ago = told.open_lake(), datetime.now(UTC) - timedelta(days=1)
    registered = ["a.0001", "a.0002", "a.0003", "a.0004", "b.0001"]
    memory_instance.add_dynamic_partitions("batches", registered)
    for batch_id in registered:
        plan(lake, batch_id, "012", planned_at=datetime.now(UTC) if batch_id == "b.0001" else long_ago)
    stages = [stage.name for stage in IMAGE_STAGES]
    report(lake, "a.0001", 1, 3, stages)
    failed = end_run(memory_instance, {PARTITION: "a.0002"}, "gone")
    run_id = str(uuid.uuid4())
    tags = {PARTITION: "a.0003"} | command_line_tags(run_id)
    create_run_for_test(memory_instance, run_id=run_id, tags=tags, status=STARTED)
    errors = replace(told, alert_urls=f"error={told.alert_urls}")
    look(memory_instance, errors)
    (message,) = webhook.seen
    assert message["title"] == "ERROR: batch a.0004 is stuck", "one is done, one failed just now, one is at work"
    assert "no run of it alone was ever started" in message["message"]
    look(memory_instance, errors, 2 * 3600)
    assert webhook.seen[-1]["title"] == "Media Assets: 2 open; first: 2 batches of a are stuck"
    assert f"What: a.0002: planned {long_ago:%Y-%m-%d %H:%M} UTC, not done" in webhook.seen[-1]["message"]
    assert f"its last run, {failed[:8]}, ended" in webhook.seen[-1]["message"]
    assert "batch b.0001 is stuck" in webhook.seen[-1]["message"]
    for batch_id in ("a.0002", "a.0004", "b.0001"):
        report(lake, batch_id, 0, 3, stages)
    look(memory_instance, errors, 3 * 3600)
    assert webhook.seen[-1]["title"] == "Media Assets: 2 OK again; first: 2 batches of a are stuck"
    assert "[OK again] 2 batches of a are stuck" in webhook.seen[-1]["message"]


def test_a_batch_that_waits_for_its_retry_is_not_stuck(
    memory_instance: dg.DagsterInstance, told: Settings, webhook: Webhook
) -> None:
    lake, long_ago = told.open_lake(), datetime.now(UTC) - timedelta(days=1)
    memory_instance.add_dynamic_partitions("batches", ["a.0001", "b.0001"])
    for batch_id in ("a.0001", "b.0001"):
        plan(lake, batch_id, "012", planned_at=long_ago)
    end_run(memory_instance, {PARTITION: "a.0001", RETRY_TAG: "2"}, "gone")  # the third of three is due after 160 min
    end_run(memory_instance, {PARTITION: "b.0001", RETRY_TAG: "3"}, "gone")
    errors = replace(told, alert_urls=f"error={told.alert_urls}")
    look(memory_instance, errors, 2 * 3600)
    (message,) = webhook.seen
    assert message["title"] == "ERROR: batch b.0001 is stuck"
    look(memory_instance, errors, 4 * 3600)
    assert "batch a.0001 is stuck" in webhook.seen[-1]["title"], "its retry did not come"


def test_too_many_failed_items_of_a_source_are_told_and_few_are_not(
    memory_instance: dg.DagsterInstance, told: Settings, webhook: Webhook
) -> None:
    lake = told.open_lake()
    report(lake, "bad.0001", 9, 20)
    report(lake, "bad.0002", 0, 20)
    report(lake, "good.0001", 4, 20)
    report(lake, "small.0001", 19, 19)
    look(memory_instance, told)
    (message,) = webhook.seen
    assert message["title"] == "ERROR: too many items of bad fail"
    assert "9 of 40 items that were tried in the last 24 h are dead letters (22%)" in message["message"]
    assert "`media-assets dead-letters list --batch 'bad.*'`" in message["message"]
    report(lake, "bad.0001", 8, 20)
    look(memory_instance, told, 100)
    assert len(webhook.seen) == 1, "the lake is looked at every five minutes"
    look(memory_instance, told, 400)
    assert webhook.seen[-1]["title"] == "OK again: too many items of bad fail"


def test_a_lake_that_cannot_be_read_is_told(
    memory_instance: dg.DagsterInstance, told: Settings, webhook: Webhook
) -> None:
    lake = told.open_lake()
    plan(lake, "a.0001", "123", planned_at=datetime.now(UTC) - timedelta(days=1))
    memory_instance.add_dynamic_partitions("batches", ["a.0001"])
    log = next((Path(told.lake) / "ingest" / "manifest" / "_delta_log").glob("*0.json"))
    kept = log.read_bytes()
    log.write_bytes(kept[: len(kept) // 2])
    look(memory_instance, told)
    (message,) = webhook.seen
    assert message["title"] == "ERROR: the lake cannot be read"
    assert "ingest/manifest" in message["message"]
    assert "`media-assets doctor`" in message["message"]
    log.write_bytes(kept)
    look(memory_instance, told, 1000)
    assert "the lake cannot be read" in webhook.seen[-1]["message"]
    assert "a.0001 is stuck" in webhook.seen[-1]["message"]


def test_what_cannot_be_delivered_fails_the_tick_and_is_delivered_later(
    memory_instance: dg.DagsterInstance, told: Settings, webhook: Webhook
) -> None:
    webhook.statuses = [500]
    evaluate(memory_instance, False, "photos.0001")
    with pytest.raises(AlertUndelivered, match="1 troubles wait for JSON 1: it answered 500; it is tried again at"):
        tick(memory_instance, told)
    assert "wait for JSON 1" in tick(memory_instance, told), "it is not asked again at once"
    assert len(webhook.seen) == 1
    evaluate(memory_instance, False, "photos.0002")
    evaluate(memory_instance, True, "photos.0001")
    webhook.statuses = [200]
    look(memory_instance, told, 70)
    (message,) = webhook.taken()
    assert message["title"] == "ERROR: batch photos.0002 failed the check few_items_failed of raw/media"
    assert "it happened 2 times" in message["message"]


def test_a_crash_between_a_delivery_and_its_note_tells_the_same_once_more_and_no_more(
    memory_instance: dg.DagsterInstance, told: Settings, webhook: Webhook
) -> None:
    def die(point: str) -> None:
        if point == "after alerts are sent":
            raise KeyboardInterrupt

    evaluate(memory_instance, False, "photos.0001")
    watch_crash_points(die)
    try:
        with pytest.raises(KeyboardInterrupt):
            tick(memory_instance, told)
    finally:
        watch_crash_points()
    for _ in range(3):
        tick(memory_instance, told)
    assert [message["title"].split(":")[0] for message in webhook.seen] == ["ERROR", "ERROR"]


def test_an_error_of_a_store_is_told_without_its_words_and_hides_no_other_trouble(
    memory_instance: dg.DagsterInstance, told: Settings, webhook: Webhook
) -> None:
    evaluate(memory_instance, False, "photos.0001")
    with mock.patch("media_assets.defs.alert_conditions.failure_rates", side_effect=RuntimeError("key AKIA-secret")):
        tick(memory_instance, told)
    (message,) = webhook.seen
    assert "[error] the lake cannot be read.\nWhat: RuntimeError\n" in message["message"]
    assert "batch photos.0001 failed" in message["message"]
    assert "AKIA" not in str(message)


def test_nobody_to_tell_is_said_and_nothing_is_read(memory_instance: dg.DagsterInstance, settings: Settings) -> None:
    assert "MEDIA_ASSETS_ALERT_URLS names nobody" in tick(memory_instance, settings)
    assert remembered(memory_instance).events.after is None


def test_destinations_come_from_a_file_too_and_a_bad_one_shows_nothing(
    settings: Settings, webhook: Webhook, tmp_path: Path
) -> None:
    (tmp_path / "urls").write_text(f"# ours\nerror={webhook.url}/a\n{webhook.url}/b\n")
    some = replace(settings, alert_urls_file=str(tmp_path / "urls"))
    assert [each.name for each in some.alert_destinations()] == ["JSON 1", "JSON 2"]
    (tmp_path / "urls").write_text(f"slack://{TOKEN}")
    for broken in (some, replace(some, alert_urls_file=str(tmp_path / "none"))):
        with pytest.raises(SetupError) as refused:
            broken.alert_destinations()
        assert TOKEN not in str(refused.value)
    with pytest.raises(SetupError, match="MEDIA_ASSETS_UI_URL"):
        replace(settings, ui_url=f"http://me:{TOKEN}@ui").alert_destinations()


def test_the_token_of_a_destination_is_nowhere(
    instance: dg.DagsterInstance,
    told: Settings,
    webhook: Webhook,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    webhook.statuses = [200, 500, 200]
    evaluate(instance, False, "photos.0001")
    tick(instance, told)
    evaluate(instance, False, "videos.0001")
    with pytest.raises(AlertUndelivered) as failed:
        tick(instance, told)
    assert TOKEN in "".join(webhook.paths), "it was used"
    printed = capfd.readouterr()
    said = str(failed.value) + repr(told) + caplog.text + printed.out + printed.err
    assert TOKEN not in said
    assert TOKEN not in repr(WorkbenchResource.of(told))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".db" for path in files)
    assert [path for path in files if TOKEN.encode() in path.read_bytes()] == []
