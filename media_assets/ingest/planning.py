"""Planning: items of any source become closed batches of `ingest/manifest`, each known to Dagster.

Order, each step repeatable: manifest rows (one Delta commit per batch), then `BatchRegistry.register`. A plan
that was cut short between any two steps is completed by planning again: what is in the manifest is not
planned twice, and what is in the manifest but not registered is registered first.

Two planners of one list cannot plan an item twice: of two planners the slower is refused (`batch_commits.py`), reads
what the faster one planned, and goes on with what is left.

What is planned keeps its row, also when the list says something else of it later: that is counted, and only an update
takes the new rows over (`updates.py`).

An item key is unique among the batches of one `name` (`open-images.validation`, `folder.holiday`): two
folders may both hold `a.jpg`. Not here: where items come from (one module per source), and Dagster itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np
import polars as pl

from media_assets.errors import PlanRefused
from media_assets.ingest.batch_commits import Overtaken, commit_next, manifest_rows
from media_assets.ingest.batch_numbers import batch_id_of, last_number, number_of
from media_assets.ingest.known_keys import KnownKeys, digests_of, first_seen
from media_assets.ingest.planned import PlannedItem, RejectedRow
from media_assets.ingest.planned_folders import claim_folder
from media_assets.ingest.planned_rows import PlannedRows, planned_digests
from media_assets.ingest.rejections import Rejections
from media_assets.ingest.updates import Updates
from media_assets.lake.delta import Lake, Provenance
from media_assets.tables.columns import BATCH_ID
from media_assets.tables.ingest import MANIFEST

DEFAULT_BATCH_SIZE = 5000


PlanProgress = Callable[[str, int], None]
"""Called with (name of the list, lines read so far); how many there are is not known before the end."""


def tell_nobody(name: str, n_read: int) -> None:
    """Show no progress."""


class BatchRegistry(Protocol):
    """Dagster's side of a batch. Both steps of `register` are repeatable; the partition key comes last."""

    def registered(self) -> set[str]:
        """Every batch id whose registration is complete."""

    def register(self, batch_id: str, n_items: int, metadata: Mapping[str, object]) -> None:
        """Report the manifest's materialization for this batch, then add its partition key."""


@dataclass(frozen=True)
class PlanResult:
    """What one plan did: `n_read = n_planned + n_already_planned + n_rejected`.

    `batch_ids` are the new batches. `registered` are all whose registration was completed now: the new ones
    and those that an earlier plan had left without. What a source left out is told by `missing_files`, the
    optional files of a list that were not there, `n_hidden`, names that begin with a dot, and `ignored_columns`, those
    of a catalog that mean nothing here.

    `n_changed` of the items planned already are not planned as the list says now; `changed_examples` name a few of them
    with the columns that differ. An update replaced the rows of `n_updated` of them and left `n_left`, of which bytes
    are kept or are being published.
    """

    batch_ids: tuple[str, ...]
    registered: tuple[str, ...]
    n_read: int
    n_planned: int
    n_already_planned: int
    n_rejected: int
    missing_files: tuple[str, ...] = ()
    n_hidden: int = 0
    ignored_columns: tuple[str, ...] = ()
    n_changed: int = 0
    n_updated: int = 0
    n_left: int = 0
    changed_examples: tuple[str, ...] = ()


def plan_batches(
    lake: Lake,
    registry: BatchRegistry,
    *,
    source: str,
    name: str,
    items: Iterable[PlannedItem | RejectedRow],
    provenance: Provenance,
    batch_size: int = DEFAULT_BATCH_SIZE,
    folder_uri: str | None = None,
    update: bool = False,
    progress: PlanProgress = tell_nobody,
) -> PlanResult:
    """Plan what is new in a list into new batches, and register every batch of the list that is not
    registered yet.

    Planning the same list again changes nothing; a grown list adds batches and leaves the others as they are.
    Of equal item keys the first wins; repeats count as already planned. Memory: some batches, and 29 bytes per
    planned item.

    Args:
        source: the manifest's `source`, such as `open-images`.
        name: what batch ids begin with, such as `open-images.validation`.
        batch_size: items per batch, at least 1; the last batch of a plan may be smaller.
        folder_uri: the folder that every item lies below, where the source is one: its batches may read files there
            and nowhere else, and no other folder can be planned under this name.
        update: take the list's rows over for planned items of which nothing is kept: they failed, or never ran.
        progress: called after every stretch of the list.

    Raises:
        PlanRefused: the name or the size cannot be used, or the name is taken by another place.
        ContractBroken: an item breaks the manifest's contract; the batches before it are planned.
    """
    _require_usable(name, batch_size)
    plan = _Plan(lake, registry, source, name, provenance, batch_size, update)
    if folder_uri is not None:
        plan.claim_folder(folder_uri)
    plan.complete_registrations()
    for chunk in _chunks(items, batch_size):
        plan.take(chunk)
        progress(name, plan.n_read)
    plan.flush(is_last=True)
    plan.rejections.publish(lake, name, provenance)
    return plan.result()


def _require_usable(name: str, batch_size: int) -> None:
    if not re.fullmatch(BATCH_ID.removesuffix("$"), name):
        raise PlanRefused(
            f"The name of a list of batches must be letters, digits and . _ - and begin with a small letter "
            f"or a digit, got {name!r}. Give another name."
        )
    if batch_size < 1:
        raise PlanRefused(f"A batch must hold at least one item, got a batch size of {batch_size}.")


def _chunks(items: Iterable[PlannedItem | RejectedRow], n_items: int) -> Iterator[list[PlannedItem | RejectedRow]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, n_items)):
        yield chunk


