"""Connections that carry one body each at a time, to judged addresses only. Not here: the judgement (`addresses`)."""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

import aiohttp
from aiohttp.connector import Connection
from aiohttp.tracing import Trace


class CleanConnector(aiohttp.TCPConnector):
    """Never hands out a kept connection on which something already lies.

    A server that sends more than it announced leaves bytes behind the body. Where they look like an answer, they would
    become the body of whoever uses the connection next: the client library looks for them only when a connection is
    given back, and they may come a moment later.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._used: WeakSet[object] = WeakSet()

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the overridden signature
    ) -> Connection:
        """A connection, fresh or clean."""
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            if protocol is None or protocol not in self._used:
                self._used.add(protocol)
                return connection
            if not protocol.should_close:
                return connection
            connection.close()
