"""The training reader: mini-batches of normalized arrays from `tensors/images`.

Their order depends on the rows, the seed and the epoch alone (`order.py`). Not here: filling arrays (`filling.py`,
`placing.py`), the affine map (`normalization.py`), the numbered rows (`rows.py`), files and their layout (`files.py`,
`mapped.py`).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Unpack, get_args

import numpy as np
import numpy.typing as npt

from media_assets.errors import NotMaterialized
from media_assets.lake.delta import Lake
from media_assets.serving.files import TensorTable, lake_of, open_table
from media_assets.serving.filling import Filler
from media_assets.serving.mini_batch import MiniBatch
from media_assets.serving.normalization import MEASURED, MeanStd, Normalization, coefficients, resolved
from media_assets.serving.order import MiniBatchOrder, PassOptions
from media_assets.serving.placing import Layout, Output
from media_assets.serving.rows import index_rows
from media_assets.serving.selecting import Key, selected
from media_assets.serving.unfinished import UnfinishedBatches


class TensorReader:
    """All tensors of one spec of one table version; `len(reader)` samples, numbered by (batch_id, frame_id).

    Normalized values are the exact ones to within 2e-6 where uint8 or float32 is stored and float32 is handed out, and
    to within 1e-3 where either is float16 (for the presets, whose values lie in -2.2 to 2.7), whatever the layouts.

    Two lakes with equal rows give equal mini-batches, however the rows lie in files and in whatever order
    they came. The version is fixed when the reader opens: batches replaced later do not show until a new
    reader is opened, and their old files stay readable until a vacuum. A reader can be pickled and forked
    (each process opens its own).

    Batches that are not done are left out, with a warning (`UnfinishedBatches`) that says how many and why: their run
    stopped before its last commit, or the frames that their tensors were made of were made again since. That is judged
    when the reader opens, whatever the version; a pickled reader keeps to the batches that it had.

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
        include_unfinished: read the rows of batches that are not done as well, as they are.
        cache: folder to which the files of a lake in an object store are copied once, to be mapped by this reader and
            later ones; None to decode them into `scratch` as they are asked for. It has no bearing on a local lake.

    Raises:
        NotMaterialized: no table, version, spec, batch or statistics of that name; a batch that was asked for, or every
            one, is not done.
        LakeUnfit: the table uses deletion vectors or column mapping.
        TableDamaged: its log cannot be trusted, or a file is missing, cut short or unreadable. Raised later, too, by
            whatever reads samples of a file that cannot be mapped and was deleted meanwhile.
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
        cache: Path | None = None,
        include_unfinished: bool = False,
    ) -> None:
        _require_choice("layout", layout, get_args(Layout))
        _require_choice("dtype", dtype, get_args(Output))
        if dtype == "uint8" and normalization is not None:
            raise ValueError(f"dtype='uint8' gives the stored values: expected no normalization, got {normalization!r}")
        table = open_table(lake_of(lake), batches, version, cache, include_unfinished=include_unfinished)
        _tell_left_out(table, batches)
        self.spec = spec or _only_spec(table)
        self.version = table.version
        self.layout, self.dtype = layout, dtype
        self._rows = index_rows(table, self.spec, scratch)
        self._require_batches(batches)
        self.normalization: MeanStd = resolved(normalization, self._rows.form, table.lake)
        factors = coefficients(self._rows.form, normalization, self.normalization)
        self._filler = Filler(self._rows, factors, layout, dtype)
        self._filler.require_output()
        self._again = partial(
            TensorReader,
            table.lake,
            self.spec,
            np.unique(self.batch_ids).tolist() if table.left_out.batch_ids else batches,
            layout=layout,
            normalization=self.normalization if normalization == MEASURED else normalization,
            dtype=dtype,
            version=table.version,
            scratch=scratch,
            cache=cache,
            include_unfinished=True,
        )

    def __len__(self) -> int:
        return len(self._rows)

    def __reduce__(self) -> tuple[Any, ...]:
        return self._again, ()

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

    def __getitem__(self, key: Key) -> npt.NDArray[Any]:
        """One sample for a number, a stack of them for a slice, an array of numbers or a mask.

        Raises:
            IndexError: a number outside the reader, or a mask of another length.
            ValueError: a stack of samples of different shapes.
        """
        numbers = selected(key, len(self))
        return self._filler.one(numbers) if isinstance(numbers, int) else self._filler.stack(numbers)

    def mini_batches(
        self, size: int, *, reuse_buffer: bool = False, **options: Unpack[PassOptions]
    ) -> Iterator[MiniBatch]:
        """One pass over the samples.

        Args:
            size: samples in a mini-batch; the last one may be smaller.
            reuse_buffer: fill one array again and again: faster, and valid only until the next mini-batch.
            **options: `shuffle`, `seed`, `epoch`, `drop_last`, `rank`, `world_size`: see `PassOptions`.

        Raises:
            ValueError: a number out of range, or samples of different shapes.
        """
        return self._pass(self.sampler(size, **options), reuse_buffer)

    def sampler(self, size: int, **options: Unpack[PassOptions]) -> MiniBatchOrder:
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
        order = MiniBatchOrder(len(self), size, **options)
        self._filler.sample_shape()
        return order

    def _pass(self, order: MiniBatchOrder, reuse_buffer: bool) -> Iterator[MiniBatch]:
        buffer = self._filler.empty(min(order.size, len(self))) if reuse_buffer else None
        for numbers in order:
            x = self._filler.stack(numbers, None if buffer is None else buffer[: len(numbers)])
            yield MiniBatch(numbers, self._rows.frame_ids(numbers), self._rows.batch_ids(numbers), x)

    def _require_batches(self, batches: Sequence[str] | None) -> None:
        if missing := sorted(set(batches or ()) - set(np.unique(self.batch_ids).tolist())):
            raise NotMaterialized(
                f"Expected tensors of spec {self.spec!r} in every batch asked for, found none in "
                f"{missing[:5]} ({len(missing)} batches): materialize tensors/images for them, or leave them "
                f"out."
            )


def _tell_left_out(table: TensorTable, batches: Sequence[str] | None) -> None:
    if not table.left_out.batch_ids:
        return
    if batches is not None or not table.files:
        raise NotMaterialized(f"Expected only batches that are done, but {table.left_out.told()}")
    warnings.warn(f"Left out: {table.left_out.told()}", UnfinishedBatches, stacklevel=3)


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
