"""Where one shot ends and the next begins, by PySceneDetect's content detector over all pictures of a video.

The detector sees small copies, at most 256 pixels wide, and times rather than numbers, so that a variable frame rate
moves no cut. It takes hard cuts, not fades. Not here: which picture of a shot is kept (`policies.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from scenedetect.common import FrameTimecode, Timecode
from scenedetect.detectors.content_detector import ContentDetector

from media_assets.media.resize import Pixels
from media_assets.media.video.opening import reading

SHORTEST_SECONDS = 0.5
"""Of two cuts closer than this (flashes, damage) one is kept."""

_THRESHOLD = 27.0  # mean change of hue, saturation and brightness over all pixels, 0..255; the detector's own default
_WIDTH_PX = 256
_FLAGS = Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.BITEXACT


def find_shots(frames: Iterable[VideoFrame], time_base: Fraction, start: int, end: int) -> list[tuple[int, int]]:
    """(first tick, tick after the last) of each shot; together they cover `start` to `end`. One pass, flat memory.

    Args:
        frames: every picture, in the order shown; those before `start` are passed over.
        time_base: seconds a tick.

    Raises:
        ItemError: CORRUPT, DECODER_MEMORY.
    """
    detector = ContentDetector(threshold=_THRESHOLD, min_scene_len=SHORTEST_SECONDS)
    cuts = set[int]()
    for frame in frames:
        assert frame.pts is not None, "pictures without a time are passed over"
        if start <= frame.pts < end:
            time = FrameTimecode(Timecode(frame.pts - start, time_base), fps=Fraction(1) / time_base)
            cuts.update(start + int(cut.pts) for cut in detector.process_frame(time, _small(frame)))
    edges = [start, *sorted(cuts - {start}), end]
    return list(pairwise(edges))


def _small(frame: VideoFrame) -> Pixels:
    """(height, width, 3) uint8 BGR."""
    width = min(frame.width, _WIDTH_PX)
    height = max(round(frame.height * width / frame.width), 1)
    with reading("the colours of a frame"):
        small = frame.reformat(width, height, "bgr24", interpolation=int(_FLAGS), threads=1)
        return small.to_ndarray().astype(np.uint8, copy=False)
