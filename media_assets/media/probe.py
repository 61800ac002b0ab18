"""What a still says of itself, in one record. Not here: judging it (`pictures.py`) or decoding it (`still.py`)."""

from __future__ import annotations

import msgspec
from PIL import Image

from media_assets.media.pictures import OpenedPicture


class StillProbe(msgspec.Struct):
    """What a file says of itself. Sizes are as stored, before turning; a multi-picture JPEG counts as one
    frame.

    `captured_at` is ISO 8601, with an offset only where the file has one. `has_location` tells that a
    position is embedded; the position itself is never read out.
    """

    mime: str
    width_px: int
    height_px: int
    n_frames: int
    bit_depth: int
    colour_mode: str
    exif_orientation: int | None
    has_icc_profile: bool
    captured_at: str | None
    camera_make: str | None
    camera_model: str | None
    software: str | None
    has_c2pa: bool
    has_location: bool


def probe_picture(opened: OpenedPicture) -> StillProbe:
    """What the header, the structure and the metadata of an opened, not yet decoded picture say."""
    image, structure, exif = opened.image, opened.structure, opened.exif
    orientation = image.info.get("original_orientation") if opened.mime == "image/heic" else exif.orientation
    # these decoders report the size after turning: TIFF by its tag, HEIC by its container
    is_turned = opened.mime == "image/tiff" and (orientation or 1) >= 5
    is_turned = is_turned or (opened.mime == "image/heic" and structure.swaps_sides)
    width, height = (image.height, image.width) if is_turned else image.size
    return StillProbe(
        mime=opened.mime,
        width_px=width,
        height_px=height,
        n_frames=structure.n_frames,
        bit_depth=structure.bit_depth or _bit_depth(image),
        colour_mode=image.mode,
        exif_orientation=orientation,
        has_icc_profile=opened.icc_profile is not None,
        captured_at=exif.captured_at,
        camera_make=exif.camera_make,
        camera_model=exif.camera_model,
        software=exif.software,
        has_c2pa=structure.has_c2pa,
        has_location=exif.has_location,
    )


def _bit_depth(image: Image.Image) -> int:
    declared = getattr(image, "tag_v2", {}).get(258)
    if isinstance(declared, tuple) and declared and isinstance(declared[0], int) and 1 <= declared[0] <= 64:
        return declared[0]
    return 1 if image.mode == "1" else 8
