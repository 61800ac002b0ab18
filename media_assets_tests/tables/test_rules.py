"""Every rule of every contract: one offending row among good ones is found, alone, and by the rule it breaks."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media_assets.tables import ALL_TABLES, FRAMES_IMAGES, ITEM_STATUS, MANIFEST, RAW_MEDIA, TableContract
from media_assets_tests.tables.offences import OFFENCES
from media_assets_tests.tables.rows import numbered, rows, sha, valid

BY_NAME = {contract.name: contract for contract in ALL_TABLES}
CASES = [(name, *offence) for name, offences in OFFENCES.items() for offence in offences]


@pytest.mark.parametrize(
    ("name", "column", "value", "changes"),
    CASES,
    ids=[f"{name}.{column}={ascii(value)[:24]}" for name, column, value, _ in CASES],
)
def test_one_offending_row_is_found(name: str, column: str, value: Any, changes: dict[str, Any]) -> None:
    contract = BY_NAME[name]
    frame_rows = numbered(contract, 3)
    frame_rows[1] |= changes | {column: value}
    violations = contract.violations(contract.frame(frame_rows))
    assert [violation.column for violation in violations] == [column]
    assert violations[0].n_rows == 1
    assert violations[0].rule == "not_nullable" or value is not None


def test_no_rule_is_without_an_offence() -> None:
    """A rule is what pandera was told: a check of a column, or that it holds no null."""
    told, tried = set(), set()
    for contract in ALL_TABLES:
        for name, declared in contract.model.to_schema().columns.items():
            told |= {(contract.name, name, check.name) for check in declared.checks}
            if not declared.nullable:
                told.add((contract.name, name, "not_nullable"))
    for name, column, value, changes in CASES:
        contract = BY_NAME[name]
        for violation in contract.violations(contract.frame([valid(contract, **changes, **{column: value})])):
            tried.add((name, column, violation.rule.partition("(")[0]))
    assert told - tried == set()


@pytest.mark.parametrize(
    ("contract", "column"),
    [(contract, name) for contract in ALL_TABLES for name in sorted(contract.nullable)],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_null_is_accepted_where_the_contract_allows_it(contract: TableContract, column: str) -> None:
    changes = {"status": "accepted"} if column == "error_code" else {}
    assert contract.violations(contract.frame([valid(contract, **changes, **{column: None})])) == []


def test_the_ends_of_every_range_are_inside() -> None:
    for contract, column, ends in (
        (MANIFEST, "item_key", ("k", "k" * 4096)),
        (MANIFEST, "position", (0, 2**63 - 1)),
        (RAW_MEDIA, "exif_orientation", (1, 8)),
        (RAW_MEDIA, "bit_depth", (1, 64)),
        (RAW_MEDIA, "size_bytes", (1, 2**63 - 1)),
        (FRAMES_IMAGES, "turned_degrees", (0, 270)),
    ):
        for end in ends:
            assert contract.violations(contract.frame([valid(contract, **{column: end})])) == [], (column, end)


@pytest.mark.parametrize(
    ("status", "code"), [("failed", None), ("accepted", "not_found"), ("duplicate", "timeout"), ("erased", "empty")]
)
def test_a_failed_row_needs_a_code_and_no_other_row_may_have_one(status: str, code: str | None) -> None:
    frame_rows = numbered(ITEM_STATUS, 3)
    frame_rows[2] |= {"status": status, "error_code": code}
    (violation,) = ITEM_STATUS.violations(ITEM_STATUS.frame(frame_rows))
    assert violation.rule == "failed_rows_have_a_code_and_only_they"
    assert violation.n_rows == 1
    assert "2.jpg" in violation.examples[0]


@pytest.mark.parametrize(("encoding", "blob"), [("original", sha("b")), ("png", sha("a")), ("stripped", sha("a"))])
def test_an_original_frame_is_the_raw_file_and_no_other_is(encoding: str, blob: str) -> None:
    frame_rows = numbered(FRAMES_IMAGES, 3)
    frame_rows[0] |= {"encoding": encoding, "blob": blob}
    (violation,) = FRAMES_IMAGES.violations(FRAMES_IMAGES.frame(frame_rows))
    assert violation.rule == "an_original_is_the_raw_file"
    assert violation.n_rows == 1
    fixed = valid(FRAMES_IMAGES, encoding="original", blob=sha("a"), media_id=sha("a"))
    assert FRAMES_IMAGES.violations(FRAMES_IMAGES.frame([fixed])) == []


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_awkward_rows_that_hold_the_contract_are_accepted(data: st.DataObject) -> None:
    contract = data.draw(st.sampled_from(ALL_TABLES), label="table")
    frame = contract.frame(data.draw(rows(contract), label="rows"))
    assert contract.violations(frame) == []
