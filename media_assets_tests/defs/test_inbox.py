"""The inbox sensor: ticks register batches and ask for one run each, however often and whoever ticks."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from media_assets.defs import inbox as inbox_module
from media_assets.defs.cursors import read_cursor
from media_assets.defs.graph import build_defs
from media_assets.defs.inbox import inbox
from media_assets.defs.resources import Settings, WorkbenchResource
from media_assets.ingest.inbox.closing import InboxMemory
from media_assets.lake.crash_points import watch_crash_points
from media_assets.stages.done import done_batches
from media_assets.stages.stage import IMAGE_STAGES
from media_assets.tables import ITEM_STATUS, MANIFEST
from media_assets_tests.media.pictures import make_jpeg

Tick = Callable[..., dg.SensorResult | dg.SkipReason]


@pytest.fixture
def watched(settings: Settings, tmp_path: Path) -> Settings:
    """Two items close a batch, or one at once."""
    return replace(
        settings, inbox=str(tmp_path / "inbox"), inbox_batch_size=2, inbox_wait_seconds=0, inbox_settle_seconds=0
    )


@pytest.fixture
def tick(instance: dg.DagsterInstance, watched: Settings) -> Tick:
    def once(cursor: str | None = None) -> dg.SensorResult | dg.SkipReason:
        context = dg.build_sensor_context(instance=instance, cursor=cursor, definitions=build_defs(watched))
        return inbox(context, workbench=WorkbenchResource.of(watched))  # type: ignore[no-any-return]

    return once


def drop(settings: Settings, *names: str) -> None:
    folder = Path(settings.inbox)
    folder.mkdir(exist_ok=True)
    for i, name in enumerate(names):
        (folder / name).write_bytes(make_jpeg(i, (96, 64)))


def asked_for(result: dg.SensorResult | dg.SkipReason) -> list[tuple[str | None, str | None]]:
    runs = result.run_requests or [] if isinstance(result, dg.SensorResult) else []
    return [(run.run_key, run.partition_key) for run in runs]


def test_what_lands_becomes_batches_with_a_run_each(
    watched: Settings, instance: dg.DagsterInstance, tick: Tick
) -> None:
    drop(watched, "a.jpg", "b.jpg", "c.jpg")
    result = tick()
    assert asked_for(result) == [("uploads.0001", "uploads.0001"), ("uploads.0002", "uploads.0002")]
    assert instance.get_dynamic_partitions("batches") == ["uploads.0001", "uploads.0002"]


def test_a_repeated_tick_asks_for_the_same_runs_by_the_same_keys_until_they_are_done(
    watched: Settings, instance: dg.DagsterInstance, tick: Tick
) -> None:
    drop(watched, "a.jpg", "b.jpg")
    first = asked_for(tick())
    assert asked_for(tick()) == first == [("uploads.0001", "uploads.0001")]
    build_defs(watched).resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance,
        partition_key="uploads.0001",
        asset_selection=[dg.AssetKey(s.contract.key) for s in IMAGE_STAGES],
    )
    assert done_batches(watched.open_lake(), IMAGE_STAGES) == {"uploads.0001"}
    statuses = watched.open_lake().scan(ITEM_STATUS, {"stage": ["tensors.images"]}).collect()
    assert set(statuses["status"]) == {"accepted"}
    assert isinstance(tick(), dg.SkipReason)


def test_batches_whose_run_failed_do_not_stand_before_new_ones(
    watched: Settings, instance: dg.DagsterInstance, tick: Tick, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "_MAX_RUNS_PER_TICK", 1)
    drop(watched, "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    assert asked_for(tick()) == [("uploads.0001", "uploads.0001")]
    failed = dg.DagsterRun("job", status=dg.DagsterRunStatus.FAILURE, tags={"dagster/run_key": "uploads.0001"})
    instance.add_run(failed)
    assert asked_for(tick()) == [("uploads.0002", "uploads.0002")]


POINTS = (
    "created ingest/manifest",
    "before ingest/manifest",
    "after ingest/manifest",
    "before registration",
    "before partition",
    "after partition",
    "before inbox cursor",
)


@pytest.mark.parametrize("point", POINTS)
def test_a_tick_that_dies_between_any_two_steps_is_completed_by_the_next(
    watched: Settings, instance: dg.DagsterInstance, tick: Tick, point: str
) -> None:
    def die(reached: str) -> None:
        if reached == point:
            raise KeyboardInterrupt

    drop(watched, "a.jpg", "b.jpg", "c.jpg")
    watch_crash_points(die)
    try:
        with pytest.raises(KeyboardInterrupt):
            tick()
    finally:
        watch_crash_points()
    assert asked_for(tick()) == [("uploads.0001", "uploads.0001"), ("uploads.0002", "uploads.0002")]
    keys = watched.open_lake().scan(MANIFEST).collect()["item_key"]
    assert sorted(key.partition("@")[0] for key in keys) == ["a.jpg", "b.jpg", "c.jpg"]
    assert instance.get_dynamic_partitions("batches") == ["uploads.0001", "uploads.0002"]


def test_nothing_is_asked_of_a_project_without_an_inbox(settings: Settings, instance: dg.DagsterInstance) -> None:
    context = dg.build_sensor_context(instance=instance, definitions=build_defs(settings))
    result = inbox(context, workbench=WorkbenchResource.of(settings))
    assert isinstance(result, dg.SkipReason)
    assert "MEDIA_ASSETS_INBOX" in str(result.skip_message)


def test_links_pipes_and_giants_are_refused_with_their_own_code(
    watched: Settings, instance: dg.DagsterInstance, tick: Tick, tmp_path: Path
) -> None:
    drop(watched, "a.jpg")
    folder = Path(watched.inbox)
    (tmp_path / "secret.jpg").write_bytes(make_jpeg(9))
    (folder / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    os.mkfifo(folder / "pipe.jpg")
    with (folder / "giant.jpg").open("wb") as file:
        file.truncate(1 << 40)
    batches = [key for key, _ in asked_for(tick())]
    job = build_defs(watched).resolve_implicit_global_asset_job_def()
    for batch_id in batches:
        assert job.execute_in_process(
            instance=instance,
            partition_key=batch_id,
            asset_selection=[dg.AssetKey(s.contract.key) for s in IMAGE_STAGES],
        ).success
    rows = watched.open_lake().scan(ITEM_STATUS, {"stage": ["raw.media"]}).collect()
    told = {row["item_key"].partition("@")[0]: row["error_code"] for row in rows.iter_rows(named=True)}
    assert told == {
        "a.jpg": None,
        "giant.jpg": "too_many_bytes",
        "link.jpg": "symlink_refused",
        "pipe.jpg": "not_a_regular_file",
    }


def test_ten_thousand_files_are_taken_in_by_one_tick_in_time(watched: Settings, instance: dg.DagsterInstance) -> None:
    folder = Path(watched.inbox)
    folder.mkdir()
    for i in range(10_000):
        (folder / f"{i:05d}.jpg").touch()
    many = replace(watched, inbox_batch_size=1000)
    context = dg.build_sensor_context(instance=instance, definitions=build_defs(many))
    started = time.monotonic()
    result = inbox(context, workbench=WorkbenchResource.of(many))
    assert len(asked_for(result)) == 10
    assert time.monotonic() - started < 60, "a sensor is given 60 seconds"


@pytest.mark.parametrize("cursor", [None, "", "not json", "[]", '{"waiting_since": "soon"}'])
def test_a_cursor_that_cannot_be_read_remembers_nothing(cursor: str | None) -> None:
    assert read_cursor(cursor, InboxMemory) == InboxMemory()
