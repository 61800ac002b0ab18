"""Which files hold the tensors of one table version, and what their rows are.

Files come from the Delta log, never from a glob. Not here: where values lie in a file (`mapped.py`), or what
a training loop sees of them (`tensors.py`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.fs as pa_fs
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from deltalake.fs import DeltaStorageHandler

from media_assets.errors import ContractBroken, LakeUnfit, NotMaterialized
from media_assets.lake.delta import Lake
from media_assets.lake.location import LakeLocation
from media_assets.serving.mapped import NotMappedError, Starts, ValueBuffer, value_starts
from media_assets.tables import TENSORS_IMAGES

FrameKeys = npt.NDArray[np.uint64]

TENSOR = "tensor"
_HEX = re.compile("[0-9a-f]*")
_FORM_COLUMNS = ["spec", "shape", "layout", "dtype", "scale", "mean", "std"]
_REFUSED_FEATURES = {
    "deletionVectors": "rows deleted without rewriting their file",
    "columnMapping": "columns stored under other names",
}


@dataclass(frozen=True)
class Form:
    """How a tensor is stored. normalized = (stored * scale - mean) / std, per channel R, G, B."""

    spec: str
    shape: tuple[int, ...]
    layout: str
    dtype: str
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def stored_type(self) -> np.dtype[Any]:
        """The numpy type of the stored numbers, little-endian."""
        return np.dtype(self.dtype).newbyteorder("<")

    @property
    def n_bytes(self) -> int:
        """Size of one tensor."""
        return int(np.prod(self.shape)) * self.stored_type.itemsize

    @property
    def recipe(self) -> Form:
        """The same without its shape: what all tensors of one spec have in common."""
        return replace(self, shape=())


@dataclass(frozen=True)
class DataFile:
    """One Parquet file of the table; `path` is relative to the table's root."""

    path: str
    batch_id: str


@dataclass(frozen=True)
class FileRows:
    """The rows of one file, in file order, without their tensors."""

    frame_keys: FrameKeys
    forms: tuple[Form, ...]
    form_numbers: npt.NDArray[np.int64]

    def of_spec(self, spec: str) -> npt.NDArray[np.int64]:
        """Row numbers of one spec, ascending."""
        wanted = [number for number, form in enumerate(self.forms) if form.spec == spec]
        return np.flatnonzero(np.isin(self.form_numbers, wanted))


@dataclass(frozen=True)
class TensorTable:
    """One version of `tensors/images`."""

    lake: Lake
    version: int
    files: tuple[DataFile, ...]

    def local_path(self, file: DataFile) -> Path | None:
        """Where the file lies on this machine; None in an object store."""
        if not self.lake.location.is_local:
            return None
        return Path(self.lake.uri(TENSORS_IMAGES), file.path)

    def open(self, file: DataFile) -> pq.ParquetFile:
        """The file, opened for decoding; the caller closes it."""
        if (path := self.local_path(file)) is not None:
            return pq.ParquetFile(path, memory_map=True)
        handler = DeltaStorageHandler(self.lake.uri(TENSORS_IMAGES), self.lake.storage_options)
        return pq.ParquetFile(file.path, filesystem=pa_fs.PyFileSystem(handler))

    def mapped(self, file: DataFile, metadata: pq.FileMetaData, rows: FileRows) -> tuple[ValueBuffer, Starts]:
        """The file's values where they lie, and the start of each in row order.

        Raises:
            NotMappedError: the file is not local, holds tensors of several sizes, or is not laid out for it.
        """
        sizes = {form.n_bytes for form in rows.forms}
        path = self.local_path(file)
        if path is None or len(sizes) != 1:
            raise NotMappedError(f"{file.path}: expected a local file with tensors of one size, found sizes {sizes}")
        buffer = ValueBuffer(path)
        return buffer, value_starts(metadata, TENSOR, sizes.pop(), buffer)

    def specs(self) -> list[str]:
        """Every spec that has tensors here, sorted."""
        found: set[str] = set()
        for file in self.files:
            with self.open(file) as parquet:
                found.update(parquet.read(columns=["spec"], use_threads=False).column(0).unique().to_pylist())
        return sorted(found)


def lake_of(lake: Lake | str | Path) -> Lake:
    """The lake itself, or the one at this folder or URL."""
    return lake if isinstance(lake, Lake) else Lake(LakeLocation(str(lake)))


