"""How a frame is shown to a model, and where on the picture what it points at lies."""

from __future__ import annotations

import numpy as np

from media_assets.media.frames import FrameSource
from media_assets.media.models.description import Input
from media_assets.media.models.protocol import Floats
from media_assets.media.resize import Pixels, Placement, decode_divisor, place, resized


def placement_of(spec: Input, width_px: int, height_px: int) -> Placement:
    """Where a picture of this upright size comes to lie when it is shown. No fit refuses a sliver."""
    size = (spec.height_px, spec.width_px)
    if spec.fit == "letterbox":
        return place(width_px, height_px, size, "pad", max(size))
    if spec.fit == "crop":
        return place(width_px, height_px, size, "crop", max(spec.resize_shorter_px, _cover(spec, width_px, height_px)))
    whole = (spec.width_px, spec.height_px)
    return Placement((0.0, 0.0, float(width_px), float(height_px)), *whole, 0, 0, size, whole)


def _cover(spec: Input, width_px: int, height_px: int) -> int:
    """The shorter side at which the picture just covers what is shown: nothing is cut off that need not be."""
    shorter, longer = sorted((width_px, height_px))
    across, along = (spec.width_px, spec.height_px) if width_px <= height_px else (spec.height_px, spec.width_px)
    return max(across, -(-along * shorter // longer))


def shown(source: FrameSource, spec: Input) -> Pixels:
    """(height, width, 3) uint8 RGB: the frame as the model is to see it.

    Raises:
        ItemError: the frame does not decode.
    """
    placement = placement_of(spec, source.width_px, source.height_px)
    pixels, divisor = source.at(decode_divisor(source.width_px, source.height_px, placement, "bilinear"))
    bars = (spec.pad_level, spec.pad_level, spec.pad_level)
    return resized(pixels, divisor, placement, "bilinear", bars)


def to_picture(corners: Floats, placement: Placement, width_px: int, height_px: int) -> Floats:
    """(boxes, 4) left, top, right, bottom as fractions of the picture, from pixels of what was shown.

    What was pointed at beside the picture (in its bars) is beyond 0..1: nothing is cut off here.
    """
    left, top, right, bottom = placement.box
    per_px = np.array([(right - left) / placement.width_px, (bottom - top) / placement.height_px] * 2)
    lies_at = np.array([placement.left_px, placement.top_px] * 2)
    fractions: Floats = ((corners - lies_at) * per_px + [left, top, left, top]) / ([width_px, height_px] * 2)
    return fractions


def to_shown(fractions: Floats, placement: Placement, width_px: int, height_px: int) -> Floats:
    """The inverse of `to_picture`."""
    left, top, right, bottom = placement.box
    per_px = np.array([(right - left) / placement.width_px, (bottom - top) / placement.height_px] * 2)
    lies_at = np.array([placement.left_px, placement.top_px] * 2)
    corners: Floats = (fractions * ([width_px, height_px] * 2) - [left, top, left, top]) / per_px + lies_at
    return corners
