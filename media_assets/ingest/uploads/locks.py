"""One writer for each resumable upload. A client that lost its connection asks for the offset before the server has
noticed: that request ends the one that still waits for bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from media_assets.ingest.uploads.body import Interruption
from media_assets.ingest.uploads.refusals import UploadCode, UploadRefused


class _Lock:
    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.interruption = Interruption()
        self.n_users = 0


class UploadLocks:
    """Locks by upload, for as long as somebody holds them or waits."""

    def __init__(self) -> None:
        self._locks: dict[str, _Lock] = {}

    def __len__(self) -> int:
        return len(self._locks)

    def __contains__(self, upload_id: str) -> bool:
        return upload_id in self._locks

    @asynccontextmanager
    async def held(self, upload_id: str, *, take_over_seconds: float | None = None) -> AsyncIterator[Interruption]:
        """Hold an upload. Yields what ends this holder's reading.

        Args:
            take_over_seconds: end whoever holds it, and wait so long for that; None refuses at once.

        Raises:
            UploadRefused: somebody else holds it.
        """
        entry = self._locks.setdefault(upload_id, _Lock())
        entry.n_users += 1
        try:
            await _acquire(entry, take_over_seconds)
            try:
                entry.interruption = Interruption()
                yield entry.interruption
            finally:
                entry.lock.release()
        finally:
            entry.n_users -= 1
            if not entry.n_users:
                self._locks.pop(upload_id, None)


async def _acquire(entry: _Lock, take_over_seconds: float | None) -> None:
    try:
        if entry.lock.locked():
            if take_over_seconds is None:
                raise TimeoutError
            entry.interruption.ask()
        async with asyncio.timeout(take_over_seconds):
            await entry.lock.acquire()
    except TimeoutError:
        raise UploadRefused(
            UploadCode.UPLOAD_LOCKED, "another request writes this upload; ask for its offset, then go on"
        ) from None
