"""A list that says something else of planned items: told, and taken over where nothing of the item is kept."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from media_assets.ingest import planned_rows, updates
from media_assets.ingest.planned import PlannedItem, RejectedRow
from media_assets.ingest.planning import PlanResult
from media_assets.lake.delta import Lake, Provenance
from media_assets.lake.location import LakeLocation
from media_assets.lake.publications import Publications
from media_assets.tables.ingest import ITEM_STATUS, MANIFEST
from media_assets_tests.ingest.test_planning import NAME, Registry, item, items, manifest, plan


@pytest.fixture
def lake(tmp_path) -> Lake:
    return Lake(LakeLocation(str(tmp_path / "lake")))


def elsewhere(*numbers: int) -> list[PlannedItem]:
    """These items at another address."""
    return [item(number, "https://mended") for number in numbers]


def addresses(lake: Lake) -> dict[str, str]:
    return dict(manifest(lake).select("item_key", "uri").iter_rows())


def write_statuses(lake: Lake, number: int, **statuses: Any) -> None:
    """Statuses at raw/media: a status, or an error code with or without bytes (`corrupt`, `corrupt+`)."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    rows: list[dict[str, object]] = []
    for key, told in statuses.items():
        is_failed = told not in ("accepted", "duplicate", "erased")
        row: dict[str, object] = {"item_key": key, "status": "failed" if is_failed else told}
        if is_failed:
            row |= {"error_code": told.rstrip("+"), "is_retryable": False, "first_failed_at": now}
            row |= {"last_failed_at": now, "message": "m"}
        row |= {"blob": "a" * 64 if told.endswith("+") or not is_failed else None, "n_outputs": int(not is_failed)}
        row |= {"stage": "raw.media", "batch_id": f"{NAME}.{number:04d}", "attempts": 1, "code_version": "1"}
        rows.append(row | {"run_id": "r", "updated_at": now})
    where = {"stage": ["raw.media"], "batch_id": [f"{NAME}.{number:04d}"]}
    lake.overwrite(ITEM_STATUS, ITEM_STATUS.frame(rows), where, Provenance("r", "1"))


def counts(result: PlanResult) -> tuple[int, int, int]:
    return result.n_changed, result.n_updated, result.n_left


def test_what_the_list_says_otherwise_is_told_and_nothing_is_replaced_without_an_update(lake):
    plan(lake, Registry(), items(25))
    before = manifest(lake)
    relabelled = replace(item(24), labels=(), licence="CC0")
    result = plan(lake, Registry(), [*items(10), *elsewhere(12, 11), relabelled, *items(3, first=30)])
    assert counts(result) == (3, 0, 0)
    assert result.changed_examples == ("k12: uri", "k11: uri", "k24: licence, labels")
    assert (result.n_planned, result.n_already_planned) == (3, 13)
    assert manifest(lake).filter(~pl.col("batch_id").str.ends_with("4")).equals(before)


def test_nothing_is_told_when_the_list_is_the_same_in_another_order(lake):
    rows = [*items(25), item(1, "https://a-repeat-of-which-the-first-counts")]
    plan(lake, Registry(), rows)
    version = lake.table(MANIFEST).version()
    again = plan(lake, Registry(), [*reversed(list(items(25))), item(1, "https://a-repeat")], batch_size=7, update=True)
    assert (counts(again), again.changed_examples) == ((0, 0, 0), ())
    assert lake.table(MANIFEST).version() == version


def test_an_update_replaces_what_failed_or_never_ran_and_leaves_what_is_kept(lake):
    registry = Registry()
    plan(lake, registry, items(12))
    codes = {"k4": "not_found", "k5": "truncated+", "k6": "decoder_timeout+", "k7": "decoder_timeout"}
    write_statuses(lake, 1, k1="accepted", k2="duplicate", k3="erased", **codes)
    times = lake.scan(MANIFEST).select("item_key", "planned_at").collect()
    result = plan(lake, registry, [*elsewhere(*range(9)), *items(3, first=9), RejectedRow("l:1", "bad")], update=True)
    assert counts(result) == (9, 5, 4)
    mended = {key for key, uri in addresses(lake).items() if uri.startswith("https://mended/")}
    assert mended == {"k0", "k4", "k5", "k7", "k8"}
    rows = manifest(lake)
    assert rows["position"].to_list() == [*range(10), 0, 1]
    assert rows["item_key"].to_list() == [f"k{number}" for number in range(12)]
    assert (
        lake.scan(MANIFEST).select("item_key", "planned_at").sort("item_key").collect().equals(times.sort("item_key"))
    )
    assert registry.partitions == [f"{NAME}.0001", f"{NAME}.0002"]

    version = lake.table(MANIFEST).version()
    again = plan(lake, registry, [*elsewhere(*range(9)), *items(3, first=9)], update=True)
    assert counts(again) == (4, 0, 4)
    assert lake.table(MANIFEST).version() == version
    assert result.changed_examples == ("k0: uri", "k1: uri", "k2: uri")


