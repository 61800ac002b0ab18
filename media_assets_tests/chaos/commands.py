"""Kills of the real command line, `plan folder` and `materialize`, with Dagster and the pool of workers."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

from media_assets.defs.partitions import BATCHES
from media_assets.defs.tensors import statistics_are_behind
from media_assets.errors import ErrorCode
from media_assets.lake.delta import Lake
from media_assets.lake.location import LakeLocation
from media_assets_tests.chaos.children import are_gone, workers_of
from media_assets_tests.chaos.ground import Tables, failed_items, judge, make_pictures
from media_assets_tests.chaos.result import Result, log_end, say
from media_assets_tests.equality import tables_of

N_BATCHES, BATCH_SIZE = 3, 7
MAX_SECONDS = 300

PLAN_POINTS = (
    ("created ingest/manifest", 1),
    ("before ingest/manifest", 2),
    ("after ingest/manifest", 1),
    ("after ingest/manifest", N_BATCHES),
    ("before registration", 1),
    ("before registration", 2),
    ("before partition", 1),
    ("before partition", N_BATCHES),
    ("after partition", 2),
    ("after partition", N_BATCHES),
)
RUN_POINTS = (
    ("after journal", 5),
    ("after beginning a publication", 2),
    ("after raw/media", 1),
    ("before frames/images", 3),
    ("after tensors/images", 2),
    ("before ingest/item_status", 1),
    ("after ingest/item_status", 2),
    ("before ending a publication", 3),
    ("before clearing the journal", 1),
    ("before tensors/histograms", 1),
    ("after tensors/histograms", 1),
    ("before tensors/statistics", 1),
    ("after tensors/statistics", 1),
)


@dataclass(frozen=True)
class Home:
    """A lake and its Dagster home."""

    root: Path

    @property
    def lake(self) -> Path:
        """The lake's folder."""
        return self.root / "lake"

    @property
    def log(self) -> Path:
        """What the commands printed."""
        return self.root / "log.txt"

    def environment(self) -> dict[str, str]:
        """What the commands are told."""
        told = {"MEDIA_ASSETS_LAKE": str(self.lake), "DAGSTER_HOME": str(self.root / "dagster_home")}
        specs = '[{"size": [32, 32], "resize_shorter_px": 36}]'
        return os.environ | told | {"MEDIA_ASSETS_WORKERS": "1", "MEDIA_ASSETS_TENSOR_SPECS": specs}

    def start(self, *arguments: str, module: str = "media_assets.cli") -> subprocess.Popen[bytes]:
        """Start a command in a process group of its own."""
        self.root.mkdir(parents=True, exist_ok=True)
        with self.log.open("a") as log:
            command = [sys.executable, "-m", module, *arguments]
            return subprocess.Popen(command, env=self.environment(), stdout=log, stderr=log, process_group=0)

    def run(self, *arguments: str) -> None:
        """Run a command, which must succeed."""
        if (code := self.start(*arguments).wait(MAX_SECONDS)) != 0:
            raise RuntimeError(f"media-assets {' '.join(arguments)} ended with {code}: {log_end(self.log)}")

    def instance(self) -> dg.DagsterInstance:
        """The Dagster instance."""
        return dg.DagsterInstance.from_config(str(self.root / "dagster_home"))


@dataclass
class History:
    """What happened in one home."""

    number: int
    n_kills: int = 0
    kinds: list[str] = field(default_factory=list)
    orphans: bool = False
    unfinished_runs: int = 0
    counted: bool = True  # whether the statistics speak of every tensor
    partitions: list[str] = field(default_factory=list)
    failure: str = ""
    missed: list[str] = field(default_factory=list)
    verdict: str = ""
    lost: int = 0
    twice: int = 0


def play_commands(folder: Path, n_histories: int, seed: int, result: Result) -> None:
    """Each history: `plan` killed at a point, `materialize` killed twice, then both again, unharmed."""
    pictures = folder / "photos"
    pictures.mkdir(parents=True)
    for number in range(N_BATCHES):
        for name, body in make_pictures(BATCH_SIZE, number * 1000).items():
            (pictures / name).write_bytes(body)
    plan = ("plan", "folder", str(pictures), "--batch-size", str(BATCH_SIZE))
    clean = Home(folder / "clean")
    clean.run(*plan)
    started = time.monotonic()
    clean.run("materialize")
    seconds = time.monotonic() - started
    tables = tables_of(Lake(LakeLocation(str(clean.lake))))
    players = [_Player(folder, plan, number, tables, seconds, seed) for number in range(n_histories)]
    with ThreadPoolExecutor(2) as lanes:
        for number, history in enumerate(lanes.map(_Player.play, players), 1):
            _tell(history, result)
            say(f"{result.drill}: {number} of {n_histories} histories of commands, {result.kills} kills")


