"""Every tensor of one spec, numbered in an order that depends on the rows alone, and a view of each.

Not here: normalization and mini-batches (`tensors.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from media_assets.errors import ContractBroken, NotMaterialized
from media_assets.serving.files import (
    TENSOR,
    DataFile,
    FileRows,
    Form,
    FrameKeys,
    TensorTable,
    frame_ids,
    read_rows,
    require_one_recipe,
)
from media_assets.serving.mapped import NotMappedError, Starts, ValueBuffer, spilled

Bytes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]
_NOTHING: Bytes = np.empty(0, np.uint8)


@dataclass(frozen=True)
class _Part:
    """The rows of one spec in one file, in file order; `buffer` is None for a file to be decoded."""

    file: DataFile
    buffer: ValueBuffer | None
    keys: FrameKeys
    starts: Starts
    forms: tuple[Form, ...]
    form_numbers: Numbers


class TensorRows:
    """All tensors of one spec, sorted by (batch_id, frame_id): equal numbers, however they lie in files.

    A row costs about 40 bytes of memory. Files laid out for mapping are mapped; any other file is decoded
    into a scratch file when one of its rows is first asked for.
    """

    def __init__(self, table: TensorTable, spec: str, parts: Sequence[_Part], scratch: Path | None) -> None:
        self._table, self._spec, self._scratch = table, spec, scratch
        self._files = [part.file for part in parts]
        self._buffers = [part.buffer for part in parts]
        self._content = [_NOTHING if buffer is None else buffer.content for buffer in self._buffers]
        self._lock = threading.Lock()
        self.n_mapped_files = sum(buffer is not None for buffer in self._buffers)
        self.n_fallback_files = len(parts) - self.n_mapped_files
        forms = list(dict.fromkeys(form for part in parts for form in part.forms))
        self.form = require_one_recipe(forms, spec)
        self.shapes = [form.shape for form in forms]
        self._sizes = np.array([form.n_bytes for form in forms], np.int64)
        self._batch_of_file = np.array([file.batch_id for file in self._files])
        self._sort(parts, {form: number for number, form in enumerate(forms)})

    def __len__(self) -> int:
        return len(self._keys)

    def frame_ids(self, numbers: Numbers | slice = slice(None)) -> npt.NDArray[np.str_]:
        """The frames of these rows."""
        return frame_ids(self._keys[numbers])

    def batch_ids(self, numbers: Numbers | slice = slice(None)) -> npt.NDArray[np.str_]:
        """The ingest batches of these rows."""
        batches: npt.NDArray[np.str_] = self._batch_of_file[self._file[numbers]]
        return batches

    def shape(self, number: int) -> tuple[int, ...]:
        """The stored shape of one row."""
        return self.shapes[int(self._form[number])]

    def values(self, numbers: Numbers) -> Iterator[Bytes]:
        """A read-only view of each of these tensors' bytes, at any alignment.

        Each value is held against its own stored length before it is given out for the first time.

        Raises:
            ContractBroken: a stored value does not have the size that its shape needs.
            LakeUnfit: no room to decode a file that cannot be mapped.
        """
        files = self._file[numbers]
        if self.n_fallback_files:
            self._decode(np.unique(files))
        starts = self._start[numbers]
        ends = starts + self._sizes[self._form[numbers]]
        if not self._is_verified[numbers].all():
            self._verify(numbers)
        content = self._content
        # As little as possible for each value: here a reader wins or loses against a plain array.
        return (
            content[file][start:end]
            for file, start, end in zip(files.tolist(), starts.tolist(), ends.tolist(), strict=True)
        )

    def _verify(self, numbers: Numbers) -> None:
        for number in numbers[~self._is_verified[numbers]].tolist():
            buffer = self._buffers[self._file[number]]
            assert buffer is not None, "decoded before"
            buffer.require(int(self._start[number]), int(self._sizes[self._form[number]]))
            self._is_verified[number] = True

    def _sort(self, parts: Sequence[_Part], form_numbers: dict[Form, int]) -> None:
        keys = np.concatenate([part.keys for part in parts])
        file = np.repeat(np.arange(len(parts), dtype=np.int32), [len(part.keys) for part in parts])
        ranks = np.unique(self._batch_of_file, return_inverse=True)[1].astype(np.int32)
        order = np.lexsort((keys[:, 1], keys[:, 0], ranks[file]))
        numbers = [np.array([form_numbers[f] for f in part.forms], np.int32)[part.form_numbers] for part in parts]
        self._keys, self._file = keys[order], file[order]
        self._start = np.concatenate([part.starts for part in parts])[order]
        self._form = np.concatenate(numbers)[order]
        self._ordinal = np.concatenate([np.arange(len(part.keys), dtype=np.int32) for part in parts])[order]
        self._is_verified = np.zeros(len(order), np.bool_)
        self._require_unique()

    def _require_unique(self) -> None:
        is_same_frame = (self._keys[1:] == self._keys[:-1]).all(axis=1)
        repeated = np.flatnonzero(is_same_frame & (self.batch_ids()[1:] == self.batch_ids()[:-1]))
        if len(repeated):
            told = [str(frame) for frame in self.frame_ids(repeated[:5])]
            raise ContractBroken(
                f"Spec {self._spec!r} holds {len(repeated)} frames twice in one batch, such as {told}. "
                f"Materialize tensors/images of {self.batch_ids(repeated[:1])[0]} again."
            )

    def _decode(self, files: npt.NDArray[np.int32]) -> None:
        for number in files.tolist():
            with self._lock:
                if self._buffers[number] is None:
                    mine = self._file == number
                    sizes = np.empty(int(mine.sum()), np.int64)
                    sizes[self._ordinal[mine]] = self._sizes[self._form[mine]]
                    buffer, starts = self._spilled(self._files[number], sizes)
                    self._start[mine] = starts[self._ordinal[mine]]
                    self._content[number] = buffer.content
                    self._buffers[number] = buffer

    def _spilled(self, file: DataFile, sizes: npt.NDArray[np.int64]) -> tuple[ValueBuffer, Starts]:
        """Decode a file's rows of this spec, whose sizes are known. Without polars, which hangs in a forked process."""
        with self._table.open(file) as parquet:
            specs = parquet.read(columns=["spec"], use_threads=False).column(0)
            n_bytes = np.full(len(specs), -1, np.int64)
            n_bytes[np.array([spec == self._spec for spec in specs.to_pylist()], np.bool_)] = sizes
            return spilled(parquet, TENSOR, n_bytes, self._scratch)


