"""Politeness per host."""

from __future__ import annotations

import asyncio

import pytest

from media_assets.errors import ErrorCode, ItemError
from media_assets.ingest.fetch.attempts import is_tried_again
from media_assets.ingest.fetch.hosts import HostGates


def test_pause_holds_everybody_and_only_on_that_host() -> None:
    async def play() -> tuple[float, float]:
        gates = HostGates(2, 1.0)
        now = asyncio.get_running_loop().time
        async with gates.slot("slow:80"):
            gates.pause("slow:80", 0.2)
        started = now()
        async with gates.slot("other:80"):
            other = now() - started
        async with gates.slot("slow:80"):
            return other, now() - started

    other, slow = asyncio.run(play())
    assert other < 0.1
    assert slow >= 0.19


def test_waiting_ends_when_the_pause_keeps_growing() -> None:
    async def play() -> None:
        gates = HostGates(2, 0.2)
        loop = asyncio.get_running_loop()
        gates.pause("h:80", 0.1)
        loop.call_later(0.05, gates.pause, "h:80", 0.3)
        async with gates.slot("h:80"):
            pass

    with pytest.raises(ItemError) as caught:
        asyncio.run(play())
    assert caught.value.code is ErrorCode.RATE_LIMITED
    assert not is_tried_again(caught.value)


def test_gates_are_forgotten_when_nobody_uses_them() -> None:
    async def play() -> int:
        gates = HostGates(2, 1.0)
        for n in range(1_000):
            async with gates.slot(f"host-{n}:80"):
                pass
        return len(gates._gates)

    assert asyncio.run(play()) == 0
