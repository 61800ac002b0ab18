"""`predictions/frames` in the graph: with its batch, again when its frames changed, and never without a model."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from click.testing import CliRunner

from media_assets.cli import main
from media_assets.defs import images
from media_assets.defs.descriptions import asset_key
from media_assets.defs.failed_batches import failed_batches
from media_assets.defs.graph import build_defs
from media_assets.defs.resources import Settings
from media_assets.defs.retry_letters import retry_dead_letters
from media_assets.defs.runs import Launcher, RunResult, batch_results, made_otherwise, stages_selected
from media_assets.errors import ErrorCode, NotMaterialized
from media_assets.lake.delta import Provenance
from media_assets.stages.done import done_batches
from media_assets.stages.report import BatchReport
from media_assets.stages.stage import IMAGE_STAGES, PREDICTIONS, STAGES
from media_assets.stages.workbench import Workbench
from media_assets.tables import FRAMES_IMAGES, ITEM_STATUS, PREDICTIONS_FRAMES
from media_assets_tests.defs.sensor_ticks import Daemon
from media_assets_tests.defs.test_graph import requested
from media_assets_tests.media.models.tiny import colour_detector, describe, install, moody_classifier
from media_assets_tests.tables.rows import valid

Plan = Callable[[], list[str]]

KEY = dg.AssetKey(["predictions", "frames"])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A lake in a temporary folder, with a detector that finds the same box in every picture."""
    described = describe("detection", output={"task": "detection", "form": "yolo", "min_score": 0.01})
    sidecar = install(tmp_path / "models", colour_detector([(8, 8, 8, 8)]), described)
    specs = '[{"size": [32, 32], "resize_shorter_px": 36}]'
    lake = str(tmp_path / "lake")
    return Settings(lake, n_workers=0, tensor_specs=specs, allowed_networks="127.0.0.0/8", models=str(sidecar))


def moody(settings: Settings, most_red: float) -> Settings:
    """The same with a model that fails where a picture is too red; 0 fails on all, 1 on none."""
    folder = Path(settings.models).parent
    return replace(settings, models=str(install(folder, moody_classifier(most_red), describe())))


def spec_of(settings: Settings) -> dg.AssetSpec:
    return next(spec for spec in build_defs(settings).resolve_all_asset_specs() if spec.key == KEY)


def test_a_batch_is_read_and_labelled_by_one_run_that_tells_what_models_say(
    launcher: Launcher, plan_four: Plan, instance: dg.DagsterInstance, settings: Settings
) -> None:
    first, second = plan_four()[:2]
    (result,) = launcher.materialize([first, second], launcher.stages)
    assert result.success, result.error
    rows = settings.open_lake().scan(PREDICTIONS_FRAMES).collect()
    assert rows.height == 6
    for batch_id in (first, second):
        found = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=KEY, asset_partitions=[batch_id]), limit=1
        ).records
        assert found[0].asset_materialization is not None
        told = found[0].asset_materialization.metadata
        assert (told["accepted"].value, told["frames_asked"].value, told["dagster/partition_row_count"].value) == (
            3,
            3,
            3,
        )
        assert "| best label | frames |" in str(told["tiny-detection labels"].value)
        assert "data:image/jpeg;base64" in str(told["least_sure"].value)
        assert str(told["models"].value).startswith("tiny-detection@1.0+")
        for name in ("contract_holds", "reconciles"):
            (check,) = instance.event_log_storage.get_asset_check_execution_history(
                dg.AssetCheckKey(KEY, name), limit=1, partition_filter=None
            )
            assert check.event is not None
            assert check.event.dagster_event is not None
            assert check.event.dagster_event.asset_check_evaluation_data.blocking
    lake, options = settings.open_lake(), settings.options()
    assert done_batches(lake, STAGES) == {first, second}
    assert made_otherwise(lake, STAGES, options, settings.installed_models()) == {}
    others = moody(settings, most_red=1)
    older = made_otherwise(lake, STAGES, options, others.installed_models())
    assert older == {first: {"predictions/frames"}, second: {"predictions/frames"}}
    (result,) = Launcher(others, instance).remake({first: older[first]})
    assert result.success, result.error
    made = lake.scan(PREDICTIONS_FRAMES, {"batch_id": [first]}).collect()
    assert set(made["model"]) == {"tiny-classification"}
    assert set(lake.scan(ITEM_STATUS).filter(pl.col("stage") == "raw.media").collect()["attempts"]) == {1}


