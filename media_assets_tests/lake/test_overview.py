"""Counts by batch and stage, and the dead letters that a filter means."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from media_assets.lake.delta import Lake
from media_assets.lake.overview import STAGES, DeadLetterFilter, batch_overview, dead_letters, item_counts
from media_assets.tables import ITEM_STATUS
from media_assets_tests.lake.lakes import US, lake_at, plan
from media_assets_tests.tables.rows import NOON, valid


def report(lake: Lake, batch: str, stage: str, **statuses: str) -> None:
    """Statuses of a batch at a stage, by item key; `failed/code` names the cause."""
    rows = []
    for key, told in statuses.items():
        status, _, code = told.partition("/")
        row = valid(ITEM_STATUS, batch_id=batch, stage=stage, item_key=key, status=status, error_code=code or None)
        rows.append(row)
    lake.overwrite(ITEM_STATUS, ITEM_STATUS.frame(rows), {"stage": [stage], "batch_id": [batch]}, US)


def overview(lake: Lake) -> dict[tuple[str, str], dict[str, Any]]:
    rows = batch_overview(lake).to_dicts()
    found = {(row.pop("batch_id"), row.pop("stage")): row for row in rows}
    assert len(found) == len(rows)
    return {key: {name: n for name, n in row.items() if n} for key, row in found.items()}


def test_there_is_nothing_to_see_in_an_empty_lake(lake: Lake) -> None:
    frame = batch_overview(lake)
    assert frame.is_empty()
    assert frame.columns == [
        *("batch_id", "stage", "expected"),
        *("accepted", "converted", "duplicate", "filtered", "failed", "erased"),
        "pending",
    ]


def test_a_planned_batch_is_pending_at_its_first_stage(lake: Lake) -> None:
    plan(lake, "b", ["1"])
    plan(lake, "a", ["1", "2", "3"])
    assert overview(lake) == {
        ("a", "raw.media"): {"expected": 3, "pending": 3},
        ("a", "frames.images"): {},
        ("a", "tensors.images"): {},
        ("a", "frames.keyframes"): {},
        ("b", "raw.media"): {"expected": 1, "pending": 1},
        ("b", "frames.images"): {},
        ("b", "tensors.images"): {},
        ("b", "frames.keyframes"): {},
    }
    assert batch_overview(lake)["batch_id"].to_list() == ["a"] * 4 + ["b"] * 4
    assert batch_overview(lake)["stage"].to_list()[:4] == list(STAGES)


def test_a_stage_expects_what_the_stage_before_let_through(lake: Lake) -> None:
    plan(lake, "a", "1234567")
    report(
        lake,
        "a",
        "raw.media",
        **{
            "1": "accepted",
            "2": "converted",
            "3": "duplicate",
            "4": "filtered",
            "5": "failed/not_found",
            "6": "erased",
            "7": "accepted",
        },
    )
    report(lake, "a", "frames.images", **{"1": "accepted", "2": "failed/corrupt"})
    assert overview(lake) == {
        ("a", "raw.media"): {
            "expected": 7,
            "accepted": 2,
            "converted": 1,
            "duplicate": 1,
            "filtered": 1,
            "failed": 1,
            "erased": 1,
        },
        ("a", "frames.images"): {"expected": 3, "accepted": 1, "failed": 1, "pending": 1},
        ("a", "tensors.images"): {"expected": 1, "pending": 1},
        ("a", "frames.keyframes"): {"expected": 3, "pending": 3},
    }


def test_every_item_is_counted_once_at_each_stage(lake: Lake) -> None:
    plan(lake, "a", "12345")
    report(lake, "a", "raw.media", **{"1": "accepted", "2": "failed/timeout"})
    for row in batch_overview(lake).to_dicts():
        counted = sum(n for name, n in row.items() if name not in ("batch_id", "stage", "expected"))
        assert row["expected"] == counted


def test_lines_that_could_not_be_planned_are_counted_as_failed(lake: Lake) -> None:
    plan(lake, "photos.0001", "12")
    plan(lake, "zoo.0001", "1")
    report(
        lake, "photos.rejected", "ingest.manifest", **{"list.csv:3": "failed/bad_row", "list.csv:9": "failed/bad_row"}
    )
    found = overview(lake)
    assert found["photos.rejected", "ingest.manifest"] == {"expected": 2, "failed": 2}
    assert len(found) == 9
    assert batch_overview(lake)["batch_id"].to_list() == ["photos.0001"] * 4 + ["photos.rejected"] + ["zoo.0001"] * 4


def test_bad_lines_are_seen_when_nothing_of_their_list_could_be_planned(lake: Lake) -> None:
    report(lake, "photos.rejected", "ingest.manifest", **{"list.csv:2": "failed/bad_row"})
    assert overview(lake) == {("photos.rejected", "ingest.manifest"): {"expected": 1, "failed": 1}}


# --- dead letters ---


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Five failures in two batches, one hour apart, and an item that is fine."""
    lake = lake_at(tmp_path_factory.mktemp("letters") / "lake")
    failures = [
        ("open-images.validation.0001", "raw.media", "1", "not_found"),
        ("open-images.validation.0001", "raw.media", "2", "timeout"),
        ("open-images.validation.0001", "frames.images", "3", "corrupt"),
        ("folder.pets.0001", "raw.media", "1", "not_found"),
        ("folder.pets.0001", "tensors.images", "4", "storage_failed"),
    ]
    rows = [
        valid(
            ITEM_STATUS,
            batch_id=batch,
            stage=stage,
            item_key=key,
            error_code=code,
            last_failed_at=NOON - timedelta(hours=number),
        )
        for number, (batch, stage, key, code) in enumerate(failures)
    ]
    fine = valid(ITEM_STATUS, batch_id="folder.pets.0001", item_key="5", status="accepted", error_code=None)
    lake.overwrite(ITEM_STATUS, ITEM_STATUS.frame([*rows, fine]), {}, US)
    plan(lake, "folder.pets.0001", ["1", "4", "5"], uri="file:///pets")
    return lake


