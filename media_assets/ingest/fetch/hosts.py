"""Politeness per host: at most so many connections, and a pause for all of them when the host asks for one.

Not here: when a host has asked (`answers`), and the backoff of a single item (`downloader`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from media_assets.errors import ErrorCode
from media_assets.ingest.fetch.attempts import AttemptFailed


class _Gate:
    def __init__(self, n_connections: int) -> None:
        self.slots = asyncio.Semaphore(n_connections)
        self.opens_at = 0.0  # loop time
        self.n_users = 0


class HostGates:
    """One gate per host (`host:port`). Belongs to one event loop."""

    def __init__(self, n_connections_per_host: int, max_pause_seconds: float) -> None:
        self._n_connections = n_connections_per_host
        self._max_pause_seconds = max_pause_seconds
        self._gates: dict[str, _Gate] = {}

    @asynccontextmanager
    async def slot(self, host: str) -> AsyncIterator[None]:
        """Hold one of the host's connections, after any pause it asked for.

        Raises:
            ItemError: RATE_LIMITED when the pause is, or grows, longer than the longest we wait.
        """
        gate = self._gate(host)
        gate.n_users += 1
        try:
            async with gate.slots:
                await self._wait_out_pause(host, gate)
                yield
        finally:
            gate.n_users -= 1
            if not gate.n_users and gate.opens_at <= asyncio.get_running_loop().time():
                del self._gates[host]  # a crawl meets very many hosts

    def _gate(self, host: str) -> _Gate:
        gate = self._gates.get(host)
        if gate is None:
            gate = self._gates[host] = _Gate(self._n_connections)
        return gate

    async def _wait_out_pause(self, host: str, gate: _Gate) -> None:
        now = asyncio.get_running_loop().time
        give_up_at = now() + self._max_pause_seconds
        while (left := gate.opens_at - now()) > 0:
            if gate.opens_at > give_up_at:
                raise AttemptFailed(
                    ErrorCode.RATE_LIMITED,
                    f"{host} asked for a pause of {left:.0f} more seconds; at most "
                    f"{self._max_pause_seconds:g} are waited for: replay the failed items later",
                )
            await asyncio.sleep(left)

    def pause(self, host: str, seconds: float) -> None:
        """Let nobody start on this host for a while (requests under way go on)."""
        gate = self._gate(host)
        gate.opens_at = max(gate.opens_at, asyncio.get_running_loop().time() + seconds)
