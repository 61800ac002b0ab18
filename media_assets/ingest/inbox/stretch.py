"""What one look covers of an inbox: all of it, or a part of one that is too large to be listed every time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from media_assets.ingest.inbox.closing import InboxMemory, Place
from media_assets.ingest.inbox.landed import Landed


@dataclass(frozen=True)
class Stretch:
    """`listing` gives its entries, each time anew; and where the next look goes on once all of them are planned (None:
    it covers everything).
    """

    listing: Callable[[], Iterable[Landed]]
    next_place: Place | None = None

    def remembered(self, before: InboxMemory, after: InboxMemory, n_waiting: int) -> InboxMemory:
        """The memory of a look, with the place: a stretch in which something waits is looked at again."""
        return msgspec.structs.replace(after, place=before.place if n_waiting else self.next_place)
