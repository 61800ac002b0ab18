"""Connections of the upload server: bounded in number, and none that is held without a request.

uvicorn's own protocol waits without end for the header of a request, and for a client to stop sending after it was
refused; this one does not. HTTP is read by h11: it bounds headers, and refuses what can be read in two ways.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

_TOLD = b'{"error": {"code": "busy", "message": "too many connections; come back in a moment"}}'
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n%b" % (len(_TOLD), _TOLD)
)


class GuardedProtocol(H11Protocol):
    """One connection. `n_connections` and `head_seconds` are set by `guarded`."""

    n_connections = 512
    head_seconds = 10.0
    _deadline: asyncio.TimerHandle | None = None
    _is_full = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or close it where there are too many."""
        if len(self.connections) >= self.n_connections:
            self._is_full, self.transport = True, transport
            transport.write(_FULL)
            transport.close()
            return
        super().connection_made(transport)
        self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._unset_deadline()
        if not self._is_full:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes: of a request that is under way, of a header, or of a body that nobody wants any more."""
        if self._is_full:
            return
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._unset_deadline()
        if self.cycle is None or self.cycle.response_complete:
            self._set_deadline()

    def _set_deadline(self) -> None:
        if self._deadline is None and not self.transport.is_closing():
            self._deadline = self.loop.call_later(self.head_seconds, self._end)

    def _unset_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end(self) -> None:
        self._deadline = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()


def guarded(n_connections: int, head_seconds: float) -> type[GuardedProtocol]:
    """The protocol with its bounds."""
    bounds: dict[str, Any] = {"n_connections": n_connections, "head_seconds": head_seconds}
    return type("BoundedProtocol", (GuardedProtocol,), bounds)
