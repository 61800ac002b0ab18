"""Building frames, and holding them against a contract."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from media_assets.errors import ContractBroken
from media_assets.tables import (
    ITEM_STATUS,
    MANIFEST,
    RAW_MEDIA,
    TENSORS_IMAGES,
    TENSORS_STATISTICS,
    TableContract,
)
from media_assets_tests.tables.rows import CONTRACTS, LABEL, NOON, numbered, valid

every_table = pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.name)


@every_table
def test_the_frame_has_the_contracts_columns_and_types_when_rows_are_given(contract: TableContract) -> None:
    frame = contract.frame([valid(contract)])
    assert frame.schema == contract.schema
    assert frame.to_dicts() == [valid(contract)]


@every_table
def test_the_frame_has_the_contracts_columns_and_types_when_there_is_no_row(contract: TableContract) -> None:
    frame = contract.frame([])
    assert (frame.schema, frame.height) == (contract.schema, 0)
    assert contract.violations(frame) == []


@every_table
def test_missing_keys_become_nulls_and_order_does_not_matter(contract: TableContract) -> None:
    row = valid(contract)
    frame = contract.frame([dict(reversed(row.items())), {}])
    assert frame.row(0, named=True) == row
    assert set(frame.row(1)) == {None}


@every_table
def test_a_column_is_refused_when_the_contract_does_not_have_it(contract: TableContract) -> None:
    with pytest.raises(ContractBroken, match=r"got \['colour'\] too"):
        contract.frame([valid(contract), valid(contract, colour="red")])


WRONG: list[tuple[TableContract, str, Any]] = [
    (MANIFEST, "position", "7"),
    (MANIFEST, "position", 1.5),
    (MANIFEST, "position", 1.0),
    (MANIFEST, "position", True),
    (MANIFEST, "position", 2**63),
    (MANIFEST, "item_key", 7),
    (MANIFEST, "item_key", b"key"),
    (MANIFEST, "item_key", "from a file name that is not UTF-8: \udcff"),
    (MANIFEST, "planned_at", "2026-01-01"),
    (MANIFEST, "planned_at", date(2026, 1, 1)),
    (MANIFEST, "planned_at", datetime(2026, 1, 1)),  # noqa: DTZ001 - of which zone?
    (MANIFEST, "labels", "none"),
    (MANIFEST, "labels", LABEL),
    (MANIFEST, "labels", [LABEL | {"colour": "red"}]),
    (MANIFEST, "labels", [LABEL | {"name": 1}]),
    (MANIFEST, "labels", [LABEL | {"x_min": "0.5"}]),
    (MANIFEST, "labels", [LABEL | {"is_inside": 1}]),
    (ITEM_STATUS, "is_retryable", 1),
    (ITEM_STATUS, "is_retryable", "no"),
    (TENSORS_IMAGES, "tensor", "bytes"),
    (TENSORS_IMAGES, "tensor", bytearray(b"bytes")),
    (TENSORS_IMAGES, "shape", [1.5]),
    (TENSORS_IMAGES, "shape", 3),
    (TENSORS_IMAGES, "mean", ["0.5"]),
    (TENSORS_IMAGES, "scale", "1"),
    (TENSORS_IMAGES, "scale", True),
]


@pytest.mark.parametrize(
    ("contract", "column", "value"),
    WRONG,
    ids=[
        f"{contract.name}.{column} {type(value).__name__} {number}"
        for number, (contract, column, value) in enumerate(WRONG)
    ],
)
def test_a_value_is_refused_when_it_is_of_another_type(contract: TableContract, column: str, value: Any) -> None:
    rows = numbered(contract, 3)
    rows[1][column] = value
    with pytest.raises(ContractBroken, match=contract.name):
        contract.frame(rows)


def test_values_are_kept_when_they_are_exact_in_the_columns_type() -> None:
    there = timezone(timedelta(hours=2))
    row = {"planned_at": datetime(2026, 1, 1, 14, 0, 0, 123456, tzinfo=there), "labels": []}
    assert MANIFEST.frame([row])["planned_at"].to_list() == [datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)]
    tensor = TENSORS_IMAGES.frame([{"scale": 1, "mean": (0, 1), "std": [0.5]}])
    assert tensor.select("scale", "mean", "std").row(0) == (1.0, [0.0, 1.0], [0.5])


@every_table
def test_good_rows_have_no_violations(contract: TableContract) -> None:
    frame = contract.frame(numbered(contract, 3))
    assert contract.violations(frame) == []
    contract.require(frame)


def test_a_lazy_frame_is_never_accepted() -> None:
    """pandera looks only at the schema of a lazy frame, so that any value would pass."""
    bad = MANIFEST.frame([valid(MANIFEST, kind="song")]).lazy()
    with pytest.raises(TypeError, match="collect it first"):
        MANIFEST.violations(bad)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="collect it first"):
        MANIFEST.require(bad)  # type: ignore[arg-type]


@every_table
def test_columns_must_be_all_there_in_order_and_of_the_type(contract: TableContract) -> None:
    frame = contract.frame(numbered(contract, 2))
    first, second = frame.columns[:2]
    narrower = {pl.Int64(): pl.Int32(), pl.List(pl.Int64): pl.List(pl.Int32), pl.Float64(): pl.Float32()}
    wide = next(name for kind in narrower for name, has in contract.schema.items() if has == kind)
    narrow = narrower[contract.schema[wide]]
    for changed, column in (
        (frame.drop(first), "*"),
        (frame.select(second, first, *frame.columns[2:]), "*"),
        (frame.with_columns(extra=1), "*"),
        (frame.with_columns(pl.col(wide).cast(narrow)), wide),
    ):
        violations = contract.violations(changed)
        assert [violation.column for violation in violations] == [column]


@every_table
def test_a_repeated_key_is_a_violation(contract: TableContract) -> None:
    rows = numbered(contract, 3)
    (violation,) = contract.violations(contract.frame([*rows, rows[1], rows[1]]))
    assert (violation.column, violation.rule) == (",".join(contract.primary_key), "key is unique")
    assert violation.n_rows == 2
    as_stored = contract.frame([rows[1]]).select(contract.primary_key).row(0)
    assert violation.examples[0] == str(as_stored)


@pytest.mark.parametrize(
    ("contract", "column"),
    [(contract, name) for contract in CONTRACTS for name in contract.primary_key],
    ids=lambda value: getattr(value, "name", value),
)
def test_rows_that_differ_in_one_part_of_the_key_are_different_rows(contract: TableContract, column: str) -> None:
    row = valid(contract)
    others = {"channel": 1, "first_failed_at": datetime(2025, 1, 1, tzinfo=UTC), "task_key": f"a/{0:032x}@r1"}
    other = others[column] if column in others else "0" * len(row[column])
    assert contract.violations(contract.frame([row, row | {column: other}])) == []


def test_each_violation_counts_its_rows_and_shows_at_most_five() -> None:
    rows = numbered(RAW_MEDIA, 9, size_bytes=0)
    rows[0]["kind"] = "song"
    by_column = {violation.column: violation for violation in RAW_MEDIA.violations(RAW_MEDIA.frame(rows))}
    assert set(by_column) == {"kind", "size_bytes"}
    assert (by_column["size_bytes"].n_rows, len(by_column["size_bytes"].examples)) == (9, 5)
    assert by_column["kind"].examples == ("song",)


def test_the_error_names_the_table_every_violation_and_the_next_step() -> None:
    rows = numbered(TENSORS_STATISTICS, 3, n_tensors=0)
    rows[2]["channel"] = 3
    with pytest.raises(ContractBroken) as caught:
        TENSORS_STATISTICS.require(TENSORS_STATISTICS.frame(rows))
    told = str(caught.value)
    assert told.startswith("tensors.statistics: ")
    assert "channel: " in told
    assert "(1 rows, such as ['3'])" in told
    assert "n_tensors: " in told
    assert "run it again" in told


def test_building_a_frame_leaves_the_rows_alone() -> None:
    rows = [valid(MANIFEST), {"planned_at": NOON}]
    before = [dict(row) for row in rows]
    assert_frame_equal(MANIFEST.frame(rows), MANIFEST.frame(rows))
    assert rows == before
