"""The pixels of a decoded picture as a frame wants them: upright, square pixels, sRGB, 8-bit RGB.

Where a video leaves its colours unstated, players go by its size, and so does this: BT.709 from 1280 pixels of width or
577 of height on, BT.601 below; libav's own guess is BT.601 always, which turns the reds of an HD video. Not here:
turning by the manifest's hint.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import msgspec
import numpy as np
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation

from media_assets.media.resize import Pixels
from media_assets.media.video.hdr import Transfer, tone_mapped
from media_assets.media.video.opening import VideoLimits, check_pixels, reading

_EXACT = (
    Interpolation.ACCURATE_RND | Interpolation.BITEXACT | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
)
"""Rounded instead of cut off, a colour for every pixel, the same on every machine: on a photograph 59 dB from exact
arithmetic, where libav's quick way has 46 dB and is a level too dark.
"""
_UNSTATED, _BT709, _BT601 = 2, 1, 5
_TRANSFERS: dict[int, Transfer] = {16: "pq", 18: "hlg"}
_SRGB_PRIMARIES = frozenset({1, 2, 4, 5, 6, 7})  # ITU-T H.273: those of sRGB, unstated, and old ones close to it

Matrix = tuple[int, int, int, int]
_Turn = Callable[[Pixels], Pixels]
_TURNS: dict[Matrix, _Turn] = {
    (0, -1, 1, 0): lambda p: np.rot90(p, 1),
    (-1, 0, 0, -1): lambda p: np.rot90(p, 2),
    (0, 1, -1, 0): lambda p: np.rot90(p, 3),
    (-1, 0, 0, 1): lambda p: p[:, ::-1],
    (1, 0, 0, -1): lambda p: p[::-1],
    (0, 1, 1, 0): lambda p: np.swapaxes(p, 0, 1),
    (0, -1, -1, 0): lambda p: np.swapaxes(p, 0, 1)[::-1, ::-1],
}
"""The signs of a display matrix to what it does to a picture (height, width, 3); counter-clockwise quarter turns."""


class UprightPicture(msgspec.Struct):
    """(height, width, 3) uint8 sRGB, and what it does not hold of the picture in the file.

    `conversions`: `pixels_squared` (anamorphic pixels were stretched), `hdr_tone_mapped`, `depth_scaled` (more than 8
    bits), `gamut_kept` (primaries wider than those of sRGB were read as if they were), `turn_ignored` (a display matrix
    that is no quarter turn), `alpha_dropped`.
    """

    pixels: Pixels
    conversions: tuple[str, ...]


class Turns:
    """The display matrices of one track, each asked for once.

    Asking a frame for its side data ties it into a cycle of references, which keeps its pixels until Python's collector
    comes by: some hundred pictures later. Its rotation, which is free, says when to ask.
    """

    def __init__(self) -> None:
        self._matrices: dict[int, Matrix] = {}

    def of(self, frame: VideoFrame) -> Matrix:
        """As `display_matrix`."""
        if (rotation := frame.rotation) not in self._matrices:
            self._matrices[rotation] = display_matrix(frame)
        return self._matrices[rotation]


def upright(frame: VideoFrame, sample_aspect: Fraction | None, limits: VideoLimits, turns: Turns) -> UprightPicture:
    """The picture as it is meant to be seen.

    Args:
        turns: of the frame's track.
        sample_aspect: width by height of one pixel; None: square. The shorter side of a pixel is stretched, so that no
            picture gets smaller.

    Raises:
        ItemError: TOO_MANY_PIXELS, CORRUPT, DECODER_MEMORY.
    """
    width, height = squared_size(frame.width, frame.height, sample_aspect)
    check_pixels(frame.width, frame.height, limits)
    check_pixels(width, height, limits)
    hdr, is_stretched = hdr_transfer(frame), (width, height) != (frame.width, frame.height)
    with reading("the colours of a frame"):
        converted = frame.reformat(
            width,
            height,
            "rgb48le" if hdr else "rgb24",
            src_colorspace=_matrix(frame),
            interpolation=int(_EXACT | (Interpolation.BICUBIC if is_stretched else Interpolation.BILINEAR)),
            threads=1,
        ).to_ndarray()
    pixels = (
        tone_mapped(converted.astype(np.uint16, copy=False), hdr) if hdr else converted.astype(np.uint8, copy=False)
    )
    matrix = turns.of(frame)
    turn = _TURNS.get(matrix)
    turned = pixels if turn is None else turn(pixels)
    depth = max((component.bits for component in frame.format.components), default=8)
    notes = {
        "pixels_squared": is_stretched,
        "hdr_tone_mapped": hdr is not None,
        "depth_scaled": hdr is None and depth > 8,
        "gamut_kept": hdr is None and frame.color_primaries not in _SRGB_PRIMARIES,
        "turn_ignored": turn is None and matrix != (1, 0, 0, 1),
        "alpha_dropped": len(frame.format.components) in (2, 4),
    }
    return UprightPicture(np.ascontiguousarray(turned), tuple(note for note, holds in notes.items() if holds))


def squared_size(width_px: int, height_px: int, sample_aspect: Fraction | None) -> tuple[int, int]:
    """Width and height with square pixels, before turning."""
    if not sample_aspect or sample_aspect <= 0:
        return width_px, height_px
    if sample_aspect >= 1:
        return round(width_px * sample_aspect), height_px
    return width_px, round(height_px / sample_aspect)


def hdr_transfer(frame: VideoFrame) -> Transfer | None:
    """Whether a picture is coded for a high dynamic range, and by which curve."""
    return _TRANSFERS.get(frame.color_trc)


def display_matrix(frame: VideoFrame) -> Matrix:
    """The signs of the four numbers of the display matrix that turn and mirror; (1, 0, 0, 1): as it is.

    All zeros where the picture would be turned by anything but quarters.
    """
    carried: Any = frame.side_data  # its type says otherwise
    for side in (carried[at] for at in range(len(carried))):
        if side.type == Type.DISPLAYMATRIX:
            a, b, _, c, d = struct.unpack_from("<5i", bytes(side))
            greatest = max(abs(a), abs(b), abs(c), abs(d), 1)
            signs = [0 if abs(x) < greatest * 0.02 else x // abs(x) for x in (a, b, c, d)]
            is_quarter = (not signs[0] and not signs[3]) or (not signs[1] and not signs[2])
            return (signs[0], signs[1], signs[2], signs[3]) if is_quarter else (0, 0, 0, 0)
    return (1, 0, 0, 1)


def _matrix(frame: VideoFrame) -> int:
    if frame.colorspace != _UNSTATED:
        return frame.colorspace
    return _BT709 if frame.width >= 1280 or frame.height > 576 else _BT601
