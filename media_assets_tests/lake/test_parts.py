"""Tensors in parts: rows, layout, memory, and what is visible when."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError
from hypothesis import HealthCheck, given, settings
from polars.testing import assert_frame_equal

from media_assets.errors import ContractBroken
from media_assets.lake import parts
from media_assets.lake.delta import Lake
from media_assets.lake.parts import ROW_GROUP_ROWS, PartWriter
from media_assets.tables import TENSORS_IMAGES, TableContract
from media_assets_tests.lake.lakes import US, files_of, parquet_files, tensor
from media_assets_tests.tables.rows import rows as any_rows


def writer_of(lake: Lake, batch_id: str = "a") -> PartWriter:
    return PartWriter(lake, TENSORS_IMAGES, batch_id, "tensor")


def write(lake: Lake, rows: Iterable[dict[str, Any]], batch_id: str = "a") -> None:
    with writer_of(lake, batch_id) as writer:
        for row in rows:
            writer.append(row["spec"], row)
        writer.commit(US)


def stored(lake: Lake, batch_id: str = "a") -> dict[int, bytes]:
    """Number of a tensor to its bytes; a number that came twice fails."""
    read = lake.scan(TENSORS_IMAGES, {"batch_id": [batch_id]}).select("frame_id", "tensor").collect()
    found = {int(frame_id, 16): body for frame_id, body in read.iter_rows()}
    assert len(found) == read.height
    return found


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=any_rows(TENSORS_IMAGES))
def test_rows_come_back_equal(lake: Lake, rows: list[dict[str, Any]]) -> None:
    rows = [row | {"batch_id": "a"} for row in rows]
    write(lake, rows)
    read = lake.scan(TENSORS_IMAGES, {"batch_id": ["a"]}).collect()
    expected = TENSORS_IMAGES.frame(rows)
    key = TENSORS_IMAGES.primary_key
    assert_frame_equal(read.sort(key), expected.sort(key), check_exact=True)


def test_a_commit_replaces_its_batch_and_no_other(lake: Lake) -> None:
    write(lake, [tensor(1), tensor(2)])
    write(lake, [tensor(3, batch_id="b")], "b")
    write(lake, [tensor(2, b"newer!"), tensor(4)])
    assert stored(lake) == {2: b"newer!", 4: b"abcdef"}
    assert stored(lake, "b") == {3: b"abcdef"}


def test_an_empty_commit_clears_the_batch(lake: Lake) -> None:
    write(lake, [tensor(1)])
    write(lake, [tensor(2, batch_id="b")], "b")
    write(lake, [])
    assert stored(lake) == {}
    assert stored(lake, "b") == {2: b"abcdef"}


def test_a_plain_overwrite_replaces_parts_and_parts_replace_it(lake: Lake) -> None:
    write(lake, [tensor(1)])
    lake.overwrite(TENSORS_IMAGES, TENSORS_IMAGES.frame([tensor(2)]), {"batch_id": ["a"]}, US)
    assert set(stored(lake)) == {2}
    write(lake, [tensor(3)])
    assert set(stored(lake)) == {3}


# --- layout ---


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of two row groups."""
    monkeypatch.setattr(parts, "FILE_ROW_GROUPS", 2)


def test_rows_lie_in_row_groups_of_64_and_files_of_some_groups(lake: Lake, small_parts: None) -> None:
    write(lake, [tensor(number) for number in range(300)])
    files = [pq.ParquetFile(path).metadata for path in files_of(lake, TENSORS_IMAGES)]
    groups = sorted([file.row_group(i).num_rows for i in range(file.num_row_groups)] for file in files)
    assert groups == [[44], [64, 64], [64, 64]]
    assert set(stored(lake)) == set(range(300))


