"""Large binary columns, written in parts: memory is bounded by one row group, not by the batch.

Layout: Parquet, required PLAIN binary, uncompressed, no dictionary, one data page a row group. Equal-sized values then
lie at a constant stride, so that a reader can map the file instead of decoding it (`serving/`). It stays an ordinary
Delta table. Files are written first and become visible in one commit; what a killed run leaves behind is unreferenced
(`leftovers.py` finds it).
"""

from __future__ import annotations

import io
import json
import time
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import obstore
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.transaction import AddAction, RemoveAction

from media_assets.errors import ContractBroken
from media_assets.lake.crash_points import crash_point
from media_assets.lake.delta import Lake, Provenance, turn_id
from media_assets.tables import TableContract

ROW_GROUP_BYTES = 16_000_000
ROW_GROUP_ROWS = 64
FILE_ROW_GROUPS = 32
_ONE_PAGE_BYTES = 1 << 30  # above any row group, so that each holds exactly one page


class _Sink(io.RawIOBase):
    """An object store's writer as the file object that pyarrow expects."""

    def __init__(self, writer: obstore.WritableFile) -> None:
        super().__init__()
        self._writer = writer

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._writer.write(memoryview(data))
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._writer.close()
        super().close()


@dataclass
class _OpenFile:
    path: str
    sink: _Sink
    writer: pq.ParquetWriter
    n_rows: int = 0
    n_row_groups: int = 0
    unchecked: list[pl.DataFrame] = field(default_factory=list)  # what was written, without the large bytes