def open_table(lake: Lake, batches: Sequence[str] | None = None, version: int | None = None) -> TensorTable:
    """The files of one version (None: the newest) and of some batches (None: all), ordered by batch and path.

    Raises:
        NotMaterialized: the table or the version does not exist.
        LakeUnfit: the table uses a Delta feature with which files alone do not say what the rows are.
    """
    if (table := lake.table(TENSORS_IMAGES)) is None:
        raise NotMaterialized(
            f"Expected tensors in {lake.location.root}, found no table: materialize tensors/images first."
        )
    if version is not None:
        _load_version(table, version)
    _refuse_features(table)
    actions = pa.table(table.get_add_actions(flatten=True))
    if not actions.num_rows:
        return TensorTable(lake, table.version(), ())
    pairs = zip(actions["partition.batch_id"].to_pylist(), actions["path"].to_pylist(), strict=True)
    wanted = None if batches is None else set(batches)
    files = [DataFile(path, batch) for batch, path in sorted(pairs) if wanted is None or batch in wanted]
    return TensorTable(lake, table.version(), tuple(files))


def read_rows(parquet: pq.ParquetFile) -> FileRows:
    """What the rows of a file are; reads every column but the tensors."""
    frame = pl.DataFrame(pl.from_arrow(parquet.read(columns=["frame_id", *_FORM_COLUMNS], use_threads=False)))
    numbers, forms = _forms(frame.select(_FORM_COLUMNS))
    return FileRows(frame_keys(frame["frame_id"].to_list()), forms, numbers)


def frame_keys(frame_ids: Sequence[str]) -> FrameKeys:
    """Ids of 32 hexadecimal digits as pairs of integers, shape (n, 2): less memory, and the same order.

    Raises:
        ContractBroken: an id has another form.
    """
    joined = "".join(frame_ids)
    if any(len(frame_id) != 32 for frame_id in frame_ids) or not _HEX.fullmatch(joined):
        bad = [frame_id for frame_id in frame_ids if not (len(frame_id) == 32 and _HEX.fullmatch(frame_id))]
        raise ContractBroken(f"Expected frame ids of 32 lower-case hexadecimal digits, found {bad[:5]}.")
    return np.frombuffer(bytes.fromhex(joined), ">u8").astype(np.uint64).reshape(-1, 2)


def frame_ids(keys: FrameKeys) -> npt.NDArray[np.str_]:
    """What `frame_keys` was made from, shape (n,)."""
    digits = keys.astype(">u8").tobytes().hex()
    return np.frombuffer(digits.encode("utf-32-le"), "<U32")


def _forms(frame: pl.DataFrame) -> tuple[npt.NDArray[np.int64], tuple[Form, ...]]:
    kinds = frame.unique(maintain_order=True)
    forms = tuple(map(_form, kinds.iter_rows()))
    if len(forms) == 1:
        return np.zeros(frame.height, np.int64), forms
    numbers = {form: number for number, form in enumerate(forms)}
    return np.fromiter((numbers[_form(row)] for row in frame.iter_rows()), np.int64, frame.height), forms


def _form(row: tuple[Any, ...]) -> Form:
    spec, shape, layout, dtype, scale, mean, std = row
    return Form(spec, tuple(shape), layout, dtype, scale, tuple(mean), tuple(std))


def _load_version(table: DeltaTable, version: int) -> None:
    newest = table.version()
    try:
        table.load_as_version(version)
    except DeltaError as error:
        raise NotMaterialized(
            f"Expected version {version} of tensors/images, found versions up to {newest}: {error}"
        ) from error


def _refuse_features(table: DeltaTable) -> None:
    features = set(table.protocol().reader_features or [])
    for feature in sorted(features & set(_REFUSED_FEATURES)):
        if feature == "deletionVectors" and not _has_deletion_vectors(table):
            continue
        raise LakeUnfit(
            f"tensors/images uses the Delta feature {feature} ({_REFUSED_FEATURES[feature]}): expected plain "
            f"files, whose rows are the table's rows. Rewrite the files (REORG ... APPLY (PURGE), or "
            f"materialize again)."
        )


def _has_deletion_vectors(table: DeltaTable) -> bool:
    try:
        return any(batch.num_rows for batch in table.deletion_vectors())
    except DeltaError:
        return True  # one that cannot be read is one all the same


def require_one_recipe(forms: Sequence[Form], spec: str) -> Form:
    """What all tensors of a spec have in common.

    Raises:
        ContractBroken: batches of one spec were stored in different ways.
    """
    recipes = {form.recipe for form in forms}
    if len(recipes) > 1:
        told = "; ".join(sorted(str(recipe) for recipe in recipes))
        raise ContractBroken(
            f"Spec {spec!r} was stored in {len(recipes)} ways: {told}. Expected one; materialize "
            f"tensors/images of the older batches again, or choose batches that agree."
        )
    return recipes.pop()
