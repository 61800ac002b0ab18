"""Values where they lie: only a layout that is proven is mapped, everything else is decoded or refused."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from media_assets.errors import ContractBroken
from media_assets.serving.mapped import NotMappedError, ValueBuffer, decoded_values, map_file, spilled, value_starts

N_BYTES = 600
MAPPED: dict[str, Any] = {
    "row_group_size": 16,
    "compression": "NONE",
    "use_dictionary": False,
    "data_page_size": 1 << 30,
    "write_batch_size": 16,
    "write_statistics": ["id"],
}


def values(n: int = 40) -> list[bytes]:
    rng = np.random.default_rng(1)
    return [rng.bytes(N_BYTES) for _ in range(n)]


def n_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def write(path: Path, content: list[bytes | None], *, nullable: bool = False, **options: Any) -> Path:
    schema = pa.schema([pa.field("id", pa.int64()), pa.field("tensor", pa.binary(), nullable=nullable)])
    table = pa.table({"id": range(len(content)), "tensor": content}, schema=schema)
    pq.write_table(table, path, **{**MAPPED, **options})
    return path


def mapped(path: Path) -> list[bytes]:
    buffer = ValueBuffer(path)
    starts = value_starts(pq.read_metadata(path), "tensor", N_BYTES, buffer)
    return [buffer.value(start, N_BYTES).tobytes() for start in starts.tolist()]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"nullable": True},
        {"data_page_version": "2.0"},
        {"write_page_checksum": True},
        {"row_group_size": 1},
        {"write_statistics": True},
    ],
)
def test_plain_values_of_one_size_are_mapped(tmp_path: Path, options: dict[str, Any]) -> None:
    content = values()
    assert mapped(write(tmp_path / "f.parquet", list(content), **options)) == content


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "ZSTD"},
        {"use_dictionary": True},
        {"data_page_size": 2000, "write_batch_size": 1},
        {"column_encoding": {"tensor": "DELTA_LENGTH_BYTE_ARRAY"}},
    ],
)
def test_other_layouts_are_decoded_to_equal_values(tmp_path: Path, options: dict[str, Any]) -> None:
    content = values()
    path = write(tmp_path / "f.parquet", list(content), **options)
    with pytest.raises(NotMappedError):
        mapped(path)
    with pq.ParquetFile(path) as parquet:
        buffer, starts = spilled(parquet, "tensor", np.full(40, N_BYTES), tmp_path)
    assert [buffer.value(start, N_BYTES).tobytes() for start in starts.tolist()] == content


def test_a_null_or_an_odd_size_is_not_mapped(tmp_path: Path) -> None:
    for odd in (None, b"short", bytes(N_BYTES + 1)):
        with pytest.raises(NotMappedError):
            mapped(write(tmp_path / "f.parquet", [*values(3), odd], nullable=True))


def test_sizes_that_only_add_up_are_refused_when_read(tmp_path: Path) -> None:
    content = values(4)
    content[1], content[2] = content[1] + b"x", content[2][:-1]
    with pytest.raises(ContractBroken, match="expected a tensor of 600 bytes"):
        mapped(write(tmp_path / "f.parquet", list(content)))


def test_pages_whose_headers_would_shift_the_values_are_not_mapped(tmp_path: Path) -> None:
    black = [bytes(N_BYTES)] * 16
    with pytest.raises(NotMappedError, match="several pages"):
        mapped(write(tmp_path / "f.parquet", list(black), data_page_size=3000, write_batch_size=1))


def test_spilling_keeps_only_the_wanted_rows(tmp_path: Path) -> None:
    content = values(10)
    wanted = np.array([N_BYTES if row % 3 == 0 else -1 for row in range(10)])
    with pq.ParquetFile(write(tmp_path / "f.parquet", list(content), compression="ZSTD")) as parquet:
        buffer, starts = spilled(parquet, "tensor", wanted, tmp_path)
    assert [buffer.value(s, N_BYTES).tobytes() for s in starts.tolist()] == content[::3]
    assert [path.name for path in tmp_path.iterdir()] == ["f.parquet"]


@pytest.mark.parametrize("odd", [None, b"short"])
def test_decoding_refuses_a_value_of_another_size(tmp_path: Path, odd: bytes | None) -> None:
    path = write(tmp_path / "f.parquet", [*values(3), odd], nullable=True)
    with pq.ParquetFile(path) as parquet, pytest.raises(ContractBroken, match="row 3: expected a tensor of 600"):
        list(decoded_values(parquet, "tensor", [N_BYTES] * 4))


def test_a_mapping_needs_neither_a_descriptor_nor_the_files_name(tmp_path: Path) -> None:
    path = tmp_path / "bytes"
    content = os.urandom(100_001)
    path.write_bytes(content)
    n_before = n_descriptors()
    maps = [map_file(path) for _ in range(50)]
    assert n_descriptors() <= n_before
    path.unlink()
    assert all(mapping.to_pybytes() == content for mapping in maps)
    assert not np.frombuffer(maps[0], np.uint8).flags.writeable


def test_a_place_outside_the_file_holds_no_value(tmp_path: Path) -> None:
    path = tmp_path / "bytes"
    path.write_bytes(bytes(100))
    buffer = ValueBuffer(path)
    assert [buffer.length_before(start) for start in (-1, 3, 101)] == [-1, -1, -1]
    with pytest.raises(ContractBroken):
        buffer.value(1000, 4)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what is resident")
def test_pages_that_were_read_are_given_back_when_released(tmp_path: Path) -> None:
    path = tmp_path / "values"
    path.write_bytes(bytes(range(256)) * 40_000)  # 10 MB
    buffer = ValueBuffer(path)
    before = int(buffer.content.astype(np.int64).sum())
    assert resident_bytes(path) > 9_000_000
    buffer.release()
    assert resident_bytes(path) < 1_000_000
    assert int(buffer.content.astype(np.int64).sum()) == before


def resident_bytes(path: Path) -> int:
    """How much of a mapped file counts as memory of this process."""
    _, _, mapping = Path("/proc/self/smaps").read_text().partition(str(path))
    return int(mapping.partition("Rss:")[2].split()[0]) * 1024
