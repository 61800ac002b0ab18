"""Judging addresses where connections are made: every answer of the resolver, and once more every socket.

The addresses that were judged are the ones connected to: there is no second resolution that could answer
otherwise. Not here: the judgement itself (`addresses`).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from media_assets.errors import ErrorCode, ItemError
from media_assets.ingest.fetch import addresses
from media_assets.ingest.fetch.addresses import AddressPolicy

AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]


class CheckingResolver(AbstractResolver):
    """Resolves with `inner` and refuses the host when a single one of its addresses is refused."""

    def __init__(self, inner: AbstractResolver, policy: AddressPolicy, timeout_seconds: float) -> None:
        self._inner = inner
        self._policy = policy
        self._timeout_seconds = timeout_seconds

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Addresses of a host, all judged.

        Raises:
            ItemError: ADDRESS_REFUSED, URL_REFUSED (port) or DNS_FAILED.
        """
        answers = await self._answers(host, port, family)
        for answer in answers:
            addresses.judge_address(answer["host"], self._policy, port=port, asked=host)
        return [_numeric(host, port, answer) for answer in answers]

    async def _answers(self, host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                answers = await self._inner.resolve(host, port, family)
        except TimeoutError:
            raise _dns_failed(host, f"did not resolve within {self._timeout_seconds:g} seconds") from None
        except OSError as error:
            raise _dns_failed(host, f"does not resolve ({error.strerror or 'no reason given'})") from None
        except UnicodeError:
            raise _dns_failed(host, "is not a valid host name") from None
        if not answers:
            raise _dns_failed(host, "has no addresses")
        return answers

    async def close(self) -> None:
        """Close the inner resolver."""
        await self._inner.close()


def checked_socket(policy: AddressPolicy) -> Callable[[AddressInfo], socket.socket]:
    """A socket factory that judges the address about to be connected to, whatever led there."""

    def make(info: AddressInfo) -> socket.socket:
        family, kind, protocol, _, address = info
        addresses.judge_address(address[0], policy, port=address[1])
        return socket.socket(family, kind, protocol)

    return make


def _numeric(host: str, port: int, answer: ResolveResult) -> ResolveResult:
    """An answer that nothing downstream can resolve again."""
    return ResolveResult(
        hostname=host,
        host=answer["host"],
        port=port,
        family=socket.AF_INET6 if ":" in answer["host"] else socket.AF_INET,
        proto=0,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )


def _dns_failed(host: str, why: str) -> ItemError:
    return ItemError(ErrorCode.DNS_FAILED, f"{host} {why}; check the host name and this machine's DNS")
