"""Where each target pixel looks in the source, and antialiased resizing from a full or scaled-down decode.

Coordinates are those of the full upright picture; a scaled decode at 1/d holds them divided by d. Not here:
what the numbers are stored as (`tensors.py`).
"""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt
from PIL import Image

from media_assets.errors import ErrorCode, ItemError

Fit = Literal["crop", "pad", "shorter_side"]
Resampling = Literal["bicubic", "bilinear", "lanczos", "area"]
Pixels = npt.NDArray[np.uint8]

MAX_OUTPUT_PIXELS = 64_000_000
"""A sliver of 1 x 100,000 pixels would otherwise become a picture of gigabytes when its shorter side is
enlarged.
"""

HEADROOM = 1.5
"""What a scaled decode leaves for the resizer; less costs visible quality, more costs time."""

_FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
    "area": Image.Resampling.BOX,
}


class Placement(msgspec.Struct, frozen=True):
    """`box` (left, top, right, bottom) of the full picture becomes `width_px` x `height_px` pixels, which lie
    at (`left_px`, `top_px`) of a canvas of `canvas_px` (height, width). `whole_px` (width, height) is what
    the whole picture would measure at this scale.
    """

    box: tuple[float, float, float, float]
    width_px: int
    height_px: int
    left_px: int
    top_px: int
    canvas_px: tuple[int, int]
    whole_px: tuple[int, int]

    @property
    def is_cut(self) -> bool:
        """Whether parts of the picture fall away."""
        return self.whole_px != (self.width_px, self.height_px)


def place(width: int, height: int, size: tuple[int, int], fit: Fit, shorter_px: int) -> Placement:
    """Geometry of one fit. Longer sides are floored; crops and pads are centred, the odd pixel right and
    below.

    `crop` is resizing the shorter side to `shorter_px` and then cutting `size` (height, width) from the
    centre, written as one resize of a float box.

    Raises:
        ItemError: TOO_MANY_PIXELS when the output would be larger than `MAX_OUTPUT_PIXELS`.
    """
    if fit == "pad":
        return _padded(width, height, size)
    whole_w, whole_h = _by_shorter_side(width, height, shorter_px)
    if fit == "shorter_side":
        if whole_w * whole_h > MAX_OUTPUT_PIXELS:
            raise _too_large(f"{whole_w}x{whole_h}")
        box = (0.0, 0.0, float(width), float(height))
        return Placement(box, whole_w, whole_h, 0, 0, (whole_h, whole_w), (whole_w, whole_h))
    target_h, target_w = size
    left, top = (whole_w - target_w) // 2, (whole_h - target_h) // 2
    x, y = width / whole_w, height / whole_h
    cut = (left * x, top * y, (left + target_w) * x, (top + target_h) * y)
    return Placement(cut, target_w, target_h, 0, 0, size, (whole_w, whole_h))


def _by_shorter_side(width: int, height: int, shorter_px: int) -> tuple[int, int]:
    if width <= height:
        return shorter_px, shorter_px * height // width
    return shorter_px * width // height, shorter_px


def _padded(width: int, height: int, size: tuple[int, int]) -> Placement:
    target_h, target_w = size
    if width * target_h >= height * target_w:
        inner_w, inner_h = target_w, max(1, height * target_w // width)
    else:
        inner_w, inner_h = max(1, width * target_h // height), target_h
    left, top = (target_w - inner_w) // 2, (target_h - inner_h) // 2
    box = (0.0, 0.0, float(width), float(height))
    return Placement(box, inner_w, inner_h, left, top, size, (inner_w, inner_h))


def decode_divisor(width: int, height: int, placement: Placement, resampling: Resampling) -> int:
    """The largest of 1, 2, 4, 8 that leaves `HEADROOM` x the target in both directions.

    Only these are as good as they are fast: the scales between cost as much as the next finer one. Area
    averaging takes the full decode, because an average over scaled pixels is a blur over twice the width.
    """
    if resampling == "area":
        return 1
    whole_w, whole_h = placement.whole_px
    for divisor in (8, 4, 2):
        if width / divisor >= HEADROOM * whole_w and height / divisor >= HEADROOM * whole_h:
            return divisor
    return 1


def resized(
    pixels: Pixels,
    divisor: int,
    placement: Placement,
    resampling: Resampling,
    pad_colour: tuple[int, int, int],
) -> Pixels:
    """(canvas height, canvas width, 3) uint8, antialiased, from pixels decoded at 1/`divisor`."""
    if resampling == "area" and placement.is_cut:
        return _cut_from_whole(pixels, placement)
    height, width = pixels.shape[:2]
    left, top, right, bottom = (edge / divisor for edge in placement.box)
    box = (left, top, min(right, width), min(bottom, height))
    size = (placement.width_px, placement.height_px)
    inner = np.asarray(Image.fromarray(pixels).resize(size, _FILTERS[resampling], box=box))
    if placement.canvas_px == inner.shape[:2]:
        return inner
    canvas = np.empty((*placement.canvas_px, 3), np.uint8)
    canvas[:] = pad_colour
    rows = slice(placement.top_px, placement.top_px + placement.height_px)
    canvas[rows, placement.left_px : placement.left_px + placement.width_px] = inner
    return canvas


def _cut_from_whole(pixels: Pixels, placement: Placement) -> Pixels:
    """In two steps, because area averaging takes a source pixel or not: there, a shifted box is another result."""
    width, height = placement.whole_px
    if width * height > MAX_OUTPUT_PIXELS:
        raise _too_large(f"{width}x{height}")
    whole = np.asarray(Image.fromarray(pixels).resize(placement.whole_px, _FILTERS["area"]))
    left, top = (width - placement.width_px) // 2, (height - placement.height_px) // 2
    return whole[top : top + placement.height_px, left : left + placement.width_px]


def _too_large(made: str) -> ItemError:
    return ItemError(
        ErrorCode.TOO_MANY_PIXELS,
        f"so narrow a picture would be enlarged to {made} pixels, expected at most {MAX_OUTPUT_PIXELS} in all; "
        "use another fit for such pictures.",
    )


def fits_within(width: int, height: int, longest_px: int) -> tuple[int, int]:
    """(width, height) scaled down, never up, so that the longer side is at most `longest_px`."""
    longest = max(width, height)
    target = min(longest, longest_px)
    return max(1, width * target // longest), max(1, height * target // longest)
