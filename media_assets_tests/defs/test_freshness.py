"""Freshness: a source that goes quiet turns red without a run and green again; a backfill of old batches does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.definitions.freshness import FreshnessState
from dagster._core.definitions.freshness_evaluator import TimeWindowFreshnessPolicyEvaluator
from dagster._core.loader import LoadingContextForTest

from media_assets.defs import freshness
from media_assets.defs.alerts import alerts
from media_assets.defs.freshness import HEARTBEAT_SECONDS, source_freshness
from media_assets.defs.graph import build_defs
from media_assets.defs.partitions import MANIFEST_KEY, PartitionRegistry
from media_assets.defs.resources import Settings, WorkbenchResource
from media_assets.errors import SetupError
from media_assets_tests.ops.alerts.webhook import Webhook
from media_assets_tests.stages.batches import write_manifest

Tick = Callable[[float], dict[str, dg.AssetCheckEvaluation]]
HOUR = 3600.0
EXPECTED = '{"uploads": "1h", "open-images": "30d"}'


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, expected_sources=EXPECTED)


@pytest.fixture
def tick(settings: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Tick:
    """One tick of the sensor so many seconds after the epoch of this test: what it told, by check."""
    cursor: list[str | None] = [None]

    def once(at: float) -> dict[str, dg.AssetCheckEvaluation]:
        monkeypatch.setattr("media_assets.defs.freshness.time.time", lambda: NOW.timestamp() + at)
        context = dg.build_sensor_context(instance=instance, cursor=cursor[0])
        result = source_freshness(context, workbench=WorkbenchResource.of(settings))
        if isinstance(result, dg.SkipReason):
            cursor[0] = context.cursor
            return {}
        cursor[0] = result.cursor
        for event in result.asset_events:
            instance.report_runless_asset_event(event)
        return {event.check_name: event for event in result.asset_events}

    return once


NOW = datetime(2026, 11, 1, tzinfo=UTC)


def bring(settings: Settings, batch_id: str, source: str, at: float) -> None:
    """A batch that was planned so many seconds after NOW."""
    item = {"item_key": "1.jpg", "uri": "file:///1.jpg", "source": source}
    write_manifest(settings.open_lake(), [item | {"planned_at": NOW + timedelta(seconds=at)}], batch_id)


def test_a_source_turns_red_when_it_goes_quiet_and_green_when_it_is_back(
    settings: Settings, instance: dg.DagsterInstance, tick: Tick
) -> None:
    bring(settings, "uploads.0001", "uploads", 0)
    bring(settings, "open-images.validation.0001", "open-images", 0)
    first = tick(60)
    assert {name: event.passed for name, event in first.items()} == {
        "uploads_is_fresh": True,
        "open_images_is_fresh": True,
    }
    assert tick(HOUR) == {}, "nothing has changed"
    (red,) = tick(HOUR + 1).values()
    assert (red.check_name, red.passed, red.severity) == ("uploads_is_fresh", False, dg.AssetCheckSeverity.ERROR)
    assert "uploads.0001" in str(red.description)
    assert latest(instance, "uploads_is_fresh") is False
    assert tick(HOUR + 60) == {}
    bring(settings, "uploads.0002", "uploads", HOUR + 70)
    (green,) = tick(HOUR + 90).values()
    assert (green.check_name, green.passed) == ("uploads_is_fresh", True)
    assert green.metadata["latest_batch"].value == "uploads.0002"
    assert latest(instance, "uploads_is_fresh") is True


def test_somebody_is_told_of_a_source_that_goes_quiet_and_of_its_return(
    settings: Settings, instance: dg.DagsterInstance, tick: Tick, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Webhook() as webhook:
        monkeypatch.setenv("MEDIA_ASSETS_ALERT_URLS", webhook.url)
        told = replace(settings, alert_urls=webhook.url)

        def look() -> None:
            alerts(dg.build_sensor_context(instance=instance), workbench=WorkbenchResource.of(told))

        bring(settings, "uploads.0001", "uploads", 0)
        bring(settings, "open-images.validation.0001", "open-images", 0)
        tick(60)
        look()
        assert webhook.seen == []
        tick(HOUR + 1)
        look()
        (quiet,) = webhook.seen
        assert "check uploads_is_fresh of ingest/manifest failed" in quiet["title"]
        assert "uploads.0001" in quiet["message"]
        bring(settings, "uploads.0002", "uploads", HOUR + 70)
        tick(HOUR + 90)
        look()
        back = webhook.seen[-1]
        assert "OK again" in back["title"]
        assert "check uploads_is_fresh of ingest/manifest" in back["title"]


def latest(instance: dg.DagsterInstance, name: str) -> bool:
    """What the instance, and so the UI, says of a check."""
    key = dg.AssetCheckKey(MANIFEST_KEY, name)
    (record,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    return record.status.value == "SUCCEEDED"


def test_a_backfill_of_old_batches_makes_dagsters_policy_green_and_no_source(
    settings: Settings, instance: dg.DagsterInstance, tick: Tick
) -> None:
    """The trap: an asset's policy looks at the latest materialization, of whichever partition."""
    week_ago = -7 * 24 * HOUR
    bring(settings, "uploads.0001", "uploads", week_ago)
    assert tick(0)["uploads_is_fresh"].passed is False
    assert dagsters_verdict(settings, instance) == FreshnessState.UNKNOWN
    PartitionRegistry(instance).register("uploads.0001", 1, {})  # the old batch, told again now
    assert dagsters_verdict(settings, instance) == FreshnessState.PASS
    assert tick(60) == {}
    assert latest(instance, "uploads_is_fresh") is False


