"""The body of a request, chunk by chunk: no slower than a pace, no longer than announced, and left when told to.

Not here: what becomes of the bytes. Framing (two lengths, chunks that lie) is h11's, which refuses it before this.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from media_assets.ingest.uploads.limits import UploadLimits
from media_assets.ingest.uploads.refusals import UploadCode, UploadRefused

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Interruption:
    """Lets one request end the reading of another one's body, which may wait for bytes that never come."""

    def __init__(self) -> None:
        self.is_asked_for = False
        self._waiting: asyncio.Timeout | None = None

    def ask(self) -> None:
        """End the reading now, or as soon as it goes on."""
        self.is_asked_for = True
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(asyncio.get_running_loop().time())

    async def receive(self, receive: Receive, idle_seconds: float) -> MutableMapping[str, Any]:
        """The next message.

        Raises:
            UploadRefused: none came in time, or somebody asked.
        """
        try:
            self._require_not_asked()
            async with asyncio.timeout(idle_seconds) as self._waiting:
                message = await receive()
        except TimeoutError:
            self._require_not_asked()
            raise UploadRefused(
                UploadCode.TOO_SLOW, f"expected bytes within {idle_seconds:g} s, got none; send them again"
            ) from None
        finally:
            self._waiting = None
        self._require_not_asked()
        return message

    def _require_not_asked(self) -> None:
        if self.is_asked_for:
            raise UploadRefused(
                UploadCode.TAKEN_OVER,
                "another request asked for the offset of this upload: this one was taken for dead",
            )


class Body:
    """One body. `n_bytes` counts what came so far; set `interruption` to one that somebody else may use.

    Args:
        counted: is told the bytes of each chunk as it comes.
    """

    def __init__(self, receive: Receive, limits: UploadLimits, counted: Callable[[int], None] = lambda n: None) -> None:
        self._receive, self._limits, self._counted = receive, limits, counted
        self.interruption = Interruption()
        self.n_bytes = 0

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes as they come.

        Raises:
            UploadRefused: the connection broke, the pace is too slow, or somebody ended it.
        """
        clock = asyncio.get_running_loop().time
        begun = clock()
        while True:
            message = await self.interruption.receive(self._receive, self._limits.idle_seconds)
            if message["type"] != "http.request":
                raise UploadRefused(UploadCode.CUT_OFF, f"the connection broke after {self.n_bytes} bytes")
            chunk: bytes = message.get("body", b"")
            self.n_bytes += len(chunk)
            self._counted(len(chunk))
            if chunk:
                yield chunk
            if not message.get("more_body", False):
                return
            self._require_pace(clock() - begun)

    def _require_pace(self, seconds: float) -> None:
        limits = self._limits
        if self.n_bytes < (seconds - limits.grace_seconds) * limits.min_bytes_per_second:
            raise UploadRefused(
                UploadCode.TOO_SLOW,
                f"expected {limits.min_bytes_per_second} bytes a second, got {self.n_bytes} in {seconds:.0f} s",
            )