@pytest.mark.slow
def test_automation_asks_for_models_with_their_batch_and_again_when_its_frames_changed(
    plan_four: Plan, instance: dg.DagsterInstance, settings: Settings
) -> None:
    first, second = plan_four()[:2]

    def made(*keys: dg.AssetKey) -> None:
        for key in keys:
            instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=first))

    assert spec_of(replace(settings, models="")).automation_condition is None
    asked, cursor = requested(instance, settings)
    assert {("raw/media", first), ("predictions/frames", first), ("predictions/frames", second)} <= asked
    made(*(asset_key(stage.contract) for stage in STAGES))
    asked, cursor = requested(instance, settings, cursor)
    assert ("predictions/frames", first) not in asked
    made(asset_key(FRAMES_IMAGES))
    asked, cursor = requested(instance, settings, cursor)
    assert ("predictions/frames", first) in asked
    made(KEY)
    asked, _ = requested(instance, settings, cursor)
    assert ("predictions/frames", first) not in asked


def test_a_model_that_cannot_be_used_fails_its_step_alone_and_waits_for_a_person(
    plan_four: Plan, instance: dg.DagsterInstance, settings: Settings
) -> None:
    batch_id = plan_four()[0]
    broken = Launcher(moody(settings, most_red=0), instance)
    (result,) = broken.materialize([batch_id], broken.stages)
    assert not result.success
    assert "model_fails_on_most" in str(result.error)
    assert done_batches(settings.open_lake(), IMAGE_STAGES) == {batch_id}
    (failed,) = failed_batches(instance)
    assert (failed.selection, failed.may_pass, failed.config) == ([KEY], False, {"predict_frames": {
        "again": False, "accept_failures": False,
    }})  # fmt: skip


