"""The training reader: mini-batches of normalized arrays from `tensors/images`.

Their order depends on the rows, the seed and the epoch alone (`order.py`). Not here: the affine map
(`normalization.py`, `placing.py`), the numbered rows (`rows.py`), files and their layout
(`files.py`, `mapped.py`).
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from media_assets.errors import NotMaterialized, SetupError
from media_assets.lake.delta import Lake
from media_assets.serving.files import TensorTable, lake_of, open_table
from media_assets.serving.normalization import MEASURED, MeanStd, Normalization, coefficients, resolved
from media_assets.serving.order import MiniBatchOrder
from media_assets.serving.placing import Layout, Output, Place, copy_bytes, laid_out, placer
from media_assets.serving.rows import Numbers, index_rows


@dataclass(frozen=True)
class MiniBatch:
    """Some samples: `x[i]` is sample `numbers[i]`, frame `frame_ids[i]` of ingest batch `batch_ids[i]`.

    `x` has the reader's type and shape (n, 3, h, w) for `nchw`, (n, h, w, 3) for `nhwc`; channels R, G, B.
    """

    numbers: Numbers
    frame_ids: npt.NDArray[np.str_]
    batch_ids: npt.NDArray[np.str_]
    x: npt.NDArray[Any]

    def __len__(self) -> int:
        return len(self.numbers)

    def as_torch(self) -> Any:
        """`x` as a torch tensor on the same memory.

        Raises:
            SetupError: torch is not installed.
        """
        try:
            torch = importlib.import_module("torch")
        except ImportError as error:
            raise SetupError("as_torch() needs torch, which is not installed: pip install torch, or use x.") from error
        return torch.from_numpy(self.x)


class TensorReader:
    """All tensors of one spec of one table version; `len(reader)` samples, numbered by (batch_id, frame_id).

    Normalized values are the exact ones to within 2e-6 where uint8 or float32 is stored and float32 is handed out, and
    to within 1e-3 where either is float16 (for the presets, whose values lie in -2.2 to 2.7), whatever the layouts.

    Two lakes with equal rows give equal mini-batches, however the rows lie in files and in whatever order
    they came. The version is fixed when the reader opens: batches replaced later do not show until a new
    reader is opened, and their old files stay readable until a vacuum. A reader can be pickled and forked
    (each process opens its own).

    Args:
        lake: the lake, or its folder or URL.
        spec: name of the TensorSpec; None where the table holds only one.
        batches: only these ingest batches; None for all.
        layout: `nchw` or `nhwc`, whatever the stored layout. The stored one (mostly hwc) is the faster.
        normalization: None as stored; a preset's name; "measured" for the figures in `tensors/statistics`; or
            (mean, std) per channel in 0..1. Floats are stored normalized; they can be normalized anew only
            where the spec's name ends in the preset that they were stored with.
        dtype: `float32` or `float16` (normalized), or `uint8` (as stored, not normalized).
        version: version of the Delta table; None for the newest.
        scratch: folder for decoding files that cannot be mapped; None for the system's temporary folder.

    Raises:
        NotMaterialized: no table, version, spec, batch or statistics of that name.
        LakeUnfit: the table uses deletion vectors or column mapping.
        ContractBroken: rows of the spec disagree on how they are stored, or a frame is there twice.
        ValueError: an argument outside its values, or `spec` left out with several to choose from.
    """

    def __init__(
        self,
        lake: Lake | str | Path,
        spec: str | None = None,
        batches: Sequence[str] | None = None,
        *,
        layout: Layout = "nchw",
        normalization: Normalization = None,
        dtype: Output = "float32",
        version: int | None = None,
        scratch: Path | None = None,
    ) -> None:
        _require_choice("layout", layout, get_args(Layout))
        _require_choice("dtype", dtype, get_args(Output))
        if dtype == "uint8" and normalization is not None:
            raise ValueError(f"dtype='uint8' gives the stored values: expected no normalization, got {normalization!r}")
        table = open_table(lake_of(lake), batches, version)
        self.spec = spec or _only_spec(table)
        self.version = table.version
        self.layout, self.dtype = layout, dtype
        self._rows = index_rows(table, self.spec, scratch)
        self._require_batches(batches)
        self.normalization: MeanStd = resolved(normalization, self._rows.form, table.lake)
        self._factors = coefficients(self._rows.form, normalization, self.normalization)
        self._place = self._placer(self._rows.shapes[0])
        kept = self.normalization if normalization == MEASURED else normalization
        self._arguments = (table.lake, self.spec, batches, layout, kept, dtype, table.version, scratch)

    def __len__(self) -> int:
        return len(self._rows)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, self._arguments

    @property
    def frame_ids(self) -> npt.NDArray[np.str_]:
        """The frame of every sample, by number."""
        return self._rows.frame_ids()

    @property
    def batch_ids(self) -> npt.NDArray[np.str_]:
        """The ingest batch of every sample, by number."""
        return self._rows.batch_ids()

    @property
    def n_mapped_files(self) -> int:
        """Files that are read where they lie."""
        return self._rows.n_mapped_files

    @property
    def n_fallback_files(self) -> int:
        """Files that are decoded first: not local, or rewritten in another layout."""
        return self._rows.n_fallback_files

    def __getitem__(self, key: int | np.integer[Any] | slice | Sequence[int] | npt.NDArray[Any]) -> npt.NDArray[Any]:
        """One sample for a number, a stack of them for a slice or an array of numbers.

        Raises:
            IndexError: a number outside the reader.
            ValueError: a stack of samples of different shapes.
        """
        every = np.arange(len(self), dtype=np.int64)
        if isinstance(key, (int, np.integer)):
            numbers = every[key : key + 1 or None]
            if not len(numbers):
                raise IndexError(f"Expected a number below {len(self)}, got {key}.")
            return self._single(numbers)
        return self._filled(every[key])

    def mini_batches(
        self,
        size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        epoch: int = 0,
        drop_last: bool = False,
        rank: int = 0,
        world_size: int = 1,
        reuse_buffer: bool = False,
    ) -> Iterator[MiniBatch]:
        """One pass over the samples.

        Args:
            size: samples in a mini-batch; the last one may be smaller.
            shuffle: an order drawn from (seed, epoch): the same on every machine. Otherwise by number.
            seed: at least 0.
            epoch: at least 0; another number, another order.
            drop_last: only whole mini-batches, and the same number of them on every rank.
            rank: this process's share, from 0; the shares are disjoint and together hold every sample.
            world_size: processes that share the pass.
            reuse_buffer: fill one array again and again: faster, and valid only until the next mini-batch.

        Raises:
            ValueError: a number out of range, or samples of different shapes.
        """
        order = MiniBatchOrder(len(self), size, shuffle, seed, epoch, drop_last, rank, world_size)
        self._sample_shape()
        return self._pass(order, reuse_buffer)

    def sampler(
        self,
        size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        epoch: int = 0,
        drop_last: bool = False,
        rank: int = 0,
        world_size: int = 1,
    ) -> MiniBatchOrder:
        """The order of `mini_batches`, for a torch `DataLoader` whose workers read whole mini-batches:

            sampler = reader.sampler(64, shuffle=True, seed=7)
            loader = DataLoader(reader, batch_size=None, sampler=sampler, num_workers=2)
            for numbers, x in zip(sampler, loader): ...  # reader.frame_ids[numbers] are the frames of x

        `sampler.set_epoch(1)` before the next pass gives another order, persistent workers included. With
        `batch_size=64` the reader is an ordinary dataset of single samples as well, only slower. Both ways of
        starting workers serve, fork and spawn; of a lake in an object store, files that are not mapped need spawn
        (`multiprocessing_context="spawn"`).

        Raises:
            ValueError: a number out of range, or samples of different shapes.
        """
        self._sample_shape()
        return MiniBatchOrder(len(self), size, shuffle, seed, epoch, drop_last, rank, world_size)

    def _pass(self, order: MiniBatchOrder, reuse_buffer: bool) -> Iterator[MiniBatch]:
        buffer = self._empty(min(order.size, len(self))) if reuse_buffer else None
        for numbers in order:
            x = self._filled(numbers, None if buffer is None else buffer[: len(numbers)])
            yield MiniBatch(numbers, self._rows.frame_ids(numbers), self._rows.batch_ids(numbers), x)

    def _filled(self, numbers: Numbers, into: npt.NDArray[Any] | None = None) -> npt.NDArray[Any]:
        x = self._empty(len(numbers)) if into is None else into
        values = self._rows.values(numbers)
        if (place := self._place) is None:
            lines = x.reshape(len(x), -1).view(np.uint8)
            for line, value in zip(lines, values, strict=True):
                copy_bytes(line, value)
        else:
            for sample, value in zip(x, values, strict=True):
                place(sample, value)
        return x

    def _single(self, number: Numbers) -> npt.NDArray[Any]:
        shape = self._rows.shape(int(number[0]))
        sample = np.empty(laid_out(shape, self._rows.form.layout, self.layout), self.dtype)
        value = next(self._rows.values(number))
        if (place := self._placer(shape)) is None:
            sample.reshape(-1).view(np.uint8)[...] = value
        else:
            place(sample, value)
        return sample

    def _placer(self, shape: tuple[int, ...]) -> Place | None:
        return placer(replace(self._rows.form, shape=shape), self._factors, self.layout, self.dtype)

    def _empty(self, n: int) -> npt.NDArray[Any]:
        return np.empty((n, *self._sample_shape()), self.dtype)

    def _sample_shape(self) -> tuple[int, ...]:
        shapes = self._rows.shapes
        if len(set(shapes)) > 1:
            raise ValueError(
                f"Spec {self.spec!r} holds samples of {len(set(shapes))} shapes, such as "
                f"{sorted(set(shapes))[:3]}, which do not stack: read them one by one (reader[i]), or use a "
                f"spec with a fixed size."
            )
        return laid_out(shapes[0], self._rows.form.layout, self.layout)

    def _require_batches(self, batches: Sequence[str] | None) -> None:
        if missing := sorted(set(batches or ()) - set(np.unique(self.batch_ids).tolist())):
            raise NotMaterialized(
                f"Expected tensors of spec {self.spec!r} in every batch asked for, found none in "
                f"{missing[:5]} ({len(missing)} batches): materialize tensors/images for them, or leave them "
                f"out."
            )


def _reopened(
    lake: Lake,
    spec: str,
    batches: Sequence[str] | None,
    layout: Layout,
    normalization: Normalization,
    dtype: Output,
    version: int,
    scratch: Path | None,
) -> TensorReader:
    return TensorReader(
        lake,
        spec,
        batches,
        layout=layout,
        normalization=normalization,
        dtype=dtype,
        version=version,
        scratch=scratch,
    )


def _only_spec(table: TensorTable) -> str:
    specs = table.specs()
    if not specs:
        raise NotMaterialized(
            f"Expected tensors in {table.lake.location.root}, found none (version {table.version}, batches "
            f"asked for included): materialize tensors/images first."
        )
    if len(specs) > 1:
        raise ValueError(f"The table holds {len(specs)} specs: expected spec= to name one of {specs}.")
    return specs[0]


def _require_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"Expected {name} to be one of {choices}, got {value!r}.")
