"""Items that a list says something else of than it did when they were planned: told, and with `update` taken over.

A row is replaced only while nothing of its item is kept: bytes that were accepted came from where the old row says, and
stay what it says. A run that has read the batch already still goes by the old rows, and `raw/media` names the address
that it used. Not here: noticing a difference (`planned_rows.py`), and the write itself (`batch_commits.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import polars as pl

from media_assets.errors import DECODER_FAULTS
from media_assets.ingest.batch_commits import rewrite
from media_assets.ingest.batch_numbers import batch_id_of
from media_assets.ingest.planned import PlannedItem
from media_assets.ingest.planned_rows import FACTS, facts_of
from media_assets.lake.delta import Lake, Provenance
from media_assets.lake.publications import unfinished_publications
from media_assets.tables.columns import Status
from media_assets.tables.ingest import ITEM_STATUS, MANIFEST

_FIRST_STAGE = "raw.media"
_N_EXAMPLES = 3


@dataclass(frozen=True)
class _Outcome:
    """What became of the changed items of one batch; `rows` are the batch's new rows where any were replaced."""

    n_updated: int = 0
    n_left: int = 0
    rows: pl.DataFrame | None = None


class Updates:
    """The changed items of one plan: counted, and replaced if that is wanted."""

    def __init__(self, lake: Lake, name: str, provenance: Provenance, is_wanted: bool) -> None:
        self._lake, self._name, self._provenance, self._is_wanted = lake, name, provenance, is_wanted
        self.n_changed = self.n_updated = self.n_left = 0
        self.examples: list[str] = []

    def take(self, items: Sequence[PlannedItem], numbers: Sequence[int]) -> list[pl.DataFrame]:
        """Changed items, each with the number of its batch; returns the rows of every batch that was replaced."""
        replaced = []
        pairs = sorted(zip(numbers, items, strict=True), key=lambda pair: pair[0])
        for number, group in groupby(pairs, key=lambda pair: pair[0]):
            of_batch = {item.item_key: item for _, item in group}
            self.n_changed += len(of_batch)
            batch_id = batch_id_of(self._name, number)
            if len(self.examples) < _N_EXAMPLES:
                self._add_examples(batch_id, of_batch)
            if self._is_wanted and (rows := self._replace(batch_id, of_batch)) is not None:
                replaced.append(rows)
        return replaced

    def _add_examples(self, batch_id: str, items: Mapping[str, PlannedItem]) -> None:
        """Say of the first items which of their columns differ; never their values, which may be long or secret."""
        few = list(items.values())[: _N_EXAMPLES - len(self.examples)]
        planned = self._lake.scan(MANIFEST, {"batch_id": [batch_id]}).select(FACTS)
        stored = {row["item_key"]: row for row in planned.filter(_is_one_of(few)).collect().iter_rows(named=True)}
        for row in facts_of(few).iter_rows(named=True):
            before = stored.get(row["item_key"], {})
            differing = [name for name in FACTS if row[name] != before.get(name)]
            self.examples.append(f"{row['item_key']}: {', '.join(differing)}")

    def _replace(self, batch_id: str, items: Mapping[str, PlannedItem]) -> pl.DataFrame | None:
        outcome = _Outcome()

        def judge() -> pl.DataFrame | None:
            nonlocal outcome
            outcome = _judged(self._lake, batch_id, items)
            return outcome.rows

        rewrite(self._lake, batch_id, judge, self._provenance)
        self.n_updated += outcome.n_updated
        self.n_left += outcome.n_left
        return outcome.rows


def _judged(lake: Lake, batch_id: str, items: Mapping[str, PlannedItem]) -> _Outcome:
    """What the batch's rows have to become. What a rival has replaced by the same meanwhile is neither counted."""
    stored = lake.scan(MANIFEST, {"batch_id": [batch_id]}).sort("position").collect()
    is_kept = _kept(lake, batch_id)
    n_updated = n_left = 0
    rows = stored.rows(named=True)
    meant = [row["item_key"] for row in rows if row["item_key"] in items]
    facts = {row["item_key"]: row for row in facts_of([items[key] for key in meant]).iter_rows(named=True)}
    for place, row in enumerate(rows):
        new = row | facts.get(row["item_key"], {})
        if new == row:
            continue
        if is_kept is None or row["item_key"] in is_kept:
            n_left += 1
        else:
            rows[place] = new
            n_updated += 1
    return _Outcome(n_updated, n_left, MANIFEST.frame(rows) if n_updated else None)


def _kept(lake: Lake, batch_id: str) -> set[str] | None:
    """Items of which bytes are kept, or that may not be asked for again; None where that cannot be told now."""
    if batch_id in unfinished_publications(lake.location):
        return None
    statuses = lake.scan(ITEM_STATUS, {"stage": [_FIRST_STAGE], "batch_id": [batch_id]})
    codes = [code.value for code in DECODER_FAULTS]
    is_opened_again = pl.col("error_code").is_in(codes) & pl.col("blob").is_not_null()
    is_kept = (pl.col("status") != Status.FAILED.value) | is_opened_again
    return set(statuses.filter(is_kept).select("item_key").collect()["item_key"])


def _is_one_of(items: Sequence[PlannedItem]) -> pl.Expr:
    return pl.col("item_key").is_in([item.item_key for item in items])