def dagsters_verdict(settings: Settings, instance: dg.DagsterInstance) -> FreshnessState:
    node = build_defs(settings).resolve_asset_graph().get(MANIFEST_KEY)
    evaluator = TimeWindowFreshnessPolicyEvaluator()
    return asyncio.run(evaluator.evaluate_freshness(LoadingContextForTest(instance), node))


def test_an_update_of_an_old_list_is_no_arrival(settings: Settings, tick: Tick) -> None:
    bring(settings, "uploads.0001", "uploads", -2 * HOUR)
    assert tick(0)["uploads_is_fresh"].passed is False
    bring(settings, "uploads.0001", "uploads", -2 * HOUR)  # its rows replaced, planned when they were
    assert tick(60) == {}


def test_the_event_log_does_not_grow_by_ticks(settings: Settings, tick: Tick) -> None:
    bring(settings, "uploads.0001", "uploads", -9 * HOUR)
    told = [len(tick(30.0 * number)) for number in range(20)]
    assert told == [2] + [0] * 19
    assert len(tick(HEARTBEAT_SECONDS + 1)) == 2, "a sign of life"
    assert tick(HEARTBEAT_SECONDS + 60) == {}


def test_a_cursor_that_cannot_be_read_tells_everything_once_more(settings: Settings) -> None:
    for cursor in ("not json", "[]", '{"uploads": 1}'):
        result = source_freshness(dg.build_sensor_context(cursor=cursor), workbench=WorkbenchResource.of(settings))
        assert isinstance(result, dg.SensorResult)
        assert len(result.asset_events) == 2


def test_nothing_is_watched_that_is_not_expected(settings: Settings) -> None:
    plain = replace(settings, expected_sources="", inbox="")
    result = source_freshness(dg.build_sensor_context(), workbench=WorkbenchResource.of(plain))
    assert isinstance(result, dg.SkipReason)
    specs = build_defs(plain).resolve_all_asset_specs()
    assert {spec.freshness_policy for spec in specs} == {None}
    assert freshness.source_checks(plain) == []


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [({}, HOUR), ({"expected_sources": '{"uploads": "20s"}'}, 60), ({"expected_sources": "", "inbox": "/in"}, 86_400)],
)
def test_live_assets_have_a_policy_and_others_have_none(
    settings: Settings, changes: dict[str, str], seconds: int
) -> None:
    policies = {
        spec.key: spec.freshness_policy for spec in build_defs(replace(settings, **changes)).resolve_all_asset_specs()
    }
    assert {key for key, policy in policies.items() if policy is not None} == set(freshness.LIVE)
    window = policies[MANIFEST_KEY]
    assert window is not None
    assert window.fail_window.to_timedelta() == timedelta(seconds=seconds)


def test_a_person_can_execute_a_check_now(settings: Settings, instance: dg.DagsterInstance) -> None:
    item = {"item_key": "1.jpg", "uri": "file:///1.jpg", "source": "uploads", "planned_at": datetime.now(UTC)}
    write_manifest(settings.open_lake(), [item], "uploads.0001")
    key = dg.AssetCheckKey(MANIFEST_KEY, "uploads_is_fresh")
    job = build_defs(settings).resolve_implicit_global_asset_job_def()
    subset = job.get_subset(asset_selection=set(), asset_check_selection={key})
    assert subset.execute_in_process(instance=instance).success
    assert latest(instance, "uploads_is_fresh") is True


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"uploads": 60}', '{"uploads": "soon"}', '{"a-b": "1h", "a_b": "1h"}', '{"": "1h"}']
)
def test_expectations_that_cannot_be_read_are_refused_by_name(text: str) -> None:
    with pytest.raises(SetupError, match="MEDIA_ASSETS_EXPECTED_SOURCES"):
        Settings(expected_sources=text).check()


def test_a_tick_over_many_batches_reads_the_log_alone(settings: Settings, tick: Tick) -> None:
    for number in range(3):
        bring(settings, f"uploads.{number:04d}", "uploads", number)
    for file in (settings.location().path / "ingest" / "manifest").glob("batch_id=*/*.parquet"):
        file.write_bytes(b"")  # rows that nobody reads
    assert tick(60)["uploads_is_fresh"].metadata["latest_batch"].value == "uploads.0002"
