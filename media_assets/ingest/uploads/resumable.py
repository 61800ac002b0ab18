"""Resumable uploads, as tus 1.0 means them: begun, continued at an offset, finished or ended, expired when forgotten.

The offset that a client is told is one that is durable. Not here: headers (`tus.py`) and HTTP (`app.py`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from media_assets.ingest.uploads import rows
from media_assets.ingest.uploads.body import Body
from media_assets.ingest.uploads.locks import UploadLocks
from media_assets.ingest.uploads.parts import PartWriter
from media_assets.ingest.uploads.receiver import Received, Receiver, new_id
from media_assets.ingest.uploads.refusals import UploadCode, UploadRefused
from media_assets.ingest.uploads.rows import Upload
from media_assets.ingest.uploads.tokens import Token
from media_assets.ingest.uploads.tus import Checksum

_KEPT_WHEN = (UploadCode.CUT_OFF, UploadCode.TOO_SLOW, UploadCode.TAKEN_OVER)
"""Refusals after which the bytes that came are kept: the next request goes on behind them."""


@dataclass(frozen=True)
class Progress:
    """An upload after a request; `received` once all of it lies in the inbox."""

    upload: Upload
    received: Received | None = None


class Resumable:
    """The resumable uploads of one receiver."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.locks = UploadLocks()
        self._limits, self._ledger, self._parts = receiver.limits, receiver.ledger, receiver.parts

    async def begin(self, token: Token, length: int, name: str) -> Upload:
        """A new upload of `length` bytes.

        Raises:
            UploadRefused: it would be too large, too much for the quota, or one too many.
        """
        self.receiver.require_size(length)
        if not length:
            raise UploadRefused(UploadCode.EMPTY_UPLOAD, "expected a file, got an announced length of 0")
        upload = Upload(new_id(), token.name, length, 0, name[:255], "open", self._expiry())
        with self.receiver.room(length):
            await self._ledger.do(lambda db: self._insert(db, token, upload))
        return upload

    def _insert(self, db: sqlite3.Connection, token: Token, upload: Upload) -> None:
        rows.insert_upload(db, upload)
        if token.has_quota:
            self.receiver.require_quota(db, token)
        if (n_open := rows.announced_by(db, token.name).n_files) > self._limits.n_open_per_token:
            raise UploadRefused(
                UploadCode.TOO_MANY_OPEN, f"expected at most {n_open - 1} unfinished uploads; finish or end some"
            )

    async def look(self, token: Token, upload_id: str) -> Upload:
        """An upload with its durable offset; a request that still waits for its bytes is ended, as it may be dead.

        Raises:
            UploadRefused: it is not there, has expired, or cannot be had in time.
        """
        async with self.locks.held(upload_id, take_over_seconds=self._limits.take_over_seconds):
            return await self._find(token, upload_id)

    async def end(self, token: Token, upload_id: str) -> None:
        """Forget an unfinished upload, and remove its bytes.

        Raises:
            UploadRefused: it is finished, not there, or cannot be had in time.
        """
        async with self.locks.held(upload_id, take_over_seconds=self._limits.take_over_seconds):
            upload = await self._find(token, upload_id)
            if upload.state == "finished":
                raise UploadRefused(
                    UploadCode.UPLOAD_FINISHED, "expected an unfinished upload, this one lies in the inbox already"
                )
            await self._ledger.do(lambda db: rows.delete_upload(db, upload_id))
            await self._parts.remove([upload_id])

    async def append(
        self, token: Token, upload_id: str, offset: int, body: Body, announced: int | None, checksum: Checksum | None
    ) -> Progress:
        """Take bytes at an offset. What came before a connection broke is kept, unless a checksum was to hold it.

        Raises:
            UploadRefused: the offset is another, the bytes are too many, too slow, or not those of the checksum.
        """
        async with self.locks.held(upload_id) as body.interruption:
            upload = await self._find(token, upload_id)
            _require_offset(upload, offset, announced)
            if upload.state == "finished":
                return Progress(upload)
            expected = upload.length - upload.offset if announced is None else announced
            async with self._room(expected), self._writer(upload) as writer:
                upload = await self._take(upload, writer, body, checksum)
                if writer.n_bytes < upload.length:
                    return Progress(await self._advance(upload, writer))
                whole = await self.receiver.whole(writer, upload.name)
            (received,) = await self.receiver.land(token, [whole], upload_id)
            finished = replace(upload, offset=upload.length, state="finished", receipt=received.receipt.id)
            return Progress(finished, received)

    async def _take(self, upload: Upload, writer: PartWriter, body: Body, checksum: Checksum | None) -> Upload:
        """Write a body; the upload as far as it was made durable meanwhile."""
        hasher = checksum.hasher() if checksum else None
        try:
            async for chunk in body.chunks():
                if writer.n_bytes + len(chunk) > upload.length:
                    raise UploadRefused(
                        UploadCode.LENGTH_EXCEEDED, f"expected {upload.length} bytes in all, as announced, got more"
                    )
                await writer.write(chunk)
                if hasher:
                    hasher.update(chunk)
                elif self._limits.checkpoint_bytes <= writer.n_bytes - upload.offset < upload.length - upload.offset:
                    upload = await self._advance(upload, writer)
        except UploadRefused as refusal:
            if refusal.code in _KEPT_WHEN and not hasher:
                await self._keep(upload, writer)
            raise
        if checksum and hasher:
            checksum.require(hasher.digest())
        return upload

    async def _keep(self, upload: Upload, writer: PartWriter) -> None:
        """What came, but never all of it: an upload whose offset is its length has landed."""
        if upload.offset < writer.n_bytes < upload.length:
            await self._advance(upload, writer)

    async def _advance(self, upload: Upload, writer: PartWriter) -> Upload:
        await writer.flush()
        advanced = replace(upload, offset=writer.n_bytes, expires_at=self._expiry())
        await self._ledger.do(lambda db: rows.advance(db, upload.id, advanced.offset, advanced.expires_at))
        return advanced

    @asynccontextmanager
    async def _room(self, n_bytes: int) -> AsyncIterator[None]:
        with self.receiver.room(n_bytes):
            yield

    @asynccontextmanager
    async def _writer(self, upload: Upload) -> AsyncIterator[PartWriter]:
        writer = self._parts.writer(upload.id, upload.offset)
        try:
            yield writer
        finally:
            await writer.close()

    async def _find(self, token: Token, upload_id: str) -> Upload:
        upload = await self._ledger.do(lambda db: rows.find_upload(db, upload_id, token.name))
        is_over = upload.state == "open" and upload.expires_at < self.receiver.clock()
        if upload.state == "expired" or is_over:
            raise UploadRefused(UploadCode.UPLOAD_EXPIRED, "this upload has expired; begin it anew")
        if upload.receipt is not None:
            await self._require_landed(upload.receipt)
        return upload

    async def _require_landed(self, receipt_id: str) -> None:
        """All bytes of it came; it is told to be finished only once they lie in the inbox."""
        receipt = await self._ledger.do(lambda db: rows.find_receipt(db, receipt_id))
        if receipt is not None and not receipt.is_landed:
            await self.receiver.settling.settle(receipt)

    def _expiry(self) -> float:
        return self.receiver.clock() + self._limits.expire_seconds


def _require_offset(upload: Upload, offset: int, announced: int | None) -> None:
    if offset != upload.offset:
        raise UploadRefused(
            UploadCode.OFFSET_MISMATCH, f"expected bytes at offset {upload.offset}, got some for {offset}"
        )
    if announced is not None and offset + announced > upload.length:
        raise UploadRefused(
            UploadCode.LENGTH_EXCEEDED,
            f"expected {upload.length} bytes in all, as announced; {announced} more would make {offset + announced}",
        )
