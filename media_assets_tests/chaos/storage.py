"""`storage`: the n-th storage call of a batch fails once, for every n until a run passes without getting there.

Whatever fails is visible: the run raises, or items are dead letters. The next run, or a replay of the dead letters,
ends like a clean run.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from media_assets.errors import ErrorCode
from media_assets.lake.delta import Lake
from media_assets.lake.location import LakeLocation
from media_assets.tables import ITEM_STATUS
from media_assets_tests.chaos.calls import KINDS, storage_fails
from media_assets_tests.chaos.ground import Batches, Ground, Tables, failed_items, judge, make_pictures, unreconciled
from media_assets_tests.chaos.result import Options, Result, say
from media_assets_tests.equality import tables_of

BATCH = "test.0001"
N_PROCESSES = 2
_OURS = {ErrorCode.STORAGE_FAILED.value, ErrorCode.BLOB_DAMAGED.value}


@dataclass(frozen=True)
class Trial:
    """One failing call, in a lake of its own."""

    folder: Path
    batches: Batches
    before: Path
    clean: Tables

    def fail(self, kind: str, at: int, only: str | None = None) -> Finding:
        """Run with the fault, then without."""
        root = self.folder / f"{kind}-{at}-{only}".replace(" ", "-")
        shutil.copytree(self.before, root)
        raised = ""
        with storage_fails(kind, at, only) as fault:
            try:
                self.batches.read(root)
            except Exception as error:
                raised = type(error).__name__
        if fault.hit is None:
            shutil.rmtree(root)
            return Finding(kind, at, "", raised)
        finding = Finding(kind, at, fault.hit, raised)
        try:
            self._mend(root, finding)
        except Exception as error:
            finding.unmended = f"{type(error).__name__}: {error}"
            return finding
        verdict = judge(root, self.clean)
        finding.lost, finding.twice = verdict.lost, verdict.twice
        finding.verdict = "" if verdict.is_clean else str(verdict)
        if not (finding.verdict or finding.silent):
            shutil.rmtree(root)
        return finding

    def _mend(self, root: Path, finding: Finding) -> None:
        failed = failed_items(root, _OURS)
        if finding.raised:
            self.batches.read(root)
            return
        finding.n_dead_letters = sum(map(len, failed.values()))
        finding.silent = self._is_silent(root)
        if failed:
            self.batches.read(root, retry=failed[BATCH])

    def _is_silent(self, root: Path) -> bool:
        """Whether a run that said nothing left something wrong, beyond its dead letters."""
        lake = Lake(LakeLocation(str(root)))
        failed = {key for keys in failed_items(root, _OURS).values() for key in keys}
        # The repeat of a picture that is a dead letter is no repeat any more, as long as it is one.
        told = {*failed, *(key for key in self.batches.keys[BATCH] if failed and key.endswith("-repeat.jpg"))}
        status = {name: {key: repr(row) for key, row in _statuses(rows)} for name, rows in self._both(lake).items()}
        others = {key for key in status["found"].keys() | status["clean"].keys() if key[1] not in told}
        return bool(unreconciled(lake)) or any(status["found"].get(key) != status["clean"].get(key) for key in others)

    def _both(self, lake: Lake) -> dict[str, list[tuple[Any, ...]]]:
        return {"found": tables_of(lake)[ITEM_STATUS.name], "clean": self.clean[ITEM_STATUS.name]}


def _statuses(rows: list[tuple[Any, ...]]) -> Iterator[tuple[tuple[str, str], tuple[Any, ...]]]:
    for row in rows:
        yield (row[0], row[2]), row  # stage and item


@dataclass
class Finding:
    """What one failing call led to."""

    kind: str
    at: int
    hit: str  # the call; empty: the run has fewer calls
    raised: str
    n_dead_letters: int = 0
    silent: bool = False
    unmended: str = ""
    verdict: str = ""
    lost: int = 0
    twice: int = 0


_trial: Trial | None = None


def _begin(trial: Trial) -> None:
    global _trial
    _trial = trial


def _fail(job: tuple[str, int]) -> Finding:
    assert _trial is not None
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):  # noqa: PTH123 - no path of ours
        return _trial.fail(*job)


def run(folder: Path, options: Options) -> Result:
    """Every kind and every n, over a first run and over a batch that is read again."""
    result = Result("storage", options.seed)
    for name, trial in make_trials(folder, 8 if options.small else 50).items():
        for kind in KINDS:
            _sweep(trial, name, kind, result)
    return result


def make_trials(folder: Path, n_items: int) -> dict[str, Trial]:
    """Trials of a batch that was never read, and of one that is read again."""
    photos = folder / "photos"
    photos.mkdir(parents=True)
    files = make_pictures(n_items)
    for name, body in files.items():
        (photos / name).write_bytes(body)
    batches = Batches(photos.as_uri(), {BATCH: tuple(files)}, (photos,))
    ground = Ground(folder / "lakes", batches)
    done = ground.lake("done")
    batches.read(done)
    before = {"first run": ground.template, "run again": done}
    return {name: Trial(folder / name.replace(" ", "-"), batches, lake, ground.clean) for name, lake in before.items()}


def _sweep(trial: Trial, name: str, kind: str, result: Result) -> None:
    """Every n from 1 until a run does not get there."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["media_assets_tests.chaos.ground", "media_assets_tests.chaos.calls"])
    calls: Counter[str] = Counter()
    with ProcessPoolExecutor(N_PROCESSES, context, initializer=_begin, initargs=(trial,)) as pool:
        for first in count(1, 16):
            found = list(pool.map(_fail, [(kind, at) for at in range(first, first + 16)]))
            for finding in found:
                if finding.hit:
                    calls[finding.hit] += 1
                    _tell(finding, name, result)
            if not all(finding.hit for finding in found):
                break
    result.detail.setdefault("calls", {})[f"{name}, {kind}"] = dict(calls.most_common())
    say(f"{result.drill}: {name}, {kind}: {calls.total()} calls")


def _tell(finding: Finding, name: str, result: Result) -> None:
    told = f"{name}: call {finding.at} ({finding.hit}) with {finding.kind}"
    result.faults += 1
    result.lost += finding.lost
    result.twice += finding.twice
    became = f"run failed: {finding.raised}" if finding.raised else "dead letters" if finding.n_dead_letters else "done"
    result.count("became", became)
    result.promise("nothing is silent", holds=not finding.silent, case=told)
    result.promise("the next run completes", holds=not finding.unmended, case=f"{told}: {finding.unmended}")
    result.promise("tables equal those of a clean run", holds=not finding.verdict, case=f"{told}: {finding.verdict}")