class _Plan:
    """One run of the planner: what is known, what waits for its batch, and what was counted."""

    def __init__(
        self,
        lake: Lake,
        registry: BatchRegistry,
        source: str,
        name: str,
        provenance: Provenance,
        batch_size: int,
        update: bool,
    ) -> None:
        self.lake, self.registry, self.provenance = lake, registry, provenance
        self.source, self.name, self.batch_size = source, name, batch_size
        self.rejections = Rejections()
        self.updates = Updates(lake, name, provenance, update)
        self._waiting: list[PlannedItem] = []
        self._batch_ids: list[str] = []
        self._registered: list[str] = []
        self._n_read = self._n_planned = 0
        self._number = last_number(lake.table(MANIFEST), name)
        self._planned = PlannedRows(lake, name, self._number)
        self._known = KnownKeys()  # what was planned since, by whomever

    @property
    def n_read(self) -> int:
        """Lines of the list read so far."""
        return self._n_read

    def claim_folder(self, folder_uri: str) -> None:
        """Let the batches read a folder; refuse a name that another place has: new items would pass for known ones."""
        ids = [batch_id_of(self.name, 1)] if self._number else []
        for uri in self.lake.scan(MANIFEST, {"batch_id": ids}).select("uri").head(1).collect()["uri"]:
            if not uri.startswith(folder_uri):
                raise PlanRefused(
                    f"Batches {self.name}.* were planned from another place (its first item is {uri}), and "
                    f"item keys are unique inside one name only. Plan {folder_uri} under another name."
                )
        claim_folder(self.lake.location, self.name, folder_uri)

    def complete_registrations(self) -> None:
        """Register the batches of this list that are in the manifest only."""
        registered = self.registry.registered()
        for batch_id in self.lake.partition_values(MANIFEST):
            if number_of(batch_id, self.name) is not None and batch_id not in registered:
                self._register(self.lake.scan(MANIFEST, {"batch_id": [batch_id]}).collect())

    def take(self, chunk: list[PlannedItem | RejectedRow]) -> None:
        """Count a stretch of the list, and let its new items wait for their batch."""
        self._n_read += len(chunk)
        for row in chunk:
            if isinstance(row, RejectedRow):
                self.rejections.add(row)
        items = [row for row in chunk if isinstance(row, PlannedItem)]
        digests = digests_of(item.item_key for item in items)
        is_first, places = first_seen(digests), self._planned.find(digests)
        is_new = is_first & (places < 0) & ~self._known.contains(digests)
        self._known.add(digests[is_new])
        self._waiting += [items[at] for at in np.flatnonzero(is_new)]
        self._compare([(items[at], int(places[at])) for at in np.flatnonzero(is_first & (places >= 0))])
        self.flush(is_last=False)

    def _compare(self, planned: list[tuple[PlannedItem, int]]) -> None:
        """Note which of these items, each with its place among what is planned, the list describes otherwise now."""
        places = np.array([place for _, place in planned], np.int64)
        is_first_look = self._planned.first_looks(places)
        items = [planned[at][0] for at in np.flatnonzero(is_first_look)]
        if not items:
            return
        places = places[is_first_look]
        differs = self._planned.differ(places, items)
        changed = [items[at] for at in np.flatnonzero(differs)]
        for rows in self.updates.take(changed, self._planned.numbers(places[differs])):
            self._report(rows)

    def flush(self, *, is_last: bool) -> None:
        """Plan full batches; with `is_last` also what remains."""
        while len(self._waiting) >= self.batch_size or (is_last and self._waiting):
            batch = self._waiting[: self.batch_size]
            number = self._number + 1
            frame = manifest_rows(self.source, batch_id_of(self.name, number), batch)
            try:
                commit_next(self.lake, self.name, number, frame, self.provenance)
            except Overtaken as overtaken:
                self._catch_up(overtaken.number)
                continue
            self._number = number
            self._waiting = self._waiting[len(batch) :]
            self._n_planned += len(batch)
            self._batch_ids.append(batch_id_of(self.name, number))
            self._register(frame)

    def result(self) -> PlanResult:
        """What was done."""
        n_already_planned = self._n_read - self._n_planned - self.rejections.n_rows
        return PlanResult(
            batch_ids=tuple(self._batch_ids),
            registered=tuple(self._registered),
            n_read=self._n_read,
            n_planned=self._n_planned,
            n_already_planned=n_already_planned,
            n_rejected=self.rejections.n_rows,
            n_changed=self.updates.n_changed,
            n_updated=self.updates.n_updated,
            n_left=self.updates.n_left,
            changed_examples=tuple(self.updates.examples),
        )

    def _catch_up(self, number: int) -> None:
        """Learn what another planner of this list has planned, and wait with the rest only."""
        foreign = KnownKeys()
        for digests in planned_digests(self.lake, self.name, range(self._number + 1, number + 1)):
            foreign.add(digests)
            self._known.add(digests)
        is_foreign = foreign.contains(digests_of(item.item_key for item in self._waiting))
        self._waiting = [self._waiting[at] for at in np.flatnonzero(~is_foreign)]
        self._number = number

    def _register(self, frame: pl.DataFrame) -> None:
        self._report(frame)
        self._registered.append(str(frame["batch_id"][0]))

    def _report(self, frame: pl.DataFrame) -> None:
        """Tell of a batch by its rows, so that a repeat after a crash says the same as the first try."""
        batch_id = str(frame["batch_id"][0])
        in_order = frame.sort("position")
        metadata: dict[str, object] = {
            "source": str(frame["source"][0]),
            "first_item": str(in_order["item_key"][0]),
            "last_item": str(in_order["item_key"][-1]),
            "n_labels": int(frame["labels"].list.len().sum()),
            "planned_at": frame["planned_at"][0].isoformat(),
        }
        self.registry.register(batch_id, frame.height, metadata)
