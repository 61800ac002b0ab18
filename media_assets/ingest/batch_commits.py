"""The two writes of planning: the next batch of a list, and new rows for a batch that is there.

Two planners of one list cannot plan an item twice: each next batch carries the Delta transaction `plan:{name}` with its
number as the version, on a table handle on which that number was seen to be the next. Of two planners that replace rows
of one batch Delta refuses the slower, which then judges the batch anew. Not here: what is planned or replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction, WriterProperties, write_deltalake

from media_assets.ingest.batch_numbers import app_id_of, last_number
from media_assets.ingest.planned import PlannedItem
from media_assets.lake.delta import Lake, Provenance
from media_assets.tables.ingest import MANIFEST

_N_COMMIT_RETRIES = 20  # inside one attempt, for commits to other batches
_COMPRESSED = WriterProperties(compression="ZSTD", compression_level=1)


class Overtaken(Exception):
    """Another planner of this list has planned batches up to `number` meanwhile."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def manifest_rows(source: str, batch_id: str, items: Sequence[PlannedItem]) -> pl.DataFrame:
    """The rows of a new batch, in the order of its items.

    Raises:
        ContractBroken: an item holds a value of another type.
    """
    shared = {"batch_id": batch_id, "source": source, "planned_at": datetime.now(UTC)}
    return MANIFEST.frame([item.row() | shared | {"position": at} for at, item in enumerate(items)])


def commit_next(lake: Lake, name: str, number: int, rows: pl.DataFrame, provenance: Provenance) -> None:
    """Append the rows of batch `number`, if and only if it is the next one of its list.

    The number is read and the rows are written on one table handle: a rival's commit in between carries the same
    transaction id, so Delta refuses ours, and the next attempt sees the rival's number.

    Raises:
        ContractBroken: the rows break the manifest's contract; nothing is written.
        Overtaken: it is not the next one any more.
    """
    MANIFEST.require(rows)
    app_id = app_id_of(name)

    def write(table: DeltaTable, commit_id: str) -> None:
        if (last := last_number(table, name)) != number - 1:
            raise Overtaken(last)
        properties = CommitProperties(
            custom_metadata=provenance.commit_metadata(commit_id),
            max_commit_retries=_N_COMMIT_RETRIES,
            app_transactions=[Transaction(app_id, number)],
        )
        write_deltalake(table, rows, mode="append", commit_properties=properties, writer_properties=_COMPRESSED)

    lake.commit(MANIFEST, write)


def rewrite(lake: Lake, batch_id: str, judge: Callable[[], pl.DataFrame | None], provenance: Provenance) -> None:
    """Replace the rows of a batch by what `judge` returns, which reads them; None leaves them as they are.

    `judge` is called after the table was opened, and again where a rival's commit came between: its last verdict is the
    one that counts.

    Raises:
        ContractBroken: the rows break the manifest's contract; nothing is written.
    """

    def write(table: DeltaTable, commit_id: str) -> None:
        if (rows := judge()) is None:
            return
        MANIFEST.require(rows)
        write_deltalake(
            table,
            rows,
            mode="overwrite",
            predicate=f"batch_id = '{batch_id}'",
            commit_properties=CommitProperties(
                custom_metadata=provenance.commit_metadata(commit_id), max_commit_retries=_N_COMMIT_RETRIES
            ),
            writer_properties=_COMPRESSED,
        )

    lake.commit(MANIFEST, write)
