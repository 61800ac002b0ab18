"""Every rule of every contract: one offending row among good ones is found, alone, and by the rule it breaks."""

from __future__ import annotations

from collections import Counter

import pandera.polars as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandera.errors import SchemaErrors

from media_assets.tables import (
    FRAMES_IMAGES,
    ITEM_STATUS,
    MANIFEST,
    RAW_MEDIA,
    TableContract,
    Violation,
)
from media_assets.tables.rules import all_hold
from media_assets_tests.tables.offences import OFFENCES
from media_assets_tests.tables.rows import CONTRACTS, any_value, numbered, rows, sha, valid

every_table = pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.name)


def found_in_offending_rows(contract: TableContract) -> list[Violation]:
    """What is found when each offence of a table is one row among good ones."""
    offences = OFFENCES[contract.name]
    good = numbered(contract, 3)
    bad = [valid(contract, **changes, **{column: value}) for column, value, changes in offences]
    found = contract.violations(contract.frame([*good, *bad]))
    return [violation for violation in found if violation.rule != "key is unique"]


@every_table
def test_each_offending_row_is_found_and_no_other(contract: TableContract) -> None:
    found: Counter[str] = Counter()
    for violation in found_in_offending_rows(contract):
        found[violation.column] += violation.n_rows
    assert found == Counter(column for column, _, _ in OFFENCES[contract.name])


@every_table
def test_no_rule_is_without_an_offence(contract: TableContract) -> None:
    """A rule is what pandera was told: a check of a column, or that it holds no null."""
    told = set()
    for name, declared in contract.model.to_schema().columns.items():
        told |= {(name, check.name) for check in declared.checks}
        if not declared.nullable:
            told.add((name, "not_nullable"))
    tried = {(violation.column, violation.rule.partition("(")[0]) for violation in found_in_offending_rows(contract)}
    assert told - tried == set()


@every_table
def test_one_offending_row_is_found_alone(contract: TableContract) -> None:
    column, value, changes = next(offence for offence in OFFENCES[contract.name][::-1] if offence[1] is not None)
    rows_with_one = numbered(contract, 3)
    rows_with_one[1] |= changes | {column: value}
    (violation,) = contract.violations(contract.frame(rows_with_one))
    assert (violation.column, violation.n_rows, violation.examples) == (column, 1, (str(value),))


@every_table
def test_each_offence_alone_is_found(contract: TableContract) -> None:
    """One offence that is overlooked while another is found would hide behind it."""
    good = numbered(contract, 3)
    for column, value, changes in OFFENCES[contract.name]:
        found = contract.violations(contract.frame([*good, valid(contract, **changes, **{column: value})]))
        assert [violation.column for violation in found if violation.rule != "key is unique"] == [column], value


@every_table
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_the_quick_look_and_pandera_agree(contract: TableContract, data: st.DataObject) -> None:
    row = dict(data.draw(rows(contract).filter(bool))[0])
    for name, kind in contract.schema.items():
        if data.draw(st.integers(0, 9)) == 0:
            row[name] = data.draw(st.none() | any_value(kind))
    frame = contract.frame([row])
    try:
        contract.model.validate(frame, lazy=True)
    except SchemaErrors:
        is_sound = False
    else:
        is_sound = True
    assert (contract.violations(frame) == []) == is_sound
    assert bool(frame.select(all_hold(contract.model)).item()) == is_sound


class _Repeated(pa.DataFrameModel):
    name: str = pa.Field(unique=True)


class _Each(pa.DataFrameModel):
    name: str

    @pa.check("name", element_wise=True)
    @classmethod
    def is_short(cls, value: str) -> bool:
        return len(value) < 5


@pytest.mark.parametrize("model", [_Repeated, _Each])
def test_a_rule_that_the_quick_look_could_not_see_is_refused(model: type[pa.DataFrameModel]) -> None:
    with pytest.raises(TypeError, match="expected"):
        all_hold(model)


@every_table
def test_nulls_are_accepted_where_the_contract_allows_them(contract: TableContract) -> None:
    row = valid(contract, **dict.fromkeys(contract.nullable))
    if contract is ITEM_STATUS:
        row["status"] = "accepted"
    assert contract.violations(contract.frame([row])) == []


def test_the_ends_of_every_range_are_inside() -> None:
    for contract, lowest, highest in (
        (MANIFEST, {"item_key": "k", "position": 0}, {"item_key": "k" * 4096, "position": 2**63 - 1}),
        (
            RAW_MEDIA,
            {"exif_orientation": 1, "bit_depth": 1, "size_bytes": 1},
            {"item_key": "k", "exif_orientation": 8, "bit_depth": 64, "size_bytes": 2**63 - 1},
        ),
        (FRAMES_IMAGES, {"turned_degrees": 0, "frame_id": "0" * 32}, {"turned_degrees": 270, "width_px": 2**63 - 1}),
    ):
        frame = contract.frame([valid(contract, **lowest), valid(contract, **highest)])
        assert contract.violations(frame) == []


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


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_awkward_rows_that_hold_the_contract_are_accepted(data: st.DataObject) -> None:
    contract = data.draw(st.sampled_from(CONTRACTS), label="table")
    frame = contract.frame(data.draw(rows(contract), label="rows"))
    assert contract.violations(frame) == []
