"""A receiver over an inbox of any kind, as a server begins, and one whose process dies at a named step."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from media_assets.ingest.fetch.buckets import BucketRoot
from media_assets.ingest.uploads.landing import open_landing
from media_assets.ingest.uploads.ledger import Ledger
from media_assets.ingest.uploads.limits import UploadLimits
from media_assets.ingest.uploads.parts import Parts
from media_assets.ingest.uploads.receiver import Receiver
from media_assets.lake.crash_points import watch_crash_points


class Killed(BaseException):
    """The process ends here."""


def die_at(point: str) -> None:
    """The next time that this point is reached, the process ends."""

    def reached(name: str) -> None:
        if name == point:
            raise Killed

    watch_crash_points(reached)


@asynccontextmanager
async def open_receiver(
    inbox: Path | BucketRoot, state: Path, limits: UploadLimits, clock: Callable[[], float] = lambda: 1e9
) -> AsyncIterator[Receiver]:
    """A receiver that has recovered; what is under way lies below `state`."""
    landing = open_landing(inbox, state)
    ledger, parts = Ledger(state / "ledger"), Parts(state / "parts", 2)
    receiver = Receiver(ledger, parts, landing, limits, clock)
    try:
        await receiver.recover()
        yield receiver
    finally:
        receiver.close()
        parts.close()
        ledger.close()