@pytest.mark.slow
def test_a_batch_whose_models_failed_is_not_told_to_be_done(
    plan_four: Plan, instance: dg.DagsterInstance, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third, _ = plan_four()
    lake = settings.open_lake()

    def told(results: list[RunResult]) -> dict[str, tuple[str, str]]:
        return {row["batch_id"]: (row["result"], row["error"][:36]) for row in batch_results(lake, results)}

    failing = Launcher(moody(settings, most_red=0), instance)
    results = failing.materialize([first, second], failing.stages)
    assert told(results) == {
        first: ("FAILED", f"model_fails_on_most: Batch {first}"[:36]),
        second: ("FAILED", f"not begun: the run ended at {first}"[:36]),
    }
    whole = replace(results[0], errors={}, error="its own", undone=((PREDICTIONS,),))
    assert told([whole]) == dict.fromkeys([first, second], ("FAILED", "its own"))
    assert told([replace(whole, undone=(IMAGE_STAGES,))]) == dict.fromkeys([first, second], ("done", ""))
    sound = images.read_batch

    def read(bench: Workbench, batch_id: str, *arguments: Any) -> BatchReport:
        if batch_id == second:
            raise NotMaterialized("lost")
        return sound(bench, batch_id, *arguments)

    monkeypatch.setattr(images, "read_batch", read)
    launcher = Launcher(settings, instance)
    rows = told(launcher.materialize([second, third], launcher.stages, refetch=True))
    assert rows[second][0] == rows[third][0] == "FAILED", "nobody asked a model about the third one"
    assert rows[third][1] == f"not begun: the run ended at {second}"[:36]


def test_the_version_of_the_asset_names_its_models(settings: Settings) -> None:
    assert spec_of(replace(settings, models="")).code_version == PREDICTIONS.code_version
    assert spec_of(settings).code_version == f"2/{settings.installed_models()[0].name}"
    missing = spec_of(replace(settings, models="/no/such/model.json"))
    assert missing.code_version == "2/model_description_invalid", "the graph loads all the same"


@pytest.mark.parametrize(
    ("code", "stages", "step"),
    [(ErrorCode.BLOB_DAMAGED, IMAGE_STAGES, "read_images"), (ErrorCode.TIMEOUT, (PREDICTIONS,), "predict_frames")],
)
def test_a_frame_that_is_gone_is_replayed_from_its_raw_file_and_all_else_by_the_models_alone(
    plan_four: Plan, instance: dg.DagsterInstance, settings: Settings, code: ErrorCode, stages: Any, step: str
) -> None:
    batch_id = plan_four()[0]
    letter = valid(
        ITEM_STATUS, stage=PREDICTIONS.name, batch_id=batch_id, item_key="k", error_code=code.value, is_retryable=True
    )
    settings.open_lake().overwrite(ITEM_STATUS, ITEM_STATUS.frame([letter]), {}, Provenance("run", "1"))
    daemon = Daemon(instance, replace(settings, item_retries=2, item_retry_seconds=0), retry_dead_letters)
    (request,) = daemon.tick()
    assert list(request.asset_selection or ()) == [asset_key(stage.contract) for stage in stages]
    assert request.run_config == {"ops": {step: {"config": {"retry_items": {batch_id: ["k"]}}}}}


@pytest.mark.slow
def test_the_command_line_labels_what_lacks_it_and_replays_dead_letters_of_the_stage(
    plan_four: Plan, instance: dg.DagsterInstance, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = plan_four()[0]
    Launcher(replace(settings, models=""), instance).materialize([batch_id])
    environment = {
        "LAKE": settings.lake,
        "WORKERS": "0",
        "ALLOWED_NETWORKS": "127.0.0.0/8",
        "TENSOR_SPECS": settings.tensor_specs,
        "MODELS": moody(settings, most_red=0.45).models,
    }
    for name, value in environment.items():
        monkeypatch.setenv(f"MEDIA_ASSETS_{name}", value)

    def run(*arguments: str) -> Any:
        result = CliRunner().invoke(main, [*arguments, "--json"], catch_exceptions=False)
        assert result.exit_code == 0, result.output + result.stderr
        return json.loads(result.stdout)

    (row,) = run("materialize", "--batch", batch_id)["rows"]
    letters = run("dead-letters", "list", "--stage", "predictions/frames")["rows"]
    assert 1 <= row["failed"] == len(letters) < 3
    assert {letter["error_code"] for letter in letters} == {"model_failed"}
    statuses = run("status", "--batch", batch_id)["rows"]
    assert [each["expected"] for each in statuses if each["stage"] == "predictions.frames"] == [3]
    told = run("dead-letters", "replay", "--stage", "predictions/frames")
    assert (told["replayed"], told["still_failed"]) == (len(letters), len(letters))
    lake = settings.open_lake()
    after = lake.scan(ITEM_STATUS, {"stage": [stage.name for stage in IMAGE_STAGES]}).collect()
    assert set(after["attempts"]) == {1}
    replayed = {letter["item_key"] for letter in letters}
    asked = lake.scan(ITEM_STATUS, {"stage": [PREDICTIONS.name]}).select("item_key", "attempts").collect()
    assert dict(asked.iter_rows()) == {key: 2 if key in replayed else 1 for key in asked["item_key"]}
    monkeypatch.setenv("MEDIA_ASSETS_MODELS", "/no/such/model.json")
    assert run("materialize", "--batch", batch_id, "--select", "raw/media")["rows"] == [], "no model is asked for it"
    refused = CliRunner().invoke(main, ["materialize", "--batch", batch_id])
    assert refused.exit_code == 1
    assert "model_description_invalid" in refused.output + refused.stderr
    monkeypatch.setenv("MEDIA_ASSETS_MODELS", "")
    assert run("materialize", "--batch", batch_id)["rows"] == [], "nothing goes by itself"
    assert lake.scan(PREDICTIONS_FRAMES).collect().height == 3 - len(letters)
    assert [row["result"] for row in run("materialize", "--outdated")["rows"] if row["batch_id"] == batch_id] == [
        "done"
    ]
    assert lake.scan(PREDICTIONS_FRAMES).collect().height == 0
    assert lake.scan(ITEM_STATUS, {"stage": [PREDICTIONS.name]}).collect().height == 0


def test_without_a_model_only_who_names_the_stage_makes_it(instance: dg.DagsterInstance, settings: Settings) -> None:
    without = Launcher(replace(settings, models=""), instance)
    assert stages_selected([], without.stages) == IMAGE_STAGES
    assert stages_selected(["predictions/frames"], without.stages) == (PREDICTIONS,)
    assert stages_selected([], Launcher(settings, instance).stages) == STAGES
