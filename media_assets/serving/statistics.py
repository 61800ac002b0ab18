"""Statistics of the stored tensors: one streaming pass over all files, whatever their layout and size.

Not here: the counting (`media/statistics.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow.parquet as pq

from media_assets.errors import ContractBroken
from media_assets.lake.delta import Lake
from media_assets.media.statistics import ChannelStatistics
from media_assets.serving.files import (
    TENSOR,
    DataFile,
    FileRows,
    Form,
    TensorTable,
    lake_of,
    open_table,
    read_rows,
    require_one_recipe,
)
from media_assets.serving.mapped import NotMappedError, decoded_values
from media_assets.serving.normalization import MeanStd, unit_range
from media_assets.tables import TENSORS_STATISTICS

_ROWS_MAPPED = 256
"""Mapped files count as memory page by page as they are read; so many rows are kept at a time."""


def measure_statistics(
    lake: Lake | str | Path,
    batches: Sequence[str] | None = None,
    *,
    normalizations: Mapping[str, MeanStd] | None = None,
    version: int | None = None,
) -> pl.DataFrame:
    """Mean, deviation and histogram of each channel of every spec: the rows of `tensors/statistics`.

    Memory does not grow with the table: files are mapped, or decoded some rows at a time.

    Args:
        lake: the lake, or its folder or URL.
        batches: only these ingest batches; None for all.
        normalizations: spec name to the (mean, std) with which its floats were stored; only needed for float
            specs whose name does not end in a preset.
        version: version of `tensors/images`; None for the newest.

    Raises:
        NotMaterialized: `tensors/images` or that version does not exist.
        ContractBroken: tensors of one spec are stored in different ways, or are not what their row says.
        ValueError: floats whose normalization is not known.
    """
    counters: dict[str, _Counter] = {}
    table = open_table(lake_of(lake), batches, version)
    for file in table.files:
        for form, stored in _tensors(table, file):
            counter = counters.get(form.spec)
            if counter is None:
                counter = counters[form.spec] = _Counter(form, normalizations)
            counter.add(form, stored)
    rows = [row for spec in sorted(counters) for row in counters[spec].statistics.rows(spec)]
    return TENSORS_STATISTICS.frame(rows)


class _Counter:
    """The statistics of one spec."""

    def __init__(self, form: Form, normalizations: Mapping[str, MeanStd] | None) -> None:
        self._form = form
        self._gain, self._offset = unit_range(form, normalizations)
        self.statistics = ChannelStatistics(form.scale) if form.dtype == "uint8" else ChannelStatistics()

    def add(self, form: Form, stored: npt.NDArray[Any]) -> None:
        require_one_recipe([self._form, form], form.spec)
        if form.dtype == "uint8":
            self.statistics.add(stored, form.layout)
            return
        tail = (3,) if form.layout == "hwc" else (3, 1, 1)
        unit = stored * self._gain.reshape(tail) + self._offset.reshape(tail)
        try:
            self.statistics.add(unit, form.layout)
        except ValueError as error:
            raise ContractBroken(f"Spec {form.spec!r}: its floats are not what its name says. {error}") from error


def _tensors(table: TensorTable, file: DataFile) -> Iterator[tuple[Form, npt.NDArray[Any]]]:
    with table.open(file) as parquet:
        rows = read_rows(parquet)
        try:
            buffer, starts = table.mapped(file, parquet.metadata, rows)
        except NotMappedError:
            yield from _decoded(parquet, rows)
            return
    for place, (number, start) in enumerate(zip(rows.form_numbers.tolist(), starts.tolist(), strict=True)):
        if place % _ROWS_MAPPED == 0:
            buffer.release()
        form = rows.forms[number]
        yield form, buffer.value(start, form.n_bytes).view(form.stored_type).reshape(form.shape)


def _decoded(parquet: pq.ParquetFile, rows: FileRows) -> Iterator[tuple[Form, npt.NDArray[Any]]]:
    sizes = np.array([form.n_bytes for form in rows.forms], np.int64)[rows.form_numbers]
    values = decoded_values(parquet, TENSOR, sizes.tolist())
    for number, value in zip(rows.form_numbers.tolist(), values, strict=True):
        form = rows.forms[number]
        assert value is not None, "every row was asked for"
        yield form, value.view(form.stored_type).reshape(form.shape)
