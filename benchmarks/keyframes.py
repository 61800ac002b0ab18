"""`python -m benchmarks.keyframes`: the key pictures of videos as RGB in memory, beside other programs and a loop.

All jobs read the same files in turn, several rounds, each as a whole process: interpreter start and imports count. One
video is read at a time. The bar of CPU time is against the loop that converts colours as the product does; what the
conversion is worth shows in the PSNR against exact arithmetic. Peers are run as they come, with two threads where they
take a number, and count where the times of all their pictures are right. Not measured: encoding and storing stills.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.colours import exact_pictures, psnr_db
from benchmarks.environments import package_files, python_of, versions
from benchmarks.jobs.samples import EVERY_NS, Pixels
from benchmarks.machine import machine
from benchmarks.measured import Measurement
from benchmarks.measured import run as run_measured
from benchmarks.ratios import spread
from benchmarks.result_files import RESULTS, judge_and_keep
from benchmarks.video_corpus import GOP, HEIGHT_PX, RATE_HZ, WIDTH_PX, VideoCorpus, video_corpus

DIRECTORY = Path(tempfile.gettempdir()) / "media-assets-benchmarks"
JOBS = Path(__file__).parent / "jobs"
LOOP_BAR, PEER_BAR = 1.2, 1.8
PRODUCT, PRODUCT_2, LOOP, PEERS = "product", "product, 2 threads", "bare", ("ffmpeg", "torchcodec")


@dataclass(frozen=True)
class Judged:
    """What one job gave: whether every key picture is there once with its exact time, and how close its colours are."""

    are_times_right: bool
    psnr_mean_db: float
    psnr_worst_db: float


@dataclass
class Bench:
    """The videos, and where work is put."""

    corpus: VideoCorpus
    folder: Path

    def command(self, job: str, samples: str) -> tuple[list[str], dict[str, str]]:
        """How a job is started, and the variables that it needs."""
        videos = list(map(str, self.corpus.paths))
        if job == "ffmpeg":
            return [sys.executable, "-m", "benchmarks.jobs.ffmpeg_job", str(self.ffmpeg), samples, *videos], {}
        if job == "torchcodec":
            python = python_of(self.folder, "torchcodec")
            return [str(python), str(JOBS / "torchcodec_job.py"), "2", samples, *videos], _libraries(python)
        name, _, n_threads = job.partition(", ")
        n_workers = n_threads.split(" ")[0] or "1"
        return [sys.executable, "-m", "benchmarks.jobs.keyframe_loops", name, n_workers, samples, *videos], {}

    @property
    def ffmpeg(self) -> Path:
        """The program that ships in a package."""
        folder = package_files(self.folder, "ffmpeg") / "imageio_ffmpeg" / "binaries"
        return next(path for path in folder.iterdir() if path.name.startswith("ffmpeg"))

    def measured(self, job: str, turn: int) -> Measurement:
        """One run of one job."""
        command, variables = self.command(job, "-")
        return run_measured(command, self._log(job, turn), os.environ | variables)

    def judged(self, job: str) -> Judged:
        """One run that is not timed, of which times and some pixels are looked at."""
        samples = self.folder / "samples.npz"
        samples.unlink(missing_ok=True)
        command, variables = self.command(job, str(samples))
        subprocess.run(command, env=os.environ | variables, check=True, stdout=subprocess.DEVNULL)
        with np.load(samples) as found:
            times = {path.name: found.get(f"times/{path.name}") for path in self.corpus.paths}
            pixels = {name: found[name] for name in found if name.startswith("pixels/")}
        return Judged(all(self._is_right(each) for each in times.values()), *self._quality(pixels))

    def _is_right(self, times: Any) -> bool:
        step = GOP * 1_000_000_000 // RATE_HZ
        wanted = range(0, self.corpus.seconds * 1_000_000_000, step)
        return times is not None and sorted(map(int, times)) == list(wanted)

    def _quality(self, pixels: dict[str, Pixels]) -> tuple[float, float]:
        told = [psnr_db(pixels[name], exact) for name, exact in self._exact() if name in pixels]
        return (round(float(np.mean(told)), 2), round(min(told), 2)) if told else (0.0, 0.0)

    def _exact(self) -> Any:
        for path in self.corpus.paths:
            for pts_ns, exact in exact_pictures(path, EVERY_NS):
                yield f"pixels/{path.name}/{pts_ns}", exact

    def _log(self, job: str, turn: int) -> Path:
        return self.folder / "logs" / f"keyframes-{job.replace(', ', '-').replace(' ', '-')}-{turn}.log"


def _libraries(python: Path) -> dict[str, str]:
    """torchcodec looks for FFmpeg's libraries by their names; those that PyAV brings have a hash in theirs."""
    site = next((python.parent.parent / "lib").glob("python3*/site-packages"))
    linked = python.parent.parent / "ffmpeg"
    linked.mkdir(exist_ok=True)
    for library in (site / "av.libs").glob("lib*.so.*"):
        name, _, version = library.name.partition(".so.")
        link = linked / f"{name.rpartition('-')[0]}.so.{version.split('.')[0]}"
        link.unlink(missing_ok=True)
        link.symlink_to(library)
    return {"LD_LIBRARY_PATH": f"{linked}:{site / 'av.libs'}"}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything, as one document."""
    facts = machine()
    options.directory.mkdir(parents=True, exist_ok=True)
    bench = Bench(video_corpus(options.directory, options.videos, options.seconds, options.seed), options.directory)
    judged = {job: bench.judged(job) for job in options.jobs}  # warms up, too
    runs: dict[str, list[Measurement]] = {job: [] for job in options.jobs}
    for turn in range(options.rounds):
        for job in options.jobs if turn % 2 == 0 else reversed(options.jobs):
            runs[job].append(bench.measured(job, turn))
            print(f"{job}: {runs[job][-1].seconds:.2f} s, {runs[job][-1].cpu_seconds:.2f} CPU s", flush=True)
    corpus = bench.corpus
    ratios = _ratios(runs, judged)
    return {
        "machine": facts,
        "command": f"python -m benchmarks.keyframes --videos {options.videos} --seconds {options.seconds} "
        f"--rounds {options.rounds}",
        "videos": f"{WIDTH_PX}x{HEIGHT_PX} H.264, {RATE_HZ} pictures a second, a key picture each {GOP}",
        "corpus": {"n": len(corpus.paths), "seconds": corpus.seconds, "n_keys": corpus.n_keys,
                   "mb": round(corpus.n_bytes / 1e6, 1), "sha256": corpus.fingerprint},
        "peers": versions("torchcodec", "torchcodec", "av") | versions("ffmpeg", "imageio-ffmpeg"),
        "rows": [_row(job, runs[job], judged[job], corpus.n_keys) for job in options.jobs],
        "ratios": ratios,
        "bars": _bars(ratios),
    }  # fmt: skip


def _row(job: str, runs: Sequence[Measurement], judged: Judged, n_keys: int) -> dict[str, Any]:
    return {
        "job": job,
        "rounds": len(runs),
        "stills_per_s": round(median(n_keys / run.seconds for run in runs), 1),
        "cpu_ms_per_still": round(median(run.cpu_seconds / n_keys * 1000 for run in runs), 1),
        "peak_mb": round(max(run.peak_bytes for run in runs) / 1e6),
        "times_are_right": judged.are_times_right,
        "psnr_mean_db": judged.psnr_mean_db,
        "psnr_worst_db": judged.psnr_worst_db,
    }


def _ratios(runs: dict[str, list[Measurement]], judged: dict[str, Judged]) -> dict[str, Any]:
    """Round by round. Times of the product over those of the loop; pictures a second over those of a peer."""
    ratios: dict[str, Any] = {}
    if PRODUCT in runs and LOOP in runs:
        pairs = zip(runs[PRODUCT], runs[LOOP], strict=True)
        ratios[f"cpu_s_to_{LOOP}"] = spread([ours.cpu_seconds / other.cpu_seconds for ours, other in pairs])
    for peer in PEERS:
        if PRODUCT_2 in runs and peer in runs and judged[peer].are_times_right:
            pairs = zip(runs[PRODUCT_2], runs[peer], strict=True)
            ratios[f"stills_per_s_to_{peer}"] = spread([other.seconds / ours.seconds for ours, other in pairs])
    return ratios


def _bars(ratios: dict[str, Any]) -> dict[str, bool]:
    held = {}
    if found := ratios.get(f"cpu_s_to_{LOOP}"):
        held[f"cpu_s_to_{LOOP}_at_most_{LOOP_BAR}"] = found["median"] <= LOOP_BAR
    for peer in PEERS:
        if found := ratios.get(f"stills_per_s_to_{peer}"):
            held[f"stills_per_s_to_{peer}_at_least_{PEER_BAR}"] = found["median"] >= PEER_BAR
    return held


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    every = [PRODUCT, PRODUCT_2, LOOP, "bare, 2 threads", "bare-quick", *PEERS, "opencv"]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.keyframes", description=__doc__)
    parser.add_argument("--videos", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=150, help="length of each video")
    parser.add_argument("--rounds", type=int, default=5, help="runs of every job, in alternating order")
    parser.add_argument("--jobs", nargs="+", choices=every, default=every)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--directory", type=Path, default=DIRECTORY, help="videos, environments, work; kept")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the result is written")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    """Measure and keep the result."""
    options = arguments(words)
    judge_and_keep("keyframes", measure(options), options.results)


if __name__ == "__main__":
    main()
