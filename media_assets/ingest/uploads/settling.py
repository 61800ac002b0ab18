"""From a receipt to a file in the inbox: each landed once, whoever asks for it, and tried again where it is not sure.

An inbox may hang, so that its calls have threads of their own. Where it does not confirm, part and receipt are kept.
Not here: who gets a receipt (`receiver.py`), and the inboxes (`landing.py`, `bucket_landing.py`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from media_assets.ingest.uploads import rows
from media_assets.ingest.uploads.landing import Landing
from media_assets.ingest.uploads.ledger import Ledger
from media_assets.ingest.uploads.parts import Parts, refusing
from media_assets.ingest.uploads.refusals import LandingUnsure, UploadCode, UploadRefused
from media_assets.ingest.uploads.rows import Receipt
from media_assets.lake.crash_points import crash_point

_N_THREADS = 8
_log = logging.getLogger(__name__)


class Settling:
    """Puts parts into one inbox. Its methods belong to one event loop."""

    def __init__(self, ledger: Ledger, parts: Parts, inbox: Landing) -> None:
        self._ledger, self._parts, self._inbox = ledger, parts, inbox
        self._landing: dict[str, asyncio.Future[None]] = {}
        self._threads = ThreadPoolExecutor(_N_THREADS, thread_name_prefix="uploads-landing")
        self.trouble = ""
        """Why the inbox did not take the last upload, for the log; empty where it did, or would again."""

    def close(self) -> None:
        """End the threads, once they have done what was begun."""
        self._threads.shutdown()

    def is_under_way(self, receipt_id: str) -> bool:
        """Whether somebody lands it just now."""
        return receipt_id in self._landing

    def announce(self, part_ids: Iterable[str]) -> None:
        """Somebody is about to land these, should they get receipts: a rival with the same bytes then waits."""
        self._landing |= {part_id: asyncio.get_running_loop().create_future() for part_id in part_ids}

    def forget(self, part_ids: Iterable[str]) -> None:
        """They got no receipts of their own."""
        for part_id in part_ids:
            self._landing.pop(part_id).cancel()

    async def land(self, receipt: Receipt) -> None:
        """Land the part of a new receipt, which was announced.

        Raises:
            UploadRefused: it is not there, as far as is known.
        """
        crash_point("after upload receipt")
        await self._land_one(receipt, lambda: self._inbox.land(self._parts.path(receipt.id), receipt.path))

    async def settle(self, receipt: Receipt, spare: str | None = None) -> None:
        """See to it that what has a receipt lies in the inbox; whoever asks meanwhile waits for the same.

        Args:
            spare: a part with the same bytes, should those of the receipt be gone.

        Raises:
            UploadRefused: it is not there, and could not be put there.
        """
        if (under_way := self._landing.get(receipt.id)) is not None:
            return await asyncio.shield(under_way)
        self._landing[receipt.id] = asyncio.get_running_loop().create_future()
        return await self._land_one(receipt, lambda: self._land_again(receipt, spare))

    def _land_again(self, receipt: Receipt, spare: str | None) -> None:
        part = self._parts.path(receipt.id)
        if self._lies_there(receipt):  # landed, but a kill or a lost answer kept that from being noted
            part.unlink(missing_ok=True)
            return
        if spare is not None and not part.exists():
            self._parts.path(spare).rename(part)
        if not part.exists():
            raise UploadRefused(UploadCode.UPLOAD_NOT_FOUND, "the bytes of this upload are gone: begin it anew")
        self._inbox.land(part, receipt.path)

    def _lies_there(self, receipt: Receipt) -> bool:
        try:
            return refusing(lambda: self._inbox.confirm(receipt.path))
        except UploadRefused as refusal:
            raise LandingUnsure(str(refusal)) from refusal

    async def _land_one(self, receipt: Receipt, work: Callable[[], None]) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, refusing, work)
        except UploadRefused as refusal:
            self._note_trouble(refusal)
            if not isinstance(refusal, LandingUnsure):
                with suppress(UploadRefused):  # `settle` finds it all the same
                    await self._ledger.do(lambda db: rows.withdraw(db, receipt))
                    await self._parts.remove([receipt.id])
            self._end(receipt.id, refusal)
            raise
        except BaseException:
            self._end(receipt.id, UploadRefused(UploadCode.STORAGE_FAILED, "the server failed; come back later"))
            raise
        self.trouble = ""
        crash_point("after upload landed")
        self._landing[receipt.id].set_result(None)
        noted = self._ledger.submit(lambda db: rows.mark_landed(db, receipt.id))
        loop = asyncio.get_running_loop()
        noted.add_done_callback(lambda _: _soon(loop, self._landing.pop, receipt.id, None))

    def _end(self, receipt_id: str, refusal: UploadRefused) -> None:
        future = self._landing.pop(receipt_id)
        future.set_exception(refusal)
        future.exception()  # somebody may wait for it, or nobody

    def _note_trouble(self, refusal: UploadRefused) -> None:
        if refusal.code is UploadCode.UPLOAD_NOT_FOUND:
            return
        if not self.trouble:
            _log.warning("the inbox does not take uploads: %s", refusal)
        self.trouble = str(refusal)

    async def probe(self) -> None:
        """Ask the inbox whether it would take something.

        Raises:
            UploadRefused: it does not answer, or would not.
        """
        await asyncio.get_running_loop().run_in_executor(self._threads, refusing, self._inbox.probe)
        self.trouble = ""


def _soon(loop: asyncio.AbstractEventLoop, call: Callable[..., object], *values: object) -> None:
    with suppress(RuntimeError):  # the loop has ended, and what is remembered with it
        loop.call_soon_threadsafe(call, *values)