@dataclass(frozen=True)
class _Player:
    folder: Path
    plan: tuple[str, ...]
    number: int
    clean: Tables
    seconds: float  # that an unharmed `materialize` takes
    seed: int

    def play(self) -> History:
        history = History(self.number)
        home = Home(self.folder / f"history-{self.number}")
        draw = random.Random(f"{self.seed}/commands/{self.number}")
        try:
            point, occurrence = PLAN_POINTS[self.number % len(PLAN_POINTS)]
            self._at_point(home, history, point, occurrence, "run", self.plan)
            home.run(*self.plan)
            point, occurrence = RUN_POINTS[self.number % len(RUN_POINTS)]
            what = ("run", "group")[self.number % 2]
            self._at_point(home, history, point, occurrence, what, ("materialize", "--again"))
            self._at_random(home, history, ("run", "worker", "group")[self.number % 3], draw)
            home.run("materialize")
            if failed_items(home.lake, {ErrorCode.DECODER_CRASHED.value}):
                home.run("dead-letters", "replay", "--code", ErrorCode.DECODER_CRASHED.value)
            verdict = judge(home.lake, self.clean)
        except Exception as error:
            history.failure = f"{type(error).__name__}: {error}"
            return history
        history.counted = not statistics_are_behind(Lake(LakeLocation(str(home.lake))))
        history.lost, history.twice = verdict.lost, verdict.twice
        history.verdict = "" if verdict.is_clean else str(verdict)
        with home.instance() as instance:
            open_ones = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING]
            history.unfinished_runs = len(instance.get_runs(dg.RunsFilter(statuses=open_ones)))
            assert BATCHES.name is not None
            history.partitions = list(instance.get_dynamic_partitions(BATCHES.name))
        return history

    def _at_point(
        self, home: Home, history: History, point: str, occurrence: int, what: str, command: tuple[str, ...]
    ) -> None:
        module = "media_assets_tests.chaos.dying_cli"
        code = home.start(point, str(occurrence), what, *command, module=module).wait(MAX_SECONDS)
        if code == -signal.SIGKILL:
            history.n_kills += 1
            history.kinds.append(f"{what} of {command[0]} at a named point")
        else:
            history.missed.append(f"{point} #{occurrence} of {command[0]} ({code})")

    def _at_random(self, home: Home, history: History, what: str, draw: random.Random) -> None:
        process = home.start("materialize", "--again")
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(draw.uniform(0.2, 0.9) * self.seconds)
        deadline = time.monotonic() + 60
        while what == "worker" and not workers_of(process.pid) and process.poll() is None:
            time.sleep(0.01)
            if time.monotonic() > deadline:
                break
        workers = workers_of(process.pid)
        if process.poll() is None and (workers or what != "worker"):
            history.n_kills += 1
            history.kinds.append(f"{what} of materialize at a random moment")
            if what == "worker":
                os.kill(draw.choice(workers), signal.SIGKILL)
            else:
                (os.killpg if what == "group" else os.kill)(process.pid, signal.SIGKILL)
        code = process.wait(MAX_SECONDS)
        if what == "worker" and code != 0:
            raise RuntimeError(f"a killed worker took materialize with it ({code}): {log_end(home.log)}")
        history.orphans |= not are_gone(workers)


def _tell(history: History, result: Result) -> None:
    told = f"history {history.number} of commands ({', '.join(history.kinds)})"
    result.kills += history.n_kills
    result.faults += history.n_kills
    result.lost += history.lost
    result.twice += history.twice
    for kind in history.kinds:
        result.count("killed", kind)
    result.promise("every named point is reached", holds=not history.missed, case=f"{told}: {history.missed}")
    result.promise("the next run completes", holds=not history.failure, case=f"{told}: {history.failure}")
    result.promise("tables equal those of a clean run", holds=not history.verdict, case=f"{told}: {history.verdict}")
    result.promise("no worker outlives its run", holds=not history.orphans, case=told)
    if not history.failure:
        result.promise("statistics count every tensor", holds=history.counted, case=told)
        result.promise("no run stays open in Dagster", holds=history.unfinished_runs == 0, case=told)
        is_whole = len(history.partitions) == len(set(history.partitions)) == N_BATCHES
        result.promise("every batch is one partition", holds=is_whole, case=f"{told}: {history.partitions}")
