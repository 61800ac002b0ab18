"""Delta tables: scan, replace a batch, and nothing else.

Every write replaces exactly the rows of its partition values, so that doing it twice is doing it once. Two writers on
one partition conflict; the loser reopens the table and tries again. Not here: what the rows mean (`tables/`).
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError

from media_assets.errors import ContractBroken
from media_assets.lake.crash_points import crash_point
from media_assets.lake.damage import open_whole, require_files
from media_assets.lake.location import LakeLocation
from media_assets.tables import TableContract

_N_ATTEMPTS = 12
_N_COMMIT_RETRIES = 20  # inside one attempt, for commits to other partitions


@dataclass(frozen=True)
class Provenance:
    """Who commits: stored in the table's log beside every change."""

    run_id: str
    code_version: str

    def commit_metadata(self, commit_id: str) -> dict[str, str]:
        """The custom metadata of one commit; `commit_id` tells our own commit from everybody else's."""
        return {
            "media_assets/run_id": self.run_id,
            "media_assets/code_version": self.code_version,
            "media_assets/commit_id": commit_id,
        }


@dataclass(frozen=True)
class Rewritten:
    """Batches of a table, and all rows that they are to have."""

    batch_ids: Sequence[str]
    rows: pl.DataFrame


@dataclass(frozen=True)
class Lake:
    """Every table of one lake."""

    location: LakeLocation

    @property
    def storage_options(self) -> dict[str, str] | None:
        """Options for deltalake, with the credentials of this moment; None for a local lake."""
        return self.location.storage.delta_options()

    def uri(self, contract: TableContract) -> str:
        """Path or URL of a table."""
        return self.location.uri(*contract.key)

    def table(self, contract: TableContract) -> DeltaTable | None:
        """The Delta table as it is now, or None before its first commit.

        Raises:
            TableDamaged: its log cannot be read or trusted.
        """
        return open_whole(self.location, contract)

    def ensure(self, contract: TableContract) -> DeltaTable:
        """The Delta table, created empty first: two first writers then cannot replace each other's rows.

        Columns that the contract gained since are added. A rival may do either in the same moment: Delta then refuses
        one of the two, and its work is there.
        """
        for _ in range(_N_ATTEMPTS - 1):
            try:
                return self._ensure(contract)
            except CommitFailedError:
                continue
        return self._ensure(contract)

    def _ensure(self, contract: TableContract) -> DeltaTable:
        if (table := self.table(contract)) is not None:
            if set(contract.schema) - {field.name for field in table.schema().fields}:
                write_deltalake(table, contract.frame([]), mode="append", schema_mode="merge")
            return table
        self.location.storage.require_put_if_absent()
        write_deltalake(
            self.uri(contract),
            contract.frame([]),
            mode="ignore",
            partition_by=list(contract.partition_by) or None,
            storage_options=self.storage_options,
        )
        crash_point(f"created {contract.path}")
        return DeltaTable(self.uri(contract), storage_options=self.storage_options)

    def scan(
        self,
        contract: TableContract,
        where: Mapping[str, Sequence[str]] | None = None,
        version: int | None = None,
        *,
        require_whole: bool = True,
    ) -> pl.LazyFrame:
        """Rows of a table, lazily; `where` names partition values and prunes files. No table yet: no rows.

        A column that the contract gained after the table's last write is null.

        Raises:
            TableDamaged: its log cannot be trusted, or files of these partitions are missing or cut short (unless not
                `require_whole`: then reading them fails in polars' own way).
        """
        if (table := self.table(contract)) is None:
            return contract.frame([]).lazy()
        if version is not None:
            table.load_as_version(version)
        if require_whole:
            require_files(self.location, contract, table, where or {})
        frame = pl.scan_delta(table, storage_options=self.location.storage.scan_options())
        for column, values in (where or {}).items():
            matches = pl.col(column) == values[0] if len(values) == 1 else pl.col(column).is_in(list(values))
            frame = frame.filter(matches)
        stored = frame.collect_schema()
        return frame.select(
            pl.col(name) if name in stored else pl.lit(None, kind).alias(name) for name, kind in contract.schema.items()
        )

    def require_whole(self, contract: TableContract) -> None:
        """Refuse a table with a damaged log, or with files that are missing or cut short.

        Raises:
            TableDamaged: naming what is wrong.
        """
        if (table := self.table(contract)) is not None:
            require_files(self.location, contract, table, {})

    def partition_values(self, contract: TableContract, column: str = "batch_id") -> list[str]:
        """Every value of a partition column that has files, sorted; read from the log alone."""
        if (table := self.table(contract)) is None:
            return []
        return sorted({partition[column] for partition in table.partitions()})

    def overwrite(
        self,
        contract: TableContract,
        frame: pl.DataFrame,
        where: Mapping[str, Sequence[str]],
        provenance: Provenance,
        writer_properties: WriterProperties | None = None,
        guard: Callable[[], None] | None = None,
    ) -> int:
        """Atomically replace exactly the rows whose columns hold one of these values; all rows for an empty `where`.

        Several columns cover the cross product of their values. Where they name one batch, its turn is counted, and
        returned is which replacement this was (`turn`), else 0. `guard` is called on the handle that is committed on,
        hence no other replacement of that batch comes between it and the commit; what it raises ends the overwrite.

        Raises:
            ContractBroken: the rows do not hold the table's contract, or lie outside of `where`; nothing is written.
            CommitFailedError: another writer won every one of twelve rounds.
        """
        contract.require(frame)
        _require_inside(contract, frame, where)
        if not all(where.values()):
            return 0  # a column without values: no row is meant
        predicate = _predicate(where)
        batch_ids = where.get("batch_id", ())
        app_id = turn_id(contract, batch_ids[0]) if len(batch_ids) == 1 else None
        turn = 0

        def write(table: DeltaTable, commit_id: str) -> None:
            nonlocal turn
            if guard is not None:
                guard()
            transactions = None
            if app_id is not None:
                turn = (table.transaction_version(app_id) or 0) + 1
                transactions = [Transaction(app_id, turn)]
            properties = _commit_properties(provenance, commit_id, transactions)
            _replace(table, frame, predicate, properties, writer_properties)

        self.commit(contract, write)
        return turn

    def rewrite(
        self, contract: TableContract, change: Callable[[pl.LazyFrame], Rewritten | None], provenance: Provenance
    ) -> bool:
        """Read, change and write back as one step: no two rewrites of a table ever start from the same version of it.

        `change` is given the table's rows and returns all rows of the batches that it changes, or None: nothing is to
        be done. It is called again, on the rows as they are then, when another writer was faster, so that no rewrite is
        lost; it must depend on these rows alone. Returned is whether something was written.

        Raises:
            ContractBroken: the rows do not hold the table's contract, or lie outside of them; nothing is written.
            CommitFailedError: another writer won every one of twelve rounds.
        """
        is_written = False

        def write(table: DeltaTable, commit_id: str) -> None:
            nonlocal is_written
            rewritten = change(self.scan(contract, version=table.version()))
            is_written = rewritten is not None and bool(rewritten.batch_ids)
            if rewritten is None or not is_written:
                return
            where = {"batch_id": rewritten.batch_ids}
            contract.require(rewritten.rows)
            _require_inside(contract, rewritten.rows, where)
            turns = [Transaction(contract.path, (table.transaction_version(contract.path) or 0) + 1)]
            _replace(table, rewritten.rows, _predicate(where), _commit_properties(provenance, commit_id, turns), None)

        self.commit(contract, write)
        return is_written

    def turn(self, contract: TableContract, batch_id: str) -> int:
        """How often a batch of a table was replaced; 0 before the first time. A Delta transaction counts it."""
        table = self.table(contract)
        return (table.transaction_version(turn_id(contract, batch_id)) or 0) if table is not None else 0

    def commit(self, contract: TableContract, write: Callable[[DeltaTable, str], None]) -> None:
        """Run one write on a freshly opened table; on a conflict reopen and try again with growing, jittered waits.

        A commit can succeed and still report an error, so the log is searched for our commit before another try.
        """
        commit_id = uuid.uuid4().hex
        crash_point(f"before {contract.path}")
        self._commit(contract, write, commit_id)
        crash_point(f"after {contract.path}")

    def _commit(self, contract: TableContract, write: Callable[[DeltaTable, str], None], commit_id: str) -> None:
        for attempt in range(_N_ATTEMPTS):
            try:
                write(self.ensure(contract), commit_id)
            except CommitFailedError:
                if self._has_commit(contract, commit_id):
                    return
                if attempt == _N_ATTEMPTS - 1:
                    raise
                time.sleep(random.random() * 0.05 * 2 ** min(attempt, 6))  # noqa: S311 - jitter, not a secret
            else:
                return

    def _has_commit(self, contract: TableContract, commit_id: str) -> bool:
        if (table := self.table(contract)) is None:
            return False
        history: list[dict[str, Any]] = table.history(limit=200)
        return any(entry.get("media_assets/commit_id") == commit_id for entry in history)


