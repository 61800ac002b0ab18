"""How much, how long and how often: the bounds of one fetch. Not here: from whom (`addresses`)."""

from __future__ import annotations

from dataclasses import dataclass, fields

from media_assets.errors import SetupError

MIB = 2**20


@dataclass(frozen=True)
class FetchLimits:
    """Bounds of a fetch. All must be positive, except redirects, backoff and the waiting it leads to.

    `total_seconds` is a budget per item for time on the wire, over all attempts and redirects: when it is
    spent the item fails as TOO_SLOW. Waiting is bounded apart from it: at most `max_backoff_seconds` between
    two attempts and before each hop to a host that asked for a pause. A host that asks for a longer pause is
    left alone: its items fail at once.

    Memory is bounded by `n_connections` times `memory_bytes` (twice that while a body is joined) plus about 2
    MiB of network buffer a connection; larger bodies are spooled to a temporary file.
    """

    max_bytes: int = 64 * MIB
    connect_seconds: float = 10.0
    idle_seconds: float = 20.0
    total_seconds: float = 120.0
    max_redirects: int = 5
    max_attempts: int = 4
    n_connections: int = 32
    n_connections_per_host: int = 16
    backoff_seconds: float = 0.5
    max_backoff_seconds: float = 30.0
    memory_bytes: int = 8 * MIB

    def __post_init__(self) -> None:
        may_be_zero = {"max_redirects", "backoff_seconds", "max_backoff_seconds"}
        for field in fields(self):
            value = getattr(self, field.name)
            if not (value > 0 or (value == 0 and field.name in may_be_zero)):
                raise SetupError(f"fetch limit {field.name} must be positive, not {value!r}")
