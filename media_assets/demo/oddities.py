"""Files that are not plain RGB JPEGs: unusual ones that are fine, and broken ones with the fate each must
meet.

Lives here: the bytes of each kind, made from the pixels of a photo. Not here: which image of a set gets which
kind (`corpus_images`), nor faults of the network (`faults`). Pure.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image, TiffImagePlugin

from media_assets.demo.photos import Pixels, encode_jpeg
from media_assets.errors import ErrorCode

Maker = Callable[[Pixels, str], bytes]
"""(pixels of a photo, image id) to the bytes of the file."""

BOMB_SIDE_PX = 60_000


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _smaller(pixels: Pixels, width_px: int = 512) -> Image.Image:
    """Odd files are kept small: lossless formats of a grainy photo are not."""
    height_px = round(pixels.shape[0] * width_px / pixels.shape[1])
    return Image.fromarray(pixels).resize((width_px, height_px), Image.Resampling.LANCZOS)


def cmyk_jpeg(pixels: Pixels, image_id: str) -> bytes:
    """Four inks, as from a print shop."""
    return _saved(Image.fromarray(pixels).convert("CMYK"), "JPEG", quality=88)


def exif_rotated_jpeg(pixels: Pixels, image_id: str) -> bytes:
    """Stored lying on its side with EXIF orientation 6, a camera, and a position that must never be kept."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112], exif[0x0131] = "Sample Optics", "SO-1", 6, "Sample Firmware 1.2"
    exif[0x0132] = "2016:07:14 19:23:05"
    degrees = TiffImagePlugin.IFDRational
    exif.get_ifd(0x8825).update(
        {
            1: "N",
            2: (degrees(48), degrees(51), degrees(30)),
            3: "E",
            4: (degrees(2), degrees(17), degrees(40)),
        }
    )
    lying = Image.fromarray(pixels).transpose(Image.Transpose.ROTATE_90)
    return _saved(lying, "JPEG", quality=90, exif=exif)


def gray_jpeg(pixels: Pixels, image_id: str) -> bytes:
    """One channel."""
    return _saved(Image.fromarray(pixels).convert("L"), "JPEG", quality=90)


def progressive_jpeg(pixels: Pixels, image_id: str) -> bytes:
    """Several scans, coarse to fine."""
    return _saved(Image.fromarray(pixels), "JPEG", quality=88, progressive=True)


def deep_png(pixels: Pixels, image_id: str) -> bytes:
    """16 bits a channel, gray."""
    gray = np.asarray(_smaller(pixels).convert("L"), np.uint16)
    return _saved(Image.fromarray(gray * np.uint16(257)), "PNG")


