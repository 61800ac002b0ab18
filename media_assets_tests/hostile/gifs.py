"""Hostile GIFs: frames without end, canvases without bound, codes that cannot be."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from PIL import Image

from media_assets_tests.hostile.specimens import (
    BROKEN,
    CORRUPT,
    OK,
    TOO_MANY_FRAMES,
    TOO_MANY_PIXELS,
    TRUNCATED,
    UNKNOWN,
    Damage,
    Specimen,
    damaged,
    named,
)
from media_assets_tests.media.pictures import make_animation, make_gif_of_many, make_photo, save

SIZE = (96, 64)
TABLE = b"\0\0\0\xff\xff\xff"
PIXEL = b"\2\2\x44\1\0"
"""LZW data of one pixel: code size, one block, terminator."""


def specimens() -> Iterator[Specimen]:
    """All of them."""
    # LZW has no checksum: a flipped bit makes other colours, or a code that is not there yet.
    still = save(Image.fromarray(make_photo(2, SIZE)), "GIF")
    yield from damaged("gif", "gif", still, Damage())
    # a missing end after the first whole picture is forgiven: the others are not used
    later = Damage(cut=OK, flipped=OK | CORRUPT | TRUNCATED, cuts=(0.5, 0.7, 0.9))
    yield from damaged("gif-animation", "gif", make_animation("GIF", 5, SIZE), later)
    yield from named("gif-lies", "gif", _lies())
    yield from named("gif-bombs", "gif", _bombs())


def gif(
    *blocks: bytes, size: tuple[int, int] = (1, 1), flags: int = 0x80, table: bytes = TABLE, end: bytes = b";"
) -> bytes:
    """A GIF89a of these blocks."""
    return b"GIF89a" + struct.pack("<HHBBB", *size, flags, 0, 0) + table + b"".join(blocks) + end


def picture(
    size: tuple[int, int] = (1, 1),
    at: tuple[int, int] = (0, 0),
    flags: int = 0,
    data: bytes = PIXEL,
    table: bytes = b"",
) -> bytes:
    """One image block."""
    return b"," + struct.pack("<HHHHB", *at, *size, flags) + table + data


def _lies() -> Iterator[tuple[str, bytes, frozenset[str]]]:
    yield "87a", b"GIF87a" + gif(picture())[6:], OK
    yield "88a", b"GIF88a" + gif(picture())[6:], UNKNOWN
    yield "no-picture", gif(), CORRUPT
    yield "only-a-header", gif()[:13], TRUNCATED
    yield "only-a-signature", b"GIF89a", TRUNCATED
    yield "no-end", gif(picture(), b"", end=b""), OK
    yield "no-canvas", gif(picture(), size=(0, 0)), CORRUPT
    yield "canvas-without-height", gif(picture(), size=(9, 0)), CORRUPT
    yield "no-colours", gif(picture(), flags=0, table=b""), OK
    yield "picture-larger-than-canvas", gif(picture((300, 200))), BROKEN
    yield "picture-outside-of-canvas", gif(picture(at=(500, 500)), size=(8, 8)), OK
    yield "picture-without-size", gif(picture((0, 0)), size=(8, 8)), BROKEN
    yield "picture-with-too-few-codes", gif(picture((64, 64)), size=(64, 64)), BROKEN
    yield "code-size-0", gif(picture(data=b"\0\2\x44\1\0")), OK
    yield "code-size-13", gif(picture(data=b"\x0d\2\x44\1\0")), BROKEN
    yield "code-size-255", gif(picture(data=b"\xff\2\x44\1\0")), BROKEN
    yield "code-before-its-time", gif(picture((8, 8), data=b"\2\3\xff\xff\xff\0"), size=(8, 8)), BROKEN
    yield "no-codes", gif(picture(data=b"\2\0")), BROKEN
    yield "unknown-block", gif(b"\x99", picture()), CORRUPT
    yield "unknown-block-behind", gif(picture(), b"\x99" * 40), OK
    yield "unknown-extension", gif(b"!\x42\x03abc\0", picture()), OK
    yield "control-short", gif(b"!\xf9\1\1\0", picture()), BROKEN
    yield "control-of-4-kB", gif(b"!\xf9" + (b"\xff" + b"x" * 255) * 16 + b"\0", picture()), OK
    yield "interlaced", gif(picture(flags=0x40)), OK
    yield "colours-of-its-own", gif(picture(flags=0x80, table=TABLE)), OK
    yield "clear-colour-out-of-range", gif(b"!\xf9\4\1\0\0\xff\0", picture()), OK
    yield "loop-count-short", gif(b"!\xff\x0bNETSCAPE2.0\1\1\0", picture()), OK
    yield "comment-4-MB", gif(b"!\xfe" + (b"\xff" + b"c" * 255) * 16_000 + b"\0", picture()), OK


def _bombs() -> Iterator[tuple[str, bytes, frozenset[str]]]:
    yield "2001-frames", make_gif_of_many(2001), TOO_MANY_FRAMES
    yield "2000-frames", make_gif_of_many(2000), OK
    yield "200000-frames", make_gif_of_many(200_000), TOO_MANY_FRAMES
    yield "65535-squared", gif(picture(), size=(65535, 65535)), TOO_MANY_PIXELS
    # 50 bytes that are a picture of 12 megapixels
    yield "a-pixel-on-12-megapixels", gif(picture(), size=(3500, 3500)), OK
    yield "6-frames-on-90-megapixels", gif(*[picture()] * 6, size=(9500, 9500)), TOO_MANY_FRAMES
    blocks = b"\1\0" * 1
    million = gif(b"!\xfe" + b"\1c" * 1_000_001 + b"\0", picture())
    yield "a-million-blocks", million, CORRUPT
    yield "a-comment-without-end", gif(b"!\xfe" + b"\xff" + b"c" * 255, end=blocks[:0]), TRUNCATED
