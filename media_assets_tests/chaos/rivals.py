"""`rivals`: four processes backfill overlapping sets of batches at once, in one lake and one Dagster home."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path

from media_assets_tests.chaos.children import MAX_SECONDS
from media_assets_tests.chaos.ground import Batches, Ground, judge, make_pictures
from media_assets_tests.chaos.result import Options, Result, log_end, say

N_RIVALS = 4
N_TRIES = 3  # of a batch by one rival: one that lost a race tries again, as Dagster's retry policy does


@dataclass(frozen=True)
class Rival:
    """One process and the batches that it backfills, in its order."""

    number: int
    root: Path
    batches: Batches
    batch_ids: tuple[str, ...]
    with_dagster: bool

    @property
    def log(self) -> Path:
        """What it printed."""
        return self.root.parent / f"{self.root.name}-rival-{self.number}.log"


def run(folder: Path, options: Options) -> Result:
    """Rounds of bare runs over a fresh lake, then one through Dagster."""
    result = Result("rivals", options.seed)
    n_batches, n_rounds = (3, 1) if options.small else (12, 6)
    photos = folder / "photos"
    photos.mkdir(parents=True)
    keys = {}
    for number in range(n_batches):
        files = make_pictures(6, number * 1000)
        for name, body in files.items():
            (photos / name).write_bytes(body)
        keys[f"test.{number + 1:04d}"] = tuple(files)
    ground = Ground(folder / "lakes", Batches(photos.as_uri(), keys, (photos,)))
    _ = ground.clean
    for number in range(n_rounds):
        _round(ground, f"round-{number}", random.Random(f"{options.seed}/{number}"), result, with_dagster=False)
        say(f"rivals: round {number + 1} of {n_rounds}")
    if not options.small:
        _round(ground, "dagster", random.Random(f"{options.seed}/dagster"), result, with_dagster=True)
        say("rivals: the round through Dagster")
    return result


def _round(ground: Ground, name: str, draw: random.Random, result: Result, *, with_dagster: bool) -> None:
    root = ground.lake(f"{name}/lake")
    if with_dagster:
        _register(root, list(ground.batches.keys))
    rivals = [Rival(n, root, ground.batches, _share(ground, draw), with_dagster) for n in range(N_RIVALS)]
    if missing := set(ground.batches.keys) - {batch for rival in rivals for batch in rival.batch_ids}:
        rivals[0] = Rival(0, root, ground.batches, (*rivals[0].batch_ids, *sorted(missing)), with_dagster)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["media_assets_tests.chaos.ground"])
    barrier = context.Barrier(N_RIVALS)
    processes = [context.Process(target=_backfill, args=(rival, barrier), daemon=True) for rival in rivals]
    for process in processes:
        process.start()
    for rival, process in zip(rivals, processes, strict=True):
        process.join(MAX_SECONDS * (4 if with_dagster else 1))
        if process.exitcode != 0:
            told = f"{name}: rival {rival.number} ended with {process.exitcode}: {log_end(rival.log)}"
            result.promise("every rival completes its batches", holds=False, case=told)
            process.kill()
    result.promise("every rival completes its batches", holds=True)
    result.faults += sum(len(rival.batch_ids) for rival in rivals)
    result.count("rounds", "through Dagster" if with_dagster else "bare")
    lost_races = sum(rival.log.read_text(errors="replace").count("lost a race") for rival in rivals)
    result.detail["lost_races"] = result.detail.get("lost_races", 0) + lost_races
    verdict = judge(root, ground.clean)
    result.lost += verdict.lost
    result.twice += verdict.twice
    result.promise("tables equal those of a clean run", holds=verdict.is_clean, case=f"{name}: {verdict}")


def _share(ground: Ground, draw: random.Random) -> tuple[str, ...]:
    """Three quarters of the batches, in an order of their own: every two rivals overlap."""
    batch_ids = list(ground.batches.keys)
    return tuple(draw.sample(batch_ids, max(2, len(batch_ids) * 3 // 4)))


def _register(root: Path, batch_ids: Sequence[str]) -> None:
    import dagster as dg

    home = root.parent / "dagster_home"
    home.mkdir(parents=True)
    with dg.DagsterInstance.from_config(str(_with_configuration(home))) as instance:
        instance.add_dynamic_partitions("batches", list(batch_ids))


def _with_configuration(home: Path) -> Path:
    from media_assets import defs

    (home / "dagster.yaml").write_bytes((Path(defs.__file__).parent / "dagster.yaml").read_bytes())
    return home


def _backfill(rival: Rival, barrier: Barrier) -> None:
    log = os.open(rival.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    barrier.wait(MAX_SECONDS)
    if rival.with_dagster:
        _backfill_through_dagster(rival)
        return
    for batch_id in rival.batch_ids:
        for attempt in range(N_TRIES):
            try:
                rival.batches.read(rival.root, batch_id, run_id=f"rival-{rival.number}")
                break
            except Exception as error:
                print(f"{batch_id}: lost a race ({type(error).__name__}: {error})", flush=True)
                if attempt == N_TRIES - 1:
                    raise
                time.sleep(0.2 * (attempt + 1))


def _backfill_through_dagster(rival: Rival) -> None:
    """As `media-assets materialize` does it, one batch after the other."""
    from media_assets.defs.resources import Settings, dagster_home, open_instance
    from media_assets.defs.runs import Launcher

    specs = '[{"size": [32, 32], "resize_shorter_px": 36}]'
    roots = os.pathsep.join(map(str, rival.batches.roots))
    settings = Settings(lake=str(rival.root), n_workers=0, tensor_specs=specs, local_roots=roots)
    with dagster_home(rival.root.parent / "dagster_home"), open_instance(settings) as instance:
        for batch_id in rival.batch_ids:
            (done,) = Launcher(settings, instance).materialize([batch_id])
            if not done.success:
                raise RuntimeError(f"{batch_id}: {done.error}")