def transparent_png(pixels: Pixels, image_id: str) -> bytes:
    """RGBA: a soft round cut-out, magenta hidden where it is fully transparent."""
    image = _smaller(pixels)
    width, height = image.size
    mask = np.zeros((height, width), np.uint8)
    cv2.circle(mask, (width // 2, height // 2), height // 2 - 20, 255, -1)
    cover = np.asarray(cv2.GaussianBlur(mask, (0, 0), 5), np.uint8)
    rgba = np.dstack([np.asarray(image), cover])
    rgba[cover == 0] = (255, 0, 255, 0)
    return _saved(Image.fromarray(rgba), "PNG")


def palette_png(pixels: Pixels, image_id: str) -> bytes:
    """256 colours and an index per pixel."""
    return _saved(_smaller(pixels).quantize(256, Image.Quantize.FASTOCTREE), "PNG")


def webp(pixels: Pixels, image_id: str) -> bytes:
    """Lossy WebP."""
    return _saved(Image.fromarray(pixels), "WEBP", quality=85, method=2)


def animated_gif(pixels: Pixels, image_id: str) -> bytes:
    """Six frames of a slow pan."""
    small = np.asarray(_smaller(pixels, 360))
    frames = [
        Image.fromarray(small[:, 12 * i : 12 * i + 280]).quantize(128, Image.Quantize.FASTOCTREE) for i in range(6)
    ]
    return _saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=120, loop=0)


def heic(pixels: Pixels, image_id: str) -> bytes:
    """HEIF with HEVC inside, as from a phone."""
    import pillow_heif  # here, since all else works without it

    stream = io.BytesIO()
    pillow_heif.from_pillow(_smaller(pixels)).save(stream, quality=75, enc_params={"preset": "ultrafast"})
    return stream.getvalue()


def avif(pixels: Pixels, image_id: str) -> bytes:
    """HEIF with AV1 inside."""
    return _saved(_smaller(pixels, 768), "AVIF", quality=70, speed=9, max_threads=1)


def lying_jpeg(pixels: Pixels, image_id: str) -> bytes:
    """On its side without any EXIF: only the list's Rotation (90, counter-clockwise) makes it upright."""
    return encode_jpeg(np.ascontiguousarray(np.rot90(pixels, -1)), 90)


def truncated_jpeg(pixels: Pixels, image_id: str) -> bytes:
    """The first 60 % of a good file; the server announces this length, so only the picture tells."""
    whole = encode_jpeg(pixels, 90)
    return whole[: int(len(whole) * 0.6)]


def empty(pixels: Pixels, image_id: str) -> bytes:
    """Zero bytes."""
    return b""


def html_page(pixels: Pixels, image_id: str) -> bytes:
    """An error page that came with status 200."""
    return (
        "<!DOCTYPE html>\n<html><head><title>Photo unavailable</title></head>\n"
        f"<body><h1>This photo is no longer available</h1><p>Reference: {image_id}</p></body></html>\n"
    ).encode()


def svg(pixels: Pixels, image_id: str) -> bytes:
    """A drawing, not a photo."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<svg xmlns="http://www.w3.org/2000/svg" width="1024" height="768">'
        f'<title>{image_id}</title><circle cx="512" cy="384" r="200" fill="teal"/></svg>\n'
    ).encode()


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_bomb(pixels: Pixels, image_id: str) -> bytes:
    """A few hundred bytes that announce 60,000 x 60,000 px: 10.8 GB once decoded as RGB.

    PNG chunks as in the W3C PNG specification (third edition), section 5.3.
    """
    header = struct.pack(">IIBBBBB", BOMB_SIDE_PX, BOMB_SIDE_PX, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(BOMB_SIDE_PX * 3 + 1), 9)
    note = _chunk(b"tEXt", b"Comment\0" + image_id.encode())
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + note + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def random_bytes(pixels: Pixels, image_id: str) -> bytes:
    """16 KiB without any magic number."""
    seed = int.from_bytes(hashlib.sha256(image_id.encode()).digest()[:8], "big")
    return b"\xde\xad\xbe\xef" + np.random.default_rng(seed).bytes(16 * 1024 - 4)


def plain_jpeg(pixels: Pixels, image_id: str) -> bytes:
    """A good photo."""
    return encode_jpeg(pixels, 90)


FINE: dict[str, Maker] = {
    "cmyk": cmyk_jpeg,
    "exif_rotated": exif_rotated_jpeg,
    "gray": gray_jpeg,
    "progressive": progressive_jpeg,
    "png16": deep_png,
    "png_rgba": transparent_png,
    "png_palette": palette_png,
    "webp": webp,
    "gif_animated": animated_gif,
    "heic": heic,
    "avif": avif,
    "list_rotation_90": lying_jpeg,
}
"""Odd files that every stage must take. (`duplicate`, the bytes of the image before: `corpus_images`.)"""

BROKEN: dict[str, Maker] = {
    "truncated": truncated_jpeg,
    "empty": empty,
    "html": html_page,
    "svg": svg,
    "bomb": png_bomb,
    "random": random_bytes,
    "missing": plain_jpeg,  # bytes for after the mending; 404 until then
    "flaky": plain_jpeg,  # the same; 503 until then
}
"""Files, or answers, that must become failed items."""

ERROR_CODES: dict[str, ErrorCode] = {
    "truncated": ErrorCode.TRUNCATED,
    "empty": ErrorCode.EMPTY,
    "html": ErrorCode.UNSUPPORTED_FORMAT,
    "svg": ErrorCode.UNSUPPORTED_FORMAT,
    "bomb": ErrorCode.TOO_MANY_PIXELS,
    "random": ErrorCode.UNKNOWN_FORMAT,
    "missing": ErrorCode.NOT_FOUND,
    "flaky": ErrorCode.SERVER_ERROR,
}
"""Why each broken kind fails."""

MENDABLE = frozenset({"missing", "flaky"})
"""Broken kinds that are the server's fault: they are good once it is mended."""

CONTENT_TYPES = {"html": "text/html; charset=utf-8", "svg": "image/svg+xml"}
"""What the server calls these; everything else is `image/jpeg`, true or not, because of its name."""
