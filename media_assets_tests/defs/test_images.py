"""Runs over one and several batches: what is recorded, what is retried, what a failure costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord

from media_assets.defs import batch_run, images
from media_assets.defs.resources import Settings
from media_assets.defs.runs import Launcher, RunResult, batch_results
from media_assets.stages import assemble
from media_assets.stages.report import BatchReport
from media_assets.stages.stage import FRAMES, RAW, TENSORS
from media_assets.stages.workbench import Workbench
from media_assets.tables import ITEM_STATUS, RAW_MEDIA
from media_assets_tests.shelf import Shelf

Plan = Callable[[], list[str]]
RAW_KEY, TENSORS_KEY = dg.AssetKey(["raw", "media"]), dg.AssetKey(["tensors", "images"])


@pytest.fixture(autouse=True)
def retry_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries happen, but nobody waits seconds for them."""
    monkeypatch.setattr("dagster.RetryPolicy.calculate_delay", lambda self, attempt: 0.0)


def materialized(instance: dg.DagsterInstance, key: dg.AssetKey) -> set[str]:
    """Partitions of an asset that Dagster knows as materialized."""
    return set(instance.get_materialized_partitions(key))


def latest(instance: dg.DagsterInstance, key: dg.AssetKey, batch_id: str) -> dict[str, dg.MetadataValue[object]]:
    """Metadata of the latest materialization of a batch."""
    found = instance.fetch_materializations(dg.AssetRecordsFilter(asset_key=key, asset_partitions=[batch_id]), limit=1)
    recorded = found.records[0].asset_materialization
    assert recorded is not None
    return dict(recorded.metadata)


def test_one_batch_a_run_records_counts_and_a_contact_sheet(
    launcher: Launcher, plan_four: Plan, instance: dg.DagsterInstance, shelf: Shelf
) -> None:
    first = plan_four()[0]
    del shelf.files["0-1.jpg"]
    (result,) = launcher.materialize([first])
    assert result.success, result.error
    metadata = latest(instance, RAW_KEY, first)
    assert metadata["accepted"].value == 2
    assert metadata["failed"].value == 1
    assert metadata["failures_by_code"].value == {"not_found": 1}
    assert metadata["dagster/partition_row_count"].value == 2
    assert "](data:image/jpeg;base64," in str(metadata["contact_sheet"].value)
    items = str(metadata["items"].value)
    assert items.endswith("**2** accepted · **1** failed")
    assert len(items) < 1000, "the UI shows longer texts only after a click"
    assert metadata["images_per_s"].value > 0  # type: ignore[operator]
    assert materialized(instance, TENSORS_KEY) == {first}


def test_checks_report_what_was_verified(launcher: Launcher, plan_four: Plan, instance: dg.DagsterInstance) -> None:
    first = plan_four()[0]
    launcher.materialize([first])
    for stage in (RAW, FRAMES, TENSORS):
        for name in ("contract_holds", "reconciles"):
            key = dg.AssetCheckKey(dg.AssetKey(list(stage.contract.key)), name)
            (record,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=5)
            assert record.status.value == "SUCCEEDED", (stage.name, name)


def test_checks_of_a_run_over_several_batches_are_recorded_for_each_batch(
    launcher: Launcher, plan_four: Plan, instance: dg.DagsterInstance, shelf: Shelf
) -> None:
    batch_ids = plan_four()
    shelf.statuses = {f"2-{i}.jpg": 503 for i in range(3)}  # an outage: no check is reached
    del shelf.files["1-0.jpg"]
    launcher.materialize(batch_ids)
    assert statuses_by_batch(instance, "few_items_failed") == {
        "test.0001": "SUCCEEDED",
        "test.0002": "FAILED",
        "test.0003": "PLANNED",
        "test.0004": "SUCCEEDED",
        None: "FAILED",  # the run's own, over all of its batches
    }
    for name in ("contract_holds", "reconciles"):
        got = statuses_by_batch(instance, name)
        assert {batch for batch, status in got.items() if status == "SUCCEEDED"} == set(batch_ids) - {"test.0003"} | {
            None
        }


@pytest.mark.slow
def test_a_lost_file_costs_one_batch_when_four_share_a_run(
    launcher: Launcher, plan_four: Plan, settings: Settings
) -> None:
    batch_ids = plan_four()
    launcher.materialize(batch_ids)
    (lost,) = (settings.location().path / "raw" / "media" / f"batch_id={batch_ids[1]}").glob("*.parquet")
    lost.unlink()
    (result,) = launcher.materialize(batch_ids)
    assert not result.success
    rows = {row["batch_id"]: row for row in batch_results(settings.open_lake(), [result])}
    assert [rows[batch_id]["result"] for batch_id in batch_ids] == ["done", "FAILED", "done", "done"]
    assert lost.name in rows[batch_ids[1]]["error"]


