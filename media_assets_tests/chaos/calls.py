"""The n-th storage call of this process fails once, where the project's code meets obstore, deltalake and its journal.

Kinds: `error`, nothing was done; `lost reply`, it was done and an error is reported; `torn`, a part of it was done. The
last two only befall calls that write. Not here: what must become of it (`storage.py`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import obstore
import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError
from obstore.exceptions import GenericError

from media_assets.engine import map_items
from media_assets.errors import ErrorCode, ItemError
from media_assets.ingest import batch_commits
from media_assets.lake import damage, delta
from media_assets.lake.blobs import BlobStore
from media_assets.lake.journal import FetchJournal, JournalEntry
from media_assets.lake.local_storage import FileLog

ERROR, LOST_REPLY, LOST_COMMIT, TORN = "error", "lost reply", "lost reply of a commit", "torn"
KINDS = (ERROR, LOST_REPLY, LOST_COMMIT, TORN)
TOLD = "injected by the drill"

Call = Callable[..., Any]


class Fault:
    """Counts the calls of one run, or only those of one name, and lets the `at`-th one fail."""

    def __init__(self, kind: str, at: int, only: str | None = None) -> None:
        self.kind, self.at, self.only = kind, at, only
        self.n_calls = 0
        self.hit: str | None = None
        self._lock = threading.Lock()

    def strikes(self, name: str, *, writes: bool, commits: bool = False) -> bool:
        """Whether it is this call that fails; calls that this kind cannot befall are not counted."""
        if (self.kind in (LOST_REPLY, TORN) and not writes) or (self.kind == LOST_COMMIT and not commits):
            return False
        if self.only not in (None, name):
            return False
        with self._lock:
            self.n_calls += 1
            if self.n_calls != self.at:
                return False
            self.hit = name
            return True

    def around(
        self, name: str, call: Call, error: Callable[[], Exception], tear: Call | None = None, *, commits: bool = False
    ) -> Call:
        """The call, failing where it should; `tear` does a part of it and makes it a writing one."""

        def failing(*arguments: Any, **named: Any) -> Any:
            if not self.strikes(name, writes=tear is not None, commits=commits):
                return call(*arguments, **named)
            if self.kind == TORN:
                assert tear is not None
                tear(*arguments, **named)
            elif self.kind != ERROR:
                call(*arguments, **named)
            raise CommitFailedError(TOLD) if self.kind == LOST_COMMIT else error()

        return failing

    def around_async(self, name: str, call: Call, error: Callable[[], Exception], tear: Call | None = None) -> Call:
        """The same for a coroutine function."""

        async def failing(*arguments: Any, **named: Any) -> Any:
            if not self.strikes(name, writes=tear is not None):
                return await call(*arguments, **named)
            if self.kind == TORN:
                assert tear is not None
                tear(*arguments, **named)
            elif self.kind != ERROR:
                await call(*arguments, **named)
            raise error()

        return failing


@contextmanager
def storage_fails(kind: str, at: int, only: str | None = None) -> Iterator[Fault]:
    """Inside the block the `at`-th call (from 1), of one name or of all, that can fail in this way does."""
    fault = Fault(kind, at, only)
    with ExitStack() as stack:
        for target, name, replacement in _replacements(fault):
            stack.enter_context(patch.object(target, name, replacement))
        yield fault


def _replacements(fault: Fault) -> Iterator[tuple[Any, str, Any]]:
    store = lambda: GenericError(TOLD)  # noqa: E731 - a name for a constructor
    table = lambda: DeltaError(TOLD)  # noqa: E731
    unopened = lambda: DeltaError(f"Kernel error: Error interacting with object store: {TOLD}")  # noqa: E731
    disk = lambda: OSError(TOLD)  # noqa: E731
    put, delete = obstore.put, obstore.delete
    yield obstore, "put", fault.around("put", put, store, _torn_put(put))
    yield obstore, "put_async", fault.around_async("put", obstore.put_async, store, _torn_put(put))
    yield obstore, "delete", fault.around("delete", delete, store, _torn_delete(delete))
    yield obstore, "open_writer", fault.around("open writer", _open_writer(fault, obstore.open_writer), store)
    yield obstore, "get", fault.around("get", obstore.get, store)
    yield obstore, "get_async", fault.around_async("get", obstore.get_async, store)
    yield obstore, "head", fault.around("head", obstore.head, store)
    yield obstore, "head_async", fault.around_async("head", obstore.head_async, store)
    yield obstore, "list", fault.around("list", obstore.list, store)
    write, transact = delta.write_deltalake, DeltaTable.create_write_transaction
    for module in (delta, batch_commits):
        yield module, "write_deltalake", fault.around("write table", write, table, _torn_write, commits=True)
    commit = fault.around("commit files", transact, table, _torn_commit, commits=True)
    yield DeltaTable, "create_write_transaction", lambda self, *a, **named: commit(self, *a, **named)
    yield damage, "DeltaTable", fault.around("open table", damage.DeltaTable, unopened)
    yield pl, "scan_delta", fault.around("scan table", pl.scan_delta, disk)
    append, entries, clear = FetchJournal.append, FetchJournal.entries, FetchJournal.clear
    noted = fault.around("append to journal", append, disk, _torn_append)
    yield FetchJournal, "append", lambda self, entry: noted(self, entry)
    read = fault.around("read journal", entries, disk)
    yield FetchJournal, "entries", lambda self: read(self)
    cleared = fault.around("clear journal", clear, disk, clear)
    yield FetchJournal, "clear", lambda self: cleared(self)
    sized = fault.around("stat blob", BlobStore.size_bytes, disk)
    yield BlobStore, "size_bytes", lambda self, media_id: sized(self, media_id)
    unread = lambda: ItemError(ErrorCode.STORAGE_FAILED, TOLD)  # noqa: E731 - what both make of an OSError
    yield map_items, "read_source", fault.around("read blob", map_items.read_source, unread)
    yield map_items, "open_source", fault.around("read blob", map_items.open_source, unread)


def _torn_put(put: Call) -> Call:
    def tear(store: Any, path: str, body: bytes | Path, **_: Any) -> None:
        whole = body if isinstance(body, bytes) else body.read_bytes()
        put(store, path, whole[: len(whole) // 2])

    return tear


def _torn_delete(delete: Call) -> Call:
    def tear(store: Any, paths: str | list[str]) -> None:
        if isinstance(paths, list):
            delete(store, paths[: len(paths) // 2])

    return tear


def _torn_write(table: Any, frame: Any, **_: Any) -> None:
    """Half of a data file, which no log names; a table that is being created has no data file."""
    if not isinstance(table, str):
        root = Path(table.table_uri.removeprefix("file://"))
        (root / "part-00000-torn.parquet").write_bytes(b"PAR1 and no more")


def _torn_commit(table: DeltaTable, *_: Any, **__: Any) -> None:
    """A commit that was staged and not made: what a local store leaves is a temporary file beside the log."""
    log = Path(table.table_uri.removeprefix("file://")) / "_delta_log"
    (log / f"_commit_{os.urandom(4).hex()}.json.tmp").write_bytes(b'{"add":{"path":"ba')


def _torn_append(journal: FetchJournal, entry: JournalEntry) -> None:
    assert isinstance(journal.log, FileLog), "a drill's lake is local"
    journal.log.path.parent.mkdir(parents=True, exist_ok=True)
    with journal.log.path.open("ab") as file:
        file.write(b'\n{"item_key":"' + entry.item_key.encode()[:3])


def _open_writer(fault: Fault, open_writer: Call) -> Call:
    return lambda *arguments, **named: _Writer(fault, open_writer(*arguments, **named))


class _Writer:
    """A store's writer whose single writes, and whose end, can fail."""

    def __init__(self, fault: Fault, writer: obstore.WritableFile) -> None:
        error = lambda: GenericError(TOLD)  # noqa: E731 - a name for a constructor
        self.write = fault.around(
            "write file", writer.write, error, lambda data: writer.write(memoryview(data)[: len(data) // 2])
        )
        self.close = fault.around("close file", writer.close, error, writer.close)
