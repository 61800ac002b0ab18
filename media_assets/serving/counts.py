"""How often each level occurs in tensor files, whatever their layout and size: whole numbers, counted file by file.

Several threads count, each one file at a time (OpenCV lets others run meanwhile); whole numbers add up to the same in
any order. Not here: the counting of pixels (`media/statistics.py`), and what the counts are kept for (`statistics.py`,
`stages/histograms.py`).
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from threading import Event
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from media_assets.engine.cores import n_usable_cores
from media_assets.errors import ContractBroken
from media_assets.media.statistics import ChannelStatistics
from media_assets.serving.files import TENSOR, DataFile, FileRows, Form, TensorTable, read_rows, require_one_recipe
from media_assets.serving.mapped import NotMappedError, decoded_values
from media_assets.serving.normalization import MeanStd, unit_range

Normalizations = Mapping[str, MeanStd] | None
UnitRange = tuple[tuple[float, ...], tuple[float, ...]]
"""(gain, offset) per channel: stored * gain + offset is the picture in 0..1."""

_MAX_THREADS = 4
_MAPPED_BYTES = 1 << 25
"""Mapped files count as memory page by page as they are read; so much of each thread's file is kept at a time."""


@dataclass
class SpecCounts:
    """What was counted of the tensors of one spec.

    Attributes:
        form: how they are stored.
        unit: with which they were counted; None: floats whose normalization is not known, of which only `n_tensors` is.
        statistics: the counts.
    """

    form: Form
    unit: UnitRange | None
    statistics: ChannelStatistics = field(default_factory=ChannelStatistics)

    @classmethod
    def nothing(cls, form: Form, normalizations: Normalizations) -> SpecCounts:
        """Those of no tensor."""
        scale = {"scale": form.scale} if form.dtype == "uint8" else {}
        return cls(form, known_unit_range(form, normalizations), ChannelStatistics(**scale))

    def add(self, form: Form, stored: npt.NDArray[Any]) -> None:
        """Count one tensor of this spec.

        Raises:
            ContractBroken: floats that are not what their name says.
        """
        if self.unit is None:
            self.statistics.n_tensors += 1
            return
        if form.dtype == "uint8":
            self.statistics.add(stored, form.layout)
            return
        gain, offset = (np.array(values).reshape((3,) if form.layout == "hwc" else (3, 1, 1)) for values in self.unit)
        try:
            self.statistics.add(stored * gain + offset, form.layout)
        except ValueError as error:
            raise ContractBroken(f"Spec {form.spec!r}: its floats are not what its name says. {error}") from error

    def merge(self, other: SpecCounts) -> None:
        """Add what was counted elsewhere, with the same normalizations.

        Raises:
            ContractBroken: the tensors of the two are stored in different ways.
        """
        if self.unit is not None or other.unit is not None:
            require_one_recipe([self.form, other.form], self.form.spec)
        self.statistics.n_tensors += other.statistics.n_tensors
        self.statistics.counts += other.statistics.counts


Counts = dict[str, SpecCounts]
"""Spec name → what was counted."""


def known_unit_range(form: Form, normalizations: Normalizations) -> UnitRange | None:
    """`unit_range` as plain numbers; None where it is not known."""
    try:
        gain, offset = unit_range(form, normalizations)
    except ValueError:
        return None
    return tuple(gain.tolist()), tuple(offset.tolist())


def add_counts(total: Counts, counts: Counts) -> None:
    """Add counts to others, in place; the counts that are added must not be used afterwards.

    Raises:
        ContractBroken: tensors of one spec are stored in different ways.
    """
    for spec, counted in counts.items():
        if spec in total:
            total[spec].merge(counted)
        else:
            total[spec] = counted


def count_files(
    table: TensorTable, files: Sequence[DataFile], normalizations: Normalizations
) -> Generator[Counts, None, None]:
    """What each of these files holds, in their order. Memory does not grow with their number or size.

    Close it when it is not exhausted: its threads go on until then.

    Raises:
        ContractBroken: tensors of one spec in a file are stored in different ways, or are not what their row says.
        TableDamaged: a file is missing, cut short or unreadable.
    """
    stopped = Event()
    count = partial(_count_file, table, normalizations, stopped)
    n_threads = min(n_usable_cores(), _MAX_THREADS, len(files))
    if n_threads < 2:
        yield from map(count, files)
        return
    pool = ThreadPoolExecutor(n_threads, "media-assets-counts")
    try:
        yield from pool.map(count, files)
    finally:
        stopped.set()
        pool.shutdown(cancel_futures=True)


def _count_file(table: TensorTable, normalizations: Normalizations, stopped: Event, file: DataFile) -> Counts:
    with table.open(file) as parquet:
        rows = read_rows(parquet)
        counts: Counts = {}
        per_form = [_counts_of(form, counts, normalizations) for form in rows.forms]
        for number, stored in _tensors(table, file, parquet, rows):
            if stopped.is_set():  # Ctrl-C, or another file is at fault: nobody asks for these any more
                break
            per_form[number].add(rows.forms[number], stored)
    return counts


def _counts_of(form: Form, counts: Counts, normalizations: Normalizations) -> SpecCounts:
    """The counts that tensors of this form belong to."""
    empty = SpecCounts.nothing(form, normalizations)
    add_counts(counts, {form.spec: empty})
    return counts[form.spec]


def _tensors(
    table: TensorTable, file: DataFile, parquet: pq.ParquetFile, rows: FileRows
) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """Number of its form, and the array, of each row."""
    for number, value in _values(table, file, parquet, rows):
        form = rows.forms[number]
        yield number, value.view(form.stored_type).reshape(form.shape)


def _values(
    table: TensorTable, file: DataFile, parquet: pq.ParquetFile, rows: FileRows
) -> Iterable[tuple[int, npt.NDArray[np.uint8]]]:
    numbers = rows.form_numbers.tolist()
    try:
        buffer, starts = table.mapped(file, parquet.metadata, rows)
    except NotMappedError:
        sizes = np.array([form.n_bytes for form in rows.forms], np.int64)[rows.form_numbers]
        for number, value in zip(numbers, decoded_values(parquet, TENSOR, sizes.tolist()), strict=True):
            assert value is not None, "every row was asked for"
            yield number, value
        return
    n_bytes = rows.forms[0].n_bytes
    for place, (number, start) in enumerate(zip(numbers, starts.tolist(), strict=True)):
        if place % max(1, _MAPPED_BYTES // n_bytes) == 0:
            buffer.release()
        yield number, buffer.value(start, n_bytes)
