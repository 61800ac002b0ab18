"""One still picture, read once: what it is, its frame, its tensors, its thumbnail.

A frame is upright, sRGB, 8-bit RGB, holds nothing but its pixels, and keeps them losslessly. Its orientation
comes from the file where the file states one; only else from the manifest's hint, so that no picture is
turned twice.

Not here: how bytes are judged (`pictures.py`), colours (`colour.py`), decoding frames and making tensors
(`frames.py`).
"""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
from PIL import Image

from media_assets.errors import ErrorCode, ItemError
from media_assets.media.boundary import decoding
from media_assets.media.colour import is_broken, is_srgb, to_srgb
from media_assets.media.containers.jpeg import JpegStructure, stripped_jpeg
from media_assets.media.containers.png import encode_png, prove_png
from media_assets.media.frames import (
    FrameSource,
    decode_jpeg,
    decode_still,
    make_tensors,
    make_thumbnail,
    prove_cmyk_jpeg,
)
from media_assets.media.identity import require_same
from media_assets.media.pictures import OpenedPicture, StillLimits, open_picture
from media_assets.media.probe import StillProbe, probe_picture
from media_assets.media.resize import Pixels
from media_assets.media.tensors import TensorSpec

__all__ = [
    "FrameRead",
    "StillLimits",
    "StillProbe",
    "StillRead",
    "StillRequest",
    "frame_pixels",
    "open_frame",
    "read_frame",
    "read_still",
]

Encoding = Literal["original", "stripped", "png"]

# EXIF 2.31, orientation: what to do with the stored picture so that it stands upright
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_CLOCKWISE = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}


class StillRequest(msgspec.Struct, frozen=True):
    """What to read from one still. `rotation_degrees` is the manifest's hint: the counter-clockwise turn that
    makes the picture upright, a multiple of 90; `background` is what transparent pixels are composited on;
    `expected_sha256` is what kept bytes must still hash to (None: they were hashed just now).
    """

    rotation_degrees: int | None = None
    wants_frame: bool = True
    specs: tuple[TensorSpec, ...] = ()
    wants_thumbnail: bool = False
    limits: StillLimits = StillLimits()
    background: tuple[int, int, int] = (255, 255, 255)
    expected_sha256: str | None = None

    def __post_init__(self) -> None:
        """Refuse a hint that is no quarter turn."""
        if self.rotation_degrees is not None and self.rotation_degrees % 90:
            raise ValueError(f"expected rotation_degrees to be a multiple of 90, got {self.rotation_degrees}")


class FrameRead(msgspec.Struct):
    """The frame of a still. `data` is None where the raw file itself is the frame (`original`).

    `turned_degrees` is the clockwise turn by the manifest's hint only: what belongs into `frame_id`.
    `conversions` name what the frame does not hold of the file: `animation_first_frame` and those of
    `colour.py`.
    """

    width_px: int
    height_px: int
    encoding: Encoding
    mime: str
    data: bytes | None
    turned_degrees: int
    conversions: tuple[str, ...]


class StillRead(msgspec.Struct):
    """All that one read gave: tensors one per spec, in order; the thumbnail as JPEG, at most 96 pixels a
    side.
    """

    probe: StillProbe
    frame: FrameRead | None
    tensors: tuple[bytes, ...]
    thumbnail: bytes | None


class _Canonical(msgspec.Struct):
    """A frame's pixels and, where it needs no new file, how its bytes are to be kept."""

    source: FrameSource
    encoding: Encoding
    kept: bytes | None
    turned_degrees: int
    conversions: list[str]


def read_still(data: bytes, request: StillRequest) -> StillRead:
    """Judge, decode and convert one raw picture.

    Raises:
        ItemError: EMPTY, TOO_MANY_BYTES, UNKNOWN_FORMAT, UNSUPPORTED_FORMAT, TOO_MANY_PIXELS,
            TOO_MANY_FRAMES, TRUNCATED, CORRUPT, DECODER_MEMORY or BLOB_DAMAGED; nothing else.
    """
    require_same(data, request.expected_sha256)
    opened = open_picture(data, request.limits)
    probe = probe_picture(opened)
    canonical = _canonical(opened, probe, request)
    del opened  # a large picture is held once from here on, not as Pillow's own copy as well
    return _read(probe, canonical, request)


def read_frame(data: bytes, request: StillRequest) -> StillRead:
    """Tensors and thumbnail from the blob of a published frame, equal to those that `read_still` made of its
    raw file.

    The blob already is upright 8-bit sRGB, so neither hint nor metadata are looked at, and `frame` is None.

    Raises:
        ItemError: as `read_still`; UNSUPPORTED_FORMAT also for pictures that no frame can be (alpha, 16 bits,
            CMYK).
    """
    require_same(data, request.expected_sha256)
    opened = open_picture(data, request.limits)
    source = _frame_source(opened)
    canonical = _Canonical(source, "original", None, 0, [])
    return _read(probe_picture(opened), canonical, msgspec.structs.replace(request, wants_frame=False))


def frame_pixels(data: bytes) -> Pixels:
    """(height, width, 3) uint8 RGB of the blob of a published frame.

    Raises:
        ItemError: as `read_frame`.
    """
    return open_frame(data, StillLimits()).at(1)[0]


def open_frame(data: bytes, limits: StillLimits) -> FrameSource:
    """The blob of a published frame, to be decoded as far as it is needed.

    Raises:
        ItemError: as `read_frame`.
    """
    return _frame_source(open_picture(data, limits))


