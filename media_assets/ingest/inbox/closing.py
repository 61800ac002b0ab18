"""When what waits in an inbox becomes a batch: as soon as there is enough of it, or as soon as it has waited enough.

Pure. Not here: the listing, the manifest, and Dagster.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec


@dataclass(frozen=True)
class ClosingRules:
    """`batch_size` items close a batch; fewer do when the first of them was seen `max_wait_seconds` ago. At most
    `max_batches` are closed at once, so that a flood does not hold up the caller.
    """

    batch_size: int = 1000
    max_wait_seconds: float = 60.0
    max_batches: int = 20


class Place(msgspec.Struct, frozen=True):
    """How far the listings of a large inbox got: the key after which the one that goes round continues (empty: at the
    beginning), and the greatest key that was ever listed.
    """

    swept_to: str = ""
    newest: str = ""


class InboxMemory(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is remembered from one look to the next: since when something has been waiting (seconds since the epoch),
    the digest of a listing in which everything was planned, and in a large inbox the place.

    Losing it loses nothing: the manifest says what was planned. What waits then waits anew.
    """

    waiting_since: float | None = None
    all_planned: str | None = None
    place: Place | None = None


def n_to_close(n_waiting: int, waiting_since: float | None, now: float, rules: ClosingRules) -> int:
    """How many of the waiting items become batches now: whole batches, and what remains when it has waited enough.

    A clock that was set back counts as having waited enough: better a small batch than one that never comes.
    """
    n_whole = min(n_waiting // rules.batch_size, rules.max_batches) * rules.batch_size
    n_rest = n_waiting - n_whole
    is_room = n_whole < rules.max_batches * rules.batch_size
    waited = now - waiting_since if waiting_since is not None else 0.0
    if is_room and n_rest and (waited >= rules.max_wait_seconds or waited < 0):
        return n_whole + min(n_rest, rules.batch_size)
    return n_whole


def memory_after(before: InboxMemory, n_left: int, n_closed: int, now: float, listing: str) -> InboxMemory:
    """What to remember when `n_left` items still wait after `n_closed` were planned.

    The wait of what is left begins anew after a batch was closed: its items were seen later.
    """
    if not n_left:
        return InboxMemory(None, listing)
    since = before.waiting_since if before.waiting_since is not None and not n_closed else now
    return InboxMemory(since, None)