def test_a_row_group_ends_early_when_it_has_enough_bytes(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROW_GROUP_BYTES", 1000)
    write(lake, [tensor(number, b"x" * 400) for number in range(7)])
    (file,) = files_of(lake, TENSORS_IMAGES)
    metadata = pq.ParquetFile(file).metadata
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [3, 3, 1]


def test_the_column_is_required_plain_uncompressed_and_on_one_page(lake: Lake) -> None:
    write(lake, [tensor(number, os.urandom(3000)) for number in range(150)])
    (path,) = files_of(lake, TENSORS_IMAGES)
    file = pq.ParquetFile(path)
    assert not file.schema_arrow.field("tensor").nullable
    leaf = next(i for i in range(len(file.schema)) if file.schema.column(i).path == "tensor")
    assert (file.schema.column(leaf).max_definition_level, file.schema.column(leaf).physical_type) == (0, "BYTE_ARRAY")
    for number in range(file.metadata.num_row_groups):
        chunk = file.metadata.row_group(number).column(leaf)
        assert chunk.compression == "UNCOMPRESSED"
        assert chunk.dictionary_page_offset is None
        assert set(chunk.encodings) <= {"PLAIN", "RLE"}
        assert not chunk.is_stats_set, "statistics of large values are waste"


def test_values_of_one_size_lie_at_a_constant_stride(lake: Lake) -> None:
    """Read without any Parquet reader: 4 bytes of length, then the value, each after the other."""
    n_bytes = 2000
    bodies = {number: os.urandom(n_bytes) for number in range(ROW_GROUP_ROWS + 10)}
    write(lake, [tensor(number, body) for number, body in bodies.items()])
    (path,) = files_of(lake, TENSORS_IMAGES)
    data, metadata = path.read_bytes(), pq.ParquetFile(path).metadata
    number = 0
    for group in range(metadata.num_row_groups):
        leaf = next(i for i in range(metadata.num_columns) if metadata.schema.column(i).path == "tensor")
        n_rows = metadata.row_group(group).num_rows
        end = metadata.row_group(group).column(leaf).data_page_offset
        end += metadata.row_group(group).column(leaf).total_compressed_size
        start = end - n_rows * (4 + n_bytes)
        for at in range(start, end, 4 + n_bytes):
            assert struct.unpack_from("<I", data, at) == (n_bytes,)
            assert data[at + 4 : at + 4 + n_bytes] == bodies[number]
            number += 1
    assert number == len(bodies)


def test_each_file_key_has_files_of_its_own(lake: Lake) -> None:
    rows = [tensor(n, b"x" * size, spec=spec) for n in range(70) for spec, size in (("small", 10), ("large", 20))]
    write(lake, rows)
    specs = [
        set(pq.read_table(path, columns=["spec"], partitioning=None)["spec"].to_pylist())
        for path in files_of(lake, TENSORS_IMAGES)
    ]
    assert sorted(specs, key=sorted) == [{"large"}, {"small"}]


def test_memory_does_not_grow_with_the_number_of_rows(tmp_path: Path) -> None:
    peaks = []
    for n_rows in (400, 2200):
        root = tmp_path / str(n_rows)
        command = [sys.executable, "-m", "media_assets_tests.lake.part_process", str(root), "grow", str(n_rows)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
        shutil.rmtree(root)
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout))
    assert peaks[1] / peaks[0] < 1.25, peaks


# --- what is visible when ---


def test_nothing_is_visible_before_the_commit(lake: Lake) -> None:
    write(lake, [tensor(1)])
    with writer_of(lake) as writer:
        for number in range(5, 205):
            writer.append("small", tensor(number))
        assert set(stored(lake)) == {1}
        writer.finish()
        assert len(parquet_files(lake, TENSORS_IMAGES)) == 2
        assert set(stored(lake)) == {1}
        writer.commit(US)
    assert set(stored(lake)) == set(range(5, 205))


@pytest.mark.parametrize("point", ["open", "finished"])
def test_the_table_is_as_before_when_the_writer_is_killed(lake: Lake, point: str) -> None:
    write(lake, [tensor(1), tensor(2)])
    root = lake.location.root
    command = [sys.executable, "-m", "media_assets_tests.lake.part_process", root, "die", point]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    n_left = len(parquet_files(lake, TENSORS_IMAGES)) - len(files_of(lake, TENSORS_IMAGES))
    assert n_left == (1 if point == "finished" else 0)
    assert stored(lake) == {1: b"abcdef", 2: b"abcdef"}

    write(lake, [tensor(number, b"second") for number in range(200)])
    assert stored(lake) == dict.fromkeys(range(200), b"second")


def test_discard_deletes_every_file(lake: Lake, small_parts: None) -> None:
    write(lake, [tensor(1)])
    before = parquet_files(lake, TENSORS_IMAGES)
    writer = writer_of(lake)
    for number in range(200):  # one closed file, one open, some rows still in memory
        writer.append("small", tensor(number))
    writer.discard()
    assert parquet_files(lake, TENSORS_IMAGES) == before
    writer.commit(US)
    assert stored(lake) == {}, "nothing of it is left in memory either"


def test_an_error_inside_the_block_deletes_what_was_written(lake: Lake, small_parts: None) -> None:
    write(lake, [tensor(1)])
    before = parquet_files(lake, TENSORS_IMAGES)

    def rows() -> Iterator[dict[str, Any]]:
        yield from (tensor(number) for number in range(200))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write(lake, rows())
    assert parquet_files(lake, TENSORS_IMAGES) == before
    assert set(stored(lake)) == {1}


def test_an_error_after_the_commit_leaves_the_committed_files(lake: Lake) -> None:
    def commit_and_fail() -> None:
        with writer_of(lake) as writer:
            writer.append("small", tensor(1))
            writer.commit(US)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        commit_and_fail()
    assert stored(lake) == {1: b"abcdef"}


