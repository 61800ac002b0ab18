"""Every column of every table comes back from Delta as it went in."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from media_assets.lake.delta import Lake
from media_assets.tables import ALL_TABLES, TableContract
from media_assets_tests.lake.lakes import US
from media_assets_tests.tables.rows import BATCH, numbered, rows

every_table = pytest.mark.parametrize("contract", ALL_TABLES, ids=lambda contract: contract.name)


def where(contract: TableContract, frame: pl.DataFrame) -> dict[str, list[str]]:
    """The partitions that the rows belong to; that of `BATCH` where there are none."""
    values = {"batch_id": [BATCH], "stage": ["raw.media"]}
    return {column: frame[column].unique().to_list() or values[column] for column in contract.partition_by}


@every_table
def test_types_survive_when_the_table_is_empty(lake: Lake, contract: TableContract) -> None:
    lake.ensure(contract)
    read = lake.scan(contract).collect()
    assert (read.schema, read.height) == (contract.schema, 0)


@every_table
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_rows_survive_a_write_and_a_read(lake: Lake, contract: TableContract, data: st.DataObject) -> None:
    frame = contract.frame(data.draw(rows(contract)))
    lake.overwrite(contract, frame, where(contract, frame), US)
    read = lake.scan(contract).collect()
    assert read.schema == contract.schema
    assert_frame_equal(read.sort(contract.primary_key), frame.sort(contract.primary_key), check_exact=True)


@every_table
def test_nullable_columns_survive_when_they_hold_nothing_but_nulls(lake: Lake, contract: TableContract) -> None:
    empty = dict.fromkeys(contract.nullable) | ({"status": "accepted"} if "status" in contract.schema else {})
    frame = contract.frame(numbered(contract, 2, **empty))
    lake.overwrite(contract, frame, where(contract, frame), US)
    read = lake.scan(contract).collect()
    assert_frame_equal(read.sort(contract.primary_key), frame.sort(contract.primary_key))