def statuses_by_batch(instance: dg.DagsterInstance, name: str) -> dict[str | None, str]:
    """What became of a check of `raw/media`, by batch."""
    key = dg.AssetCheckKey(RAW_KEY, name)
    records = instance.event_log_storage.get_asset_check_execution_history(key, limit=50)
    return {record.partition: record.status.value for record in reversed(records)}


@pytest.mark.parametrize("n_batches", [1, 2])
def test_the_warning_says_how_many_failed_and_what_to_do(
    launcher: Launcher, plan_four: Plan, instance: dg.DagsterInstance, shelf: Shelf, n_batches: int
) -> None:
    batch_ids = plan_four()[:n_batches]
    del shelf.files["0-0.jpg"]
    launcher.materialize(batch_ids)
    key = dg.AssetCheckKey(RAW_KEY, "few_items_failed")
    records = instance.event_log_storage.get_asset_check_execution_history(key, limit=50)
    (told,) = [_evaluation(record).metadata for record in records if record.partition == "test.0001"]
    assert told["failed_share"].value == 0.3333
    assert (told["failed"].value, told["entered"].value) == (1, 3)
    assert told["failures_by_code"].value == {"not_found": 1}
    assert told["next"].value == "media-assets dead-letters list --batch test.0001"


def _evaluation(record: AssetCheckExecutionRecord) -> dg.AssetCheckEvaluation:
    assert record.event is not None
    event = record.event.dagster_event
    assert event is not None
    return event.asset_check_evaluation_data


def test_a_failed_item_never_fails_a_run_but_is_warned_of(
    launcher: Launcher, plan_four: Plan, instance: dg.DagsterInstance, shelf: Shelf
) -> None:
    first = plan_four()[0]
    shelf.files.clear()  # every item is missing: not an outage
    (result,) = launcher.materialize([first])
    assert result.success, result.error
    key = dg.AssetCheckKey(RAW_KEY, "few_items_failed")
    (record,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=5)
    assert record.status.value == "FAILED"


@pytest.mark.slow
def test_one_outage_costs_one_batch_when_four_share_a_run(
    launcher: Launcher, plan_four: Plan, instance: dg.DagsterInstance, shelf: Shelf, settings: Settings
) -> None:
    batch_ids = plan_four()
    shelf.statuses = {f"2-{i}.jpg": 503 for i in range(3)}
    (result,) = launcher.materialize(batch_ids)
    assert not result.success
    assert "1 of 4 batches failed" in (result.error or "")
    assert "test.0003" in (result.error or "")
    done = set(batch_ids) - {"test.0003"}
    assert materialized(instance, RAW_KEY) == done
    assert materialized(instance, TENSORS_KEY) == done
    assert all("contact_sheet" in latest(instance, RAW_KEY, batch_id) for batch_id in done)
    # Dagster tried the step again; the batches that were done were not touched by that.
    assert {shelf.hits[f"{batch}-{i}.jpg"] for batch in (0, 1, 3) for i in range(3)} == {1}
    statuses = settings.open_lake().scan(ITEM_STATUS).select("batch_id", "attempts").unique().collect()
    assert set(statuses.iter_rows()) == {(batch_id, 1) for batch_id in done}

    shelf.statuses = {}
    (result,) = launcher.materialize(["test.0003"])
    assert result.success, result.error
    assert materialized(instance, RAW_KEY) == set(batch_ids)


