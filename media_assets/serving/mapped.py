"""Byte values of a Parquet column where they lie: mapped, or spilled once to a scratch file and mapped there.

A PLAIN byte array is a 4-byte little-endian length, then the value. Values of one size, uncompressed, without
a dictionary and on one page a row group therefore stand at a constant stride (Parquet format: `Encodings.md`,
`BYTE_ARRAY`), and the column can be read without decoding it. A column in any other layout is decoded once
into a scratch file of the same form. Not here: which files there are and what their rows mean (`files.py`).
"""

from __future__ import annotations

import ctypes
import shutil
import struct
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from media_assets.errors import ContractBroken, LakeUnfit

_LENGTH = struct.Struct("<I")
_MAX_PAGE_HEADER_BYTES = 4096
_ROWS_AT_ONCE = 64  # decoded together: bounds the memory of the fallback

Starts = npt.NDArray[np.int64]


_DONTNEED = 4  # MADV_DONTNEED, on Linux and macOS
_madvise = getattr(ctypes.CDLL(None), "madvise", None)
if _madvise is not None:
    _madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


class NotMappedError(ValueError):
    """The column is not laid out at a constant stride; decode it instead."""


class ValueBuffer:
    """A mapped file in which every value stands behind its own length.

    The mapping outlives the file's name, so that replacing or vacuuming a file never breaks an open reader on a POSIX
    disk. It holds no file descriptor, so that thousands of files can stay open.

    Attributes:
        content: the bytes of the whole file, read-only.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        buffer = map_file(path)
        self._memory = memoryview(buffer)
        self.content: npt.NDArray[np.uint8] = np.frombuffer(buffer, np.uint8)

    def length_before(self, start: int) -> int:
        """The length that stands before the value at this byte; -1 where the file has no such place."""
        if not _LENGTH.size <= start <= len(self._memory):
            return -1
        return int(_LENGTH.unpack_from(self._memory, start - _LENGTH.size)[0])

    def require(self, start: int, n_bytes: int) -> None:
        """Refuse a place where not exactly one whole value of that size stands.

        Raises:
            ContractBroken: the value stored there does not have `n_bytes`.
        """
        if (stored_bytes := self.length_before(start)) != n_bytes:
            raise ContractBroken(_wrong_size(str(self._path), n_bytes, stored_bytes))

    def value(self, start: int, n_bytes: int) -> npt.NDArray[np.uint8]:
        """A read-only view of the value at this byte.

        Raises:
            ContractBroken: the value stored there does not have `n_bytes`.
        """
        self.require(start, n_bytes)
        return self.content[start : start + n_bytes]

    def release(self) -> None:
        """Take the pages read so far out of this process's memory. They stay in the kernel's cache; views stay good."""
        if _madvise is not None:
            _madvise(self.content.ctypes.data, len(self.content), _DONTNEED)


def map_file(path: Path) -> pa.Buffer:
    """The whole file as read-only memory, without a file descriptor and without reading it ahead.

    A mapped file can be replaced and deleted, but must not be truncated (the kernel would end the process).
    """
    with pa.memory_map(str(path)) as file:
        n_bytes = file.size()
        first = file.read_buffer(1)
        file.seek(n_bytes - 1)
        last = file.read_buffer(1)
    if last.address - first.address != n_bytes - 1:
        raise NotMappedError(f"{path}: expected one mapping of the whole file")
    # Reading all bytes as one buffer would ask the kernel to load the file; one byte keeps it mapped.
    return pa.foreign_buffer(first.address, n_bytes, base=first)


def value_starts(metadata: pq.FileMetaData, column: str, n_bytes: int, buffer: ValueBuffer) -> Starts:
    """Where each of the file's values starts, in row order, if all lie at one stride.

    Judged by the footer and by the first value of each row group; `ValueBuffer.value` judges every value when
    read.

    Raises:
        NotMappedError: the column is compressed, encoded, uneven, on several pages, or holds nulls.
    """
    position = _column_position(metadata, column)
    stride = _LENGTH.size + n_bytes
    starts = []
    for number in range(metadata.num_row_groups):
        chunk = metadata.row_group(number).column(position)
        header_bytes = chunk.total_compressed_size - chunk.num_values * stride
        is_plain = set(chunk.encodings) <= {"PLAIN", "RLE"} and not chunk.has_dictionary_page
        if chunk.physical_type != "BYTE_ARRAY" or chunk.compression != "UNCOMPRESSED" or not is_plain:
            raise NotMappedError(f"row group {number} is compressed or encoded")
        if not 0 < header_bytes < _MAX_PAGE_HEADER_BYTES:
            raise NotMappedError(f"row group {number} holds nulls or values that have not {n_bytes} bytes")
        start = chunk.data_page_offset + header_bytes + _LENGTH.size
        # With a second page, its header would shift the first value away from here.
        if chunk.num_values and buffer.length_before(start) != n_bytes:
            raise NotMappedError(f"row group {number} has several pages or sizes")
        starts.append(start + stride * np.arange(chunk.num_values, dtype=np.int64))
    return np.concatenate(starts) if starts else np.empty(0, np.int64)


def decoded_values(
    parquet: pq.ParquetFile, column: str, n_bytes: Sequence[int]
) -> Iterator[npt.NDArray[np.uint8] | None]:
    """Every value of a column in row order, whatever its layout, some rows in memory at a time.

    Args:
        parquet: the open file.
        column: its binary column.
        n_bytes: for each of the file's rows the size that its value must have, or -1 to get None instead of
            it.

    Raises:
        ContractBroken: a value has another size.
    """
    row = 0
    for rows in parquet.iter_batches(batch_size=_ROWS_AT_ONCE, columns=[column], use_threads=False):
        for value in rows.column(0):
            yield None if n_bytes[row] < 0 else _sized(row, value.as_buffer(), n_bytes[row])
            row += 1


def spilled(
    parquet: pq.ParquetFile, column: str, n_bytes: npt.NDArray[np.int64], folder: Path | None
) -> tuple[ValueBuffer, Starts]:
    """The wanted values of a column, decoded once into a scratch file, and where each of them starts there.

    Args:
        parquet: the open file.
        column: its binary column.
        n_bytes: for each of the file's rows the size that its value must have, or -1 where it is not wanted.
        folder: where the scratch file lies; None for the system's temporary folder. It has no name after this
            call, so that nothing is left behind, whatever ends the process.

    Raises:
        LakeUnfit: the folder has no room for the values.
        ContractBroken: a value does not have the size that its shape needs.
    """
    root = Path(folder or tempfile.gettempdir())
    sizes = n_bytes[n_bytes >= 0] + _LENGTH.size
    _require_room(root, int(sizes.sum()))
    with tempfile.NamedTemporaryFile(dir=root, prefix="media-assets-", suffix=".tensors") as file:
        for value in decoded_values(parquet, column, n_bytes.tolist()):
            if value is not None:
                file.write(_LENGTH.pack(value.size))
                file.write(value.data)
        file.flush()
        return ValueBuffer(Path(file.name)), np.cumsum(sizes) - sizes + _LENGTH.size


def _sized(row: int, value: pa.Buffer | None, needed_bytes: int) -> npt.NDArray[np.uint8]:
    n_bytes = 0 if value is None else value.size
    if value is None or n_bytes != needed_bytes:
        raise ContractBroken(_wrong_size(f"row {row}", needed_bytes, n_bytes))
    return np.frombuffer(value, np.uint8)


def _require_room(folder: Path, n_bytes: int) -> None:
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < n_bytes:
        raise LakeUnfit(
            f"A tensor file that is not laid out for mapping must be decoded to {folder} first: expected "
            f"{n_bytes} free bytes there, found {free_bytes}. Materialize its batch again to restore the "
            f"layout, or choose a larger disk (scratch=...)."
        )


def _column_position(metadata: pq.FileMetaData, column: str) -> int:
    paths = [metadata.schema.column(number).path for number in range(metadata.num_columns)]
    if column not in paths:
        raise ContractBroken(f"Expected a column {column!r} in every file of the table, found {paths}.")
    return paths.index(column)


def _wrong_size(where: str, needed_bytes: int, n_bytes: int) -> str:
    return (
        f"{where}: expected a tensor of {needed_bytes} bytes, as its shape and type say, found {n_bytes}. "
        f"Materialize tensors/images of that batch again."
    )
