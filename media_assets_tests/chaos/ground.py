"""The ground a drill stands on: pictures, a planned lake over them, and the tables that a clean run makes of it."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from media_assets.engine.map_items import Engine, InProcessEngine, ProcessPoolEngine
from media_assets.lake.blobs import BlobStore
from media_assets.lake.delta import Lake, Provenance
from media_assets.lake.journal import FetchJournal
from media_assets.lake.location import LakeLocation
from media_assets.lake.publications import Publications
from media_assets.stages.images import read_batch
from media_assets.stages.report import BatchReport
from media_assets.stages.stage import IMAGE_STAGES
from media_assets.stages.workbench import FetchSettings, ReadOptions, RetryOnly, Workbench
from media_assets.tables import ALL_TABLES, ITEM_STATUS, MANIFEST
from media_assets.tables.columns import Status
from media_assets_tests.equality import missing_blobs, tables_of
from media_assets_tests.media.pictures import make_jpeg, make_png, make_rgba, save
from media_assets_tests.stages.batches import FAST, LOOPBACK, SMALL, write_manifest

SIZE_PX = (48, 32)

Tables = dict[str, list[tuple[Any, ...]]]


def make_pictures(n_items: int, first: int = 0) -> dict[str, bytes]:
    """Name → bytes of `n_items` pictures: good ones, one with alpha, a PNG, a repeat, and one that is cut short."""
    files = {f"{first + i:05d}.jpg": make_jpeg(first + i, SIZE_PX) for i in range(n_items - 4)}
    files[f"{first:05d}-alpha.png"] = save(make_rgba(first + 7, SIZE_PX), "PNG")
    files[f"{first:05d}-plain.png"] = make_png(first + 4, SIZE_PX)
    files[f"{first:05d}-repeat.jpg"] = files[f"{first:05d}.jpg"]
    files[f"{first:05d}-cut.jpg"] = make_jpeg(first + 9, SIZE_PX)[:-300]
    return files


@dataclass(frozen=True)
class Verdict:
    """A lake held against the clean run's tables."""

    lost: int
    twice: int
    strange: int  # rows that a clean run does not make
    unreconciled: tuple[str, ...]
    blobs: int  # named and not whole
    left_over: tuple[str, ...]  # publications and journals that a finished batch does not have

    @property
    def is_clean(self) -> bool:
        """Whether there is nothing to complain about."""
        return not (self.lost or self.twice or self.strange or self.unreconciled or self.blobs or self.left_over)


@dataclass(frozen=True)
class Batches:
    """Planned batches over pictures that lie at `base` (a URL of a folder or of a server)."""

    base: str
    keys: dict[str, tuple[str, ...]]  # batch id → item keys
    roots: tuple[Path, ...] = ()  # local folders that may be read

    def plan(self, lake: Lake) -> None:
        """Write the manifest."""
        for batch_id, keys in self.keys.items():
            write_manifest(lake, [{"item_key": key, "uri": f"{self.base}/{key}"} for key in keys], batch_id)

    def bench(self, root: Path, n_workers: int = 0) -> Workbench:
        """A workbench over a lake; 0 workers: decode in this process."""
        location = LakeLocation(str(root))
        engine: Engine = ProcessPoolEngine(n_workers) if n_workers else InProcessEngine()
        fetch = FetchSettings(replace(FAST, n_connections=4), LOOPBACK, self.roots)
        return Workbench(Lake(location), BlobStore.at(location), engine, fetch)

    def read(
        self,
        root: Path,
        batch_id: str | None = None,
        *,
        retry: Iterable[str] | None = None,
        n_workers: int = 0,
        bench: Workbench | None = None,
        run_id: str = "run",
    ) -> BatchReport:
        """Read one batch (None: the only one)."""
        options = ReadOptions(
            specs=(SMALL,), n_thumbnails=0, retry_only=None if retry is None else RetryOnly(frozenset(retry))
        )
        batch = batch_id or next(iter(self.keys))
        bench = bench or self.bench(root, n_workers)
        return read_batch(bench, batch, IMAGE_STAGES, options, Provenance(run_id, "1"))


