"""Kills at the named points and at random moments of one batch: `read_batch` in a light process, no Dagster."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from media_assets.errors import ErrorCode
from media_assets.lake.crash_points import watch_crash_points
from media_assets.stages.done import done_batches
from media_assets.stages.stage import IMAGE_STAGES
from media_assets_tests.chaos.children import Child, Errand, are_gone, workers_of
from media_assets_tests.chaos.ground import Batches, Ground, failed_items, make_pictures, unreconciled
from media_assets_tests.chaos.result import Result, log_end, say
from media_assets_tests.shelf import Shelf

BATCH = "test.0001"
N_LANES = 2
MISSING = "99999-missing.jpg"


@dataclass(frozen=True)
class Scene:
    """Where runs are killed: a lake before its first run, or a done one whose failed items are replayed."""

    name: str
    ground: Ground
    shelf: Shelf
    before: Path  # the lake that every case begins with
    retry: tuple[str, ...] | None
    points: Counter[str]  # every point that an undisturbed run reaches, and how often
    seconds: float  # that an undisturbed run takes in a light process

    def errand(self, root: Path, point: str = "", number: int = 1, **more: bool | int) -> Errand:
        """A run of this scene."""
        return Errand(self.ground.batches, root, BATCH, point, number, retry=self.retry, **more)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Case:
    """One history: a kill, then perhaps a second one at a random moment, then the run that must make all well."""

    number: int
    scene: Scene
    what: str  # run, group, worker
    point: str  # "": a random moment
    occurrence: int
    n_workers: int
    random: random.Random
    is_killed_again: bool = False

    def __str__(self) -> str:
        moment = f"at {self.point!r} #{self.occurrence}" if self.point else "at a random moment"
        return f"case {self.number}: {self.what} of {self.scene.name} killed {moment}"


def make_scenes(folder: Path, shelves: tuple[Shelf, Shelf], n_items: int) -> list[Scene]:
    """A first run, and a replay after the source was mended."""
    scenes = []
    for name, shelf in zip(("first run", "replay"), shelves, strict=True):
        shelf.files = make_pictures(n_items - 1)
        keys = (*shelf.files, MISSING)
        ground = Ground(folder / name.replace(" ", "-"), Batches(shelf.url, {BATCH: keys}))
        retry, before = None, ground.template
        if name == "replay":
            before = ground.lake("before")
            ground.batches.read(before)
            shelf.files[MISSING] = make_png_missing()
            retry = (MISSING, f"{0:05d}-cut.jpg")
        _ = ground.clean  # made while nobody else is at work
        scenes.append(_surveyed(name, ground, shelf, before, retry))
    return scenes


def make_png_missing() -> bytes:
    """What the missing picture turns out to be."""
    from media_assets_tests.media.pictures import make_png

    return make_png(77, (40, 40))


def _surveyed(name: str, ground: Ground, shelf: Shelf, before: Path, retry: tuple[str, ...] | None) -> Scene:
    points: Counter[str] = Counter()
    watch_crash_points(lambda point: points.update([point]))
    ground.batches.read(ground.lake("survey", before), retry=retry)
    watch_crash_points()
    draft = Scene(name, ground, shelf, before, retry, points, 0.0)
    times = []
    for number in range(2):
        child = Child(draft.errand(ground.lake(f"timing-{number}", before)))
        started = time.monotonic()
        if (code := child.end()) != 0:
            raise RuntimeError(f"an undisturbed run ended with {code}: {log_end(ground.folder / 'timing-0.log')}")
        times.append(time.monotonic() - started)
    return Scene(name, ground, shelf, before, retry, points, min(times))


def named_cases(scenes: list[Scene], n_each: int, seed: int) -> Iterator[Case]:
    """Every point of every scene: the first, the middle and the last time that it is reached, `n_each` times."""
    number = 0
    for scene in scenes:
        for point, n_reached in sorted(scene.points.items()):
            for occurrence in sorted({1, (n_reached + 1) // 2, n_reached}):
                for turn in range(n_each):
                    number += 1
                    what = ("run", "group")[turn % 2]
                    is_again = number % 5 == 0
                    draw = random.Random(f"{seed}/named/{number}")
                    yield Case(number, scene, what, point, occurrence, 0, draw, is_again)


def random_cases(scenes: list[Scene], n_runs: int, n_groups: int, n_workers: int, seed: int) -> Iterator[Case]:
    """Kills at random moments: of runs and groups, with and without a pool, and of single workers."""
    kinds = ["run"] * n_runs + ["group"] * n_groups + ["worker"] * n_workers
    for number, what in enumerate(kinds, 1):
        scene = scenes[number % len(scenes)] if what != "worker" else scenes[0]
        n_in_pool = 2 if what == "worker" or number % 3 == 0 else 0
        yield Case(1000 + number, scene, what, "", 0, n_in_pool, random.Random(f"{seed}/random/{number}"))


def play(cases: list[Case], result: Result) -> None:
    """Play every case, two at a time, and note what became of it."""
    with ThreadPoolExecutor(N_LANES) as lanes:
        for number, note in enumerate(lanes.map(_played, cases), 1):
            note.tell(result)
            if number % 25 == 0 or number == len(cases):
                say(f"{result.drill}: {number} of {len(cases)} light cases, {result.kills} kills")


@dataclass
class _Note:
    """What one case brought. Made in its lane, told in the main thread."""

    case: Case
    n_kills: int = 0
    orphans: bool = False
    half_done: str = ""
    failure: str = ""
    missed: bool = False
    verdict: str = ""
    lost: int = 0
    twice: int = 0

    def tell(self, result: Result) -> None:
        """Add it to the drill's result."""
        told = str(self.case)
        result.kills += self.n_kills
        result.faults += self.n_kills
        result.lost += self.lost
        result.twice += self.twice
        kind = f"{self.case.what} at a named point" if self.case.point else f"{self.case.what} at a random moment"
        if self.n_kills:
            result.count("killed", kind)
        if self.case.point:
            result.count("points", f"{self.case.scene.name}: {self.case.point}")
            result.promise("every named point is reached", holds=not self.missed, case=told)
        result.promise("the next run completes", holds=not self.failure, case=f"{told}: {self.failure}")
        result.promise("a batch that looks done is whole", holds=not self.half_done, case=f"{told}: {self.half_done}")
        result.promise("tables equal those of a clean run", holds=not self.verdict, case=f"{told}: {self.verdict}")
        result.promise("no worker outlives its run", holds=not self.orphans, case=told)