def _commit_properties(
    provenance: Provenance, commit_id: str, transactions: list[Transaction] | None
) -> CommitProperties:
    return CommitProperties(
        custom_metadata=provenance.commit_metadata(commit_id),
        max_commit_retries=_N_COMMIT_RETRIES,
        app_transactions=transactions,
    )


def _replace(
    table: DeltaTable,
    frame: pl.DataFrame,
    predicate: str | None,
    properties: CommitProperties,
    writer_properties: WriterProperties | None,
) -> None:
    write_deltalake(
        table,
        frame,
        mode="overwrite",
        predicate=predicate,
        schema_mode="merge",
        commit_properties=properties,
        writer_properties=writer_properties or WriterProperties(compression="ZSTD", compression_level=1),
    )


def turn_id(contract: TableContract, batch_id: str) -> str:
    """Name of the Delta transaction that counts how often a batch of a table was replaced."""
    return f"{contract.path}/{batch_id}"


def _require_inside(contract: TableContract, frame: pl.DataFrame, where: Mapping[str, Sequence[str]]) -> None:
    """delta-rs refuses such rows as well, but prints a table of all columns instead of the cause."""
    for column, values in where.items():
        if outside := sorted(set(frame[column].unique()) - set(values)):
            raise ContractBroken(
                f"{contract.name}: expected only rows with {column} in {list(values)}, got {outside[:5]} too. Nothing "
                f"was written; replace the batch that the rows belong to."
            )


def _predicate(where: Mapping[str, Sequence[str]]) -> str | None:
    if not where:
        return None
    clauses = [f"{column} IN ({', '.join(map(_quoted, values))})" for column, values in where.items()]
    return " AND ".join(clauses)


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
