"""Videos to measure with: 1920x1080, 30 pictures a second, H.264 at 6 Mb/s with a key picture each two seconds.

The camera pans over one of some forty photographs after the other, a new one each seven seconds, with grain. A video
depends on the seed, its number and the sources only (and on the encoder: another version gives other bytes).

    root/video-{number}.mp4   root/corpus.json
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from benchmarks.photographs import Pixels, photographs

WIDTH_PX, HEIGHT_PX, RATE_HZ, GOP, BITS_PER_SECOND = 1920, 1080, 30, 60, 6_000_000
SHOT_PICTURES = 210
FORMAT = 1
"""Raised when the same seed would give other videos, so that kept ones are written anew."""

_BT709, _LIMITED = 1, 1
_PAN_PX = (3, 1)
_GRAIN = 4.0


@dataclass(frozen=True)
class VideoCorpus:
    """Videos on disk, all of the same length."""

    paths: tuple[Path, ...]
    seconds: int
    fingerprint: str

    @property
    def n_keys(self) -> int:
        """Key pictures in all videos together."""
        return len(self.paths) * -(-self.seconds * RATE_HZ // GOP)

    @property
    def n_bytes(self) -> int:
        """Size of all files."""
        return sum(path.stat().st_size for path in self.paths)


def video_corpus(folder: Path, n: int, seconds: int, seed: int = 7) -> VideoCorpus:
    """The videos below a folder, written on first use (about as long as they play)."""
    root = folder / f"videos-{n}x{seconds}-{seed}"
    parameters = {"n": n, "seconds": seconds, "seed": seed, "format": FORMAT}
    paths = tuple(root / f"video-{number}.mp4" for number in range(n))
    if (kept := _read(root)) is None or kept["parameters"] != parameters:
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        sources = [_wide(source) for source in photographs(folder, seed)]
        for number, path in enumerate(paths):
            print(f"encoding {path.name}, {seconds} s of video", flush=True)
            _encode(path, sources, seconds, np.random.default_rng([seed, number, 0xB0CA]))
        hashes = "".join(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)
        kept = {"parameters": parameters, "fingerprint": hashlib.sha256(hashes.encode()).hexdigest()}
        (root / "corpus.json").write_text(json.dumps(kept), "utf-8")
    return VideoCorpus(paths, seconds, kept["fingerprint"])


def _encode(path: Path, sources: list[Pixels], seconds: int, rng: np.random.Generator) -> None:
    with av.open(str(path), "w", format="mp4") as out:
        options = {"preset": "veryfast", "x264-params": f"keyint={GOP}:min-keyint={GOP}:scenecut=0"}
        stream: Any = out.add_stream("libx264", rate=RATE_HZ, options=options)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = WIDTH_PX, HEIGHT_PX, "yuv420p", BITS_PER_SECOND
        context = stream.codec_context  # stated, so that no reader has to guess
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED
        grain = [_grain(rng) for _ in range(8)]
        source = sources[0]
        for number in range(seconds * RATE_HZ):
            if number % SHOT_PICTURES == 0:
                source = sources[int(rng.integers(len(sources)))]
            picture = cv2.add(_window(source, number), grain[number % len(grain)], dtype=cv2.CV_8U)
            out.mux(stream.encode(_frame(np.asarray(picture, np.uint8))))
        out.mux(stream.encode(None))


def _frame(pixels: Pixels) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(format="yuv420p", dst_colorspace=_BT709)


def _window(source: Pixels, number: int) -> Pixels:
    height, width = source.shape[:2]
    left = number * _PAN_PX[0] % (width - WIDTH_PX + 1)
    top = number * _PAN_PX[1] % (height - HEIGHT_PX + 1)
    return source[top : top + HEIGHT_PX, left : left + WIDTH_PX]


def _grain(rng: np.random.Generator) -> np.ndarray:
    raw = rng.normal(0, _GRAIN, (HEIGHT_PX, WIDTH_PX, 1)).astype(np.int16)
    return np.repeat(raw, 3, axis=2)


def _wide(pixels: Pixels) -> Pixels:
    """Enlarged until a picture has room to move in it."""
    height, width = pixels.shape[:2]
    scale = max(2400 / width, 1400 / height)
    size = (round(width * scale), round(height * scale))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def _read(root: Path) -> dict[str, Any] | None:
    try:
        record: dict[str, Any] = json.loads((root / "corpus.json").read_bytes())
    except FileNotFoundError:
        return None
    return record
