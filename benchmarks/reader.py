"""`python -m benchmarks.reader`: shuffled mini-batches of the tensor table, beside a raw memory map and WebDataset.

Every reader hands out 64 samples as one contiguous array of its own, in a true shuffle (WebDataset: through a buffer),
from a warm page cache. The loop still holds a batch while the next is made, as a training loop does: a yardstick that
lets go of each batch first gets the same memory back, hot in the cache, and looks a quarter faster.

`uint8` is copying alone, like for like; `float32` applies ImageNet's normalization, on the raw side as plain numpy
would. Readers run in turn, A B B A; each pair gives one ratio, and the median counts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.environments import python_of, versions
from benchmarks.images import DIRECTORY
from benchmarks.machine import machine
from benchmarks.ratios import READER_BAR, Row, spread
from benchmarks.reading_sets import SHAPE, ReadingSet, reading_set
from benchmarks.result_files import RESULTS, judge_and_keep
from media_assets.media.tensors import NORMALIZATIONS
from media_assets.serving.tensors import TensorReader

JOBS = Path(__file__).parent / "jobs"
VARIANTS = ("uint8 nhwc", "float32 nhwc", "float32 nchw")
LIKE_FOR_LIKE = "uint8 nhwc"

Pass = Callable[[int], tuple[float, float]]
"""One shuffled pass with this seed: (seconds, CPU seconds)."""


@dataclass(frozen=True)
class Pair:
    """The product's pass and the raw map's, one after the other: (seconds, CPU seconds) of each."""

    ours: tuple[float, float]
    raw: tuple[float, float]


def table_pass(reader: TensorReader, size: int) -> Pass:
    """Mini-batches of the project's reader, all of each batch made."""

    def run(seed: int) -> tuple[float, float]:
        with _clock() as told:
            n = 0
            for batch in reader.mini_batches(size, shuffle=True, seed=seed):
                n += len(batch.x)
        assert n == len(reader), "every sample once"
        return told[0], told[1]

    return run


def raw_pass(path: Path, size: int, variant: str) -> Pass:
    """The same from a memory-mapped array, by plain numpy."""
    raw = np.load(path, mmap_mode="r")
    finish = _numpy_work(variant)

    def batches(seed: int) -> Iterator[np.ndarray[Any, Any]]:
        order = np.random.default_rng(seed).permutation(len(raw))
        for first in range(0, len(raw), size):
            yield finish(raw[order[first : first + size]])

    def run(seed: int) -> tuple[float, float]:
        with _clock() as told:
            n = 0
            for x in batches(seed):
                n += len(x)
        assert n == len(raw), "every sample once"
        return told[0], told[1]

    return run