def test_the_retry_finishes_the_run_when_an_outage_passes(
    launcher: Launcher, plan_four: Plan, instance: dg.DagsterInstance, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_ids = plan_four()
    shelf.statuses = {f"2-{i}.jpg": 503 for i in range(3)}
    sound = batch_run.BatchRun.read
    tried: list[str] = []

    def read(self: batch_run.BatchRun, batch_id: str, later: Sequence[str]) -> None:
        tried.append(batch_id)
        if len(tried) > len(batch_ids):
            shelf.statuses = {}  # the source is back when the step is tried again
        sound(self, batch_id, later)

    monkeypatch.setattr(batch_run.BatchRun, "read", read)
    (result,) = launcher.materialize(batch_ids)
    assert result.success, result.error
    assert tried == batch_ids * 2
    assert materialized(instance, TENSORS_KEY) == set(batch_ids)
    assert {shelf.hits[f"{batch}-{i}.jpg"] for batch in (0, 1, 3) for i in range(3)} == {1}
    for batch_id in batch_ids:  # the end of the run does not overwrite what was recorded when the batch was done
        assert latest(instance, RAW_KEY, batch_id)["accepted"].value == 3, batch_id


def test_each_failed_batch_tells_its_own_error(
    launcher: Launcher, plan_four: Plan, shelf: Shelf, settings: Settings
) -> None:
    batch_ids = plan_four()
    shelf.statuses = {f"{batch}-{i}.jpg": 503 for batch in (1, 2) for i in range(3)}
    results = launcher.materialize(batch_ids)
    rows = {row["batch_id"]: row["error"] for row in batch_results(settings.open_lake(), results)}
    assert (rows["test.0001"], rows["test.0004"]) == ("", "")
    assert "test.0002" in rows["test.0002"]
    assert "test.0003" not in rows["test.0002"]
    assert "test.0002" not in rows["test.0003"]


def test_batches_behind_the_one_that_ended_the_run_say_so(
    launcher: Launcher, plan_four: Plan, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = images.read_batch

    def read(bench: Workbench, batch_id: str, *arguments: Any) -> BatchReport:
        if batch_id == "test.0002":
            raise RuntimeError("a bug")
        return sound(bench, batch_id, *arguments)

    monkeypatch.setattr(images, "read_batch", read)
    results = launcher.materialize(plan_four())
    rows = {row["batch_id"]: (row["result"], row["error"]) for row in batch_results(settings.open_lake(), results)}
    assert rows == {
        "test.0001": ("done", ""),
        "test.0002": ("FAILED", "a bug"),
        "test.0003": ("FAILED", "not begun: the run ended at test.0002"),
        "test.0004": ("FAILED", "not begun: the run ended at test.0002"),
    }


def n_retries(instance: dg.DagsterInstance, result: RunResult) -> int:
    """How often Dagster tried the step again."""
    events = (entry.dagster_event for entry in instance.all_logs(result.run_id))
    return sum(event is not None and event.is_step_up_for_retry for event in events)


def test_a_mistake_in_the_configuration_is_not_tried_again(
    plan_four: Plan, instance: dg.DagsterInstance, settings: Settings
) -> None:
    first = plan_four()[0]
    (result,) = Launcher(replace(settings, allowed_networks="foo"), instance).materialize([first])
    assert not result.success
    assert "foo" in (result.error or "")
    assert n_retries(instance, result) == 0


def test_a_violating_batch_fails_its_check_and_publishes_nothing(
    launcher: Launcher,
    plan_four: Plan,
    instance: dg.DagsterInstance,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = plan_four()[0]
    sound = assemble.raw_row
    monkeypatch.setattr(assemble, "raw_row", lambda reading: sound(reading) | {"size_bytes": 0})
    (result,) = launcher.materialize([first])
    assert not result.success
    assert "size_bytes" in (result.error or "")
    assert n_retries(instance, result) == 0, "the same code breaks the contract again"
    assert settings.open_lake().scan(RAW_MEDIA).collect().is_empty()
    assert materialized(instance, RAW_KEY) == set()
    key = dg.AssetCheckKey(RAW_KEY, "contract_holds")
    records = instance.event_log_storage.get_asset_check_execution_history(key, limit=9)
    assert {record.status.value for record in records} == {"FAILED"}


def test_only_the_selected_tables_are_made_and_checked(
    launcher: Launcher, plan_four: Plan, instance: dg.DagsterInstance
) -> None:
    first = plan_four()[0]
    (result,) = launcher.materialize([first], [RAW])
    assert result.success, result.error
    assert materialized(instance, RAW_KEY) == {first}
    assert materialized(instance, TENSORS_KEY) == set()
    (result,) = launcher.materialize([first], [FRAMES, TENSORS])
    assert result.success, result.error
    assert materialized(instance, TENSORS_KEY) == {first}


@pytest.mark.slow
def test_a_replay_run_retries_the_named_items_of_each_batch(
    launcher: Launcher, plan_four: Plan, shelf: Shelf, settings: Settings
) -> None:
    batch_ids = plan_four()
    lost = {name: shelf.files.pop(name) for name in ("0-0.jpg", "1-2.jpg")}
    launcher.materialize(batch_ids)
    shelf.files |= lost
    n_hits = shelf.n_hits
    results = launcher.replay({"test.0001": ["0-0.jpg"], "test.0002": ["1-2.jpg"]})
    assert all(result.success for result in results), results
    assert shelf.n_hits == n_hits + 2
    statuses = settings.open_lake().scan(ITEM_STATUS, {"stage": ["raw.media"]}).collect()
    assert set(statuses["status"]) == {"accepted"}


def test_an_unregistered_batch_is_refused_with_what_to_do(launcher: Launcher) -> None:
    from media_assets.errors import SetupError

    with pytest.raises(SetupError, match="plan"):
        launcher.materialize(["nowhere.0001"])
