"""What every kind of inbox lists: one entry per name, and how an entry becomes an item of the manifest.

Not here: listing a folder (`folder.py`), and when batches are closed (`closing.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

from media_assets.ingest.item_keys import item_key_of
from media_assets.ingest.planned import PlannedItem, RejectedRow
from media_assets.tables.columns import Kind

SOURCE = "uploads"

State = Literal["whole", "in_writing", "refused", "unreadable"]
"""`whole`: nobody writes it any more, or what it is will be judged when it is opened. `in_writing`: to be looked at
again. `refused`: its name says that it is no upload, and it has lain there for long. `unreadable`: a folder that may
not be listed."""

_VERSION = re.compile(r"@([0-9a-f]{8})\Z")
_MAX_ITEM_KEY = 4096  # characters, as the manifest's contract says


@dataclass(frozen=True, slots=True)
class Landed:
    """One name below the inbox. `path` is relative to it, as bytes; `version` changes when its bytes may have."""

    path: bytes
    uri: str
    n_bytes: int
    version: str
    state: State

    @property
    def item_key(self) -> str:
        """Unique for path and version: a file that is replaced after it was planned is another item."""
        return f"{item_key_of(self.path)}@{self.version}"

    def planned(self) -> PlannedItem | RejectedRow:
        """The manifest's row of what is whole, or why there is none."""
        key = self.item_key
        if self.state == "refused":
            return RejectedRow(
                key[:_MAX_ITEM_KEY],
                "expected the name of an upload, got a hidden or temporary name that has not been renamed for long; "
                "rename it or take it away",
            )
        if self.state == "unreadable":
            return RejectedRow(
                key[:_MAX_ITEM_KEY],
                "expected a folder that can be listed, got one that this user may not read: what lies in it is not "
                "taken in; let this user read it, or take it away",
            )
        if len(key) > _MAX_ITEM_KEY:
            digest = blake2b(self.path, digest_size=16).hexdigest()
            return RejectedRow(
                f"{key[:200]}...#{digest}", f"expected a path of at most {_MAX_ITEM_KEY} characters, got {len(key)}"
            )
        return PlannedItem(item_key=key, uri=self.uri, kind=Kind.IMAGE)


def planned_version(source: str, item_key: str) -> str | None:
    """Which version of its bytes an item of an inbox stands for; None for an item of any other source."""
    found = _VERSION.search(item_key) if source == SOURCE else None
    return None if found is None else found[1]
