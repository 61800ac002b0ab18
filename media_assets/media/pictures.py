"""From untrusted bytes to an opened, not yet decoded picture: sniffed, walked, capped.

Here: the order in which a file is judged. Not here: pixels (`colour.py`, `frames.py`).
"""

from __future__ import annotations

import io
from collections.abc import Callable

import msgspec
from PIL import AvifImagePlugin, Image
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from media_assets.errors import ErrorCode, ItemError
from media_assets.media.boundary import decoding
from media_assets.media.containers.bmff import examine_bmff
from media_assets.media.containers.gif import examine_gif
from media_assets.media.containers.jpeg import JpegStructure, examine_jpeg
from media_assets.media.containers.png import examine_png
from media_assets.media.containers.structure import Structure, truncated
from media_assets.media.containers.tiff import examine_tiff
from media_assets.media.containers.webp import examine_webp
from media_assets.media.exif import ExifFacts, exif_facts
from media_assets.media.sniff import HEAD_BYTES, STILL_MIMES, sniff

_HARD_MAX_PIXELS = 178_956_970
"""Pillow's own error line, beyond which some of its readers refuse whatever the caller allows."""

# Workers scale by processes; a decoder's own threads would only add to the memory that a worker may use.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1

_OPENERS: dict[str, Callable[[io.BytesIO], Image.Image]] = {
    "image/jpeg": JpegImageFile,
    "image/png": PngImageFile,
    "image/webp": WebPImageFile,
    "image/gif": GifImageFile,
    "image/tiff": TiffImageFile,
    "image/bmp": BmpImageFile,
    "image/avif": AvifImageFile,
}
"""Readers are called by name, never found by `Image.open`: a rarely tested one cannot be reached at all."""

try:  # its wheel carries an encoder under the GPL: whoever must not pass that on removes the package
    import pillow_heif
except ImportError:
    pass
else:
    pillow_heif.options.DECODE_THREADS = 1
    _OPENERS["image/heic"] = pillow_heif.HeifImageFile


class StillLimits(msgspec.Struct, frozen=True):
    """Caps that hold before anything is decoded. `max_total_pixels` is frames x canvas."""

    max_bytes: int = 64 * 1024 * 1024
    max_pixels: int = 100_000_000
    max_frames: int = 2000
    max_total_pixels: int = 500_000_000

    def __post_init__(self) -> None:
        """Refuse limits that no file can satisfy, or that the decoders would not honour."""
        if min(self.max_bytes, self.max_pixels, self.max_frames, self.max_total_pixels) < 1:
            raise ValueError(f"expected limits of at least 1, got {self}")
        if self.max_pixels > _HARD_MAX_PIXELS:
            raise ValueError(f"expected max_pixels of at most {_HARD_MAX_PIXELS}, got {self.max_pixels}")


class OpenedPicture(msgspec.Struct):
    """A picture whose header was read and found within the limits; `image` is not decoded yet."""

    data: bytes
    mime: str
    structure: Structure
    jpeg: JpegStructure | None
    image: Image.Image
    exif: ExifFacts
    icc_profile: bytes | None


def open_picture(data: bytes, limits: StillLimits) -> OpenedPicture:
    """Judge a file by size, magic, structure and header, in this order, without decoding it.

    Raises:
        ItemError: EMPTY, TOO_MANY_BYTES, UNKNOWN_FORMAT, UNSUPPORTED_FORMAT, TOO_MANY_PIXELS,
            TOO_MANY_FRAMES, TRUNCATED, CORRUPT or DECODER_MEMORY.
    """
    mime = _admit(data, limits)
    jpeg = examine_jpeg(data) if mime == "image/jpeg" else None
    structure = jpeg.structure if jpeg else _examine(data, mime, limits.max_frames)
    if structure.width_px is not None and structure.height_px is not None:
        _check_size(structure.width_px, structure.height_px, structure.n_frames, limits)
    with decoding(f"the {_short(mime)} header"):
        image = _OPENERS[mime](io.BytesIO(data))
        n_frames = max(structure.n_frames, int(getattr(image, "n_frames", 1)) if _counts_cheaply(mime) else 1)
        icc_profile = image.info.get("icc_profile") or None
        if structure.exif is not None:
            image.info["exif"] = structure.exif
    _check_size(image.width, image.height, n_frames, limits)
    if isinstance(image, TiffImageFile):
        _check_coverage(image)
    structure = msgspec.structs.replace(structure, n_frames=n_frames)
    return OpenedPicture(data, mime, structure, jpeg, image, exif_facts(image), icc_profile)


