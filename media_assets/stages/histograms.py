"""`tensors/histograms`: what was counted of each batch, kept, so that statistics read only the tensors that are new.

A batch's files are never changed and no two have the same name. Its rows carry a digest of those files and of the rows
themselves: whatever became of either, rows that do not fit are not used, and the batch is measured anew. Not here: the
counting (`serving/counts.py`), or the statistics as such (`serving/statistics.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import polars as pl

from media_assets.lake.delta import Lake, Provenance
from media_assets.serving.counts import Counts, SpecCounts, add_counts, count_files
from media_assets.serving.files import DataFile, Form, TensorTable
from media_assets.serving.normalization import MeanStd
from media_assets.serving.statistics import Total
from media_assets.tables import TENSORS_HISTOGRAMS

HISTOGRAMS_CODE_VERSION = "1"
"""Part of every digest: raise it when the same tensors may be counted otherwise."""

_N_BATCHES_READ = 500
_N_BATCHES_WRITTEN = 100
_WRITTEN_BYTES = 4_000_000_000
"""What is measured between two commits at most, but for one batch: a run that is killed loses no more."""

_Row = dict[str, Any]
_Batches = Mapping[str, Sequence[DataFile]]


@dataclass(frozen=True)
class Measured:
    """Statistics over every batch of a table, and how they came about.

    Attributes:
        statistics: rows as in `tensors/statistics`.
        left_out: spec name → why it cannot be counted.
        n_recorded: batches whose histograms were there.
        n_measured: batches that were read for them.
        n_rows: rows that were recorded for the batches measured.
        n_removed: batches whose histograms were removed, since they have no tensors any more.
    """

    statistics: pl.DataFrame
    left_out: Mapping[str, str]
    n_recorded: int
    n_measured: int
    n_rows: int
    n_removed: int


def update_histograms(
    table: TensorTable, normalizations: Mapping[str, MeanStd] | None, provenance: Provenance
) -> Measured:
    """Measure the batches of a table whose histograms are not recorded, record them, and add all of them up.

    What batches that are `left_out` of the table have recorded stays: they may be done again with the same files.

    Raises:
        ContractBroken: tensors of one spec are stored in different ways, or are not what their row says.
        TableDamaged: `tensors/histograms`, or a file of tensors, is.
    """
    batches = {batch_id: list(files) for batch_id, files in groupby(table.files, lambda file: file.batch_id)}
    left_out: dict[str, str] = {}
    total, missing = Total(normalizations, left_out.__setitem__), []
    for batch_id, recorded in _recorded(table.lake, batches, normalizations):
        if recorded is None:
            missing.append(batch_id)
        else:
            total.add(recorded)
    n_rows = 0
    for group in _groups(missing, batches):
        measured = _measured(table, group, batches, normalizations)
        rows = [row for batch_id in group for row in _rows(batch_id, batches[batch_id], measured[batch_id])]
        if rows:  # files of no rows have nothing to record
            table.lake.overwrite(TENSORS_HISTOGRAMS, TENSORS_HISTOGRAMS.frame(rows), {"batch_id": group}, provenance)
        n_rows += len(rows)
        for counts in measured.values():
            total.add(counts)
    n_removed = _remove_all_but(table.lake, batches.keys() | table.left_out.batch_ids, provenance)
    return Measured(total.statistics(), left_out, len(batches) - len(missing), len(missing), n_rows, n_removed)


def _recorded(
    lake: Lake, batches: _Batches, normalizations: Mapping[str, MeanStd] | None
) -> Iterator[tuple[str, Counts | None]]:
    """Each batch with what is recorded of it; None where that is nothing, or of other files or normalizations."""
    for first in range(0, len(batches), _N_BATCHES_READ):
        some = list(batches)[first : first + _N_BATCHES_READ]
        rows: dict[str, list[_Row]] = {batch_id: [] for batch_id in some}
        for row in lake.scan(TENSORS_HISTOGRAMS, {"batch_id": some}).collect().iter_rows(named=True):
            rows[row["batch_id"]].append(row)
        for batch_id in some:
            yield batch_id, _counts_of(rows[batch_id], batches[batch_id], normalizations)


def _counts_of(
    rows: Sequence[_Row], files: Sequence[DataFile], normalizations: Mapping[str, MeanStd] | None
) -> Counts | None:
    if {row["digest"] for row in rows} != {_digest(files, rows)}:
        return None
    counts: Counts = {}
    for row in rows:
        form = Form(row["spec"], (), row["layout"], row["dtype"], row["scale"], tuple(row["mean"]), tuple(row["std"]))
        counted = counts.setdefault(form.spec, SpecCounts.nothing(form, normalizations))
        recorded = None if row["gain"] is None else (tuple(row["gain"]), tuple(row["offset"]))
        if recorded != counted.unit:
            return None
        counted.statistics.n_tensors = row["n_tensors"]
        if row["histogram"] is not None:
            counted.statistics.counts[row["channel"]] = row["histogram"]
    return counts


def _groups(batch_ids: Sequence[str], batches: _Batches) -> Iterator[list[str]]:
    group: list[str] = []
    n_bytes = 0
    for batch_id in batch_ids:
        size_bytes = sum(file.size_bytes for file in batches[batch_id])
        if group and (len(group) == _N_BATCHES_WRITTEN or n_bytes + size_bytes > _WRITTEN_BYTES):
            yield group
            group, n_bytes = [], 0
        group.append(batch_id)
        n_bytes += size_bytes
    if group:
        yield group


def _measured(
    table: TensorTable, group: Sequence[str], batches: _Batches, normalizations: Mapping[str, MeanStd] | None
) -> dict[str, Counts]:
    files = [file for batch_id in group for file in batches[batch_id]]
    measured: dict[str, Counts] = {batch_id: {} for batch_id in group}
    with closing(count_files(table, files, normalizations)) as counted:
        for file, counts in zip(files, counted, strict=True):
            add_counts(measured[file.batch_id], counts)
    return measured


def _rows(batch_id: str, files: Sequence[DataFile], counts: Counts) -> list[_Row]:
    rows = [row for spec in sorted(counts) for row in _spec_rows(batch_id, counts[spec])]
    digest = _digest(files, rows)
    return [row | {"digest": digest} for row in rows]


def _spec_rows(batch_id: str, counted: SpecCounts) -> Iterator[_Row]:
    form, unit = counted.form, counted.unit
    for channel, histogram in enumerate(counted.statistics.counts.tolist()):
        yield {
            "batch_id": batch_id,
            "spec": form.spec,
            "channel": channel,
            "n_tensors": counted.statistics.n_tensors,
            "layout": form.layout,
            "dtype": form.dtype,
            "scale": form.scale,
            "mean": list(form.mean),
            "std": list(form.std),
            "gain": None if unit is None else list(unit[0]),
            "offset": None if unit is None else list(unit[1]),
            "histogram": None if unit is None else histogram,
        }


def _digest(files: Sequence[DataFile], rows: Sequence[_Row]) -> str:
    """Of the files and of everything in the rows but their digest."""
    told = [_told(row) for row in sorted(rows, key=lambda row: (row["spec"], row["channel"]))]
    content = json.dumps([HISTOGRAMS_CODE_VERSION, [file.path for file in files], told])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _told(row: _Row) -> list[Any]:
    """A row as its digest sees it: the histogram as bytes, since 256 numbers as text cost more than all the rest."""
    levels = row["histogram"]
    counted = None if levels is None else hashlib.sha256(np.array(levels, "<i8").tobytes()).hexdigest()
    return [counted, *(row[name] for name in TENSORS_HISTOGRAMS.schema if name not in ("histogram", "digest"))]


def _remove_all_but(lake: Lake, batch_ids: Collection[str], provenance: Provenance) -> int:
    gone = sorted(set(lake.partition_values(TENSORS_HISTOGRAMS)) - set(batch_ids))
    if gone:
        lake.overwrite(TENSORS_HISTOGRAMS, TENSORS_HISTOGRAMS.frame([]), {"batch_id": gone}, provenance)
    return len(gone)