def _numpy_work(variant: str) -> Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    if variant == "uint8 nhwc":
        return lambda pixels: pixels
    mean, std = (np.array(values) for values in NORMALIZATIONS["imagenet"])
    factor, offset = (1 / 255 / std).astype(np.float32), (-mean / std).astype(np.float32)
    if variant == "float32 nchw":

        def planes(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
            x = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32)
            x *= factor[:, None, None]
            x += offset[:, None, None]
            return x

        return planes
    factor, offset = np.tile(factor, SHAPE[1]), np.tile(offset, SHAPE[1])  # whole lines: far faster than threes

    def lines(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        x = pixels.reshape(len(pixels), SHAPE[0], SHAPE[1] * SHAPE[2]).astype(np.float32)
        x *= factor
        x += offset
        return x.reshape(pixels.shape)

    return lines


@contextmanager
def _clock() -> Iterator[list[float]]:
    told: list[float] = []
    wall, cpu = time.perf_counter(), time.process_time()
    yield told
    told += [time.perf_counter() - wall, time.process_time() - cpu]


@contextmanager
def webdataset_pass(folder: Path, made: ReadingSet, size: int) -> Iterator[Pass]:
    """WebDataset in a process of its own, kept open between passes."""
    command = [str(python_of(folder, "webdataset")), str(JOBS / "webdataset_reader.py"), made.shards, str(size)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def run(seed: int) -> tuple[float, float]:
            stdin.write(f"{seed}\n")
            stdin.flush()
            told = json.loads(stdout.readline())
            assert told["samples"] == made.n, "every sample once"
            return told["seconds"], told["cpu_seconds"]

        yield run
        stdin.close()


def pairs(ours: Pass, raw: Pass, n_pairs: int) -> list[Pair]:
    """Both in turn, after one pass each that does not count."""
    ours(0), raw(0)
    found = []
    for seed in range(1, n_pairs + 1):
        first, second = (ours, raw) if seed % 2 else (raw, ours)
        took = (first(seed), second(seed))
        found.append(Pair(*(took if seed % 2 else took[::-1])))
    return found


def variant_rows(variant: str, found: Sequence[Pair], n: int) -> tuple[list[Row], dict[str, Row]]:
    """A row for each side, and the ratios of samples per second and per CPU second to the raw map."""
    rows = [
        _row(reader, variant, n, [getattr(pair, side) for pair in found])
        for reader, side in (("TensorReader", "ours"), ("raw.npy", "raw"))
    ]
    by_wall = spread([pair.raw[0] / pair.ours[0] for pair in found])
    by_cpu = spread([pair.raw[1] / pair.ours[1] for pair in found])
    return rows, {"samples_per_s": by_wall, "samples_per_cpu_s": by_cpu}


def _row(reader: str, variant: str, n: int, took: Sequence[tuple[float, float]]) -> Row:
    return {
        "reader": reader,
        "variant": variant,
        "n": n,
        "samples_per_s": round(n / median(seconds for seconds, _ in took)),
        "cpu_us_per_sample": round(1e6 * median(cpu for _, cpu in took) / n, 1),
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything, as one document."""
    facts = machine()
    options.directory.mkdir(parents=True, exist_ok=True)
    made = reading_set(options.directory, options.tensors)
    rows: list[Row] = []
    ratios: dict[str, dict[str, Row]] = {}
    for variant in options.variants:
        dtype, layout = variant.split()
        normalization = None if dtype == "uint8" else "imagenet"
        # No run stands behind this lake, so that none of its batches is done.
        reader = TensorReader(
            made.lake, include_unfinished=True, layout=layout, dtype=dtype, normalization=normalization
        )
        assert not reader.n_fallback_files, "every file is mapped"
        _require_equal(reader, made, variant)
        found = pairs(table_pass(reader, options.size), raw_pass(made.raw, options.size, variant), options.pairs)
        variant_row, ratios[variant] = variant_rows(variant, found, made.n)
        rows += variant_row
        print(variant, ratios[variant], flush=True)
    if not options.without_webdataset:
        with webdataset_pass(options.directory, made, options.size) as run:
            run(0)
            rows.append(_row("webdataset", "uint8 nhwc", made.n, [run(seed) for seed in range(1, 4)]))
    return {
        "machine": facts,
        "command": f"python -m benchmarks.reader --tensors {made.n} --pairs {options.pairs}",
        "tensors": {"n": made.n, "shape": list(SHAPE), "mini_batch": options.size},
        "versions": versions("webdataset", "webdataset"),
        "rows": rows,
        "ratios_to_raw": ratios,
        "bars": bars(ratios),
    }


def _require_equal(reader: TensorReader, made: ReadingSet, variant: str) -> None:
    """Both sides give the same numbers, or the comparison means nothing."""
    numbers = np.random.default_rng(0).integers(0, made.n, 64)
    wanted = _numpy_work(variant)(np.load(made.raw, mmap_mode="r")[numbers])
    np.testing.assert_allclose(reader[numbers], wanted, atol=1e-5)


def bars(ratios: dict[str, dict[str, Row]]) -> dict[str, bool]:
    """Whether the like-for-like variant keeps up with the raw map."""
    if LIKE_FOR_LIKE not in ratios:
        return {}
    return {
        f"samples_per_s_to_raw_at_least_{READER_BAR}": ratios[LIKE_FOR_LIKE]["samples_per_s"]["median"] >= READER_BAR
    }


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reader", description=__doc__)
    parser.add_argument("--tensors", type=int, default=8_000)
    parser.add_argument("--size", type=int, default=64, help="samples of a mini-batch")
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--without-webdataset", action="store_true")
    parser.add_argument("--directory", type=Path, default=DIRECTORY, help="tensors and environments; kept")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the result is written")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    """Measure and keep the result."""
    options = arguments(words)
    judge_and_keep("reader", measure(options), options.results)


if __name__ == "__main__":
    main()
