"""The contracts as a whole: their columns, keys and partitions, and what every one of them has to have."""

from __future__ import annotations

import re

import polars as pl
import pytest

from media_assets.tables import TableContract
from media_assets.tables.columns import UTC_MICROSECONDS
from media_assets_tests.tables.rows import CONTRACTS
from media_assets_tests.tables.specs import SPECS

every_table = pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.name)


def spell(kind: object) -> str:
    if isinstance(kind, pl.List):
        return f"list[{spell(kind.inner)}]"
    if isinstance(kind, pl.Struct):
        return "struct{" + ", ".join(f"{field.name}: {spell(field.dtype)}" for field in kind.fields) + "}"
    return str(kind)


@every_table
def test_the_contract_is_the_one_written_down(contract: TableContract) -> None:
    columns = tuple(
        f"{name}: {spell(kind)}{'?' if name in contract.nullable else ''}" for name, kind in contract.schema.items()
    )
    spec = {"columns": columns, "key": contract.primary_key, "partitions": contract.partition_by}
    assert spec == SPECS[contract.name]


def test_no_table_is_left_out_and_no_name_comes_twice() -> None:
    assert [contract.name for contract in CONTRACTS] == list(SPECS)


@every_table
def test_name_path_and_key_are_one(contract: TableContract) -> None:
    assert contract.name == ".".join(contract.key)
    assert contract.path == "/".join(contract.key)
    assert all(re.fullmatch(r"[a-z_]+", part) for part in contract.key)


@every_table
def test_every_column_and_table_is_described(contract: TableContract) -> None:
    assert contract.description.endswith(".")
    assert list(contract.column_descriptions) == list(contract.schema)
    assert [name for name, told in contract.column_descriptions.items() if len(told) < 8] == []


@every_table
def test_moments_end_in_at_and_are_utc_microseconds(contract: TableContract) -> None:
    moments = {name for name, kind in contract.schema.items() if isinstance(kind, pl.Datetime)}
    named = {name for name in contract.schema if name.endswith("_at")}
    # A file states its capture time as it likes, mostly without a zone: text, never converted.
    assert named - moments <= {"captured_at"}
    assert moments <= named
    assert all(contract.schema[name] == UTC_MICROSECONDS for name in moments)


@every_table
def test_keys_and_partitions_are_columns_that_are_never_null(contract: TableContract) -> None:
    used = {*contract.primary_key, *contract.partition_by}
    assert used <= set(contract.schema)
    assert not used & contract.nullable


@every_table
def test_per_item_tables_are_partitioned_by_batch_and_have_it_in_their_key(contract: TableContract) -> None:
    has_batch = "batch_id" in contract.schema
    assert ("batch_id" in contract.partition_by) == has_batch
    assert ("batch_id" in contract.primary_key) == has_batch


@every_table
def test_flags_and_counts_are_named_as_such(contract: TableContract) -> None:
    for name, kind in contract.schema.items():
        assert (kind == pl.Boolean) == name.startswith(("is_", "has_")), name
        if name.startswith("n_") or name.endswith(("_px", "_bytes", "_ns")):
            assert kind == pl.Int64, name


@every_table
def test_no_type_is_one_that_delta_would_change(contract: TableContract) -> None:
    """Unsigned, categorical, array, time, duration and nanosecond types come back as others, or not at all."""
    kept = {pl.String, pl.Int64, pl.Float64, pl.Boolean, pl.Binary, UTC_MICROSECONDS}

    def leaves(kind: object) -> list[object]:
        if isinstance(kind, pl.List):
            return leaves(kind.inner)
        if isinstance(kind, pl.Struct):
            return [leaf for field in kind.fields for leaf in leaves(field.dtype)]
        return [kind]

    assert [kind for column in contract.schema.dtypes() for kind in leaves(column) if kind not in kept] == []