def _read(probe: StillProbe, canonical: _Canonical, request: StillRequest) -> StillRead:
    source = canonical.source
    tensors = make_tensors(source, request.specs)
    thumbnail = make_thumbnail(source) if request.wants_thumbnail else None
    source.prove()
    frame = _frame(probe, canonical) if request.wants_frame else None
    return StillRead(probe, frame, tensors, thumbnail)


def _frame(probe: StillProbe, canonical: _Canonical) -> FrameRead:
    source, data = canonical.source, canonical.kept
    if canonical.encoding == "png":
        with decoding("the frame's PNG encoder"):
            data = encode_png(source.at(1)[0])
    return FrameRead(
        width_px=source.width_px,
        height_px=source.height_px,
        encoding=canonical.encoding,
        mime="image/png" if canonical.encoding == "png" else probe.mime,
        data=data,
        turned_degrees=canonical.turned_degrees,
        conversions=tuple(canonical.conversions),
    )


def _canonical(opened: OpenedPicture, probe: StillProbe, request: StillRequest) -> _Canonical:
    turned = _hinted_turn(opened, probe, request)
    needs_turn = bool(turned) or _orientation(opened) != 1
    if opened.jpeg is not None and opened.jpeg.n_components in (1, 3):
        if not needs_turn and not _needs_conversion(opened.icc_profile, opened.image.mode):
            return _kept_jpeg(opened, opened.jpeg)
        picture: Image.Image = Image.fromarray(_jpeg_pixels(opened, opened.jpeg))
        if opened.jpeg.n_components == 1:
            picture = picture.getchannel(0)
    else:
        if opened.jpeg is not None:
            prove_cmyk_jpeg(opened.data, *opened.image.size)
        elif opened.mime == "image/png":
            prove_png(opened.data)
        picture = decode_still(opened.image)
    is_kept = _is_canonical(opened, picture) and not needs_turn
    picture, conversions = to_srgb(picture, probe.bit_depth, opened.icc_profile, request.background)
    if probe.n_frames > 1:
        conversions.insert(0, "animation_first_frame")
    if opened.structure.has_foreign_colour:
        conversions.append("nclx_ignored")
    upright = _upright(picture, _orientation(opened), turned)
    source = FrameSource(upright.width, upright.height, pixels=np.asarray(upright))
    encoding: Encoding = "original" if is_kept and not conversions else "png"
    return _Canonical(source, encoding, None, turned, conversions)


def _hinted_turn(opened: OpenedPicture, probe: StillProbe, request: StillRequest) -> int:
    """Clockwise degrees by the manifest, 0 where the file states its own orientation."""
    states_its_own = (probe.exif_orientation or 1) != 1 or opened.structure.turns_itself
    return 0 if states_its_own else -(request.rotation_degrees or 0) % 360


def _orientation(opened: OpenedPicture) -> int:
    """The EXIF orientation that is still to be applied after decoding: TIFF and HEIC decoders apply it
    themselves.
    """
    if opened.mime in ("image/tiff", "image/heic"):
        return 1
    return opened.exif.orientation or 1


def _needs_conversion(icc_profile: bytes | None, mode: str) -> bool:
    return icc_profile is not None and not is_srgb(icc_profile, mode) and not is_broken(icc_profile, mode)


def _kept_jpeg(opened: OpenedPicture, jpeg: JpegStructure) -> _Canonical:
    is_ignored = opened.icc_profile is not None and is_broken(opened.icc_profile, opened.image.mode)
    conversions = ["icc_ignored"] if is_ignored else []
    encoding: Encoding = "original" if jpeg.structure.is_bare else "stripped"
    blob = opened.data if encoding == "original" else stripped_jpeg(opened.data, jpeg)
    source = FrameSource(opened.image.width, opened.image.height, jpeg=blob)
    return _Canonical(source, encoding, None if encoding == "original" else blob, 0, conversions)


def _jpeg_pixels(opened: OpenedPicture, jpeg: JpegStructure) -> Pixels:
    return decode_jpeg(stripped_jpeg(opened.data, jpeg), opened.image.width, opened.image.height)


def _is_canonical(opened: OpenedPicture, picture: Image.Image) -> bool:
    """Whether a PNG or WebP holds nothing but one 8-bit gray or RGB picture."""
    structure = opened.structure
    return (
        opened.mime in ("image/png", "image/webp")
        and structure.is_bare
        and structure.n_frames == 1
        and structure.bit_depth == 8
        and picture.mode in ("L", "RGB")
    )


def _upright(picture: Image.Image, orientation: int, turned_degrees: int) -> Image.Image:
    for operation in (_UPRIGHT.get(orientation), _CLOCKWISE.get(turned_degrees)):
        if operation is not None:
            picture = picture.transpose(operation)
    return picture


def _frame_source(opened: OpenedPicture) -> FrameSource:
    image = opened.image
    if opened.mime not in ("image/jpeg", "image/png", "image/webp") or image.mode not in ("L", "RGB"):
        raise ItemError(
            ErrorCode.UNSUPPORTED_FORMAT,
            f"expected a published frame (8-bit gray or RGB as JPEG, PNG or WebP), got {opened.mime} in mode "
            f"{image.mode}; read it with read_still first.",
        )
    if opened.jpeg is not None:
        return FrameSource(image.width, image.height, jpeg=opened.data)
    picture = decode_still(image).convert("RGB")
    return FrameSource(picture.width, picture.height, pixels=np.asarray(picture))
