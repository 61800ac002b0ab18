"""Statistics of the stored tensors: one streaming pass over all files, and the sum of what was counted elsewhere.

Not here: the counting (`counts.py`), and keeping what was counted from one run to the next (`stages/histograms.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from media_assets.lake.delta import Lake
from media_assets.serving.counts import Counts, add_counts, count_files
from media_assets.serving.files import TensorTable, lake_of, open_table
from media_assets.serving.normalization import MeanStd, unit_range
from media_assets.tables import TENSORS_STATISTICS


def measure_statistics(
    lake: Lake | str | Path,
    batches: Sequence[str] | None = None,
    *,
    normalizations: Mapping[str, MeanStd] | None = None,
    version: int | None = None,
    leave_out: Callable[[str, str], None] | None = None,
) -> pl.DataFrame:
    """Mean, deviation and histogram of each channel of every spec: rows as in `tensors/statistics`.

    Every tensor is read, of batches that are not done as well, and nothing is written. Memory does not grow with the
    table: files are mapped, or decoded some rows at a time.

    Args:
        lake: the lake, or its folder or URL.
        batches: only these ingest batches; None for all.
        normalizations: spec name to the (mean, std) with which its floats were stored; only needed for float
            specs whose name does not end in a preset.
        version: version of `tensors/images`; None for the newest.
        leave_out: called with the name of each spec that cannot be measured, since the normalization of its floats is
            not known, and why; None: such a spec is an error.

    Raises:
        NotMaterialized: `tensors/images` or that version does not exist.
        ContractBroken: tensors of one spec are stored in different ways, or are not what their row says.
        ValueError: floats whose normalization is not known, without `leave_out`.
    """
    table = open_table(lake_of(lake), batches, version)
    total = Total(normalizations, leave_out)
    with closing(count_files(table, table.files, normalizations)) as counted:
        for counts in counted:
            total.add(counts)
    return total.statistics()


@dataclass
class Total:
    """The sum of counts. What cannot be counted is told once for each spec; see `measure_statistics`."""

    normalizations: Mapping[str, MeanStd] | None
    leave_out: Callable[[str, str], None] | None
    _counts: Counts = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)

    def add(self, counts: Counts) -> None:
        """Add what was counted with the same normalizations; it must not be used afterwards.

        Raises:
            ContractBroken: tensors of one spec are stored in different ways.
            ValueError: floats whose normalization is not known, without `leave_out`.
        """
        known = {spec: counted for spec, counted in counts.items() if counted.unit is not None}
        add_counts(self._counts, known)
        for spec in sorted(counts.keys() - known.keys() - self._told):
            self._told.add(spec)
            try:
                unit_range(counts[spec].form, self.normalizations)
            except ValueError as error:
                if self.leave_out is None:
                    raise
                self.leave_out(spec, str(error))

    def statistics(self) -> pl.DataFrame:
        """Rows as in `tensors/statistics`, by spec and channel."""
        rows = [row for spec in sorted(self._counts) for row in self._counts[spec].statistics.rows(spec)]
        return TENSORS_STATISTICS.frame(rows)


def tensors_digest(table: TensorTable) -> str:
    """What a table consists of, in 16 hexadecimal digits; empty when it has no file.

    Files are never changed and no two have the same name, so equal digests mean equal tensors. It is kept with the
    commit of the statistics.
    """
    paths = [file.path for file in table.files]
    return hashlib.sha256("\n".join(paths).encode()).hexdigest()[:16] if paths else ""