def index_rows(table: TensorTable, spec: str, scratch: Path | None) -> TensorRows:
    """Find and sort the rows of a spec; reads every column but the tensors.

    Raises:
        NotMaterialized: the spec has no rows.
        ContractBroken: rows of the spec disagree on how they are stored, or one is there twice.
    """
    parts = [part for file in table.files if (part := _part(table, file, spec)) is not None]
    if not parts:
        raise NotMaterialized(
            f"Expected tensors of spec {spec!r}, found {table.specs() or 'no tensors'}: materialize "
            f"tensors/images with that spec first, or name one of these."
        )
    return TensorRows(table, spec, parts, scratch)


def _part(table: TensorTable, file: DataFile, spec: str) -> _Part | None:
    with table.open(file) as parquet:
        rows = read_rows(parquet)
        picked = rows.of_spec(spec)
        if not len(picked):
            return None
        try:
            buffer, starts = table.mapped(file, parquet.metadata, rows)
        except NotMappedError:
            return _part_of(file, rows, picked, None, np.full(len(picked), -1, np.int64))
        return _part_of(file, rows, picked, buffer, starts[picked])


def _part_of(file: DataFile, rows: FileRows, picked: Numbers, buffer: ValueBuffer | None, starts: Starts) -> _Part:
    numbers, form_numbers = np.unique(rows.form_numbers[picked], return_inverse=True)
    forms = tuple(rows.forms[number] for number in numbers)
    return _Part(file, buffer, rows.frame_keys[picked], starts, forms, form_numbers)
