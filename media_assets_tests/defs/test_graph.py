"""The graph as Dagster sees it: a snapshot of every spec, and what automation asks for."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg
import pytest

from media_assets.defs import automation, tensors
from media_assets.defs.graph import build_defs
from media_assets.defs.partitions import MANIFEST_KEY, PartitionRegistry
from media_assets.defs.resources import Settings
from media_assets.defs.runs import Launcher
from media_assets.errors import SetupError
from media_assets.lake.crash_points import watch_crash_points
from media_assets.tables import ALL_TABLES, TENSORS_IMAGES
from media_assets_tests.shelf import Shelf

SPECS = {
    # key: (upstream, group, partitioned, kinds, code version, automated)
    "ingest/manifest": ((), "ingest", True, {"deltalake"}, None, False),
    "raw/media": (("ingest/manifest",), "raw", True, {"deltalake", "image"}, "4", True),
    "frames/images": (("raw/media",), "frames", True, {"deltalake", "image"}, "1", True),
    "tensors/images": (("frames/images",), "tensors", True, {"deltalake", "numpy"}, "1", True),
    "frames/keyframes": (("raw/media",), "frames", True, {"deltalake", "video"}, "1", True),
    "tensors/histograms": (("tensors/images",), "tensors", False, {"deltalake", "polars"}, "1", True),
    "tensors/statistics": (("tensors/histograms",), "tensors", False, {"deltalake", "polars"}, "2", True),
    "predictions/frames": (
        ("frames/images", "frames/keyframes"),
        "predictions",
        True,
        {"deltalake", "onnx"},
        "2",
        False,
    ),
    "ops/batch_profiles": (("raw/media", "tensors/images"), "outcomes", True, {"deltalake"}, None, False),
    "ingest/item_status": (
        ("frames/images", "frames/keyframes", "predictions/frames", "raw/media", "tensors/images"),
        "outcomes",
        True,
        {"deltalake"},
        None,
        False,
    ),
    "labels/queue": (
        ("frames/images", "frames/keyframes", "ingest/item_status"),
        "labels",
        True,
        {"deltalake"},
        "1",
        False,
    ),
    "labels/pushed": (("labels/queue",), "labels", False, {"labelstudio"}, "1", False),
    "labels/pulled": (("labels/pushed",), "labels", False, {"labelstudio"}, "1", False),
    "labels/annotations": (("labels/pulled", "labels/queue"), "labels", True, {"deltalake"}, None, False),
    "labels/consensus": (("labels/annotations",), "labels", True, {"deltalake"}, "1", False),
    "ingest/failures": (("ingest/item_status",), "outcomes", True, {"deltalake"}, None, False),
}


def all_specs() -> dict[str, dg.AssetSpec]:
    """Every spec of the graph by its key."""
    return {spec.key.to_user_string(): spec for spec in build_defs(Settings()).resolve_all_asset_specs()}


def test_the_graph_is_what_it_was() -> None:
    got = {
        key: (
            tuple(sorted(dep.asset_key.to_user_string() for dep in spec.deps)),
            spec.group_name,
            spec.partitions_def is not None,
            spec.kinds,
            spec.code_version,
            spec.automation_condition is not None,
        )
        for key, spec in all_specs().items()
    }
    assert got == SPECS


def test_every_table_is_an_asset_with_schema_owner_and_description() -> None:
    specs = all_specs()
    for contract in ALL_TABLES:
        spec = specs[contract.path]
        assert list(spec.owners) == ["team:media-platform"]
        assert spec.description
        schema = spec.metadata["dagster/column_schema"]
        assert [column.name for column in schema.columns] == list(contract.schema)
        assert all(column.description for column in schema.columns)


@pytest.mark.parametrize(
    "key",
    [
        "raw/media",
        "frames/images",
        "frames/keyframes",
        "tensors/images",
        "tensors/histograms",
        "tensors/statistics",
        "predictions/frames",
        "labels/queue",
        "labels/consensus",
    ],
)
def test_column_lineage_names_columns_that_exist(key: str) -> None:
    tables = {contract.path: contract for contract in ALL_TABLES}
    lineage = all_specs()[key].metadata["dagster/column_lineage"]
    for column, sources in lineage.deps_by_column.items():
        assert column in tables[key].schema
        for source in sources:
            assert source.column_name in tables[source.asset_key.to_user_string()].schema


def test_the_definitions_load_when_the_environment_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LAKE", "WORKERS", "TENSOR_SPECS"):
        monkeypatch.delenv(f"MEDIA_ASSETS_{name}", raising=False)
    from media_assets.definitions import defs

    loaded = defs()
    assert len(loaded.resolve_all_asset_specs()) == len(SPECS)


@pytest.mark.parametrize("variable", ["MEDIA_ASSETS_WORKERS", "MEDIA_ASSETS_CONNECTIONS"])
def test_a_setting_that_is_no_number_is_refused_by_name(variable: str) -> None:
    with pytest.raises(SetupError, match=variable):
        Settings.from_environment({variable: "many"})


@pytest.mark.parametrize("text", ["", "{}", "[]", '[{"size": [0, 0]}]', "[{}, {}]", '[{"dtype": "int8"}]'])
def test_tensor_specs_that_cannot_be_made_are_refused_by_name(text: str) -> None:
    with pytest.raises(SetupError, match="MEDIA_ASSETS_TENSOR_SPECS"):
        Settings(tensor_specs=text).specs()


def requested(
    instance: dg.DagsterInstance, settings: Settings, cursor: object = None
) -> tuple[set[tuple[str, str]], object]:
    """What one tick of the automation sensor asks for: (asset, partition), `-` where there are none."""
    result = dg.evaluate_automation_conditions(defs=build_defs(settings), instance=instance, cursor=cursor)  # type: ignore[arg-type]
    asked = set()
    for evaluation in result.results:
        subset = evaluation.true_subset
        if not subset.is_empty:
            keys = subset.expensively_compute_partition_keys() if subset.is_partitioned else {"-"}
            asked |= {(evaluation.key.to_user_string(), key) for key in keys}
    return asked, result.cursor


def test_automation_asks_for_the_whole_chain_of_each_planned_batch(
    plan_four: Callable[[], list[str]], instance: dg.DagsterInstance, settings: Settings
) -> None:
    batch_ids = plan_four()
    asked, _ = requested(instance, settings)
    chain = {"raw/media", "frames/images", "tensors/images", "frames/keyframes"}
    assert {(key, batch) for key in chain for batch in batch_ids} <= asked


def test_automation_leaves_done_and_failed_batches_alone(
    plan_four: Callable[[], list[str]],
    instance: dg.DagsterInstance,
    settings: Settings,
    launcher: Launcher,
    shelf: Shelf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dagster.RetryPolicy.calculate_delay", lambda self, attempt: 0.0)
    batch_ids = plan_four()
    shelf.statuses = {f"1-{i}.jpg": 503 for i in range(3)}
    launcher.materialize(batch_ids[:1])
    launcher.materialize(batch_ids[1:2])
    asked, _ = requested(instance, settings)
    assert {batch for _, batch in asked if batch != "-"} == set(batch_ids[2:])


def test_automation_measures_once_after_a_batch_and_never_because_it_measured(
    instance: dg.DagsterInstance, settings: Settings, launcher: Launcher
) -> None:
    measured = {("tensors/histograms", "-"), ("tensors/statistics", "-")}
    settings.open_lake().ensure(TENSORS_IMAGES)
    PartitionRegistry(instance).register("a.0001", 3, {})
    _, cursor = requested(instance, settings)
    made = dg.AssetMaterialization(dg.AssetKey(list(TENSORS_IMAGES.key)), partition="a.0001")
    instance.report_runless_asset_event(made)
    asked, cursor = requested(instance, settings, cursor)
    assert asked >= measured, "both tables in one request, since one step makes them"
    assert launcher.measure_statistics().success
    for _ in range(2):
        asked, cursor = requested(instance, settings, cursor)
        assert not asked & measured


def test_automation_does_not_ask_for_failing_statistics_without_end(
    instance: dg.DagsterInstance, settings: Settings, launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError("the disk is away")

    monkeypatch.setattr(tensors, "open_table", fails)
    settings.open_lake().ensure(TENSORS_IMAGES)
    PartitionRegistry(instance).register("a.0001", 3, {})
    made = dg.AssetMaterialization(dg.AssetKey(list(TENSORS_IMAGES.key)), partition="a.0001")
    instance.report_runless_asset_event(made)
    n_asked, cursor = 0, None
    for _ in range(6):
        asked, cursor = requested(instance, settings, cursor)
        if ("tensors/statistics", "-") in asked:
            n_asked += 1
            assert not launcher.measure_statistics().success
    assert n_asked == 1
    PartitionRegistry(instance).register("a.0002", 3, {})
    instance.report_runless_asset_event(made._replace(partition="a.0002"))
    asked, cursor = requested(instance, settings, cursor)
    assert ("tensors/statistics", "-") in asked, "another batch is another reason"


def test_a_manifest_without_its_materialization_is_waited_for(instance: dg.DagsterInstance, settings: Settings) -> None:
    instance.add_dynamic_partitions("batches", ["half.0001"])  # a plan that died between its two last steps
    asked, _ = requested(instance, settings)
    assert asked == set() or all(batch != "half.0001" for _, batch in asked)
    PartitionRegistry(instance).register("half.0001", 3, {})
    asked, _ = requested(instance, settings)
    assert ("raw/media", "half.0001") in asked


def test_automation_runs_one_batch_a_run_and_is_on_by_default() -> None:
    assert automation.SENSOR.default_status == dg.DefaultSensorStatus.RUNNING
    assert automation.SENSOR.emit_backfills is False


def test_every_sensor_is_on_by_default() -> None:
    sensors = build_defs(Settings()).sensors or []
    assert {sensor.name for sensor in sensors} == {  # type: ignore[union-attr]
        "new_batches",
        "inbox",
        "retry_failed_batches",
        "retry_dead_letters",
        "alerts",
        "source_freshness",
        "label_studio",
    }
    assert {sensor.default_status for sensor in sensors} == {dg.DefaultSensorStatus.RUNNING}  # type: ignore[union-attr]


def test_registering_twice_changes_nothing(instance: dg.DagsterInstance) -> None:
    registry = PartitionRegistry(instance)
    registry.register("a.0001", 3, {"source": "test"})
    registry.register("a.0001", 3, {"source": "test"})
    assert registry.registered() == {"a.0001"}
    assert set(instance.get_materialized_partitions(MANIFEST_KEY)) == {"a.0001"}


def test_a_batch_becomes_a_partition_last_since_automation_may_run_it_at_once(instance: dg.DagsterInstance) -> None:
    def die_before_the_partition(point: str) -> None:
        if point == "before partition":
            raise KeyboardInterrupt

    registry = PartitionRegistry(instance)
    watch_crash_points(die_before_the_partition)
    try:
        with pytest.raises(KeyboardInterrupt):
            registry.register("a.0001", 3, {"source": "test"})
    finally:
        watch_crash_points()
    assert set(instance.get_materialized_partitions(MANIFEST_KEY)) == {"a.0001"}
    assert registry.registered() == set()
