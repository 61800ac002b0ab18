"""The statistics follow the tensors: what a run that was killed leaves to the next one, and specs of long ago."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import dagster as dg

from media_assets.defs.resources import Settings
from media_assets.defs.runs import Launcher
from media_assets.defs.tensors import statistics_are_behind
from media_assets.serving.statistics import measure_statistics
from media_assets.tables import TENSORS_STATISTICS
from media_assets_tests.media.pictures import make_jpeg
from media_assets_tests.shelf import Shelf

OWN = '[{"size": [32, 32], "resize_shorter_px": 36, "dtype": "float32", "mean": [0.4,0.4,0.4], "std": [0.2,0.2,0.2]}]'


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
    key = dg.AssetKey(list(TENSORS_STATISTICS.key))
    recorded = instance.fetch_materializations(key, limit=1).records[0].asset_materialization
    assert recorded is not None
    (told,) = (str(value.value) for name, value in recorded.metadata.items() if name.startswith("left out"))
    assert replace(settings, tensor_specs=OWN).specs()[0].name in told