def test_the_first_of_equal_keys_is_the_one_taken_over(lake):
    plan(lake, Registry(), items(12), batch_size=3)
    rows = [item(1, "https://first"), item(1, "https://second"), *items(5, first=2), item(1, "https://third"), item(1)]
    result = plan(lake, Registry(), rows, batch_size=3, update=True)
    assert counts(result) == (1, 1, 0)
    assert addresses(lake)["k1"] == "https://first/1"


def test_changes_of_a_shuffled_list_reach_every_batch(lake):
    plan(lake, Registry(), items(20), batch_size=3)
    shuffled = elsewhere(*(number * 7 % 20 for number in range(20)))
    assert counts(plan(lake, Registry(), shuffled, batch_size=4, update=True)) == (20, 20, 0)
    assert addresses(lake) == {f"k{number}": f"https://mended/{number}" for number in range(20)}
    assert lake.partition_values(MANIFEST) == [f"{NAME}.{number:04d}" for number in range(1, 8)]


def test_a_batch_that_is_being_published_is_left(lake):
    plan(lake, Registry(), items(6), batch_size=3)
    with pytest.raises(KeyboardInterrupt), Publications.of(lake.location).under_way(f"{NAME}.0001", ["raw.media"]):
        raise KeyboardInterrupt
    assert counts(plan(lake, Registry(), elsewhere(*range(6)), batch_size=3, update=True)) == (6, 3, 3)
    assert {key for key, uri in addresses(lake).items() if "mended" in uri} == {"k3", "k4", "k5"}


def test_nothing_is_lost_or_doubled_when_updates_race_with_each_other_and_with_a_grown_list(lake):
    plan(lake, Registry(), items(40), batch_size=5)
    lists = [
        [item(number, f"https://{place}") for number in range(40 + 5 * place)]
        for place in range(3)  # they disagree of every item, and two of them have new ones
    ]
    results: list[PlanResult] = []
    start = threading.Barrier(len(lists))

    def run(rows: list[PlannedItem]) -> None:
        start.wait()
        results.append(plan(Lake(lake.location), Registry(), rows, batch_size=5, update=True))

    threads = [threading.Thread(target=run, args=[rows]) for rows in lists]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    rows = manifest(lake)
    assert sorted(rows["item_key"]) == sorted(f"k{number}" for number in range(50))
    assert all(uri.startswith(("https://0/", "https://1/", "https://2/")) for uri in rows["uri"])
    assert all(group["position"].to_list() == list(range(len(group))) for group in rows.partition_by("batch_id")), (
        "every batch has its places once"
    )
    assert sum(result.n_planned for result in results) == 10


def test_a_rivals_update_of_the_same_batch_is_not_undone(lake, monkeypatch):
    """Both read the batch, then both write: the slower is refused, and judges the rows that the faster one left."""
    plan(lake, Registry(), items(5), batch_size=5)
    judged = updates._judged
    rival: list[PlanResult] = []

    def overtaken(lake, batch_id, changed):
        outcome = judged(lake, batch_id, changed)
        if not rival:
            rival.append(PlanResult((), (), 0, 0, 0, 0))
            rival.append(plan(lake, Registry(), elsewhere(3, 4), batch_size=5, update=True))
        return outcome

    monkeypatch.setattr(updates, "_judged", overtaken)
    assert counts(plan(lake, Registry(), elsewhere(0, 1), batch_size=5, update=True)) == (2, 2, 0)
    assert counts(rival[1]) == (2, 2, 0)
    assert {key for key, uri in addresses(lake).items() if "mended" in uri} == {"k0", "k1", "k3", "k4"}


def test_an_update_is_that_of_an_unharmed_one_when_it_is_killed_between_batches(lake):
    registry = Registry()
    plan(lake, registry, items(9), batch_size=3)

    def killed(batch_id: str) -> None:
        if batch_id.endswith("2"):
            raise KeyboardInterrupt

    registry.before_event = killed
    with pytest.raises(KeyboardInterrupt):
        plan(lake, registry, elsewhere(*range(9)), batch_size=3, update=True)
    assert "https://x/8" in addresses(lake).values()
    registry.before_event = lambda batch_id: None
    plan(lake, registry, elsewhere(*range(9)), batch_size=3, update=True)
    assert addresses(lake) == {f"k{number}": f"https://mended/{number}" for number in range(9)}


def test_the_manifest_is_not_read_whole_when_nothing_of_the_list_is_planned(lake, monkeypatch):
    plan(lake, Registry(), items(5))
    monkeypatch.setattr(planned_rows.PlannedRows, "_read_hashes", None)
    assert plan(lake, Registry(), items(5, first=5)).n_planned == 5
