"""Rows of the tensor files: ids as numbers, forms, and specs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_assets.errors import ContractBroken
from media_assets.serving.files import frame_ids, frame_keys, open_table, read_rows
from media_assets_tests.serving.tensor_lakes import SMALL, lake_at, respecified, samples, write

HEX_IDS = st.text("0123456789abcdef", min_size=32, max_size=32)


@given(st.lists(HEX_IDS, max_size=20))
def test_ids_come_back_and_sort_as_their_text(ids: list[str]) -> None:
    keys = frame_keys(ids)
    assert frame_ids(keys).tolist() == ids
    assert sorted(range(len(ids)), key=lambda n: tuple(keys[n])) == sorted(range(len(ids)), key=lambda n: ids[n])


@pytest.mark.parametrize("bad", ["A" * 32, "a" * 31, "a" * 33, "g" * 32, ""])
def test_other_ids_are_refused_by_name(bad: str) -> None:
    with pytest.raises(ContractBroken, match=f"'{bad}'"):
        frame_keys(["a" * 32, bad])


def test_ids_whose_lengths_only_add_up_are_refused() -> None:
    with pytest.raises(ContractBroken):
        frame_keys(["a" * 31, "b" * 33])


def test_files_are_listed_by_batch_with_their_rows(tmp_path: Path) -> None:
    pictures = samples(5, SMALL, "b.0002") + samples(3)
    lake = write(lake_at(tmp_path), pictures + respecified(pictures, dtype="float16"))
    table = open_table(lake)
    assert [file.batch_id for file in table.files] == ["b.0001"] * 2 + ["b.0002"] * 2
    assert table.specs() == sorted({SMALL.name, SMALL.name.replace("uint8", "float16")})
    n_rows = 0
    for file in table.files:
        with table.open(file) as parquet:
            rows = read_rows(parquet)
        n_rows += len(rows.of_spec(SMALL.name))
        assert {form.n_bytes for form in rows.forms} <= {6 * 8 * 3, 6 * 8 * 3 * 2}
    assert n_rows == 8
