"""A corpus to measure with: distinct 1024x768 photographs as JPEG (4:2:0, quality 90) of realistic size.

Each picture is a random crop of one of some forty photographs, flipped and toned, with correlated grain in lightness
and colour whose strength is solved until the file has a drawn size: normal, 285 ± 45 KB, within 190 to 380 (Open
Images' mean is about 300 KB). Picture i depends on the seed, i and the sources only. It is listed in the format of
Open Images, so that the product's own planning reads it.

    root/metadata/*.csv   root/images/validation/{id}.jpg   root/corpus.json
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import shutil
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from benchmarks.environments import package_files
from benchmarks.photographs import Pixels, photographs
from media_assets.demo.open_images_csv import Entry, image_ids, write_metadata

WIDTH_PX, HEIGHT_PX, QUALITY = 1024, 768, 90
FORMAT = 2
"""Raised when the same seed would give other bytes, so that kept corpora are written anew."""

_MEAN_KB, _DEVIATION_KB, _SMALLEST_KB, _LARGEST_KB = 285, 45, 190, 380
_TOLERANCE = 0.04
_MAX_TRIES = 6
_IMAGES_AT_ONCE = 100


@dataclass(frozen=True)
class PhotoCorpus:
    """A complete corpus on disk. `fingerprint` is one SHA-256 over the ids and hashes of all pictures, in order."""

    root: Path
    image_ids: tuple[str, ...]
    fingerprint: str
    sizes_kb: dict[str, float]

    @property
    def metadata(self) -> Path:
        """The folder of CSV files."""
        return self.root / "metadata"

    def path(self, image_id: str) -> Path:
        """Where a picture lies."""
        return self.root / "images" / "validation" / f"{image_id}.jpg"


def photo_corpus(folder: Path, n: int, seed: int = 7, n_processes: int = 2) -> PhotoCorpus:
    """The corpus of `n` pictures below a folder, written on first use."""
    root = folder / f"photos-{n}-{seed}"
    parameters = {"n": n, "seed": seed, "format": FORMAT}
    if (kept := _read(root)) is None or kept["parameters"] != parameters:
        print(f"writing {n} photographs", flush=True)
        _write(root, folder, parameters, n_processes)
        kept = _read(root)
    assert kept is not None, "just written"
    return PhotoCorpus(root, tuple(kept["image_ids"]), kept["fingerprint"], kept["sizes_kb"])


def picture(sources: Sequence[Pixels], seed: int, index: int) -> bytes:
    """The JPEG of one place in the corpus."""
    rng = np.random.default_rng([seed, index, 0xB0CA])
    wanted = float(np.clip(rng.normal(_MEAN_KB, _DEVIATION_KB), _SMALLEST_KB, _LARGEST_KB)) * 1000
    plain = _toned(_cropped(sources[int(rng.integers(len(sources)))], rng), rng)
    grain = _grain(rng)
    return _solved(plain, grain, wanted)


def _cropped(source: Pixels, rng: np.random.Generator) -> Pixels:
    """A window of 1 to 1.4 times the picture's size, anywhere, flipped or not, brought to the picture's size."""
    height, width = source.shape[:2]
    zoom = min(rng.uniform(1.0, 1.4), width / WIDTH_PX, height / HEIGHT_PX)
    window_w, window_h = int(WIDTH_PX * zoom), int(HEIGHT_PX * zoom)
    left, top = int(rng.integers(width - window_w + 1)), int(rng.integers(height - window_h + 1))
    window = source[top : top + window_h, left : left + window_w]
    if rng.random() < 0.5:
        window = window[:, ::-1]
    return np.asarray(
        cv2.resize(np.ascontiguousarray(window), (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_AREA), np.uint8
    )


def _toned(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    table = np.clip(np.arange(256)[:, None] * rng.uniform(0.86, 1.14, 3), 0, 255).astype(np.uint8)[None]
    return np.asarray(cv2.LUT(pixels, table), np.uint8)


def _grain(rng: np.random.Generator) -> NDArray[np.int16]:
    """Correlated noise of every channel, of deviation 8 in lightness and about 3 in colour."""
    light = _noise(rng, HEIGHT_PX, WIDTH_PX, 0.7, 8.0)
    small = [_noise(rng, HEIGHT_PX // 2, WIDTH_PX // 2, 0.8, 3.0) for _ in range(2)]
    warm, cold = (cv2.resize(c, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_LINEAR) for c in small)
    return np.asarray(cv2.merge([cv2.add(light, warm), light, cv2.add(light, cold)]), np.int16)


def _noise(rng: np.random.Generator, height: int, width: int, blur_px: float, deviation: float) -> NDArray[np.int16]:
    raw = np.frombuffer(rng.bytes(height * width), np.uint8).reshape(height, width)
    smooth = cv2.GaussianBlur(raw, (3, 3), blur_px).astype(np.int16) - 128
    return np.asarray(smooth * np.float32(deviation / 30.0), np.int16)


def _solved(plain: Pixels, grain: NDArray[np.int16], wanted: float) -> bytes:
    """The picture with as much grain as gives the wanted size: regula falsi on the strength, in a few tries."""
    low, high = (0.0, 0.0), None
    strength, data = 0.7, b""
    for _ in range(_MAX_TRIES):
        data = _encoded(plain, grain, strength)
        if abs(len(data) / wanted - 1) <= _TOLERANCE:
            break
        if len(data) < wanted:
            low = (strength, float(len(data)))
        else:
            high = (strength, float(len(data)))
        strength = _next(low, high, wanted)
        if strength < 0.02:  # sharper than any grain: soften it
            plain = np.asarray(cv2.GaussianBlur(plain, (3, 3), 0.7), np.uint8)
            low, high, strength = (0.0, 0.0), None, 0.3
    return data


def _next(low: tuple[float, float], high: tuple[float, float] | None, wanted: float) -> float:
    if high is None:
        return low[0] * float(min(2.5, max(1.15, (wanted / low[1]) ** 1.6)))
    if not low[1]:
        return high[0] * float(max(0.01, (wanted / high[1]) ** 2 - 0.05))
    share = (wanted - low[1]) / (high[1] - low[1])
    return low[0] + share * (high[0] - low[0])


def _encoded(plain: Pixels, grain: NDArray[np.int16], strength: float) -> bytes:
    noisy = cv2.addWeighted(plain.astype(np.int16), 1.0, grain, strength, 0.0)
    pixels = np.clip(noisy, 0, 255).astype(np.uint8)
    return bytes(simplejpeg.encode_jpeg(pixels, quality=QUALITY, colorspace="RGB", colorsubsampling="420"))


def _write(root: Path, folder: Path, parameters: dict[str, Any], n_processes: int) -> None:
    shutil.rmtree(root, ignore_errors=True)
    (root / "images" / "validation").mkdir(parents=True)
    n, seed = parameters["n"], parameters["seed"]
    ids = image_ids(n, seed)
    package_files(folder, "photographs")  # before two processes ask for them at once
    parts = [range(i, min(i + _IMAGES_AT_ONCE, n)) for i in range(0, n, _IMAGES_AT_ONCE)]
    with ProcessPoolExecutor(n_processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        made = pool.map(_write_range, repeat(root), repeat(folder), repeat(seed), repeat(ids), parts)
        facts = list(chain.from_iterable(made))
    write_metadata(root / "metadata", [Entry(image_id) for image_id in ids])
    lines = (f"{image_id} {sha256}\n" for image_id, (sha256, _) in zip(ids, facts, strict=True))
    sizes = np.percentile([size / 1000 for _, size in facts], [5, 50, 95]).round(1).tolist()
    record = {
        "parameters": parameters,
        "fingerprint": hashlib.sha256("".join(lines).encode()).hexdigest(),
        "sizes_kb": dict(zip(("p5", "median", "p95"), sizes, strict=True)),
        "image_ids": ids,
    }
    (root / "corpus.json").write_text(json.dumps(record), "utf-8")


def _write_range(root: Path, folder: Path, seed: int, ids: list[str], places: range) -> list[tuple[str, int]]:
    """Writes some pictures; the SHA-256 and size of each."""
    cv2.setNumThreads(1)
    sources = _sources(folder, seed)
    facts = []
    for place in places:
        data = picture(sources, seed, place)
        (root / "images" / "validation" / f"{ids[place]}.jpg").write_bytes(data)
        facts.append((hashlib.sha256(data).hexdigest(), len(data)))
    return facts


@lru_cache(maxsize=1)
def _sources(folder: Path, seed: int) -> list[Pixels]:
    return photographs(folder, seed)


def _read(root: Path) -> dict[str, Any] | None:
    try:
        record: dict[str, Any] = json.loads((root / "corpus.json").read_bytes())
    except FileNotFoundError:
        return None
    return record
