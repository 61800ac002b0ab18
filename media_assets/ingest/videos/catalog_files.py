"""The rows of a catalog in CSV, JSON Lines or Parquet, one at a time, each as meaning to value.

A damaged row costs one row; a file of another format is refused as a whole. Memory: some thousand rows. Not here: what
a row becomes (`catalog_rows.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from media_assets.errors import ItemError, PlanRefused
from media_assets.ingest.csv_rows import BadRecord, physical_lines, records
from media_assets.ingest.planned import PlannedItem, RejectedRow
from media_assets.ingest.videos.addresses import MediaBase
from media_assets.ingest.videos.catalog_rows import item_of_record, meaning_of, meanings_of

_N_ROWS_PER_READ = 2000
_N_NAMES = 50


@dataclass
class CatalogCounts:
    """What was left out of a catalog: the names of columns that mean nothing here, at most fifty."""

    ignored_columns: dict[str, None] = field(default_factory=dict)

    def ignore(self, column: str) -> None:
        """Note a column."""
        if len(self.ignored_columns) < _N_NAMES:
            self.ignored_columns.setdefault(column[:100])


def read_csv(path: Path, base: MediaBase | None, counts: CatalogCounts) -> Iterator[PlannedItem | RejectedRow]:
    """The rows of a CSV file whose first line names the columns.

    Raises:
        PlanRefused: the header names no address, or one thing twice.
    """
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        header = next(physical_lines(file), "").rstrip("\r\n")
        columns = next(
            (r.fields for r in records(iter([header]), header.count(",") + 1) if not isinstance(r, BadRecord)), []
        )
        known = meanings_of(columns, path.name)
        _note_unknown(columns, counts)
        for record in records(physical_lines(file), len(columns)):
            row_key = f"{path.name}:{record.line + 1}"
            if isinstance(record, BadRecord):
                yield RejectedRow(row_key, record.message)
                continue
            values = {known[c]: value for c, value in zip(columns, record.fields, strict=True) if c in known}
            yield _item(row_key, values, base)


def read_json_lines(path: Path, base: MediaBase | None, counts: CatalogCounts) -> Iterator[PlannedItem | RejectedRow]:
    """The rows of a file with one JSON object a line; blank lines are passed over."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        for number, line in enumerate(physical_lines(file), 1):
            row_key = f"{path.name}:{number}"
            if not line.strip():
                continue
            try:
                found = msgspec.json.decode(line)
            except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
                yield RejectedRow(row_key, f"expected a JSON object on one line, got: {error}"[:300])
                continue
            if not isinstance(found, dict):
                yield RejectedRow(row_key, f"expected a JSON object, got {type(found).__name__}")
                continue
            _note_unknown(found, counts)
            values = _by_meaning(found)
            yield RejectedRow(row_key, values) if isinstance(values, str) else _item(row_key, values, base)


def read_parquet(path: Path, base: MediaBase | None, counts: CatalogCounts) -> Iterator[PlannedItem | RejectedRow]:
    """The rows of a Parquet file.

    Raises:
        PlanRefused: it is none, it is damaged, or its columns name no address, or one thing twice.
    """
    try:
        with pq.ParquetFile(path) as file:
            columns = file.schema_arrow.names
            known = meanings_of(columns, path.name)
            _note_unknown(columns, counts)
            number = 0
            for batch in file.iter_batches(_N_ROWS_PER_READ, columns=list(known)):
                for row in _rows_of(batch):
                    number += 1
                    row_key = f"{path.name}:{number}"
                    if isinstance(row, str):
                        yield RejectedRow(row_key, row)
                    else:
                        yield _item(row_key, {known[c]: v for c, v in row.items() if c in known}, base)
    except (pa.ArrowException, OSError) as error:
        raise PlanRefused(f"{path}: expected a Parquet file, got: {error}. Write it again.") from error


def _rows_of(batch: pa.RecordBatch) -> list[dict[str, object] | str]:
    """The rows of a batch, or what is wrong with one: text that is no UTF-8, a time that Python does not have."""
    try:
        return list(batch.to_pylist())
    except (ValueError, OverflowError):
        return [_row_of(batch.slice(number, 1)) for number in range(batch.num_rows)]


def _row_of(row: pa.RecordBatch) -> dict[str, object] | str:
    try:
        (found,) = row.to_pylist()
    except (ValueError, OverflowError) as error:
        return f"expected values that can be read, got: {error}"[:300]
    return dict(found)


def _item(row_key: str, values: Mapping[str, object], base: MediaBase | None) -> PlannedItem | RejectedRow:
    try:
        return item_of_record(values, base)
    except ItemError as error:
        return RejectedRow(row_key, error.message)


def _by_meaning(found: Mapping[str, object]) -> dict[str, object] | str:
    """Meaning to value, or what is wrong: two names for one thing."""
    values: dict[str, object] = {}
    for name, value in found.items():
        if (meaning := meaning_of(name)) is not None:
            if meaning in values:
                return f"expected one name for {meaning}, got two, {name[:60]!r} among them"
            values[meaning] = value
    return values


def _note_unknown(columns: Mapping[str, object] | list[str], counts: CatalogCounts) -> None:
    for column in columns:
        if meaning_of(column) is None:
            counts.ignore(column)
