"""Reconciliation, pure: every way in which a batch may not add up is found."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from media_assets.stages.audit import broken, reconciliation_finding, status_counts
from media_assets.tables import ITEM_STATUS, RAW_MEDIA


def statuses(*rows: tuple[str, str, int]) -> pl.DataFrame:
    """Status rows of (item key, status, n_outputs)."""
    made: list[dict[str, Any]] = [
        {
            "stage": "raw.media",
            "batch_id": "b.1",
            "item_key": key,
            "status": status,
            "error_code": "not_found" if status == "failed" else None,
            "attempts": 1,
            "n_outputs": n_outputs,
            "code_version": "1",
            "run_id": "r",
            "updated_at": datetime(2026, 1, 1, tzinfo=UTC),
        }
        for key, status, n_outputs in rows
    ]
    return ITEM_STATUS.frame(made)


GOOD = (("a", "accepted", 1), ("b", "failed", 0), ("c", "duplicate", 0))


def test_a_batch_that_adds_up_reconciles() -> None:
    finding = reconciliation_finding(RAW_MEDIA, ["a", "b", "c"], statuses(*GOOD), {"a": 1})
    assert finding.passed
    assert finding.detail["entered"] == 3
    assert (finding.detail["accepted"], finding.detail["failed"], finding.detail["duplicate"]) == (1, 1, 1)


@pytest.mark.parametrize(
    ("entered", "rows", "per_item", "problem"),
    [
        (["a", "b", "c", "d"], GOOD, {"a": 1}, "without a status"),
        (["a", "b", "c"], (*GOOD, ("a", "accepted", 1)), {"a": 1}, "with several statuses"),
        (["a", "b"], GOOD, {"a": 1}, "with a status but never entered"),
        (["a", "b", "c"], GOOD, {}, "with another number of rows than its status says"),
        (["a", "b", "c"], GOOD, {"a": 2}, "with another number of rows than its status says"),
        (["a", "b", "c"], GOOD, {"a": 1, "x": 1}, "with another number of rows than its status says"),
        (["a"], (("a", "failed", 1),), {"a": 1}, "neither going on nor without rows"),
    ],
)
def test_what_does_not_add_up_is_named(
    entered: list[str], rows: tuple[tuple[str, str, int], ...], per_item: dict[str, int], problem: str
) -> None:
    finding = reconciliation_finding(RAW_MEDIA, entered, statuses(*rows), per_item)
    assert not finding.passed
    assert problem in finding.detail
    assert broken([finding]) == [finding]


def test_every_status_is_counted_even_when_it_is_zero() -> None:
    assert status_counts(["failed", "failed", "accepted"]) == {
        "accepted": 1,
        "converted": 0,
        "duplicate": 0,
        "filtered": 0,
        "failed": 2,
        "erased": 0,
    }
