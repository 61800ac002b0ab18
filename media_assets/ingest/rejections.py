"""Rows of a list that could not be planned, kept as `failed` rows of `ingest/item_status`.

They stand at stage `ingest.manifest`, batch `{name}.rejected`: not a batch of the manifest, only the place of
a list's bad rows. Each plan of the list replaces them, so that a mended list clears them. Not here: judging a
row (the sources).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import polars as pl

from media_assets.errors import ErrorCode
from media_assets.ingest.planned import RejectedRow
from media_assets.lake.delta import Lake, Provenance
from media_assets.tables.columns import Status
from media_assets.tables.ingest import ITEM_STATUS

STAGE = "ingest.manifest"
N_KEPT_ROWS = 10_000
_MAX_KEY = 4096
_MAX_MESSAGE = 500


def rejected_batch_id(name: str) -> str:
    """The batch id under which the bad rows of a list are kept."""
    return f"{name}.rejected"


@dataclass
class Rejections:
    """The bad rows of one list: the first 10,000 in full, the others counted."""

    n_rows: int = 0
    _kept: dict[str, str] = field(default_factory=dict)

    def add(self, row: RejectedRow) -> None:
        """Count a row, and keep it while there is room. Of two rows with one key the first is kept."""
        self.n_rows += 1
        if len(self._kept) < N_KEPT_ROWS:
            self._kept.setdefault(row.row_key[:_MAX_KEY] or "?", row.message[:_MAX_MESSAGE])

    def messages(self) -> dict[str, str]:
        """Row key to message, in the list's order; the last message counts the rows not kept."""
        if (n_more := self.n_rows - len(self._kept)) == 0:
            return dict(self._kept)
        last_key, last_message = next(reversed(self._kept.items()))
        counted = f"{last_message} (and {n_more} more bad rows that are not listed)"
        return {**self._kept, last_key: counted}

    def publish(self, lake: Lake, name: str, provenance: Provenance) -> None:
        """Replace the stored bad rows of this list; nothing is written when they are the same as before."""
        where = {"stage": [STAGE], "batch_id": [rejected_batch_id(name)]}
        stored = lake.scan(ITEM_STATUS, where).select("item_key", "message", "first_failed_at").collect()
        messages = self.messages()
        if dict(stored.select("item_key", "message").iter_rows()) != messages:
            frame = _status_rows(name, messages, stored, provenance)
            lake.overwrite(ITEM_STATUS, frame, where, provenance)


def _status_rows(name: str, messages: dict[str, str], stored: pl.DataFrame, provenance: Provenance) -> pl.DataFrame:
    """One row per bad row; a row that was bad before keeps the time of its first failure."""
    now = datetime.now(UTC)
    first_failed_at = dict(stored.select("item_key", "first_failed_at").iter_rows())
    return ITEM_STATUS.frame(
        [
            {
                "stage": STAGE,
                "batch_id": rejected_batch_id(name),
                "item_key": row_key,
                "status": Status.FAILED.value,
                "error_code": ErrorCode.BAD_ROW.value,
                "is_retryable": False,
                "message": message,
                "attempts": 1,
                "first_failed_at": first_failed_at.get(row_key) or now,
                "last_failed_at": now,
                "n_outputs": 0,
                "code_version": provenance.code_version,
                "run_id": provenance.run_id,
                "updated_at": now,
            }
            for row_key, message in messages.items()
        ]
    )
