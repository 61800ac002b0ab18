"""The statistics follow the tensors: what a run that was killed leaves to the next one, and specs of long ago."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace

import dagster as dg
import pytest

from media_assets.defs.resources import Settings
from media_assets.defs.runs import Launcher
from media_assets.defs.tensors import statistics_are_behind
from media_assets.lake.publications import Publications
from media_assets.serving.statistics import measure_statistics
from media_assets.tables import TENSORS_HISTOGRAMS, TENSORS_STATISTICS, TableContract
from media_assets_tests.media.pictures import make_jpeg
from media_assets_tests.shelf import Shelf

OWN = '[{"size": [32, 32], "resize_shorter_px": 36, "dtype": "float32", "mean": [0.4,0.4,0.4], "std": [0.2,0.2,0.2]}]'


def recorded(instance: dg.DagsterInstance, contract: TableContract) -> dict[str, str]:
    """What the latest materialization of a table tells."""
    found = instance.fetch_materializations(dg.AssetKey(list(contract.key)), limit=1).records[0].asset_materialization
    assert found is not None
    return {name: str(value.value) for name, value in found.metadata.items()}


@pytest.mark.slow
def test_statistics_are_behind_until_every_tensor_is_counted(
    plan_four: Callable[[], list[str]], settings: Settings, launcher: Launcher, shelf: Shelf
) -> None:
    lake = settings.open_lake()
    assert not statistics_are_behind(lake)
    first, second = plan_four()[:2]
    for batch_id in (first, second):
        (result,) = launcher.materialize([batch_id])
        assert result.success, result.error
        assert statistics_are_behind(lake)  # the process was killed here
        assert launcher.measure_statistics().success
        assert not statistics_are_behind(lake)
    before = lake.scan(TENSORS_STATISTICS).collect()
    shelf.files |= {f"0-{i}.jpg": make_jpeg(90 + i, (96, 64)) for i in range(3)}
    (result,) = launcher.materialize([first], refetch=True)
    assert result.success, result.error
    assert statistics_are_behind(lake), "as many tensors as before, and other ones"
    assert launcher.measure_statistics().success
    assert not statistics_are_behind(lake)
    assert lake.scan(TENSORS_STATISTICS).collect().equals(measure_statistics(lake))
    assert not lake.scan(TENSORS_STATISTICS).collect().equals(before)
    shutil.rmtree(lake.uri(TENSORS_HISTOGRAMS))
    assert statistics_are_behind(lake), "as the runbook has it rebuilt"


def test_a_run_reads_the_new_batch_only_and_tells_which_are_not_done(
    plan_four: Callable[[], list[str]], settings: Settings, launcher: Launcher, instance: dg.DagsterInstance
) -> None:
    first, second, third = plan_four()[:3]
    launcher.materialize([first, second, third])
    lake = settings.open_lake()
    with Publications.of(lake.location).under_way(third, ["tensors.images"]):
        assert launcher.measure_statistics().success
        assert not statistics_are_behind(lake), "of the batches that are done"
        told = recorded(instance, TENSORS_HISTOGRAMS)
        assert (told["batches measured"], told["batches measured before"]) == ("2", "0")
        left_out = recorded(instance, TENSORS_STATISTICS)["left out: not done"]
        assert left_out.startswith("1 of 3 batches with tensors are not done")
        assert third in left_out
        assert lake.scan(TENSORS_STATISTICS).collect().equals(measure_statistics(lake, [first, second]))
    assert statistics_are_behind(lake), "it is done now"
    assert launcher.measure_statistics().success
    told = recorded(instance, TENSORS_HISTOGRAMS)
    assert (told["batches measured"], told["batches measured before"]) == ("1", "2")
    assert "left out: not done" not in recorded(instance, TENSORS_STATISTICS)
    assert lake.scan(TENSORS_STATISTICS).collect().equals(measure_statistics(lake))


def test_a_spec_that_is_no_longer_configured_is_left_out_and_told(
    plan_four: Callable[[], list[str]], settings: Settings, launcher: Launcher, instance: dg.DagsterInstance
) -> None:
    first, second = plan_four()[:2]
    (old,) = Launcher(replace(settings, tensor_specs=OWN), instance).materialize([first])
    assert old.success, old.error
    launcher.materialize([second])
    measured = launcher.measure_statistics()
    assert measured.success, measured.error
    lake = settings.open_lake()
    assert lake.scan(TENSORS_STATISTICS).collect()["spec"].unique().to_list() == [settings.specs()[0].name]
    assert not statistics_are_behind(lake)
    (told,) = (told for name, told in recorded(instance, TENSORS_STATISTICS).items() if name.startswith("left out"))
    assert replace(settings, tensor_specs=OWN).specs()[0].name in told
