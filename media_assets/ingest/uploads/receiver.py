"""Receiving: from a body to a file in the inbox, acknowledged only when all of it is durable.

The order of every upload: its bytes are flushed in a part; a receipt is committed (who, which bytes, under which name);
the part lands in the inbox, durably; only then it is acknowledged. After a kill between any two steps `recover` goes on
where it stopped, so that nothing acknowledged is lost and nothing lands twice. Where an inbox does not confirm, part
and receipt are kept: whoever sends or asks again, and `clean` every minute, tries to settle it.
Not here: HTTP (`app.py`), resumable uploads (`resumable.py`), and the landing itself (`settling.py`).
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from media_assets.ingest.uploads import rows
from media_assets.ingest.uploads.body import Body
from media_assets.ingest.uploads.landing import Landing
from media_assets.ingest.uploads.ledger import Ledger
from media_assets.ingest.uploads.limits import UploadLimits
from media_assets.ingest.uploads.metrics import Metrics
from media_assets.ingest.uploads.names import landed_name
from media_assets.ingest.uploads.parts import Parts, PartWriter
from media_assets.ingest.uploads.refusals import UploadCode, UploadRefused
from media_assets.ingest.uploads.rows import Receipt, Use
from media_assets.ingest.uploads.settling import Settling
from media_assets.ingest.uploads.tokens import Token
from media_assets.ingest.uploads.tus import Checksum


@dataclass(frozen=True)
class Whole:
    """Bytes that are durable in a part, and what the client called them."""

    part_id: str
    name: str
    n_bytes: int
    sha256: str


@dataclass(frozen=True)
class Received:
    """An acknowledgement. `is_repeat`: the same bytes had been received from this token before."""

    receipt: Receipt
    is_repeat: bool


def new_id() -> str:
    """Of an upload, its part and its receipt: 128 random bits as 32 hex digits."""
    return secrets.token_hex(16)


class Receiver:
    """Everything that the requests of one server share. Its methods belong to one event loop."""

    def __init__(
        self,
        ledger: Ledger,
        parts: Parts,
        landing: Landing,
        limits: UploadLimits,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.ledger, self.parts, self.limits, self.clock = ledger, parts, limits, clock
        self.settling = Settling(ledger, parts, landing)
        self.metrics = Metrics()
        self.n_in_flight = 0
        self._held: defaultdict[str, Use] = defaultdict(Use)
        self._n_held_bytes = 0
        self._unclaimed: set[str] = set()

    def close(self) -> None:
        """End the threads, once they have done what was begun."""
        self.settling.close()

    @contextmanager
    def place(self) -> Iterator[None]:
        """One of the places for requests that bring bytes.

        Raises:
            UploadRefused: all of them are taken.
        """
        if self.n_in_flight >= self.limits.n_in_flight:
            raise UploadRefused(
                UploadCode.BUSY, f"{self.limits.n_in_flight} uploads are under way already; come back in a moment"
            )
        self.n_in_flight += 1
        try:
            yield
        finally:
            self.n_in_flight -= 1

    @asynccontextmanager
    async def allowance(self, token: Token, use: Use) -> AsyncIterator[None]:
        """Hold files and bytes of a token's quota, and room on the disk, while they are received.

        Raises:
            UploadRefused: there is not so much left.
        """
        with self.room(use.n_bytes):
            self._held[token.name] += use
            try:
                if token.has_quota:
                    await self.ledger.do(lambda db: self.require_quota(db, token))
                yield
            finally:
                left = self._held[token.name] + Use(-use.n_files, -use.n_bytes)
                self._held[token.name] = left
                if left == Use():
                    del self._held[token.name]

    @contextmanager
    def room(self, n_bytes: int) -> Iterator[None]:
        """Hold room on the disk for bytes that are to come, beside what other requests hold.

        Raises:
            UploadRefused: there is not so much.
        """
        self.parts.require_room(self._n_held_bytes + n_bytes, self.limits.free_bytes)
        self._n_held_bytes += n_bytes
        try:
            yield
        finally:
            self._n_held_bytes -= n_bytes

    def require_quota(self, db: sqlite3.Connection, token: Token) -> None:
        """Hold a token's new files of today, its unfinished uploads and what is received just now to its quota.

        Raises:
            UploadRefused: they are too many, or too large.
        """
        known = rows.used_on(db, token.name, rows.day_of(self.clock())) + rows.announced_by(db, token.name)
        rows.require_within(token, known + self._held.get(token.name, Use()))

    async def receive_file(
        self, token: Token, name: str, body: Body, announced: int | None, checksum: Checksum | None
    ) -> Received:
        """One plain file, the whole of a body.

        Raises:
            UploadRefused: it was not taken; nothing of it is kept.
        """
        self.require_size(announced)
        expected = self.limits.max_bytes if announced is None else announced
        async with self.allowance(token, Use(1, expected)), self.new_part() as writer:
            hasher = checksum.hasher() if checksum else None
            async for chunk in body.chunks():
                await self.take(writer, chunk)
                if hasher:
                    hasher.update(chunk)
            if checksum and hasher:
                checksum.require(hasher.digest())
            whole = await self.whole(writer, name)
            (received,) = await self.land(token, [whole])
            return received

    @asynccontextmanager
    async def new_part(self) -> AsyncIterator[PartWriter]:
        """A part that is removed in the end, unless `land` has taken it.

        Raises:
            UploadRefused: the disk is nearly full.
        """
        with self.room(0):
            pass
        part_id = new_id()
        writer = self.parts.writer(part_id)
        self._unclaimed.add(part_id)
        try:
            yield writer
        finally:
            await writer.close()
            if part_id in self._unclaimed:
                self._unclaimed.discard(part_id)
                await self.parts.remove([part_id])

    async def take(self, writer: PartWriter, chunk: bytes) -> None:
        """Write a chunk.

        Raises:
            UploadRefused: the file grows over the cap.
        """
        self.require_size(writer.n_bytes + len(chunk))
        await writer.write(chunk)

    def require_size(self, n_bytes: int | None) -> None:
        """Hold one file to the cap.

        Raises:
            UploadRefused: it is over it.
        """
        if n_bytes is not None and n_bytes > self.limits.max_bytes:
            raise UploadRefused(
                UploadCode.TOO_LARGE, f"expected at most {self.limits.max_bytes} bytes in one file, got {n_bytes}"
            )

    async def whole(self, writer: PartWriter, name: str) -> Whole:
        """What a part holds, made durable.

        Raises:
            UploadRefused: it holds nothing.
        """
        if not writer.n_bytes:
            raise UploadRefused(UploadCode.EMPTY_UPLOAD, "expected a file, got no bytes")
        await writer.finish()
        return Whole(writer.part_id, name, writer.n_bytes, await writer.sha256())

    async def land(self, token: Token, wholes: Sequence[Whole], upload_id: str | None = None) -> list[Received]:
        """Put parts into the inbox, all of them or, where a quota does not allow it, none; durable when this returns.

        What was begun is ended, whatever becomes of the request that asked.

        Args:
            upload_id: the resumable upload that the only part belongs to; it is kept where it is refused.

        Raises:
            UploadRefused: a quota or the disk does not allow it.
        """
        self._unclaimed.difference_update(whole.part_id for whole in wholes)
        return await asyncio.shield(asyncio.ensure_future(self._land_all(token, wholes, upload_id)))

    async def _land_all(self, token: Token, wholes: Sequence[Whole], upload_id: str | None) -> list[Received]:
        part_ids = [whole.part_id for whole in wholes]
        self.settling.announce(part_ids)
        try:
            receipts = await self._claim(token, wholes, upload_id)
        except UploadRefused:
            self.settling.forget(part_ids)
            if upload_id is None:
                await self.parts.remove(part_ids)
            raise
        given = dict(zip(part_ids, receipts, strict=True))
        surplus = [part_id for part_id, receipt in given.items() if receipt.id != part_id]
        self.settling.forget(surplus)
        begun = {given[part_id].id: part_id for part_id in surplus if given[part_id].id not in given}
        landed = await asyncio.gather(
            *(self.settling.land(receipt) for part_id, receipt in given.items() if receipt.id == part_id),
            *(self.settling.settle(given[spare], spare) for spare in begun.values() if not given[spare].is_landed),
            return_exceptions=True,
        )
        await self.parts.remove(surplus)
        if failures := [each for each in landed if isinstance(each, BaseException)]:
            raise failures[0]
        received = [Received(receipt, receipt.id != part_id) for part_id, receipt in given.items()]
        self.metrics.received.update("repeat" if each.is_repeat else "new" for each in received)
        return received

    async def _claim(self, token: Token, wholes: Sequence[Whole], upload_id: str | None) -> list[Receipt]:
        now = self.clock()
        wanted = [
            Receipt(
                whole.part_id,
                token.name,
                whole.sha256,
                f"{token.source}/{landed_name(whole.part_id, whole.name)}",
                whole.n_bytes,
                now,
            )
            for whole in wholes
        ]

        def claim(db: sqlite3.Connection) -> list[Receipt]:
            receipts = [rows.claim(db, token, each) for each in wanted]
            if upload_id is not None:
                rows.finish_upload(db, upload_id, receipts[0].id)
            return receipts

        return await self.ledger.do(claim)

    async def recover(self) -> None:
        """Go on where a killed server stopped: land what has a receipt, remove what has none.

        Raises:
            UploadRefused: the disk does not allow it.
        """
        await self._settle_all()
        uploads = {upload.id: upload for upload in await self.ledger.do(rows.open_uploads)}
        kept = uploads.keys() | {receipt.id for receipt in await self.ledger.do(rows.receipts_under_way)}
        sizes = await self.parts.run(self.parts.sizes)
        lost = [upload.id for upload in uploads.values() if sizes.get(upload.id, 0) < upload.offset]
        if lost:
            await self.ledger.do(lambda db: rows.expire(db, lost, self.clock() + self.limits.expire_seconds))
        await self.parts.remove({*sizes.keys() - kept, *lost})

    async def _settle_all(self) -> None:
        """Everything whose landing was not confirmed, until the inbox fails again."""
        for receipt in await self.ledger.do(rows.receipts_under_way):
            if self.settling.is_under_way(receipt.id):
                continue
            try:
                await self.settling.settle(receipt)
            except UploadRefused as refusal:
                if refusal.code is not UploadCode.UPLOAD_NOT_FOUND:  # later; the next one would fail as well
                    return

    async def clean(self) -> None:
        """Settle what was not confirmed, remove what has expired, forget what is not needed any more."""
        await self._settle_all()
        now = self.clock()

        def expired(db: sqlite3.Connection) -> list[str]:
            overdue = rows.overdue(db, now)
            rows.expire(db, overdue, now + self.limits.expire_seconds)
            rows.forget(db, now, now - self.limits.remember_seconds)
            return overdue

        await self.parts.remove(await self.ledger.do(expired))
