"""Running `fetch_all` in tests: a sink in memory, limits that fail fast, a policy that opens loopback."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from media_assets.errors import ErrorCode
from media_assets.ingest.fetch.addresses import AddressPolicy
from media_assets.ingest.fetch.fetch_all import Fetched, FetchFailed, FetchRequest, fetch_all
from media_assets.ingest.fetch.limits import FetchLimits

LOOPBACK = AddressPolicy(allowed_networks=("127.0.0.0/8",))
PUBLIC_ANY_PORT = AddressPolicy(allowed_ports=None)
QUICK = FetchLimits(
    max_bytes=2**20,
    connect_seconds=2.0,
    idle_seconds=2.0,
    total_seconds=10.0,
    backoff_seconds=0.001,
    max_backoff_seconds=1.5,
    n_connections=4,
    n_connections_per_host=4,
)


class MemorySink:
    """Keeps bodies in a dictionary, and whether each came as a file."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.spooled: set[str] = set()

    async def put_if_absent(self, media_id: str, body: bytes | Path) -> None:
        if isinstance(body, Path):
            self.spooled.add(media_id)
            body = body.read_bytes()
        self.bodies.setdefault(media_id, body)


def run(uris: Sequence[str | FetchRequest], **options: Any) -> tuple[list[Fetched | FetchFailed], MemorySink]:
    """Outcomes in the order of the requests (keys are their places), and the sink."""
    sink = MemorySink()
    requests = [FetchRequest(n, uri) if isinstance(uri, str) else replace(uri, key=n) for n, uri in enumerate(uris)]
    options = {"limits": QUICK, "policy": LOOPBACK, "user_agent": "tests/1", "seed": 1} | options
    outcomes = list(fetch_all(requests, sink, **options))
    assert sorted(str(outcome.key) for outcome in outcomes) == sorted(str(request.key) for request in requests)
    return sorted(outcomes, key=lambda outcome: int(str(outcome.key))), sink


def fetched(uri: str | FetchRequest, **options: Any) -> tuple[Fetched, bytes]:
    """The one outcome, which must be a success, and its bytes."""
    (outcome,), sink = run([uri], **options)
    assert isinstance(outcome, Fetched), outcome
    return outcome, sink.bodies[outcome.media_id]


def failed(uri: str | FetchRequest, **options: Any) -> FetchFailed:
    """The one outcome, which must be a failure that put nothing into the sink."""
    (outcome,), sink = run([uri], **options)
    assert isinstance(outcome, FetchFailed), outcome
    assert not sink.bodies
    return outcome


def code(uri: str | FetchRequest, **options: Any) -> ErrorCode:
    """The code with which the one request fails."""
    return failed(uri, **options).error.code
