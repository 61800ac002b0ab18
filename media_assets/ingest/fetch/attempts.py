"""When an item is tried again within one fetch, and after how long. Not here: the attempts themselves."""

from __future__ import annotations

import random

from media_assets.errors import ErrorCode, ItemError
from media_assets.ingest.fetch.limits import FetchLimits

# What may pass within seconds. TOO_SLOW is not among them: its budget is spent.
_TRIED_AGAIN = frozenset(
    {
        ErrorCode.CONNECTION_FAILED,
        ErrorCode.DNS_FAILED,
        ErrorCode.TIMEOUT,
        ErrorCode.RATE_LIMITED,
        ErrorCode.SERVER_ERROR,
        ErrorCode.TRUNCATED_BODY,
    }
)


class AttemptFailed(ItemError):
    """An error that knows better than its code whether another attempt is worth it."""

    def __init__(self, code: ErrorCode, message: str, *, is_tried_again: bool = False) -> None:
        super().__init__(code, message)
        self.is_tried_again = is_tried_again


class Unchanged(AttemptFailed):
    """The source still has the version that is known (304): there is no body to fetch."""

    def __init__(self, where: str) -> None:
        super().__init__(ErrorCode.HTTP_ERROR, f"{where}: not changed since it was fetched (304)")


def is_tried_again(error: ItemError) -> bool:
    """Whether the same item is worth another attempt in this fetch."""
    return error.is_tried_again if isinstance(error, AttemptFailed) else error.code in _TRIED_AGAIN


class Backoff:
    """Exponential backoff with full jitter: a random wait below a bound that doubles with every attempt."""

    def __init__(self, limits: FetchLimits, seed: int | None) -> None:
        self._limits = limits
        self._random = random.Random(seed)  # noqa: S311 - jitter, nothing secret

    def seconds(self, n_attempts: int) -> float:
        """How long to wait after the `n_attempts`-th failed attempt."""
        bound = self._limits.backoff_seconds * 2.0 ** min(n_attempts - 1, 60)
        return self._random.uniform(0.0, min(self._limits.max_backoff_seconds, bound))
