"""`python -m benchmarks.images`: from URLs to stored tensors, beside other programs and a hand-written loop.

All jobs take the same pictures from the same server on loopback, in turn, several rounds, each as a whole process with
all its children: interpreter start and imports count. What a job keeps and checks differs (`about` of each): the
product keeps the originals and commits them, tensors and verdicts; img2dataset keeps squares as JPEG or PNG; the loop
keeps tensors only. The pictures' quality is measured of what was stored.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.contenders import BareLoop, Contender, Daft, Img2Dataset, MediaAssets, Task, WithoutDagster
from benchmarks.machine import machine
from benchmarks.measured import run as run_measured
from benchmarks.photo_corpus import PhotoCorpus, photo_corpus
from benchmarks.quality import crop_of_256, pillow_draft_bicubic, quality
from benchmarks.ratios import (
    BARE,
    DAFT,
    IMG2DATASET,
    LOSSLESS,
    PRODUCT,
    YARDSTICK,
    Row,
    Run,
    bars,
    cpu_ratio,
    growth,
    rate_ratio,
    rows,
    spread,
)
from benchmarks.result_files import RESULTS, judge_and_keep
from benchmarks.web_server import WebServer

DIRECTORY = Path(tempfile.gettempdir()) / "media-assets-benchmarks"
_N_SAMPLED = 120
_LOOP_SHAPES = ((2, 2), (1, 4))  # processes, decoding threads of each
_CALIBRATION_IMAGES, _WARM_UP_IMAGES = 400, 64


@dataclass
class Bench:
    """One benchmark run: corpus, server, and what was measured so far.

    What a job wrote is deleted before a job that writes few files, never just before one that writes many: for minutes
    after ten thousand deletions, ext4 looks at every freed inode before it makes a new one (`recently_deleted`).
    """

    corpus: PhotoCorpus
    server: WebServer
    folder: Path
    smallest: int  # pictures of the smallest run
    n_sampled: int = _N_SAMPLED
    runs: list[Run] = field(default_factory=list)
    psnr: dict[tuple[str, int], Row] = field(default_factory=dict)

    def turn(self, contender: Contender, n: int, turn: int) -> Run:
        """Run one job once, from nothing; what it wrote is looked at and thrown away."""
        task = Task(self.corpus, n, self.server.url, self.folder / "work" / contender.name)
        shutil.rmtree(task.folder, ignore_errors=True)
        if not isinstance(contender, MediaAssets):
            shutil.rmtree(self.trash, ignore_errors=True)
        command, variables = contender.prepare(task)
        os.sync()  # nobody pays for what another job left to be written
        before = self.server.cpu_seconds()
        log = self.folder / "logs" / f"{contender.name}-{n}-{turn}.log"
        measured = run_measured(command, log, os.environ | variables)
        server = self.server.cpu_seconds() - before
        self._require_all(contender, task)
        if isinstance(contender, MediaAssets) and turn >= 0:
            contender.note_times(task, measured.started_at, measured.seconds)
        if turn >= 0 and (contender.name, n) not in self.psnr:
            self.psnr[contender.name, n] = self._quality(contender, task)
        self._discard(task.folder)
        return Run(contender.name, n, turn, measured.seconds, measured.cpu_seconds, measured.peak_bytes, server)

    @property
    def trash(self) -> Path:
        """Where what jobs wrote waits to be deleted."""
        return self.folder / "trash"

    def _discard(self, folder: Path) -> None:
        self.trash.mkdir(exist_ok=True)
        folder.rename(self.trash / f"{folder.name}-{time.monotonic_ns()}")

    def _require_all(self, contender: Contender, task: Task) -> None:
        if (n_stored := contender.n_stored(task)) != task.n:
            raise SystemExit(f"{contender.name} stored {n_stored} of {task.n} pictures; see {self.folder / 'logs'}")

    def _quality(self, contender: Contender, task: Task) -> Row:
        originals = self.originals()
        found = quality(contender.squares(task, originals), originals, contender.cut)
        return {"psnr_mean_db": found.mean_db, "psnr_worst_db": found.worst_db, "psnr_n": found.n_pictures}

    def originals(self) -> dict[str, bytes]:
        """The sampled pictures, evenly spaced among those that every run has."""
        step = max(1, self.smallest // self.n_sampled)
        sampled = self.corpus.image_ids[: self.smallest : step]
        return {image_id: self.corpus.path(image_id).read_bytes() for image_id in sampled}

    def yardstick(self) -> Row:
        """A careful Pillow user's squares of the sampled pictures; CPU is that of decoding and resizing alone."""
        originals, started = self.originals(), time.process_time()
        squares = {image_id: pillow_draft_bicubic(data) for image_id, data in originals.items()}
        cpu_seconds = time.process_time() - started
        found = quality(squares, originals, crop_of_256)
        return {
            "job": YARDSTICK,
            "n": len(originals),
            "decode_cpu_s_per_1000": round(cpu_seconds / len(originals) * 1000, 2),
            "psnr_mean_db": found.mean_db,
            "psnr_worst_db": found.worst_db,
        }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything, as one document."""
    facts = machine()
    folder: Path = options.directory
    folder.mkdir(parents=True, exist_ok=True)
    corpus = photo_corpus(folder, max(options.sizes), options.seed)
    print(f"{len(corpus.image_ids)} photographs, fingerprint {corpus.fingerprint}", flush=True)
    with WebServer(corpus.root / "images", folder / "server") as server:
        bench = Bench(corpus, server, folder, min(options.sizes))
        contenders = list(_contenders(options, bench))
        for contender in contenders:
            bench.turn(contender, min(_WARM_UP_IMAGES, *options.sizes), -1)  # bytecode, environments, page cache
        for n in options.sizes:
            for turn in range(options.rounds):
                for contender in contenders if turn % 2 == 0 else reversed(contenders):
                    bench.runs.append(bench.turn(contender, n, turn))
                    print(rows(bench.runs[-1:])[0], flush=True)
        shutil.rmtree(bench.trash, ignore_errors=True)
        return _result(options, bench, contenders, facts)


def _contenders(options: argparse.Namespace, bench: Bench) -> Iterator[Contender]:
    if PRODUCT in options.jobs:
        yield MediaAssets(options.batch_size)
    if BARE in options.jobs:
        yield _fastest_loop(bench, min(_CALIBRATION_IMAGES, *options.sizes))
    if IMG2DATASET in options.jobs:
        yield Img2Dataset(options.directory)
    if LOSSLESS in options.jobs:
        yield Img2Dataset(options.directory, "png", name=LOSSLESS)
    if DAFT in options.jobs:
        yield Daft(options.directory)
    if "without-dagster" in options.jobs:
        yield WithoutDagster(options.batch_size)


def _fastest_loop(bench: Bench, n: int) -> BareLoop:
    """The loop in the shape that is the fastest on this machine, warmed up by being tried."""
    shapes = [BareLoop(n_processes, n_threads) for n_processes, n_threads in _LOOP_SHAPES]
    tried = [(min(bench.turn(loop, n, -1).seconds for _ in range(2)), i) for i, loop in enumerate(shapes)]
    return shapes[min(tried)[1]]


def _result(
    options: argparse.Namespace, bench: Bench, contenders: Sequence[Contender], facts: dict[str, object]
) -> dict[str, Any]:
    measured = [{**row, **bench.psnr[row["job"], row["n"]]} for row in rows(bench.runs)]
    measured.append(bench.yardstick())
    n = max(options.sizes)
    names = [contender.name for contender in contenders]
    ratios: dict[str, Any] = {"at_n": n, "growth": growth(measured)}
    for job in (IMG2DATASET, LOSSLESS, DAFT, BARE, "without-dagster"):
        if PRODUCT in names and job in names:
            ratios[f"images_per_cpu_s_to_{job}"] = cpu_ratio(bench.runs, job, n)
            ratios[f"images_per_s_to_{job}"] = rate_ratio(bench.runs, job, n)
    dagster = _dagster(contenders, n)
    percent = dagster["percent"]["median"] if dagster else None
    return {
        "machine": facts,
        "command": _command(options),
        "server": bench.server.kind,
        "images": "1024x768 JPEG, 4:2:0, quality 90, all distinct",
        "corpus": {"n": len(bench.corpus.image_ids), "sha256": bench.corpus.fingerprint, **bench.corpus.sizes_kb},
        "jobs": {contender.name: contender.about for contender in contenders},
        "rows": measured,
        "ratios": ratios,
        "dagster": dagster,
        "bars": bars(measured, ratios, percent),
    }


def _dagster(contenders: Sequence[Contender], n: int) -> Row:
    """Where the product's time went at this size, over all rounds."""
    times = [t for c in contenders if isinstance(c, MediaAssets) for t in c.times.get(n, [])]
    if not times:
        return {}
    halves = [t.second_half_to_first for t in times if t.second_half_to_first is not None]
    return {
        "n": n,
        "percent": spread([t.dagster_percent for t in times]),
        "runs": [{name: _rounded(value) for name, value in asdict(t).items()} for t in times],
        "second_half_to_first": spread(halves) if halves else None,
    }


def _rounded(value: float | tuple[float, ...]) -> float | list[float]:
    return [round(v, 3) for v in value] if isinstance(value, tuple) else round(value, 3)


def _command(options: argparse.Namespace) -> str:
    sizes = " ".join(map(str, options.sizes))
    return f"python -m benchmarks.images --sizes {sizes} --rounds {options.rounds} --batch-size {options.batch_size}"


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    every = [PRODUCT, BARE, IMG2DATASET, LOSSLESS, DAFT, "without-dagster"]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.images", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[2_000, 10_000], help="pictures a run")
    parser.add_argument("--rounds", type=int, default=3, help="runs of every job and size, in alternating order")
    parser.add_argument("--batch-size", type=int, default=5_000, help="items of an ingest batch; the program's default")
    parser.add_argument("--jobs", nargs="+", choices=every, default=every)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--directory", type=Path, default=DIRECTORY, help="corpus, environments, work; kept")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the result is written")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    """Measure and keep the result."""
    options = arguments(words)
    judge_and_keep("images", measure(options), options.results)


if __name__ == "__main__":
    main()
