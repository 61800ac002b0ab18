"""The rows of the ledger, and every change of them. Each function runs inside one transaction of `Ledger`."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from media_assets.ingest.uploads.refusals import UploadCode, UploadRefused
from media_assets.ingest.uploads.tokens import Token

State = Literal["open", "finished", "expired"]


@dataclass(frozen=True)
class Upload:
    """A resumable upload. `offset`: how many of its `length` bytes are durable; `receipt` once it is finished."""

    id: str
    token: str
    length: int
    offset: int
    name: str
    state: State
    expires_at: float
    receipt: str | None = None


@dataclass(frozen=True)
class Receipt:
    """Bytes that were received: `path` below the inbox. `is_landed`: known to lie there, or to have lain there."""

    id: str
    token: str
    sha256: str
    path: str
    n_bytes: int
    received_at: float
    is_landed: bool = False


@dataclass(frozen=True)
class Use:
    """Files and bytes of one token: received today, or announced by its unfinished uploads."""

    n_files: int = 0
    n_bytes: int = 0

    def __add__(self, other: Use) -> Use:
        return Use(self.n_files + other.n_files, self.n_bytes + other.n_bytes)


def require_within(token: Token, use: Use) -> None:
    """Hold what a token would have used to its quota.

    Raises:
        UploadRefused: it is more than that.
    """
    for used, quota, unit in (
        (use.n_files, token.files_per_day, "files"),
        (use.n_bytes, token.bytes_per_day, "bytes"),
    ):
        if quota is not None and used > quota:
            raise UploadRefused(
                UploadCode.QUOTA_EXCEEDED,
                f"expected at most {quota} {unit} a day (UTC) from this token, unfinished uploads included; this would "
                f"make {used}",
            )


def day_of(seconds: float) -> str:
    """The UTC day of a time in seconds since the epoch, as `usage` names it."""
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


def used_on(connection: sqlite3.Connection, token: str, day: str) -> Use:
    """What was received from a token on a day."""
    row = connection.execute("select n_files, n_bytes from usage where token = ? and day = ?", (token, day)).fetchone()
    return Use(*row) if row else Use()


def announced_by(connection: sqlite3.Connection, token: str) -> Use:
    """What the unfinished uploads of a token will bring."""
    (n_files, n_bytes) = connection.execute(
        "select count(*), coalesce(sum(length), 0) from uploads where token = ? and state = 'open'", (token,)
    ).fetchone()
    return Use(n_files, n_bytes)


def insert_upload(connection: sqlite3.Connection, upload: Upload) -> None:
    """A new upload."""
    connection.execute(
        "insert into uploads values (?, ?, ?, ?, ?, ?, ?, ?)",
        (upload.id, upload.token, upload.length, upload.offset, upload.name, upload.state, upload.expires_at, None),
    )


def find_upload(connection: sqlite3.Connection, upload_id: str, token: str) -> Upload:
    """One upload of a token.

    Raises:
        UploadRefused: it has none of that id.
    """
    row = connection.execute("select * from uploads where id = ? and token = ?", (upload_id, token)).fetchone()
    if row is None:
        raise UploadRefused(
            UploadCode.UPLOAD_NOT_FOUND, "expected an upload of this token, got none: it was ended, or long ago"
        )
    return Upload(**dict(row))


def advance(connection: sqlite3.Connection, upload_id: str, offset: int, expires_at: float) -> None:
    """So many bytes of an upload are durable."""
    connection.execute("update uploads set offset = ?, expires_at = ? where id = ?", (offset, expires_at, upload_id))


def delete_upload(connection: sqlite3.Connection, upload_id: str) -> None:
    """Forget an upload."""
    connection.execute("delete from uploads where id = ?", (upload_id,))


def finish_upload(connection: sqlite3.Connection, upload_id: str, receipt: str) -> None:
    """All bytes of an upload are durable."""
    connection.execute(
        "update uploads set offset = length, state = 'finished', receipt = ? where id = ?", (receipt, upload_id)
    )


def claim(connection: sqlite3.Connection, token: Token, wanted: Receipt) -> Receipt:
    """The receipt for bytes that are durable in a part: a new one, or that of the same bytes from the same token.

    Args:
        wanted: what a new receipt says; its id is the part's.

    Raises:
        UploadRefused: a new one would exceed the token's quota.
    """
    found = _receipt_of(connection, wanted.token, wanted.sha256)
    if found is not None:
        return found
    day = day_of(wanted.received_at)
    require_within(token, used_on(connection, token.name, day) + Use(1, wanted.n_bytes))
    connection.execute(
        "insert into receipts values (?, ?, ?, ?, ?, ?, 0)",
        (wanted.id, wanted.token, wanted.sha256, wanted.path, wanted.n_bytes, wanted.received_at),
    )
    connection.execute(
        "insert into usage values (?, ?, 1, ?) on conflict do update "
        "set n_files = n_files + 1, n_bytes = n_bytes + excluded.n_bytes",
        (wanted.token, day, wanted.n_bytes),
    )
    return wanted


def mark_landed(connection: sqlite3.Connection, receipt_id: str) -> None:
    """The file is in the inbox, durably."""
    connection.execute("update receipts set is_landed = 1 where id = ?", (receipt_id,))


def withdraw(connection: sqlite3.Connection, receipt: Receipt) -> None:
    """A receipt whose bytes did not get into the inbox: as if they had never come."""
    connection.execute("delete from receipts where id = ?", (receipt.id,))
    connection.execute("delete from uploads where receipt = ?", (receipt.id,))
    connection.execute(
        "update usage set n_files = max(n_files - 1, 0), n_bytes = max(n_bytes - ?, 0) where token = ? and day = ?",
        (receipt.n_bytes, receipt.token, day_of(receipt.received_at)),
    )


def receipts_under_way(connection: sqlite3.Connection) -> list[Receipt]:
    """Receipts of files that may not be in the inbox yet."""
    return [_receipt(row) for row in connection.execute("select * from receipts where not is_landed")]


def find_receipt(connection: sqlite3.Connection, receipt_id: str) -> Receipt | None:
    """One receipt, if it is still remembered."""
    row = connection.execute("select * from receipts where id = ?", (receipt_id,)).fetchone()
    return _receipt(row) if row else None


def open_uploads(connection: sqlite3.Connection) -> list[Upload]:
    """Every unfinished upload."""
    return [Upload(**dict(row)) for row in connection.execute("select * from uploads where state = 'open'")]


def expire(connection: sqlite3.Connection, upload_ids: Sequence[str], until: float) -> None:
    """Uploads that cannot be continued any more; they are remembered as expired until then."""
    connection.executemany(
        "update uploads set state = 'expired', expires_at = ? where id = ? and state = 'open'",
        [(until, upload_id) for upload_id in upload_ids],
    )


def overdue(connection: sqlite3.Connection, now: float) -> list[str]:
    """Unfinished uploads whose time is over."""
    rows = connection.execute("select id from uploads where state = 'open' and expires_at < ?", (now,))
    return [row["id"] for row in rows]


def forget(connection: sqlite3.Connection, now: float, received_before: float) -> None:
    """What is not needed any more: old receipts, old days, uploads that ended long ago."""
    connection.execute("delete from uploads where state != 'open' and expires_at < ?", (now,))
    connection.execute("delete from receipts where is_landed and received_at < ?", (received_before,))
    connection.execute("delete from usage where day < ?", (day_of(received_before),))


def _receipt_of(connection: sqlite3.Connection, token: str, sha256: str) -> Receipt | None:
    row = connection.execute("select * from receipts where token = ? and sha256 = ?", (token, sha256)).fetchone()
    return _receipt(row) if row else None


def _receipt(row: sqlite3.Row) -> Receipt:
    return Receipt(**{**dict(row), "is_landed": bool(row["is_landed"])})
