"""What is known of uploads, on disk: those under way, receipts of those received, and what each token used today.

One SQLite file, written by one thread: changes that are asked for while a commit is under way share the next, so that
a hundred uploads a second do not wait for a hundred flushes. An answer comes once its commit is durable.
Not here: the bytes (`parts.py`), and what the rows mean for a client (`receiver.py`).
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from media_assets.errors import SetupError
from media_assets.ingest.uploads.refusals import UploadCode, UploadRefused

T = TypeVar("T")
Change = Callable[[sqlite3.Connection], T]

_SCHEMA = """
create table if not exists uploads (
  id text primary key, token text not null, length integer not null, offset integer not null, name text not null,
  state text not null, expires_at real not null, receipt text
) without rowid;
create index if not exists uploads_by_token on uploads (token, state);
create index if not exists uploads_by_age on uploads (expires_at);
create table if not exists receipts (
  id text primary key, token text not null, sha256 text not null, path text not null, n_bytes integer not null,
  received_at real not null, is_landed integer not null, unique (token, sha256)
) without rowid;
create index if not exists receipts_by_age on receipts (received_at);
create index if not exists receipts_under_way on receipts (id) where not is_landed;
create table if not exists usage (
  token text not null, day text not null, n_files integer not null, n_bytes integer not null, primary key (token, day)
) without rowid;
"""
_VERSION = 1
_MAX_TOGETHER = 256


class Ledger:
    """Takes changes from any thread, and answers each when its commit is durable."""

    def __init__(self, path: Path) -> None:
        """Open or make the file.

        Raises:
            SetupError: it is none of ours, or cannot be opened.
        """
        try:
            self._connection = _connect(path)
        except sqlite3.Error as error:
            raise SetupError(f"Expected to keep receipts of uploads in {path}, got: {error}.") from error
        self._waiting: SimpleQueue[tuple[Change[Any], Future[Any]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="uploads-ledger", daemon=True)
        self._thread.start()

    async def do(self, change: Change[T]) -> T:
        """Run a change; its result, once everything it wrote is durable.

        Raises:
            UploadRefused: the change refused, or nothing could be written.
        """
        return await asyncio.wrap_future(self.submit(change))

    def submit(self, change: Change[T]) -> Future[T]:
        """The same, for callers that wait otherwise or not at all."""
        future: Future[T] = Future()
        self._waiting.put((change, future))
        return future

    def close(self) -> None:
        """Finish what was asked for, then close."""
        self._waiting.put(None)
        self._thread.join()
        self._connection.close()

    def _work(self) -> None:
        is_open = True
        while is_open:
            together, is_open = self._next()
            # What runs cannot be cancelled: an answer that nobody waits for any more must not end this thread.
            wanted = [each for each in together if each[1].set_running_or_notify_cancel()]
            if wanted:
                self._commit(wanted)

    def _next(self) -> tuple[list[tuple[Change[Any], Future[Any]]], bool]:
        """Everything that waits, at least one change; and whether more may come."""
        together: list[tuple[Change[Any], Future[Any]]] = []
        entry = self._waiting.get()
        while entry is not None:
            together.append(entry)
            if len(together) == _MAX_TOGETHER:
                return together, True
            try:
                entry = self._waiting.get_nowait()
            except Empty:
                return together, True
        return together, False

    def _commit(self, together: list[tuple[Change[Any], Future[Any]]]) -> None:
        outcomes: list[tuple[Future[Any], Any, BaseException | None]] = []
        try:
            self._connection.execute("begin immediate")
            for change, future in together:
                outcomes.append((future, *self._one(change)))
            self._connection.execute("commit")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("rollback")
            refusal = _refusal(error)
            outcomes = [(future, None, refusal) for _, future in together]
        for future, result, failure in outcomes:
            if failure is not None:
                future.set_exception(failure)
            else:
                future.set_result(result)

    def _one(self, change: Change[Any]) -> tuple[Any, BaseException | None]:
        """One change, which leaves nothing behind when it fails; the others go on."""
        self._connection.execute("savepoint one")
        try:
            return change(self._connection), None
        except sqlite3.Error:
            raise
        except Exception as error:
            self._connection.execute("rollback to one")
            return None, error
        finally:
            if self._connection.in_transaction:
                self._connection.execute("release one")


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")  # a commit is on the disk before it is answered
    (found,) = connection.execute("pragma user_version").fetchone()
    if found not in (0, _VERSION):
        connection.close()
        raise SetupError(f"Expected version {_VERSION} of the receipts in {path}, got {found}: another release's.")
    connection.executescript(_SCHEMA)
    connection.execute(f"pragma user_version = {_VERSION}")
    return connection


def _refusal(error: sqlite3.Error) -> UploadRefused:
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return UploadRefused(UploadCode.STORAGE_FULL, "the disk that keeps receipts is full; come back later")
    return UploadRefused(UploadCode.STORAGE_FAILED, f"receipts cannot be written ({error}); come back later")
