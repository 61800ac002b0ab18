"""The few facts that are read from a picture's metadata: when, by which camera, whether a position is in it.

Here: an allow-list. The position itself, names, comments and everything else are never returned.
"""

from __future__ import annotations

import re
from datetime import datetime

import msgspec
from PIL import Image

from media_assets.errors import ItemError
from media_assets.media.boundary import decoding

MAX_TEXT = 200
_MAKE, _MODEL, _ORIENTATION, _SOFTWARE = 0x010F, 0x0110, 0x0112, 0x0131
_EXIF_IFD, _GPS_IFD, _TAKEN, _TAKEN_OFFSET = 0x8769, 0x8825, 0x9003, 0x9011
_TIME = re.compile(r"(\d{4}):(\d\d):(\d\d)[ T](\d\d):(\d\d):(\d\d)")
_OFFSET = re.compile(r"[+-](?:0\d|1[0-4]):[0-5]\d")


class ExifFacts(msgspec.Struct, frozen=True):
    """What the metadata state. `captured_at` is ISO 8601, with an offset only where the file has one."""

    orientation: int | None = None
    captured_at: str | None = None
    camera_make: str | None = None
    camera_model: str | None = None
    software: str | None = None
    has_location: bool = False


def exif_facts(picture: Image.Image) -> ExifFacts:
    """Facts from an opened, not yet loaded picture. Broken metadata say nothing; they never fail a good
    picture.
    """
    try:
        with decoding("EXIF"):
            # not the PNG reader's own: it decodes the picture to look behind its pixels, and what that raises
            # would be lost here, while a second decode is taken for done
            exif = Image.Image.getexif(picture)
            taken = exif.get_ifd(_EXIF_IFD)
            has_location = bool(exif.get_ifd(_GPS_IFD)) or _xmp_has_location(picture)
            return ExifFacts(
                orientation=_orientation(exif.get(_ORIENTATION)),
                captured_at=_captured_at(taken.get(_TAKEN), taken.get(_TAKEN_OFFSET)),
                camera_make=_text(exif.get(_MAKE)),
                camera_model=_text(exif.get(_MODEL)),
                software=_text(exif.get(_SOFTWARE)),
                has_location=has_location,
            )
    except ItemError:
        return ExifFacts()


def _xmp_has_location(picture: Image.Image) -> bool:
    xmp = picture.info.get("xmp") or picture.info.get("XML:com.adobe.xmp") or b""
    return "GPSLatitude" in (xmp if isinstance(xmp, str) else bytes(xmp).decode("utf-8", "replace"))


def _orientation(value: object) -> int | None:
    return value if isinstance(value, int) and 1 <= value <= 8 else None


def _text(value: object) -> str | None:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return None
    printable = "".join(c for c in value if c.isprintable()).strip()
    return printable[:MAX_TEXT] or None


def _captured_at(taken: object, offset: object) -> str | None:
    """EXIF 2.31 `DateTimeOriginal` with its `OffsetTimeOriginal`; None where it is no date."""
    match = _TIME.match(_text(taken) or "")
    if match is None:
        return None
    try:
        moment = datetime(*(int(part) for part in match.groups()))  # type: ignore[arg-type]  # noqa: DTZ001
    except ValueError:
        return None
    stated = _text(offset) or ""
    return moment.isoformat() + (stated if _OFFSET.fullmatch(stated) else "")
