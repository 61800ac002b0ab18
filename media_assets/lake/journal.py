"""What a run has fetched for a batch so far, so that a killed run does not download it again.

One line per stored blob, appended after the blob is durable and dropped once the batch's statuses are committed. A torn
last line (the process died while writing it) is ignored. Not here: the outcome of an item (`ingest/item_status`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType

import msgspec

from media_assets.lake.crash_points import crash_point
from media_assets.lake.location import LakeLocation


class JournalEntry(msgspec.Struct, frozen=True):
    """One item whose bytes are a blob now. `uri_sha256` is of its URI, which may hold a secret."""

    item_key: str
    uri_sha256: str
    media_id: str
    size_bytes: int
    fetched_at: datetime


@dataclass
class FetchJournal:
    """The journal of one batch; a context manager, which closes the file that `append` opens."""

    path: Path
    _handle: int | None = None

    @classmethod
    def of(cls, location: LakeLocation, batch_id: str) -> FetchJournal:
        """The journal of a batch in a local lake."""
        return cls(location.path / "journals" / f"{batch_id}.jsonl")

    def entries(self) -> dict[str, JournalEntry]:
        """Item key to its latest entry."""
        try:
            lines = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return {}
        found: dict[str, JournalEntry] = {}
        for line in lines:
            try:
                entry = msgspec.json.decode(line, type=JournalEntry)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue  # torn by a kill: the item is simply fetched again
            found[entry.item_key] = entry
        return found

    def append(self, entry: JournalEntry) -> None:
        """Add one entry with a single append, so that neither a kill nor a second run can tear an earlier line."""
        crash_point("before journal")
        if self._handle is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        # The leading line break ends whatever a killed writer left half-written.
        os.write(self._handle, b"\n" + msgspec.json.encode(entry) + b"\n")
        crash_point("after journal")

    def clear(self) -> None:
        """Forget everything: the batch's statuses are committed."""
        self.close()
        crash_point("before clearing the journal")
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file; `append` opens it again."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def __enter__(self) -> FetchJournal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
