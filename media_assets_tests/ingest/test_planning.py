"""Planning: repeatable, crash-proof, and safe when two planners work on one list."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import polars as pl
import pytest

from media_assets.errors import ContractBroken, PlanRefused
from media_assets.ingest import rejections
from media_assets.ingest.planned import PlannedItem, RejectedRow
from media_assets.ingest.planning import PlanResult, plan_batches
from media_assets.lake.delta import Lake, Provenance
from media_assets.lake.location import LakeLocation
from media_assets.tables.columns import Kind
from media_assets.tables.ingest import ITEM_STATUS, MANIFEST

NAME = "open-images.validation"


class Registry:
    """A registry in memory, which remembers the order of its two steps and can break between them."""

    def __init__(self) -> None:
        self.events: dict[str, tuple[int, dict[str, object]]] = {}
        self.partitions: list[str] = []
        self.before_event = self.before_partition = lambda batch_id: None

    def registered(self) -> set[str]:
        return set(self.partitions)

    def register(self, batch_id, n_items, metadata) -> None:
        self.before_event(batch_id)
        self.events[batch_id] = (n_items, dict(metadata))
        self.before_partition(batch_id)
        if batch_id not in self.partitions:
            self.partitions.append(batch_id)


@pytest.fixture
def lake(tmp_path) -> Lake:
    return Lake(LakeLocation(str(tmp_path / "lake")))


def item(number: int | str, uri: str = "https://x") -> PlannedItem:
    labels = ({"name": "/m/1", "confidence": 0.0, "annotator": "verification"},)
    return PlannedItem(item_key=f"k{number}", uri=f"{uri}/{number}", kind=Kind.IMAGE, labels=labels)


def items(n_items: int, first: int = 0) -> Iterator[PlannedItem]:
    return (item(number) for number in range(first, first + n_items))


def plan(lake, registry, rows, batch_size=10, name=NAME, run_id="r1", **more) -> PlanResult:
    provenance = Provenance(run_id, "v1")
    return plan_batches(
        lake,
        registry,
        source="open-images",
        name=name,
        items=rows,
        batch_size=batch_size,
        provenance=provenance,
        **more,
    )


def manifest(lake) -> pl.DataFrame:
    rows = lake.scan(MANIFEST).drop("planned_at").collect()
    return rows.sort("batch_id", "position")


def batches(lake) -> dict[str, list[str]]:
    rows = manifest(lake).group_by("batch_id", maintain_order=True).agg("item_key")
    return dict(rows.iter_rows())


def numbered(*numbers: int) -> list[str]:
    return [f"{NAME}.{number:04d}" for number in numbers]


def test_a_list_becomes_full_batches_in_its_order(lake):
    registry = Registry()
    result = plan(lake, registry, items(25))
    assert result == PlanResult(tuple(numbered(1, 2, 3)), tuple(numbered(1, 2, 3)), 25, 25, 0, 0)
    assert list(batches(lake)) == numbered(1, 2, 3)
    assert [key for keys in batches(lake).values() for key in keys] == [f"k{n}" for n in range(25)]
    assert manifest(lake)["position"].to_list() == [*range(10), *range(10), *range(5)]
    assert registry.partitions == numbered(1, 2, 3)
    n_items, metadata = registry.events[f"{NAME}.0003"]
    assert (n_items, metadata["first_item"], metadata["last_item"], metadata["n_labels"]) == (
        5,
        "k20",
        "k24",
        5,
    )


def test_labels_and_claims_arrive_in_the_manifest(lake):
    plan(lake, Registry(), [item(1)])
    row = manifest(lake).row(0, named=True)
    assert (row["source"], row["kind"], row["uri"]) == ("open-images", "image", "https://x/1")
    assert row["labels"][0]["confidence"] == 0.0
    assert row["labels"][0]["x_min"] is None


def test_nothing_changes_when_the_same_list_is_planned_again(lake):
    registry = Registry()
    rows = [*items(25), RejectedRow("list.csv:9", "expected 12 columns, got 2")]
    plan(lake, registry, rows)
    versions = [lake.table(contract).version() for contract in (MANIFEST, ITEM_STATUS)]
    again = plan(lake, registry, rows, batch_size=7, run_id="r2")
    assert again == PlanResult((), (), 26, 0, 25, 1)
    assert [lake.table(contract).version() for contract in (MANIFEST, ITEM_STATUS)] == versions


def test_only_what_is_new_is_planned_when_the_list_has_grown(lake):
    registry = Registry()
    plan(lake, registry, items(15))
    before = manifest(lake)
    result = plan(lake, registry, [*items(5, first=100), *items(15), *items(8, first=200)])
    assert result.batch_ids == tuple(numbered(3, 4))
    assert (result.n_planned, result.n_already_planned) == (13, 15)
    assert manifest(lake).filter(pl.col("batch_id").is_in(numbered(1, 2))).equals(before)


def test_the_first_of_equal_keys_is_planned(lake):
    rows = [item(1), item(2), item(1, "https://other"), *items(12, first=3), item(2)]
    result = plan(lake, Registry(), rows)
    assert (result.n_planned, result.n_already_planned) == (14, 2)
    assert manifest(lake).filter(pl.col("item_key") == "k1")["uri"].to_list() == ["https://x/1"]
    assert manifest(lake)["item_key"].n_unique() == 14


def test_two_names_may_hold_the_same_keys(lake):
    registry = Registry()
    plan(lake, registry, items(3), name="folder.a")
    result = plan(lake, registry, items(3), name="folder.a.0001")
    assert result.n_planned == 3
    assert set(registry.partitions) == {"folder.a.0001", "folder.a.0001.0001"}


@pytest.mark.parametrize("n_steps", range(13))
def test_a_plan_is_that_of_an_unharmed_run_after_a_crash_at_any_step(lake, tmp_path, monkeypatch, n_steps):
    """Steps: per batch the commit (before, after), the event and the partition; last the bad rows."""
    rows = [*items(25), RejectedRow("list.csv:9", "bad")]
    unharmed_lake, unharmed = Lake(LakeLocation(str(tmp_path / "unharmed"))), Registry()
    plan(unharmed_lake, unharmed, rows)
    registry = Registry()
    steps = iter(range(100))

    def step(*_: object) -> None:
        if next(steps) == n_steps:
            raise KeyboardInterrupt

    commit = Lake.commit

    def breaking_commit(self, contract, write) -> None:
        step()
        commit(self, contract, write)
        if contract is MANIFEST:
            step()

    with monkeypatch.context() as patch:
        patch.setattr(Lake, "commit", breaking_commit)
        registry.before_event = registry.before_partition = step
        with pytest.raises(KeyboardInterrupt):
            plan(lake, registry, iter(rows))
    registry.before_event = registry.before_partition = lambda batch_id: None
    plan(lake, registry, iter(rows))
    assert manifest(lake).equals(manifest(unharmed_lake))
    assert registry.partitions == unharmed.partitions

    def told(registry):
        return {key: (n, {k: v for k, v in m.items() if k != "planned_at"}) for key, (n, m) in registry.events.items()}

    assert told(registry) == told(unharmed)
    assert lake.scan(ITEM_STATUS).select("item_key", "message").collect().rows() == [("list.csv:9", "bad")]


def test_a_batch_is_registered_only_once_its_rows_are_there(lake):
    """Automation may run it in the same moment."""
    registry, n_rows = Registry(), []
    registry.before_event = lambda batch_id: n_rows.append(manifest(lake).filter(batch_id=batch_id).height)
    plan(lake, registry, items(25))
    assert n_rows == [10, 10, 5]


def test_an_unregistered_batch_is_registered_though_nothing_is_new(lake):
    registry = Registry()
    plan(lake, registry, items(25))
    registry.partitions.remove(f"{NAME}.0002")
    events = dict(registry.events)
    result = plan(lake, registry, items(25))
    assert result.registered == (f"{NAME}.0002",)
    assert result.batch_ids == ()
    assert registry.events == events


def test_the_slower_planner_goes_on_with_what_is_left_when_it_is_overtaken(lake):
    registry = Registry()
    overtakers = []

    def list_of_the_slower():
        yield from items(10)
        yield from items(5, first=10)
        overtakers.append(plan(lake, registry, items(18), batch_size=6))
        yield from items(15, first=15)

    result = plan(lake, registry, list_of_the_slower())
    assert overtakers[0].n_planned == 8
    assert (result.n_read, result.n_planned, result.n_already_planned) == (30, 22, 8)
    assert sorted(manifest(lake)["item_key"]) == sorted(f"k{n}" for n in range(30))
    assert [len(keys) for keys in batches(lake).values()] == [10, 6, 2, 10, 2]
    assert len(set(result.batch_ids) | set(overtakers[0].batch_ids)) == 5
    assert registry.partitions == numbered(1, 2, 3, 4, 5)


@pytest.mark.parametrize("has_table", [True, False])
def test_no_item_is_planned_twice_or_lost_when_planners_race(lake, has_table):
    if has_table:
        plan(lake, Registry(), items(3, first=1000), name="folder.other")
    n_planners, n_items = 3, 60
    registries = [Registry() for _ in range(n_planners)]
    results: list[PlanResult] = []
    start = threading.Barrier(n_planners)

    def run(registry: Registry) -> None:
        start.wait()
        results.append(plan(Lake(lake.location), registry, items(n_items), batch_size=5))

    threads = [threading.Thread(target=run, args=[registry]) for registry in registries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = manifest(lake).filter(pl.col("batch_id").str.starts_with(NAME))
    assert sorted(rows["item_key"]) == sorted(f"k{n}" for n in range(n_items))
    assert sum(result.n_planned for result in results) == n_items
    assert all(result.n_read == n_items for result in results)
    ids = [batch_id for result in results for batch_id in result.batch_ids]
    assert sorted(ids) == sorted(set(rows["batch_id"]))
    assert set().union(*(registry.partitions for registry in registries)) == set(ids)


def test_a_number_is_not_used_again_when_the_rows_of_a_batch_are_gone(lake):
    registry = Registry()
    plan(lake, registry, items(10), batch_size=5)
    lake.table(MANIFEST).delete(f"batch_id = '{NAME}.0002'")
    assert plan(lake, registry, items(12), batch_size=5).batch_ids == tuple(numbered(3, 4))


def test_bad_rows_become_failed_statuses_and_go_when_the_list_is_mended(lake):
    registry = Registry()
    bad = [RejectedRow(f"list.csv:{n}", f"message {n}") for n in (3, 5)]
    result = plan(lake, registry, [bad[0], *items(2), bad[1]])
    assert (result.n_rejected, result.n_read) == (2, 4)
    first = lake.scan(ITEM_STATUS).collect()
    row = first.sort("item_key").row(0, named=True)
    assert (row["stage"], row["batch_id"]) == ("ingest.manifest", f"{NAME}.rejected")
    assert (row["status"], row["error_code"], row["is_retryable"]) == ("failed", "bad_row", False)
    assert registry.partitions == numbered(1)

    plan(lake, registry, [bad[1], *items(2)], run_id="r2")
    left = lake.scan(ITEM_STATUS).collect()
    assert left["item_key"].to_list() == ["list.csv:5"]
    assert left["first_failed_at"].item() == row["first_failed_at"]
    assert left["run_id"].item() == "r2"

    plan(lake, registry, items(2), run_id="r3")
    assert lake.scan(ITEM_STATUS).collect().height == 0


def test_bad_rows_are_bounded_and_the_rest_is_counted(lake, monkeypatch):
    monkeypatch.setattr(rejections, "N_KEPT_ROWS", 3)
    rows = [RejectedRow(f"list.csv:{n}", "bad") for n in range(10)]
    assert plan(lake, Registry(), rows).n_rejected == 10
    stored = lake.scan(ITEM_STATUS).sort("item_key").collect()
    assert stored["message"].to_list() == ["bad", "bad", "bad (and 7 more bad rows that are not listed)"]


def test_a_name_is_refused_when_another_place_has_it(lake):
    registry = Registry()
    plan(lake, registry, [item(1, "file:///a")], name="folder.p", folder_uri="file:///a/")
    assert plan(lake, registry, [item(1, "file:///a")], name="folder.p", folder_uri="file:///a/").n_planned == 0
    with pytest.raises(PlanRefused, match=r"file:///a/1.*another name"):
        plan(lake, registry, [item(1, "file:///b")], name="folder.p", folder_uri="file:///b/")


@pytest.mark.parametrize("name", ["", "Open", "a b", "a/b", "a\n", "..", "é"])
def test_a_name_is_refused_when_no_batch_id_can_begin_with_it(lake, name):
    with pytest.raises(PlanRefused, match="letters, digits"):
        plan(lake, Registry(), items(1), name=name)


def test_a_batch_size_of_nothing_is_refused(lake):
    with pytest.raises(PlanRefused, match="at least one"):
        plan(lake, Registry(), items(1), batch_size=0)


def test_nothing_of_a_batch_is_planned_when_an_item_breaks_the_contract(lake):
    registry = Registry()
    broken = PlannedItem(item_key="k", uri="", kind=Kind.IMAGE)
    with pytest.raises(ContractBroken, match="uri"):
        plan(lake, registry, [*items(3), broken], batch_size=3)
    assert registry.partitions == numbered(1)
    assert len(manifest(lake)) == 3


def test_an_empty_list_plans_nothing(lake):
    assert plan(lake, Registry(), []) == PlanResult((), (), 0, 0, 0, 0)


def test_progress_is_told_after_every_stretch_of_the_list(lake: Lake) -> None:
    told: list[tuple[str, int]] = []
    plan(lake, Registry(), items(7), batch_size=3, progress=lambda *news: told.append(news))
    assert told == [(NAME, 3), (NAME, 6), (NAME, 7)]
