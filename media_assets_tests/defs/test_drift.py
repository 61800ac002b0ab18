"""Drift checks in real runs: a format that begins to fail, what is told, and that nothing of it can fail a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from media_assets.curation.drift import CHECKS
from media_assets.curation.profile import BatchProfile
from media_assets.defs import drift
from media_assets.defs.partitions import PartitionRegistry
from media_assets.defs.resources import Settings
from media_assets.defs.runs import Launcher
from media_assets.lake.delta import Provenance
from media_assets.tables import BATCH_PROFILES
from media_assets_tests.curation.profiles import healthy
from media_assets_tests.media.pictures import make_heic, make_jpeg, make_png
from media_assets_tests.stages.batches import write_manifest

RAW_KEY = dg.AssetKey(["raw", "media"])
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
Plan = Callable[[int, Mapping[str, bytes]], str]


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """Files of a folder instead of a server: two hundred of them take a second."""
    (tmp_path / "files").mkdir()
    return replace(settings, local_roots=str(tmp_path / "files"))


@pytest.fixture
def plan(settings: Settings, instance: dg.DagsterInstance, tmp_path: Path) -> Plan:
    """Plans one batch of files, an hour after the one before it."""

    def one(number: int, files: Mapping[str, bytes]) -> str:
        batch_id, folder = f"test.{number:04d}", tmp_path / "files" / str(number)
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        planned_at = FIRST + timedelta(hours=number)
        items = [{"item_key": n, "uri": (folder / n).as_uri(), "planned_at": planned_at} for n in files]
        write_manifest(settings.open_lake(), items, batch_id)
        PartitionRegistry(instance).register(batch_id, len(items), {})
        return batch_id

    return one


def pictures(number: int, n_jpeg: int, n_png: int) -> dict[str, bytes]:
    """Small pictures, no two alike."""
    seeds = iter(range(1000 * number, 1000 * (number + 1)))
    files = {f"{i}.jpg": make_jpeg(next(seeds), (48, 32)) for i in range(n_jpeg)}
    return files | {f"{i}.png": make_png(next(seeds), (48, 32)) for i in range(n_png)}


def evaluation(
    instance: dg.DagsterInstance, name: str, batch_id: str, key: dg.AssetKey = RAW_KEY
) -> dg.AssetCheckEvaluation:
    """The newest evaluation of a check on a batch."""
    check = dg.AssetCheckKey(key, name)
    records = instance.event_log_storage.get_asset_check_execution_history(check, limit=50)
    for record in records:
        if record.partition == batch_id and record.event is not None and record.event.dagster_event is not None:
            return record.event.dagster_event.asset_check_evaluation_data
    raise AssertionError(f"{name} was not evaluated on {batch_id}")


def test_a_new_format_that_is_lost_is_told_within_its_first_batch(
    launcher: Launcher, instance: dg.DagsterInstance, plan: Plan, settings: Settings
) -> None:
    known(settings)
    good = plan(1, pictures(1, 40, 10))
    launcher.materialize([good])
    for name in ("formats_decode", "failures_are_usual", "duplicates_are_usual", "mime_mix_is_usual"):
        told = evaluation(instance, name, good)
        assert told.passed, told.description
    small = evaluation(instance, "dimensions_are_usual", good)
    assert (small.passed, small.severity) == (False, dg.AssetCheckSeverity.WARN), "48 px, where 1,024 px were usual"
    broken = {f"{i}.heic": make_heic(i, (64, 64))[:200] for i in range(20)}
    bad = plan(2, pictures(2, 144, 36) | broken)
    (result,) = launcher.materialize([bad])
    assert result.success, "a drift never fails a run"
    told = evaluation(instance, "formats_decode", bad)
    assert not told.passed
    assert told.severity == dg.AssetCheckSeverity.ERROR
    assert "20 of 20 .heic failed" in str(told.description)
    assert "new here" in str(told.description)
    assert "](data:image/png;base64," in str(told.metadata["plot"].value)
    assert f"--batch {bad}" in str(told.metadata["next"].value)
    assert not evaluation(instance, "failures_are_usual", bad).passed
    assert evaluation(instance, "mime_mix_is_usual", bad).passed, "jpeg and png came in their usual shares"


def known(lake_settings: Settings, n: int = 8) -> list[BatchProfile]:
    """Profiles of past batches, as if they had been made."""
    lake = lake_settings.open_lake()
    past = [replace(healthy(seed), source="test", batch_id=f"past.{seed:04d}") for seed in range(n)]
    for at, profile in enumerate(past):
        when = {"planned_at": FIRST + timedelta(minutes=at)}
        write_manifest(lake, [{"item_key": "1.jpg", "uri": "file:///1.jpg", **when}], profile.batch_id)
        past[at] = replace(profile, **when)
    rows = BATCH_PROFILES.frame([profile.row() for profile in past])
    lake.overwrite(BATCH_PROFILES, rows, {"batch_id": [each.batch_id for each in past]}, Provenance("past", "1"))
    return past


def test_a_known_format_that_is_suddenly_lost_is_an_error(
    launcher: Launcher, instance: dg.DagsterInstance, plan: Plan, settings: Settings
) -> None:
    known(settings)
    files = pictures(1, 40, 10)
    bad = plan(1, {name: data[:60] if name.endswith(".png") else data for name, data in files.items()})
    launcher.materialize([bad])
    told = evaluation(instance, "formats_decode", bad)
    assert (told.passed, told.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "10 of 10 .png failed" in str(told.description)
    assert "usually 0.0%" in str(told.description)


def test_a_healthy_new_format_is_no_error(
    launcher: Launcher, instance: dg.DagsterInstance, plan: Plan, settings: Settings
) -> None:
    known(settings)
    good = plan(1, pictures(1, 30, 10) | {f"{i}.heic": make_heic(500 + i, (64, 64)) for i in range(10)})
    launcher.materialize([good])
    told = evaluation(instance, "formats_decode", good)
    assert told.passed
    assert "New here: .heic (10 items)" in str(told.description)
    mix = evaluation(instance, "mime_mix_is_usual", good)
    assert (mix.passed, mix.severity) == (False, dg.AssetCheckSeverity.WARN), "it is told all the same"


def test_what_breaks_inside_a_check_is_told_and_fails_no_run(
    launcher: Launcher, instance: dg.DagsterInstance, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(drift, "keep_profile", broken)
    (result,) = launcher.materialize([plan(1, pictures(1, 3, 0))])
    assert result.success, result.error
    for check in CHECKS:
        told = evaluation(instance, check.name, "test.0001", dg.AssetKey(check.table.split("/")))
        assert (told.passed, told.severity) == (False, dg.AssetCheckSeverity.WARN)
        assert "the disk is gone" in str(told.description)


def test_a_run_over_several_batches_tells_of_each(
    launcher: Launcher, instance: dg.DagsterInstance, plan: Plan, settings: Settings
) -> None:
    known(settings)
    good = plan(1, pictures(1, 8, 2))
    bad = plan(2, dict.fromkeys(pictures(2, 8, 2), b"no picture"))
    launcher.materialize([good, bad])
    assert evaluation(instance, "formats_decode", good).passed
    assert not evaluation(instance, "formats_decode", bad).passed
    lake = settings.open_lake()
    kept = lake.scan(BATCH_PROFILES, {"batch_id": [good, bad]}).sort("batch_id").collect()
    assert kept["n_failed"].to_list() == [0, 10]
    assert set(instance.get_materialized_partitions(dg.AssetKey(["ops", "batch_profiles"]))) == {good, bad}


def test_no_drift_check_blocks() -> None:
    assert not any(spec.blocking for spec in drift.drift_check_specs())