@dataclass(frozen=True)
class Ground:
    """Lakes below one folder: a planned one to copy, and the tables of a clean run."""

    folder: Path
    batches: Batches
    template: Path = field(init=False)

    def __post_init__(self) -> None:
        """Plan the template."""
        object.__setattr__(self, "template", self.folder / "template")
        self.batches.plan(Lake(LakeLocation(str(self.template))))

    def lake(self, name: str, of: Path | None = None) -> Path:
        """A fresh copy of the planned lake, or of another one."""
        root = self.folder / name
        shutil.copytree(of or self.template, root)
        return root

    @cached_property
    def clean(self) -> Tables:
        """What an undisturbed run makes."""
        root = self.lake("clean")
        for batch_id in self.batches.keys:
            self.batches.read(root, batch_id)
        return tables_of(Lake(LakeLocation(str(root))))

    def judge(self, root: Path) -> Verdict:
        """Hold a lake against the clean run."""
        return judge(root, self.clean)


def judge(root: Path, clean: Tables) -> Verdict:
    """Hold a lake against the tables of a clean run."""
    location = LakeLocation(str(root))
    lake = Lake(location)
    found = tables_of(lake)
    lost = strange = twice = 0
    for contract in ALL_TABLES:
        if contract.name not in clean:
            continue
        want, got = Counter(map(repr, clean[contract.name])), Counter(map(repr, found[contract.name]))
        lost += (want - got).total()
        strange += (got - want).total()
        keys = lake.scan(contract).select(contract.primary_key).collect()
        twice += keys.height - keys.n_unique()
    left = tuple(left_over(lake))
    return Verdict(
        lost, twice, strange, tuple(unreconciled(lake)), len(missing_blobs(lake, BlobStore.at(location))), left
    )


def left_over(lake: Lake) -> list[str]:
    """Publications and journals that finished batches do not have."""
    journals = [f"journal of {batch_id}" for batch_id in lake.partition_values(MANIFEST) if _owes(lake, batch_id)]
    return journals + [f"publication of {batch_id}" for batch_id in Publications.of(lake.location).unfinished()]


def _owes(lake: Lake, batch_id: str) -> bool:
    """Whether a batch's journal names bytes that its statuses do not.

    One that names the same was left by a run that was killed while it fetched a finished batch again: it costs nothing
    and the next reading of the batch clears it.
    """
    entries = FetchJournal.of(lake.location, batch_id).entries()
    where = {"stage": ["raw.media"], "batch_id": [batch_id]}
    known = dict(lake.scan(ITEM_STATUS, where).select("item_key", "blob").collect().iter_rows())
    return any(known.get(key) != entry.media_id for key, entry in entries.items())


def unreconciled(lake: Lake) -> list[str]:
    """What does not add up, from the tables alone: items against statuses, statuses against rows."""
    problems = []
    entered = _keys(lake.scan(MANIFEST).select("batch_id", "item_key").collect().rows())
    for stage in IMAGE_STAGES:
        rows = lake.scan(ITEM_STATUS, {"stage": [stage.name]}).select("batch_id", "item_key", "status", "n_outputs")
        statuses = rows.collect().rows()
        if _keys((batch, key) for batch, key, _, _ in statuses) != entered:
            problems.append(f"{stage.name}: {len(statuses)} statuses for {entered.total()} items")
        promised = sum(n for _, _, _, n in statuses)
        n_rows = lake.scan(stage.contract).select("batch_id").collect().height
        if promised != n_rows:
            problems.append(f"{stage.name}: {n_rows} rows, {promised} promised")
        entered = _keys((batch, key) for batch, key, status, _ in statuses if Status(status).goes_on)
    return problems


def _keys(pairs: Iterable[tuple[str, str]]) -> Counter[tuple[str, str]]:
    return Counter(pairs)


def failed_items(root: Path, codes: Collection[str]) -> dict[str, list[str]]:
    """Batch id → items that failed for one of these codes."""
    rows = Lake(LakeLocation(str(root))).scan(ITEM_STATUS).select("batch_id", "item_key", "error_code").collect()
    found: dict[str, list[str]] = {}
    for batch_id, key, code in rows.iter_rows():
        if code in codes:
            found.setdefault(batch_id, []).append(key)
    return found