def _admit(data: bytes, limits: StillLimits) -> str:
    if not data:
        raise ItemError(ErrorCode.EMPTY, "expected a picture, got 0 bytes; check the file at its source.")
    if len(data) > limits.max_bytes:
        raise ItemError(
            ErrorCode.TOO_MANY_BYTES,
            f"expected at most {limits.max_bytes} bytes, got {len(data)}; raise max_bytes if that is meant.",
        )
    mime = sniff(data[:HEAD_BYTES])
    if mime is None:
        raise ItemError(
            ErrorCode.UNKNOWN_FORMAT,
            f"expected a picture, got bytes of no known kind (they begin with {data[:8].hex(' ')}).",
        )
    if mime not in STILL_MIMES:
        raise ItemError(
            ErrorCode.UNSUPPORTED_FORMAT,
            f"expected one of {', '.join(sorted(_short(m) for m in STILL_MIMES))}; "
            f"got {mime}, which is not opened as a still.",
        )
    if mime not in _OPENERS:
        raise ItemError(
            ErrorCode.UNSUPPORTED_FORMAT, f"got {mime}, and pillow-heif, which opens it, is not installed here."
        )
    return mime


def _examine(data: bytes, mime: str, max_frames: int) -> Structure:
    match mime:
        case "image/png":
            return examine_png(data)
        case "image/webp":
            return examine_webp(data)
        case "image/gif":
            return examine_gif(data, max_frames)
        case "image/tiff":
            return examine_tiff(data, max_frames)
        case "image/heic" | "image/avif":
            return examine_bmff(data)
        case _:
            return Structure()


def _counts_cheaply(mime: str) -> bool:
    """Whether Pillow's `n_frames` is a field of the header rather than a walk of its own."""
    return mime in ("image/heic", "image/avif")


def _check_size(width_px: int, height_px: int, n_frames: int, limits: StillLimits) -> None:
    n_pixels = width_px * height_px
    if n_pixels < 1:
        raise ItemError(ErrorCode.CORRUPT, f"expected at least 1x1 pixels, the header says {width_px}x{height_px}.")
    if n_pixels > limits.max_pixels:
        raise ItemError(
            ErrorCode.TOO_MANY_PIXELS,
            f"expected at most {limits.max_pixels} pixels, the header says {width_px}x{height_px}; scale it down.",
        )
    if n_frames > limits.max_frames:
        raise ItemError(
            ErrorCode.TOO_MANY_FRAMES,
            f"expected at most {limits.max_frames} frames, found more; cut it at its source.",
        )
    if n_pixels * n_frames > limits.max_total_pixels:
        raise ItemError(
            ErrorCode.TOO_MANY_FRAMES,
            f"expected at most {limits.max_total_pixels} pixels over all frames, "
            f"got {n_frames} frames of {width_px}x{height_px}; cut or scale it at its source.",
        )


def _check_coverage(image: TiffImageFile) -> None:
    """Refuse a TIFF whose strips, tiles or planes are too few: Pillow would leave what they do not cover black.

    What libtiff decodes is one tile here; it sees for itself what is missing.
    """
    width, height = int(image.tag_v2[256]), int(image.tag_v2[257])  # as stored: the size is that after turning
    planes: dict[str, set[tuple[int, int, int, int]]] = {}
    for tile in image.tile:
        if tile.extents is not None:
            plane = tile.args[0] if isinstance(tile.args, tuple) else tile.args
            planes.setdefault(str(plane), set()).add(tile.extents)
    is_in_planes = image.tag_v2.get(284) == 2 and all(tile.codec_name == "raw" for tile in image.tile)
    n_planes = len(image.getbands()) if is_in_planes else 1
    areas = [sum((min(x1, width) - x0) * (min(y1, height) - y0) for x0, y0, x1, y1 in p) for p in planes.values()]
    if len(areas) < n_planes or min(areas, default=0) < width * height:
        raise truncated(f"expected strips or tiles for all {width}x{height} pixels in {n_planes} planes, got fewer")


def _short(mime: str) -> str:
    return mime.removeprefix("image/").upper()
