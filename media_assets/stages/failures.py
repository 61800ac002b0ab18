"""The history of a batch's failures: what was told before, carried on by the statuses that are about to be committed.

It is written before the statuses and made of the statuses before them, so a process that dies in between loses nothing:
the statuses still say what failed, and the next run tells it again. What such a process wrote is put right then, and is
not believed until then (`lake/failure_history.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl

from media_assets.lake.delta import Lake, Provenance
from media_assets.stages.assemble import StageRows
from media_assets.stages.intake import Past
from media_assets.stages.stage import Stage
from media_assets.tables import FAILURES
from media_assets.tables.columns import Status

Row = dict[str, Any]
Letter = tuple[str, str, datetime]  # stage, item key, first failure

WITHDRAWN = "withdrawn"


@dataclass(frozen=True)
class Told:
    """What is known of a batch's failures before its commit."""

    batch_id: str
    past: Past = field(repr=False)
    now: datetime

    def failures(
        self, lake: Lake, stages: Sequence[StageRows], withdrawn: Sequence[Stage], provenance: Provenance
    ) -> pl.DataFrame | None:
        """All rows of the batch; None where nothing ever failed in it, and nothing has to be written."""
        has_rows = lake.turn(FAILURES, self.batch_id) > 0
        failed = any(row["status"] == Status.FAILED for rows in stages for row in rows.statuses)
        if not (failed or has_rows or any(_open_letters(self.past))):
            return None
        where = {"batch_id": [self.batch_id]}
        before = lake.scan(FAILURES, where).collect().to_dicts() if has_rows else []
        rows = self.rows(before, stages, withdrawn, provenance.run_id)
        is_same = {_letter(row): row for row in rows} == {_letter(row): row for row in before}
        return None if is_same else FAILURES.frame(rows)

    def rows(
        self, before: Sequence[Row], stages: Sequence[StageRows], withdrawn: Sequence[Stage], run_id: str
    ) -> list[Row]:
        """The rows of `before`, carried on: what failed again, what was resolved, what failed for the first time."""
        open_before = dict(_open_letters(self.past))
        closed = [row for row in before if row["resolution"] is not None and _letter(row) not in open_before]
        known = {_letter(row): row for row in before}
        now_says = {(rows.stage.name, row["item_key"]): row for rows in stages for row in rows.statuses}
        touched = {rows.stage.name for rows in stages} | {stage.name for stage in withdrawn}
        carried = []
        for letter, status in open_before.items():
            row = _as_published(known[letter], status) if letter in known else _first_told(status)
            if letter[0] in touched:
                row = self._carried_on(row, status, now_says.get(letter[:2]), run_id)
            carried.append(row)
        fresh = [
            _first_told(row)
            for row in now_says.values()
            if row["status"] == Status.FAILED and _letter(row) not in open_before
        ]
        return [*closed, *carried, *fresh]

    def _carried_on(self, row: Row, before: Row, after: Row | None, run_id: str) -> Row:
        if after is None:
            return row | {"resolution": WITHDRAWN, "resolved_at": self._after(row), "resolved_by": run_id}
        if after["status"] != Status.FAILED:
            return row | {"resolution": after["status"], "resolved_at": self._after(row), "resolved_by": run_id}
        if after["attempts"] == before["attempts"]:
            return row  # a replay of others left it alone
        return _with_failure(row, after)

    def _after(self, row: Row) -> datetime:
        failed_at: datetime = row["last_failed_at"]
        return max(self.now, failed_at)  # a clock may have been set back


def _open_letters(past: Past) -> Iterator[tuple[Letter, Row]]:
    for rows in past.statuses.values():
        for row in rows.values():
            if row["status"] == Status.FAILED:
                yield _letter(row), row


def _letter(row: Row) -> Letter:
    return row["stage"], row["item_key"], row["first_failed_at"]


def _as_published(row: Row, status: Row) -> Row:
    """A row without what a run told whose statuses were never committed."""
    failures = [failure for failure in row["failures"] if failure["attempts"] <= status["attempts"]]
    if not failures:
        return _first_told(status)
    last = failures[-1]["failed_at"]
    return row | {"failures": failures, "n_failures": len(failures), "last_failed_at": last} | _OPEN


_OPEN: Row = {"resolution": None, "resolved_at": None, "resolved_by": None}


def _first_told(status: Row) -> Row:
    """The row of a dead letter of which nothing is told yet; of earlier attempts only its status knew."""
    row = {name: status[name] for name in ("stage", "batch_id", "item_key", "first_failed_at")}
    return _with_failure(row | {"failures": []} | _OPEN, status)


def _with_failure(row: Row, status: Row) -> Row:
    failure = {
        "failed_at": status["last_failed_at"],
        "error_code": status["error_code"],
        "message": status["message"],
        "run_id": status["run_id"],
        "attempts": status["attempts"],
    }
    failures = [*row["failures"], failure]
    return row | {"failures": failures, "n_failures": len(failures), "last_failed_at": failure["failed_at"]}
