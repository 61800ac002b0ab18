"""What is planned of a list: which keys, in which batch, and whether the list still says the same of them.

Memory: 16 bytes a key and 5 for its batch; 8 more, of a hash of the row, once a key comes up again. Two different rows
share such a hash with probability 5e-20. Not here: what is done about a difference (`updates.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from media_assets.ingest.batch_numbers import batch_id_of, last_number, number_of
from media_assets.ingest.known_keys import Digests, KnownKeys, digests_of
from media_assets.ingest.planned import PlannedItem
from media_assets.lake.delta import Lake
from media_assets.tables.ingest import MANIFEST

FACTS = tuple(field.name for field in fields(PlannedItem))
"""The columns of the manifest that a list decides; the others say when and where an item was planned."""

_N_BATCHES_PER_READ = 64  # bounds the item keys held as text while the manifest is read
_N_BATCHES_WITH_FACTS = 4  # labels are large

Places: TypeAlias = npt.NDArray[np.int64]


class PlannedRows:
    """The rows of the first `last` batches of a list, as they are when this is made."""

    def __init__(self, lake: Lake, name: str, last: int) -> None:
        self._lake, self._name, self._last = lake, name, last
        found = list(_keys(lake, name, range(1, last + 1)))
        keys = np.concatenate([digests for digests, _ in found]) if found else digests_of(())
        numbers = np.concatenate([numbers for _, numbers in found]) if found else np.empty(0, np.int32)
        order = np.argsort(keys, kind="stable")
        self._keys, self._numbers = keys[order], numbers[order]
        self._is_seen = np.zeros(len(keys), np.bool_)
        self._hashes: npt.NDArray[np.uint64] | None = None

    def find(self, digests: Digests) -> Places:
        """The place of each key, shape (n,); -1 where it is not planned."""
        if not len(self._keys):
            return np.full(len(digests), -1, np.int64)
        places = np.minimum(np.searchsorted(self._keys, digests), len(self._keys) - 1)
        return np.where(self._keys[places] == digests, places, -1)

    def first_looks(self, places: Places) -> npt.NDArray[np.bool_]:
        """Whether each of these different places is asked for the first time."""
        is_first = ~self._is_seen[places]
        self._is_seen[places] = True
        return is_first

    def differ(self, places: Places, items: Sequence[PlannedItem]) -> npt.NDArray[np.bool_]:
        """Whether what is planned at each place is not what its item says."""
        if self._hashes is None:
            self._hashes = self._read_hashes()
        differs: npt.NDArray[np.bool_] = self._hashes[places] != _hashes(facts_of(items))
        return differs

    def numbers(self, places: Places) -> list[int]:
        """The number of the batch of each place."""
        return [int(number) for number in self._numbers[places]]

    def _read_hashes(self) -> npt.NDArray[np.uint64]:
        hashes = np.zeros(len(self._keys), np.uint64)
        for rows in _batches(self._lake, self._name, range(1, self._last + 1), FACTS, _N_BATCHES_WITH_FACTS):
            places = self.find(digests_of(rows["item_key"]))
            hashes[places[places >= 0]] = _hashes(rows)[places >= 0]
        return hashes


def planned_keys(lake: Lake, name: str) -> KnownKeys:
    """The item keys of every batch of a list."""
    known = KnownKeys()
    for digests in planned_digests(lake, name, range(1, last_number(lake.table(MANIFEST), name) + 1)):
        known.add(digests)
    return known


def planned_digests(lake: Lake, name: str, numbers: range) -> Iterator[Digests]:
    """The item keys of some batches of a list."""
    return (digests for digests, _ in _keys(lake, name, numbers))


def facts_of(items: Sequence[PlannedItem]) -> pl.DataFrame:
    """The facts of items, with the types of the manifest."""
    rows = [item.row() for item in items]
    return pl.DataFrame([pl.Series(name, [row[name] for row in rows], dtype=MANIFEST.schema[name]) for name in FACTS])


def _hashes(rows: pl.DataFrame) -> npt.NDArray[np.uint64]:
    """One hash a row, which is good inside this process only."""
    return rows.select(pl.struct(FACTS).hash()).to_series().to_numpy()


def _keys(lake: Lake, name: str, numbers: range) -> Iterator[tuple[Digests, npt.NDArray[np.int32]]]:
    for rows in _batches(lake, name, numbers, ("item_key", "batch_id"), _N_BATCHES_PER_READ):
        numbered = {batch_id: number_of(batch_id, name) for batch_id in rows["batch_id"].unique()}
        of_rows = rows["batch_id"].replace_strict(numbered, return_dtype=pl.Int32)
        yield digests_of(rows["item_key"]), of_rows.to_numpy()


def _batches(lake: Lake, name: str, numbers: range, columns: Sequence[str], n_at_once: int) -> Iterator[pl.DataFrame]:
    for start in range(numbers.start, numbers.stop, n_at_once):
        some = range(start, min(start + n_at_once, numbers.stop))
        where = {"batch_id": [batch_id_of(name, number) for number in some]}
        yield lake.scan(MANIFEST, where).select(columns).collect()
