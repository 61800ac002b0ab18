"""What a run has fetched for a batch so far, so that a killed run does not download it again.

One line per stored blob, appended after the blob is durable and dropped once the batch's statuses are committed. A torn
last line (the process died while writing it) is ignored. Not here: the outcome of an item (`ingest/item_status`), or
how lines are kept (`storage.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from types import TracebackType

import msgspec

from media_assets.lake.crash_points import crash_point
from media_assets.lake.location import LakeLocation
from media_assets.lake.storage import AppendLog


class JournalEntry(msgspec.Struct, frozen=True):
    """One item whose bytes are a blob now. `uri_sha256` is of its URI, which may hold a secret."""

    item_key: str
    uri_sha256: str
    media_id: str
    size_bytes: int
    fetched_at: datetime


@dataclass
class FetchJournal:
    """The journal of one batch; a context manager, which closes what `append` opens."""

    log: AppendLog

    @classmethod
    def of(cls, location: LakeLocation, batch_id: str) -> FetchJournal:
        """The journal of a batch in a lake."""
        return cls(location.storage.log("journals", batch_id))

    def entries(self) -> dict[str, JournalEntry]:
        """Item key to its latest entry."""
        found: dict[str, JournalEntry] = {}
        for line in self.log.read().split(b"\n"):
            try:
                entry = msgspec.json.decode(line, type=JournalEntry)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue  # torn by a kill: the item is simply fetched again
            found[entry.item_key] = entry
        return found

    def append(self, entry: JournalEntry) -> None:
        """Add one entry, so that neither a kill nor a second run can tear an earlier one."""
        crash_point("before journal")
        self.log.append(msgspec.json.encode(entry))
        crash_point("after journal")

    def clear(self) -> None:
        """Forget everything: the batch's statuses are committed."""
        self.close()
        crash_point("before clearing the journal")
        self.log.clear()

    def close(self) -> None:
        """Close the log, once everything appended is kept; `append` opens it again."""
        self.log.close()

    def __enter__(self) -> FetchJournal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
