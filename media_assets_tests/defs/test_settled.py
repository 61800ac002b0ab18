"""Two sensors may ask for one batch: the second run reports what is there. A person who asks gets it made again."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg
import pytest

from media_assets.defs.automation import SENSOR
from media_assets.defs.resources import Settings
from media_assets.defs.runs import Launcher
from media_assets.lake.delta import Provenance
from media_assets.lake.publications import Publications
from media_assets.stages.images import read_batch
from media_assets.stages.settled import settled_report
from media_assets.stages.stage import IMAGE_STAGES, RAW, TENSORS
from media_assets.stages.workbench import ReadOptions
from media_assets.tables import ITEM_STATUS
from media_assets_tests.defs.sensor_ticks import Daemon
from media_assets_tests.shelf import Shelf

RAW_KEY = dg.AssetKey(["raw", "media"])


def made_by(settings: Settings) -> set[str]:
    """The runs that committed the statuses."""
    return set(settings.open_lake().scan(ITEM_STATUS).collect()["run_id"])


def test_a_batch_that_two_sensors_asked_for_is_read_once(
    plan_four: Callable[[], list[str]],
    settings: Settings,
    instance: dg.DagsterInstance,
    shelf: Shelf,
    launcher: Launcher,
) -> None:
    first = plan_four()[0]
    del shelf.files["0-1.jpg"]
    daemon = Daemon(instance, settings, SENSOR)
    runs = [daemon.run(dg.RunRequest(run_key=str(n), partition_key=first)) for n in range(2)]
    states = {run.run_id: run.status for run in instance.get_runs()}
    assert [states[str(run)] for run in runs] == [dg.DagsterRunStatus.SUCCESS] * 2
    assert shelf.hits == {"0-0.jpg": 1, "0-1.jpg": 1, "0-2.jpg": 1}
    assert made_by(settings) == {runs[0]}
    told = [
        record.asset_materialization.metadata
        for record in instance.fetch_materializations(dg.AssetRecordsFilter(RAW_KEY, [first]), limit=2).records
        if record.asset_materialization is not None
    ]
    assert told[0] == told[1]
    key = dg.AssetCheckKey(RAW_KEY, "few_items_failed")
    checks = instance.event_log_storage.get_asset_check_execution_history(key, limit=5)
    assert [record.status.value for record in checks] == ["FAILED"] * 2, "a third of the batch failed"
    (result,) = launcher.materialize([first])
    assert made_by(settings) == {result.run_id}


def test_only_what_is_done_by_this_code_counts_as_done(
    plan_four: Callable[[], list[str]], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = plan_four()[0]
    lake, bench = settings.open_lake(), settings.workbench()
    options = _options(settings)

    def is_settled(stages: tuple[object, ...] = IMAGE_STAGES) -> bool:
        return settled_report(lake, first, stages, options) is not None  # type: ignore[arg-type]

    assert not is_settled()
    read_batch(bench, first, [RAW], options, Provenance("run", "1"))
    assert is_settled((RAW,))
    assert not is_settled()
    read_batch(bench, first, IMAGE_STAGES, options, Provenance("run", "1"))
    assert is_settled()
    mark = Publications.of(lake.location).under_way(first, ["raw.media"])
    with mark:
        assert not is_settled(), "it is half published"
    assert is_settled()
    monkeypatch.setitem(TENSORS.__dict__, "code_version", "next")
    assert not is_settled()
    monkeypatch.undo()
    lake.overwrite(RAW.contract, RAW.contract.frame([]), {"batch_id": [first]}, Provenance("lost", "1"))
    assert not is_settled(), "its rows are gone"


def _options(settings: Settings) -> ReadOptions:
    return ReadOptions(specs=settings.specs())
