"""One look into an inbox: what is whole and new becomes batches when there is enough of it or it has waited enough.

Repeatable at any point: what was planned is read from the manifest, and planning itself lets no item in twice, whoever
looks at the same time. Memory: 16 bytes per item ever planned, and one round of batches. Not here: Dagster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice

import numpy as np

from media_assets.ingest.inbox.closing import ClosingRules, InboxMemory, memory_after, n_to_close
from media_assets.ingest.inbox.landed import SOURCE, Landed
from media_assets.ingest.known_keys import KnownKeys, digests_of, first_seen
from media_assets.ingest.planned import PlannedItem, RejectedRow
from media_assets.ingest.planned_rows import planned_keys
from media_assets.ingest.planning import BatchRegistry, PlanResult, plan_batches
from media_assets.lake.delta import Lake, Provenance

NAME = SOURCE
"""What batch ids of the inbox begin with."""

_N_AT_ONCE = 5000


@dataclass(frozen=True)
class Look:
    """What one look found and did. `plan` is None where nothing has changed since everything was planned."""

    memory: InboxMemory
    plan: PlanResult | None
    n_in_writing: int
    n_waiting: int


@dataclass
class _Found:
    """What a listing holds, counted; the first new items of it, at most `n_wanted`."""

    n_wanted: int
    new: list[PlannedItem] = field(default_factory=list)
    rejected: list[RejectedRow] = field(default_factory=list)
    n_new: int = 0
    n_in_writing: int = 0


def look(
    lake: Lake,
    registry: BatchRegistry,
    listing: Callable[[], Iterable[Landed]],
    memory: InboxMemory,
    rules: ClosingRules,
    now: float,
    provenance: Provenance,
) -> Look:
    """Plan what is due.

    Args:
        listing: lists the inbox anew each time it is called.
        memory: what the last look returned.
        now: seconds since the epoch.

    Raises:
        SetupError: the inbox cannot be listed.
    """
    first = _Digest()
    n_in_writing = sum(entry.state == "in_writing" for entry in first.of(listing()))
    if first.hexdigest() == memory.all_planned:
        return Look(memory, None, n_in_writing, 0)
    seen = _Digest()  # of what is planned from: the listing before may have shown another state
    found = _found(seen.of(listing()), planned_keys(lake, NAME), rules.max_batches * rules.batch_size)
    n_closed = n_to_close(found.n_new, memory.waiting_since, now, rules)
    plan = plan_batches(
        lake,
        registry,
        source=SOURCE,
        name=NAME,
        items=[*found.rejected, *found.new[:n_closed]],
        batch_size=rules.batch_size,
        provenance=provenance,
    )
    n_left = found.n_new - n_closed
    return Look(memory_after(memory, n_left, n_closed, now, seen.hexdigest()), plan, found.n_in_writing, n_left)


class _Digest:
    """Of everything that decides what is planned: names, versions, states."""

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=16)

    def of(self, entries: Iterable[Landed]) -> Iterator[Landed]:
        """Pass entries on, and take them in."""
        for entry in entries:
            self._hash.update(f"{entry.state} {len(entry.path)} {entry.version} ".encode() + entry.path)
            yield entry

    def hexdigest(self) -> str:
        """Of all that passed."""
        return self._hash.hexdigest()


def _found(entries: Iterable[Landed], known: KnownKeys, n_wanted: int) -> _Found:
    found = _Found(n_wanted)
    for chunk in _chunks(entries):
        found.n_in_writing += sum(entry.state == "in_writing" for entry in chunk)
        rows = [entry.planned() for entry in chunk if entry.state != "in_writing"]
        found.rejected += [row for row in rows if isinstance(row, RejectedRow)]
        items = [row for row in rows if isinstance(row, PlannedItem)]
        digests = digests_of(item.item_key for item in items)
        is_new = first_seen(digests) & ~known.contains(digests)
        found.n_new += int(is_new.sum())
        found.new += [items[at] for at in np.flatnonzero(is_new)[: n_wanted - len(found.new)]]
    return found


def _chunks(entries: Iterable[Landed]) -> Iterator[list[Landed]]:
    iterator = iter(entries)
    while chunk := list(islice(iterator, _N_AT_ONCE)):
        yield chunk