def test_files_are_kept_when_the_commit_is_there_but_reported_an_error(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = DeltaTable.create_write_transaction

    def create_and_fail(self: DeltaTable, *arguments: Any, **options: Any) -> None:
        create(self, *arguments, **options)
        raise OSError("the answer was lost")

    monkeypatch.setattr(DeltaTable, "create_write_transaction", create_and_fail)
    with pytest.raises(OSError, match="lost"):
        write(lake, [tensor(1)])
    assert stored(lake) == {1: b"abcdef"}


BROKEN = [
    ({"scale": -1.0}, "scale"),
    ({"dtype": "int8"}, "dtype"),
    ({"tensor": None}, "tensor"),
    ({"tensor": "text"}, "tensor"),
    ({"batch_id": "b"}, "batch a only"),
    ({"colour": "red"}, "colour"),
    ({"frame_id": f"{0:032x}"}, "key is unique"),
]


@pytest.mark.parametrize(("changes", "told"), BROKEN, ids=[told for _, told in BROKEN])
def test_nothing_is_committed_when_a_row_breaks_the_contract(lake: Lake, changes: dict[str, Any], told: str) -> None:
    write(lake, [tensor(1)])
    before = parquet_files(lake, TENSORS_IMAGES)
    with pytest.raises(ContractBroken, match=told):
        write(lake, [tensor(0), tensor(7) | changes])
    assert parquet_files(lake, TENSORS_IMAGES) == before
    assert set(stored(lake)) == {1}


# --- taking rows out again ---


def test_dropped_rows_are_gone_and_the_rest_stays(lake: Lake, small_parts: None) -> None:
    with writer_of(lake) as writer:
        for number in range(300):
            writer.append("small", tensor(number, f"{number:06}".encode()))
        gone = [*range(10), *range(64, 128), 299]
        writer.drop("frame_id", [f"{number:032x}" for number in gone])
        writer.commit(US)
    assert stored(lake) == {n: f"{n:06}".encode() for n in range(300) if n not in gone}
    assert parquet_files(lake, TENSORS_IMAGES) == set(files_of(lake, TENSORS_IMAGES)), "rewritten files are deleted"


def test_the_layout_stays_when_rows_are_dropped(lake: Lake) -> None:
    with writer_of(lake) as writer:
        for number in range(100):
            writer.append("small", tensor(number))
        writer.drop("frame_id", [f"{3:032x}"])
        writer.commit(US)
    (path,) = files_of(lake, TENSORS_IMAGES)
    metadata = pq.ParquetFile(path).metadata
    leaf = next(i for i in range(metadata.num_columns) if metadata.schema.column(i).path == "tensor")
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [63, 36]
    assert {metadata.row_group(i).column(leaf).compression for i in range(2)} == {"UNCOMPRESSED"}
    assert metadata.schema.column(leaf).max_definition_level == 0


def test_files_without_dropped_rows_are_not_rewritten(lake: Lake, small_parts: None) -> None:
    with writer_of(lake) as writer:
        for number in range(256):
            writer.append("small", tensor(number))
        writer.finish()
        before = parquet_files(lake, TENSORS_IMAGES)
        writer.drop("frame_id", [f"{1:032x}", "unknown"])
        assert len(before & parquet_files(lake, TENSORS_IMAGES)) == 1
        writer.commit(US)
    assert set(stored(lake)) == {0, *range(2, 256)}


def test_the_batch_is_empty_when_every_row_was_dropped(lake: Lake) -> None:
    with writer_of(lake) as writer:
        writer.append("small", tensor(1))
        writer.drop("frame_id", [f"{1:032x}"])
        writer.commit(US)
    assert stored(lake) == {}


# --- two writers of one batch ---


@pytest.mark.parametrize("winner", ["parts", "overwrite"])
@pytest.mark.parametrize("is_new", [True, False], ids=["new batch", "old batch"])
def test_rows_are_not_doubled_when_a_writer_is_overtaken(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, winner: str, is_new: bool
) -> None:
    """Both opened the table before either committed; in a new partition delta-rs itself would take both."""
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    if not is_new:
        write(lake, [tensor(0)])
    stale = lake.ensure(TENSORS_IMAGES)
    if winner == "parts":
        write(lake, [tensor(1), tensor(2)])
    else:
        lake.overwrite(TENSORS_IMAGES, TENSORS_IMAGES.frame([tensor(1), tensor(2)]), {"batch_id": ["a"]}, US)
    ensure, n_opened = Lake.ensure, 0

    def ensure_stale_first(self: Lake, contract: TableContract) -> DeltaTable:
        nonlocal n_opened
        n_opened += 1
        return stale if n_opened == 2 else ensure(self, contract)  # the first is the writer's own, when it starts

    monkeypatch.setattr(Lake, "ensure", ensure_stale_first)
    write(lake, [tensor(3)])
    assert n_opened == 3
    assert set(stored(lake)) == {3}


def test_every_commit_raises_the_batchs_transaction(lake: Lake) -> None:
    for expected in (1, 2):
        write(lake, [tensor(1)])
        table = lake.table(TENSORS_IMAGES)
        assert table is not None
        assert table.transaction_version("tensors/images/a") == expected


def test_the_files_stay_unreferenced_when_every_round_is_lost(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(*arguments: Any, **options: Any) -> None:
        raise CommitFailedError("a rival was first")

    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.setattr(DeltaTable, "create_write_transaction", lose)
    with pytest.raises(CommitFailedError):
        write(lake, [tensor(1)])
    assert stored(lake) == {}