ALL = [("folder", "4"), ("folder", "1"), ("open-images", "3"), ("open-images", "2"), ("open-images", "1")]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, ALL),
        ({"stage": "raw.media"}, [ALL[1], ALL[3], ALL[4]]),
        ({"stage": "raw/media"}, [ALL[1], ALL[3], ALL[4]]),
        ({"stage": "tensors/images"}, [ALL[0]]),
        ({"stage": "raw"}, []),
        ({"code": "not_found"}, [ALL[1], ALL[4]]),
        ({"code": "NOT_FOUND"}, []),
        ({"batch": "folder.*"}, ALL[:2]),
        ({"batch": "*.0001"}, ALL),
        ({"batch": "folder.pets.0001"}, ALL[:2]),
        ({"batch": "folder"}, []),
        ({"batch": "FOLDER.*"}, []),
        ({"batch": "*.000[2-9]"}, []),
        ({"item": "1"}, [ALL[1], ALL[4]]),
        ({"older_than": timedelta(hours=2)}, ALL[:3]),
        ({"older_than": timedelta(0)}, ALL),
        ({"older_than": timedelta(days=1)}, []),
        ({"code": "not_found", "batch": "open-images.*"}, [ALL[4]]),
        ({"stage": "raw.media", "older_than": timedelta(hours=1), "item": "2"}, [ALL[3]]),
    ],
    ids=str,
)
def test_the_filter_means_every_part_it_is_given(
    letters: Lake, wanted: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    """Oldest failure first."""
    found = dead_letters(letters, DeadLetterFilter(**wanted), now=NOON)
    rows = found.select("batch_id", "item_key").rows()
    assert [(batch.split(".")[0], key) for batch, key in rows] == expected


def test_age_is_counted_from_now_when_no_time_is_given(letters: Lake) -> None:
    assert dead_letters(letters, DeadLetterFilter(older_than=timedelta(days=1))).height == 5  # NOON lies in the past
    assert dead_letters(letters, DeadLetterFilter(older_than=timedelta(days=365 * 500))).is_empty()


def test_a_letter_names_where_its_item_comes_from(letters: Lake) -> None:
    row = dead_letters(letters, DeadLetterFilter(item="4")).row(0, named=True)
    assert (row["uri"], row["source"], row["error_code"]) == ("file:///pets", "folder", "storage_failed")
    assert row["last_failed_at"] == NOON - timedelta(hours=4)


def test_there_are_no_letters_in_an_empty_lake(lake: Lake) -> None:
    for wanted in (DeadLetterFilter(), DeadLetterFilter("raw.media", "timeout", "a*", "1", timedelta(1))):
        assert dead_letters(lake, wanted).is_empty()


def test_a_batch_glob_is_matched_with_its_case() -> None:
    assert DeadLetterFilter().matches_batch("anything")
    assert DeadLetterFilter(batch="open-images.*").matches_batch("open-images.validation.0001")
    assert not DeadLetterFilter(batch="Open-images.*").matches_batch("open-images.validation.0001")


def test_an_item_counts_once_by_the_status_that_says_most(lake: Lake) -> None:
    report(lake, "s.1", "raw.media", a="accepted", b="accepted", c="duplicate", d="accepted", e="failed/not_found")
    report(lake, "s.1", "frames.images", a="failed/corrupt", b="converted", d="accepted")
    report(lake, "s.1", "tensors.images", b="accepted", d="accepted")
    report(lake, "s.1", "frames.keyframes", b="filtered", d="filtered")  # pictures: they are frames
    report(lake, "s.3", "raw.media", a="accepted")
    counts = item_counts(lake, ["s.1", "s.2"])
    assert set(counts) == {"s.1"}
    some = {name: n for name, n in counts["s.1"].items() if n}
    assert some == {"failed": 2, "converted": 1, "duplicate": 1, "accepted": 1}
    assert item_counts(lake, []) == {}
