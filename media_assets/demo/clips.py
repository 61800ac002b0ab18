"""Sample videos made in code: a camera that pans over painted scenes, one shot after the other, as VP9 in WebM.

    root/
      clips.csv             the catalog, as `media-assets plan videos` reads it
      *.webm                one of them cut off

VP9 because its encoder may be used by everybody. Not here: the scenes (`photos`).
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from media_assets.demo.photos import Pixels, photo

WIDTH_PX, HEIGHT_PX, RATE_HZ = 480, 270, 12
SHOT_PICTURES = 24
_ROOM_PX = 160  # to pan in
_VP9 = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "crf": "34", "b": "0"}

CLIPS: Mapping[str, tuple[int, ...]] = {"coast": (3, 11, 24), "town": (5, 18), "woods": (2, 9, 16), "cut-off": (7, 21)}
"""Name → the seed of each shot."""

CUT_OFF = "cut-off"


@dataclass(frozen=True)
class Clips:
    """The sample videos on disk. `n_shots`: of each that is whole."""

    root: Path
    n_shots: Mapping[str, int]

    @property
    def catalog(self) -> Path:
        """The list of them."""
        return self.root / "clips.csv"


def write_clips(root: Path) -> Clips:
    """Write all of them and their catalog into a folder, which is made."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / "clips.csv").open("w", encoding="utf-8", newline="") as file:
        catalog = csv.writer(file)
        catalog.writerow(["path", "title", "licence", "author"])
        for name, seeds in CLIPS.items():
            path = root / f"{name}.webm"
            write_clip(path, seeds)
            if name == CUT_OFF:
                whole = path.read_bytes()
                path.write_bytes(whole[: len(whole) * 2 // 3])
            catalog.writerow([path.name, f"{name}, made in code", "CC0-1.0", "Media Assets"])
    return Clips(root, {name: len(seeds) for name, seeds in CLIPS.items() if name != CUT_OFF})


def write_clip(path: Path, seeds: tuple[int, ...]) -> None:
    """One video with a shot of two seconds for each seed, and a key picture at the start of each."""
    with av.open(str(path), "w", format="webm") as out:
        stream: Any = out.add_stream("libvpx-vp9", rate=RATE_HZ, options=_VP9)
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        stream.gop_size = SHOT_PICTURES
        stream.time_base = stream.codec_context.time_base = Fraction(1, RATE_HZ)
        for shot, seed in enumerate(seeds):
            scene = photo(seed, WIDTH_PX + _ROOM_PX, HEIGHT_PX)
            for number in range(SHOT_PICTURES):
                frame = av.VideoFrame.from_ndarray(_window(scene, number), "rgb24")
                frame.pts = shot * SHOT_PICTURES + number
                out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def _window(scene: Pixels, number: int) -> Pixels:
    left = number * _ROOM_PX // SHOT_PICTURES
    return np.ascontiguousarray(scene[:, left : left + WIDTH_PX])
