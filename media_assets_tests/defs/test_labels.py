"""Labels in the graph: off by default, and where a project is on a batch is queued, shown and settled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from media_assets.curation.label_states import LabelActor, LabelMove
from media_assets.defs import images, labels
from media_assets.defs.descriptions import asset_key
from media_assets.defs.graph import build_defs
from media_assets.defs.resources import Settings
from media_assets.defs.runs import Launcher
from media_assets.errors import ContractBroken
from media_assets.labeling.queue import TaskMove, apply_moves
from media_assets.lake.delta import Lake
from media_assets.stages.stage import IMAGE_STAGES
from media_assets.tables import (
    FRAMES_IMAGES,
    FRAMES_KEYFRAMES,
    ITEM_STATUS,
    LABELS_ANNOTATIONS,
    LABELS_CONSENSUS,
    LABELS_QUEUE,
    TableContract,
)
from media_assets_tests.defs.test_graph import requested
from media_assets_tests.labeling.queues import NOON, US, annotation
from media_assets_tests.tables.rows import valid


@pytest.fixture
def on(settings: Settings) -> Settings:
    """The real or fake project is on."""
    return replace(settings, label_projects="real-or-fake")


def told(instance: dg.DagsterInstance, contract: TableContract, batch_id: str) -> dict[str, Any]:
    """What the latest materialization of a batch says."""
    found = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=asset_key(contract), asset_partitions=[batch_id]), limit=1
    )
    event = found.records[0].asset_materialization
    assert event is not None
    return {name: value.value for name, value in event.metadata.items()}


def checks(instance: dg.DagsterInstance, contract: TableContract, name: str) -> list[bool]:
    """How the latest evaluations of a check ended."""
    found = instance.event_log_storage.get_asset_check_execution_history(dg.AssetCheckKey(asset_key(contract), name), 5)
    return [record.event.asset_check_evaluation.passed for record in found if record.event]  # type: ignore[union-attr]


def answer(lake: Lake, batch_id: str, people: int = 3) -> list[str]:
    """Everything that is queued of a batch is pushed and answered `fake` by so many people; returned are the keys."""
    tasks = lake.scan(LABELS_QUEUE, {"batch_id": [batch_id]}).sort("task_key").collect()
    keys = tasks["task_key"].to_list()
    for move in (LabelMove.PUSH, LabelMove.ANNOTATE):
        apply_moves(lake, [TaskMove(key, move, LabelActor.SYNC, "test") for key in keys], NOON, US)
    rows = [
        annotation(i, f"ls:{person}", "fake", person, task_key=key, batch_id=batch_id)
        for i, key in enumerate(keys)
        for person in range(people)
    ]
    lake.overwrite(LABELS_ANNOTATIONS, LABELS_ANNOTATIONS.frame(rows), {"batch_id": [batch_id]}, US)
    return keys


def test_without_a_project_nothing_asks_for_the_queue_and_with_one_it_comes_with_the_chain(
    plan_four: Callable[[], list[str]], instance: dg.DagsterInstance, settings: Settings, on: Settings
) -> None:
    batch_ids = plan_four()
    for contract in (LABELS_QUEUE, LABELS_CONSENSUS):
        off = build_defs(settings).resolve_assets_def(asset_key(contract)).specs_by_key[asset_key(contract)]
        assert off.automation_condition is None
    asked = requested(instance, on)[0]
    assert {("labels/queue", batch) for batch in batch_ids} <= asked
    assert not {key for key, _ in asked if key in ("labels/consensus", "labels/annotations")}


def test_where_models_label_frames_the_queue_waits_for_what_they_say(on: Settings) -> None:
    def waits_for(settings: Settings) -> set[str]:
        node = build_defs(settings).resolve_asset_graph().get(asset_key(LABELS_QUEUE))
        return {key.to_user_string() for key in node.parent_keys}

    assert waits_for(on) == {"frames/images", "frames/keyframes", "ingest/item_status"}
    assert waits_for(replace(on, models="/models/animals.toml")) == waits_for(on) | {"predictions/frames"}


def asked_of(
    contract: TableContract,
    instance: dg.DagsterInstance,
    settings: Settings,
    cursor: Any = None,
    at: datetime | None = None,
) -> tuple[set[str], Any]:
    """Batches of one table that one tick asks for."""
    selection = dg.AssetSelection.assets(asset_key(contract))
    result = dg.evaluate_automation_conditions(build_defs(settings), instance, selection, at, cursor)
    keys = [each.true_subset.expensively_compute_partition_keys() for each in result.results]
    return set().union(*keys), result.cursor


def test_answers_are_a_reason_to_settle_again(
    plan_four: Callable[[], list[str]], instance: dg.DagsterInstance, on: Settings
) -> None:
    batch_ids = plan_four()
    _, cursor = asked_of(LABELS_CONSENSUS, instance, on)
    instance.report_runless_asset_event(dg.AssetMaterialization(asset_key(LABELS_ANNOTATIONS), partition=batch_ids[0]))
    asked, cursor = asked_of(LABELS_CONSENSUS, instance, on, cursor)
    assert asked == {batch_ids[0]}
    asked, _ = asked_of(LABELS_CONSENSUS, instance, on, cursor)
    assert asked == set(), "once"


def test_answers_that_came_while_others_were_settled_are_settled_too(
    plan_four: Callable[[], list[str]], instance: dg.DagsterInstance, on: Settings
) -> None:
    batch_id = plan_four()[0]

    def report(contract: TableContract) -> None:
        instance.report_runless_asset_event(dg.AssetMaterialization(asset_key(contract), partition=batch_id))

    _, cursor = asked_of(LABELS_CONSENSUS, instance, on)
    report(LABELS_ANNOTATIONS)
    asked, cursor = asked_of(LABELS_CONSENSUS, instance, on, cursor)
    assert asked == {batch_id}
    report(LABELS_ANNOTATIONS)
    report(LABELS_CONSENSUS)  # by the run that was asked for before
    asked, cursor = asked_of(LABELS_CONSENSUS, instance, on, cursor)
    assert asked == {batch_id}
    report(LABELS_CONSENSUS)
    asked, _ = asked_of(LABELS_CONSENSUS, instance, on, cursor)
    assert asked == set()


def test_answers_whose_settling_failed_are_settled_within_the_hour(
    plan_four: Callable[[], list[str]], instance: dg.DagsterInstance, on: Settings
) -> None:
    batch_id, now = plan_four()[0], datetime.now(UTC)
    _, cursor = asked_of(LABELS_CONSENSUS, instance, on, at=now)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(labels, "settle_batch", _broken)
        assert not Launcher(on, instance).label([batch_id], LABELS_CONSENSUS)[0].success
    hours = [now + timedelta(hours=1), now + timedelta(hours=1, seconds=1), now + timedelta(hours=2)]
    for at, wanted in zip(hours, ({batch_id}, set(), {batch_id}), strict=True):
        asked, cursor = asked_of(LABELS_CONSENSUS, instance, on, cursor, at)
        assert asked == wanted, at
    assert Launcher(on, instance).label([batch_id], LABELS_CONSENSUS)[0].success
    assert asked_of(LABELS_CONSENSUS, instance, on, cursor, now + timedelta(hours=3))[0] == set()


def test_a_batch_is_queued_again_when_items_were_erased(
    plan_four: Callable[[], list[str]], instance: dg.DagsterInstance, on: Settings
) -> None:
    batch_id = plan_four()[0]
    for contract in (FRAMES_IMAGES, FRAMES_KEYFRAMES, ITEM_STATUS, LABELS_QUEUE):
        instance.report_runless_asset_event(dg.AssetMaterialization(asset_key(contract), partition=batch_id))
    asked, cursor = asked_of(LABELS_QUEUE, instance, on)
    assert batch_id not in asked
    instance.report_runless_asset_event(dg.AssetMaterialization(asset_key(ITEM_STATUS), partition=batch_id))
    asked, cursor = asked_of(LABELS_QUEUE, instance, on, cursor)
    assert batch_id in asked
    asked, _ = asked_of(LABELS_QUEUE, instance, on, cursor)
    assert batch_id not in asked, "once"


def test_a_batch_whose_pictures_failed_first_is_queued_once_they_are_there(
    plan_four: Callable[[], list[str]], instance: dg.DagsterInstance, on: Settings
) -> None:
    """The queue was to be made in the run that failed, and so counts as failed itself."""
    batch_id, launcher = plan_four()[0], Launcher(on, instance)
    _, cursor = asked_of(LABELS_QUEUE, instance, on)
    chain = [asset_key(table) for table in (*(stage.contract for stage in IMAGE_STAGES), LABELS_QUEUE)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "read_batch", _broken)
        assert not launcher._execute((batch_id,), chain, {}, {"partition_key": batch_id}).success
    asked, cursor = asked_of(LABELS_QUEUE, instance, on, cursor)
    assert asked == set(), "its stills are missing"
    assert launcher.materialize([batch_id])[0].success
    asked, cursor = asked_of(LABELS_QUEUE, instance, on, cursor)
    assert asked == {batch_id}
    assert asked_of(LABELS_QUEUE, instance, on, cursor)[0] == set(), "once"


def _broken(*_: object) -> None:
    raise ContractBroken("broken")


def test_a_batch_is_queued_shown_and_settled(
    plan_four: Callable[[], list[str]], instance: dg.DagsterInstance, launcher: Launcher, on: Settings
) -> None:
    batch_id, lake = plan_four()[0], on.open_lake()
    launcher.materialize([batch_id])
    with_labels = Launcher(on, instance)
    (result,) = with_labels.label([batch_id], LABELS_QUEUE)
    assert result.success, result.error
    frames = set(lake.scan(FRAMES_IMAGES).select("frame_id").collect()["frame_id"])
    queued = lake.scan(LABELS_QUEUE).collect()
    assert set(queued["subject_id"]) == frames
    assert len(frames) == 3
    assert queued["priority"].n_unique() > 1, "pictures that are unlike each other come first"
    told_of_queue = told(instance, LABELS_QUEUE, batch_id)
    assert told_of_queue["real-or-fake: newly queued"] == 3
    assert told_of_queue["dagster/partition_row_count"] == 3
    assert "data:image/png;base64" in told_of_queue["queue"]
    assert "data:image/jpeg;base64" in told_of_queue["contact_sheet"]
    assert checks(instance, LABELS_QUEUE, "contract_holds") == checks(instance, LABELS_QUEUE, "asked_once") == [True]

    answer(lake, batch_id)
    (result,) = with_labels.label([batch_id], LABELS_CONSENSUS)
    assert result.success, result.error
    told_of_consensus = told(instance, LABELS_CONSENSUS, batch_id)
    assert (told_of_consensus["settled"], told_of_consensus["ties"], told_of_consensus["unreadable"]) == (3, 0, 0)
    assert told_of_consensus["real-or-fake: Krippendorff's alpha"] == 1
    assert "| ls:0 | ls:1 | 3 | 1.00 |" in told_of_consensus["real-or-fake: Cohen's kappa"]
    assert "| ls:1 | 3 | 3 | 1.00 |" in told_of_consensus["real-or-fake: annotators"]
    assert "data:image/png;base64" in told_of_consensus["answers"]
    assert checks(instance, LABELS_CONSENSUS, "contract_holds") == [True]
    assert lake.scan(LABELS_QUEUE).collect()["state"].unique().to_list() == ["accepted"]
    assert lake.scan(LABELS_CONSENSUS).collect()["label"].to_list() == ["fake"] * 3


def test_a_batch_that_no_project_is_for_is_queued_for_none(
    plan_four: Callable[[], list[str]], instance: dg.DagsterInstance, settings: Settings
) -> None:
    batch_id = plan_four()[0]
    (result,) = Launcher(settings, instance).label([batch_id], LABELS_QUEUE)
    assert result.success
    assert "none is on" in told(instance, LABELS_QUEUE, batch_id)["projects"]
    assert settings.open_lake().scan(LABELS_QUEUE).collect().is_empty()


def test_a_question_that_is_in_the_queue_twice_is_found(on: Settings) -> None:
    lake = on.open_lake()
    rows = [_row(batch_id) for batch_id in ("a.1", "b.1")]
    lake.overwrite(LABELS_QUEUE, LABELS_QUEUE.frame(rows), {"batch_id": ["a.1", "b.1"]}, US)
    assert not labels._asked_once(lake).passed


def _row(batch_id: str) -> dict[str, Any]:

    return valid(LABELS_QUEUE, batch_id=batch_id)
