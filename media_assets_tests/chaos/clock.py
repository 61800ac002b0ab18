"""`clock`: the wall clock jumps back by a day or ahead by a year, between runs and in the middle of them.

The clock of Python and of the workbench is moved in this process; with libfaketime, that of the Delta library as well.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

from media_assets.lake.delta import Lake
from media_assets.lake.location import LakeLocation
from media_assets.lake.overview import DeadLetterFilter, dead_letters
from media_assets.tables import ALL_TABLES, ITEM_STATUS
from media_assets_tests.chaos.ground import Batches, Ground, judge, make_pictures
from media_assets_tests.chaos.result import Options, Result, say

BATCH = "test.0001"
JUMPS = {
    "a day back": timedelta(days=-1),
    "a year back": timedelta(days=-365),
    "a year ahead": timedelta(days=365),
    "an hour back": timedelta(hours=-1),
    "nowhere": timedelta(),
}


class MovedClock:
    """A wall clock that is wrong by an offset, which may change at every look (`jumps`)."""

    def __init__(self, offset: timedelta, jumps: random.Random | None = None) -> None:
        self.offset, self._jumps = offset, jumps
        self._time = time.time

    def seconds(self) -> float:
        """Seconds since 1970, as this clock has it."""
        if self._jumps is not None:
            self.offset = self._jumps.choice(list(JUMPS.values()))
        return self._time() + self.offset.total_seconds()

    def now(self) -> datetime:
        """The same as a time."""
        return datetime.fromtimestamp(self.seconds(), UTC)


@contextmanager
def moved(clock: MovedClock) -> Iterator[None]:
    """Every `time.time` of this process is this clock's."""
    with patch.object(time, "time", clock.seconds):
        yield


def run(folder: Path, options: Options) -> Result:
    """Histories of three runs, each at another time, then one whose clock jumps at every look."""
    result = Result("clock", options.seed)
    photos = folder / "photos"
    photos.mkdir(parents=True)
    files = make_pictures(8)
    for name, body in files.items():
        (photos / name).write_bytes(body)
    ground = Ground(folder / "lakes", Batches(photos.as_uri(), {BATCH: tuple(files)}, (photos,)))
    _ = ground.clean
    n_histories = 3 if options.small else 60
    for number in range(n_histories):
        draw = random.Random(f"{options.seed}/{number}")
        names = [draw.choice(list(JUMPS)) for _ in range(3)]
        clocks = [MovedClock(JUMPS[name]) for name in names]
        if number % 3 == 2:
            names[-1], clocks[-1] = "jumping", MovedClock(timedelta(), draw)
        _play(ground, f"history-{number}", names, clocks, result)
    _with_faketime(ground, result)
    say(f"clock: {n_histories} histories")
    return result


def _play(ground: Ground, name: str, names: list[str], clocks: list[MovedClock], result: Result) -> None:
    root = ground.lake(name)
    versions: list[dict[str, int]] = []
    told = f"{name} ({', '.join(names)})"
    for number, clock in enumerate(clocks):
        bench = replace(ground.batches.bench(root), now=clock.now)
        with moved(clock):
            retry = None if number != 1 else (f"{0:05d}-cut.jpg",)
            ground.batches.read(root, bench=bench, retry=retry, run_id=f"run-{number}")
        result.faults += names[number] != "nowhere"
        versions.append(_versions(bench.lake))
    _judge(ground, root, told, result)
    pairs = pairwise(versions)
    grows = all(after[table] > before[table] for before, after in pairs for table in after)
    result.promise("versions grow with each commit", holds=grows, case=f"{told}: {versions}")


def _judge(ground: Ground, root: Path, told: str, result: Result) -> None:
    verdict = judge(root, ground.clean)
    result.lost += verdict.lost
    result.twice += verdict.twice
    result.promise("tables equal those of a clean run", holds=verdict.is_clean, case=f"{told}: {verdict}")
    lake = Lake(LakeLocation(str(root)))
    rows = lake.scan(ITEM_STATUS).collect()
    is_ordered = (rows["last_failed_at"] >= rows["first_failed_at"]).all()
    result.promise("no failure is younger than the latest", holds=bool(is_ordered), case=told)
    latest = lake.scan(ITEM_STATUS).select("run_id").unique().collect()["run_id"].to_list()
    result.promise("the last commit counts, not the latest time", holds=len(latest) == 1, case=f"{told}: {latest}")
    letters = dead_letters(lake, DeadLetterFilter(older_than=timedelta(0)), now=datetime(1980, 1, 1, tzinfo=UTC))
    result.promise("nothing has failed before it did", holds=letters.is_empty(), case=told)


def _versions(lake: Lake) -> dict[str, int]:
    tables = {contract.path: lake.table(contract) for contract in ALL_TABLES if contract.path != "ingest/manifest"}
    return {path: table.version() for path, table in tables.items() if table is not None}


def _with_faketime(ground: Ground, result: Result) -> None:
    """The same with a moved clock for the whole process, the Delta library's too."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
    result.detail["libfaketime"] = str(library or "not installed: the Delta library saw the true time")
    if library is None:
        return
    root = ground.lake("faketime")
    for number, offset in enumerate(("+365d", "-1d", "+0d")):
        told = {"LD_PRELOAD": str(library), "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        arguments = [str(root), ground.batches.base, *ground.batches.keys[BATCH]]
        command = [sys.executable, "-m", "media_assets_tests.chaos.clock", f"run-{number}", *arguments]
        done = subprocess.run(command, env=os.environ | told, capture_output=True, text=True, timeout=120, check=False)
        result.faults += 1
        result.promise("the next run completes", holds=done.returncode == 0, case=f"{offset}: {done.stderr[-500:]}")
    _judge(ground, root, "with libfaketime", result)


def _main(run_id: str, root: str, base: str, *keys: str) -> None:
    photos = Path(base.removeprefix("file://"))
    Batches(base, {BATCH: keys}, (photos,)).read(Path(root), run_id=run_id)


if __name__ == "__main__":
    _main(*sys.argv[1:])
