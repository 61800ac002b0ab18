"""New code: what it makes otherwise is stale in Dagster, and is made anew by a range, from kept bytes."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from media_assets.defs import runs
from media_assets.defs.graph import build_defs
from media_assets.defs.resources import Settings
from media_assets.defs.runs import Launcher, made_otherwise
from media_assets.stages.done import done_batches, made_in_part
from media_assets.stages.stage import IMAGE_STAGES, KEYFRAMES, TENSORS
from media_assets.tables import ITEM_STATUS
from media_assets_tests.shelf import Shelf

KEYS = {path: dg.AssetKey(path.split("/")) for path in ("raw/media", "frames/images", "tensors/images")}
FRESH, STALE = StaleStatus.FRESH, StaleStatus.STALE


def build_next(*arguments: object) -> dg.Definitions:
    """The graph as the next release of the program has it: other tensors from the same frames."""
    defs = build_defs(*arguments)  # type: ignore[arg-type]
    tensors = dg.AssetSelection.assets(KEYS["tensors/images"])
    return defs.map_resolved_asset_specs(func=lambda s: s.replace_attributes(code_version="next"), selection=tensors)


def staleness(instance: dg.DagsterInstance, defs: dg.Definitions, batch_id: str) -> dict[str, StaleStatus]:
    """Path of each table → whether Dagster takes it for stale."""
    graph = defs.resolve_asset_graph()
    resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    return {path: resolver.get_status(key, batch_id) for path, key in KEYS.items()}


@pytest.mark.slow
def test_what_new_code_makes_otherwise_is_stale_and_made_anew_by_a_range_without_the_network(
    launcher: Launcher,
    plan_four: Callable[[], list[str]],
    instance: dg.DagsterInstance,
    settings: Settings,
    shelf: Shelf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch_ids = plan_four()
    del shelf.files["3-0.jpg"]
    launcher.materialize(batch_ids)
    for batch_id in batch_ids:
        assert set(staleness(instance, build_defs(settings), batch_id).values()) == {FRESH}
        assert staleness(instance, build_next(settings), batch_id) == dict.fromkeys(KEYS, FRESH) | {
            "tensors/images": STALE
        }
    hits = dict(shelf.hits)
    monkeypatch.setitem(TENSORS.__dict__, "code_version", "next")
    monkeypatch.setattr(runs, "build_defs", build_next)
    older = made_otherwise(settings.open_lake(), [TENSORS], settings.options())
    assert older == {batch_id: {"tensors/images"} for batch_id in batch_ids}

    (result,) = Launcher(settings, instance).remake(older)
    assert result.success, result.error
    assert shelf.hits == hits
    statuses = settings.open_lake().scan(ITEM_STATUS).collect()
    by_stage = {stage: set(of["run_id"]) for (stage,), of in statuses.group_by("stage")}
    assert by_stage["tensors.images"] == {result.run_id}
    assert result.run_id not in by_stage["raw.media"] | by_stage["frames.images"]
    assert made_otherwise(settings.open_lake(), [TENSORS], settings.options()) == {}
    assert staleness(instance, build_next(settings), batch_ids[3]) == dict.fromkeys(KEYS, FRESH)


def test_batches_from_before_there_were_keyframes_get_them_and_nothing_else(
    launcher: Launcher, plan_four: Callable[[], list[str]], settings: Settings, shelf: Shelf
) -> None:
    first, *others = plan_four()
    pictures = [stage for stage in IMAGE_STAGES if stage is not KEYFRAMES]
    launcher.materialize([first], pictures)
    lake = settings.open_lake()
    assert done_batches(lake, pictures) == {first}
    assert done_batches(lake, IMAGE_STAGES) == set()
    assert made_in_part(lake, IMAGE_STAGES, [first, *others]) == [first]
    assert made_in_part(lake, pictures, [first, *others]) == []
    hits = dict(shelf.hits)
    (result,) = launcher.materialize([first], [KEYFRAMES])
    assert result.success, result.error
    assert done_batches(lake, IMAGE_STAGES) == {first}
    assert shelf.hits == hits
    fates = lake.scan(ITEM_STATUS, {"stage": [KEYFRAMES.name]}).collect()["status"].unique().to_list()
    assert fates == ["filtered"]