@dataclass
class PartWriter:
    """Writes the rows of one batch into files of one table, then makes them the batch's only rows in one commit.

    Rows are appended in any order; all rows of one file share `file_key` (a TensorSpec), hence one stride. Each file
    is held against the contract when it is full (a validation costs the same for 64 rows as for 2,000), its large
    bytes only as to whether they are there. That no key comes twice in the batch is the caller's to see.
    """

    lake: Lake
    contract: TableContract
    batch_id: str
    binary_column: str
    _rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    _n_bytes: dict[str, int] = field(default_factory=dict)
    _open: dict[str, _OpenFile] = field(default_factory=dict)
    _done: list[AddAction] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Open the table's folder; the table itself is created empty when it is not there."""
        self.lake.ensure(self.contract)
        self._store = self.lake.location.store(*self.contract.key)
        self._schema = _file_schema(self.contract, self.binary_column)

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if kind is not None:
            self.discard()

    def append(self, file_key: str, row: dict[str, Any]) -> None:
        """Add one row; a full row group is written out at once."""
        rows = self._rows.setdefault(file_key, [])
        rows.append(row)
        self._n_bytes[file_key] = self._n_bytes.get(file_key, 0) + len(row.get(self.binary_column) or b"")
        if len(rows) >= ROW_GROUP_ROWS or self._n_bytes[file_key] >= ROW_GROUP_BYTES:
            self._flush(file_key)

    def finish(self) -> None:
        """Write out what is buffered and close every file. Nothing is visible yet.

        Raises:
            ContractBroken: a row does not hold the contract.
        """
        for file_key in list(self._rows):
            self._flush(file_key)
        for file_key in list(self._open):
            self._check(file_key)
            self._close(file_key)

    def drop(self, column: str, values: Collection[str]) -> None:
        """Take rows out again before the commit, by the values of a string column; touched files are rewritten."""
        self.finish()
        for action in list(self._done):
            source = obstore.get(self._store, action.path).bytes()
            file = pq.ParquetFile(pa.BufferReader(source))
            gone = pa.array(sorted(values), pa.string())
            if not pc.any(pc.is_in(file.read(columns=[column])[column], gone)).as_py():
                continue
            self._done.remove(action)
            part = self._start(action.path)
            for group in range(file.num_row_groups):
                rows = file.read_row_group(group)
                kept = rows.filter(pc.invert(pc.is_in(rows[column], gone)))
                if kept.num_rows:
                    part.writer.write_table(kept, row_group_size=kept.num_rows)
                    part.n_rows += kept.num_rows
            self._close(action.path)
            obstore.delete(self._store, action.path)

    def commit(self, provenance: Provenance) -> int:
        """Make the written files the batch's only rows, in one commit; which replacement this was (`Lake.turn`).

        From here on the files are no longer deleted: a commit can be there although it reported an error.

        Raises:
            CommitFailedError: another writer won every round; the files stay unreferenced.
        """
        self.finish()
        actions, self._done = self._done, []
        app_id = turn_id(self.contract, self.batch_id)
        turn = 0

        def write(table: DeltaTable, commit_id: str) -> None:
            nonlocal turn
            # A stale writer of a new partition would be accepted beside its rival, and every row be there twice:
            # delta-rs sees no conflict where no file is replaced. Without retries only the version just opened can be
            # followed; the transaction says the same to other clients.
            turn = (table.transaction_version(app_id) or 0) + 1
            table.create_write_transaction(
                list[AddAction | RemoveAction](actions),
                mode="overwrite",
                schema=table.schema(),
                partition_by=list(self.contract.partition_by),
                partition_filters=[("batch_id", "=", self.batch_id)],
                commit_properties=CommitProperties(
                    custom_metadata=provenance.commit_metadata(commit_id),
                    max_commit_retries=0,
                    app_transactions=[Transaction(app_id, turn)],
                ),
            )

        self.lake.commit(self.contract, write)
        return turn

    def discard(self) -> None:
        """Close and delete every file that was written and not committed."""
        for file_key in list(self._open):
            self._close(file_key)
        for action in self._done:
            obstore.delete(self._store, action.path)
        self._done.clear()
        self._rows.clear()
        self._n_bytes.clear()

    def _flush(self, file_key: str) -> None:
        rows = self._rows.get(file_key)
        if not rows:
            return
        frame = self.contract.frame([self._without_bytes(row) for row in rows])
        if frame[self.binary_column].null_count():
            self.contract.require(frame)
        if not (frame["batch_id"] == self.batch_id).all():
            raise ContractBroken(f"{self.contract.name}: expected rows of batch {self.batch_id} only, got others too")
        self._rows[file_key], self._n_bytes[file_key] = [], 0
        part = self._open.get(file_key) or self._start(file_key)
        part.writer.write_table(self._file_rows(frame, rows), row_group_size=frame.height)
        part.n_rows += frame.height
        part.n_row_groups += 1
        part.unchecked.append(frame)
        if part.n_row_groups >= FILE_ROW_GROUPS:
            self._check(file_key)
            self._close(file_key)

    def _without_bytes(self, row: dict[str, Any]) -> dict[str, Any]:
        return row | {self.binary_column: b""} if isinstance(row.get(self.binary_column), bytes) else row

    def _file_rows(self, frame: pl.DataFrame, rows: Sequence[dict[str, Any]]) -> pa.Table:
        """Rows as the file holds them; the large bytes go straight from Python to Arrow, copied once."""
        small = frame.drop(*self.contract.partition_by, self.binary_column)
        table = small.to_arrow(compat_level=pl.CompatLevel.oldest())
        place = self._schema.get_field_index(self.binary_column)
        large = pa.array([row[self.binary_column] for row in rows], pa.binary())
        return table.add_column(place, self._schema.field(place), large).cast(self._schema)

    def _start(self, file_key: str) -> _OpenFile:
        path = f"batch_id={self.batch_id}/part-{uuid.uuid4().hex}.parquet"
        sink = _Sink(obstore.open_writer(self._store, path))
        writer = pq.ParquetWriter(
            sink,
            self._schema,
            compression="NONE",
            use_dictionary=False,
            write_statistics=[name for name in self._schema.names if name != self.binary_column],
            data_page_size=_ONE_PAGE_BYTES,
            write_batch_size=ROW_GROUP_ROWS,
        )
        self._open[file_key] = _OpenFile(path, sink, writer)
        return self._open[file_key]

    def _check(self, file_key: str) -> None:
        part = self._open[file_key]
        if part.unchecked:
            self.contract.require(pl.concat(part.unchecked))
            part.unchecked.clear()

    def _close(self, file_key: str) -> None:
        part = self._open.pop(file_key)
        part.writer.close()
        part.sink.close()
        crash_point(f"after a file of {self.contract.path}")
        size = int(obstore.head(self._store, part.path)["size"])
        self._done.append(
            AddAction(
                path=part.path,
                size=size,
                partition_values={"batch_id": self.batch_id},
                modification_time=int(time.time() * 1000),
                data_change=True,
                stats=json.dumps({"numRecords": part.n_rows}),
            )
        )


def _file_schema(contract: TableContract, binary_column: str) -> pa.Schema:
    columns: Sequence[str] = [name for name in contract.schema if name not in contract.partition_by]
    arrow = contract.frame([]).select(columns).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
    plain = [
        pa.field(
            f.name,
            pa.binary() if f.name == binary_column else _narrow(f.type),
            nullable=f.name != binary_column,
        )
        for f in arrow
    ]
    return pa.schema(plain)


def _narrow(kind: pa.DataType) -> pa.DataType:
    """Delta's types have 32-bit offsets; polars speaks the large ones."""
    if pa.types.is_large_string(kind):
        return pa.string()
    if pa.types.is_large_list(kind):
        return pa.list_(pa.field("element", _narrow(kind.value_type)))
    return kind