def _played(case: Case) -> _Note:
    note = _Note(case)
    root = case.scene.ground.lake(f"case-{case.number}", case.scene.before)
    try:
        _kill(case, root, note)
        if case.is_killed_again:
            _kill_at_random(Child(case.scene.errand(root)), case, note)
        _resume(case, root, note)
    except Exception as error:
        log = log_end(root.parent / f"{root.name}.log")
        note.failure = f"{type(error).__name__}: {error}; {log}"
        return note
    verdict = case.scene.ground.judge(root)
    note.lost, note.twice = verdict.lost, verdict.twice
    note.verdict = "" if verdict.is_clean else str(verdict)
    if verdict.is_clean:
        shutil.rmtree(root)
    return note


def _kill(case: Case, root: Path, note: _Note) -> None:
    is_group = case.what == "group"
    errand = case.scene.errand(root, case.point, case.occurrence, dies_with_group=is_group, n_workers=case.n_workers)
    child = Child(errand)
    if case.point:
        note.n_kills += (code := child.end()) == -signal.SIGKILL
        note.missed = code != -signal.SIGKILL
    elif case.what == "worker":
        _kill_a_worker(child, case, note)
    else:
        _kill_at_random(child, case, note, group=is_group)


def _kill_at_random(child: Child, case: Case, note: _Note, *, group: bool = False) -> None:
    # A pool's workers need a while to start; the first decoding is what should be hit as often as the end.
    longest = case.scene.seconds * 1.05 + (2.0 if case.n_workers else 0.0)
    if child.wait(case.random.uniform(0, longest)) is not None:
        return  # too late: it was done
    workers = workers_of(child.pid)
    child.kill(group=group)
    note.n_kills += child.wait() == -signal.SIGKILL
    note.orphans |= not are_gone(workers)


def _kill_a_worker(child: Child, case: Case, note: _Note) -> None:
    deadline = time.monotonic() + 60
    while not (workers := workers_of(child.pid)) and child.wait(0.01) is None and time.monotonic() < deadline:
        pass
    child.wait(case.random.uniform(0, case.scene.seconds + 0.8))
    if workers := workers_of(child.pid):
        os.kill(case.random.choice(workers), signal.SIGKILL)
        note.n_kills += 1
    if (code := child.end()) != 0:
        raise RuntimeError(f"the run ended with {code} after one of its workers was killed")


def _resume(case: Case, root: Path, note: _Note) -> None:
    """What a person does next: materialize what is not done; replay what failed and need not have."""
    batches = case.scene.ground.batches
    lake = batches.bench(root).lake
    if BATCH in done_batches(lake, IMAGE_STAGES):
        note.half_done = "; ".join(unreconciled(lake))
    else:
        batches.read(root)
    retry = failed_items(root, {ErrorCode.DECODER_CRASHED.value}).get(BATCH, [])
    if case.scene.retry is not None:
        retry = [*retry, *case.scene.retry]
    if retry:
        batches.read(root, retry=retry)
