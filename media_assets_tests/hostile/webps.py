"""Hostile WebPs: lossy, lossless, animated; canvases that lie, chunks that do not fit, bombs."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from PIL import Image

from media_assets_tests.hostile.exifs import looping_exif, orientation_exif
from media_assets_tests.hostile.specimens import (
    BROKEN,
    CORRUPT,
    OK,
    TOO_MANY_FRAMES,
    TOO_MANY_PIXELS,
    TRUNCATED,
    Damage,
    Specimen,
    damaged,
    named,
)
from media_assets_tests.media.pictures import make_animation, make_photo, make_rgba, save

SIZE = (96, 64)


def specimens() -> Iterator[Specimen]:
    """All of them."""
    photo = Image.fromarray(make_photo(1, SIZE))
    # VP8 has no checksum, and its decoder fills in what an arithmetic coder ran out of.
    yield from damaged("webp", "webp", save(photo, "WEBP", quality=90), Damage())
    yield from damaged("webp-lossless", "webp", save(photo, "WEBP", lossless=True, method=0), Damage())
    yield from damaged("webp-alpha", "webp", save(make_rgba(2, SIZE), "WEBP", quality=80), Damage())
    # only the first frame is decoded: damage in those behind it is not looked for
    yield from damaged("webp-animation", "webp", make_animation("WEBP", 3, SIZE, method=0), Damage())
    yield from named("webp-lies", "webp", _lies(save(photo, "WEBP", quality=70)))
    yield from named("webp-bombs", "webp", _bombs())


def chunk(kind: bytes, content: bytes) -> bytes:
    """One RIFF chunk, padded."""
    return kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def webp(*chunks: bytes, size: int | None = None) -> bytes:
    """A WebP of these chunks; `size` lies about their length."""
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def canvas(width: int, height: int, flags: int = 0) -> bytes:
    """A VP8X chunk: flags 0x02 animation, 0x04 XMP, 0x08 EXIF, 0x10 alpha, 0x20 profile (RFC 9649, 2.7.1)."""
    return chunk(
        b"VP8X", bytes((flags, 0, 0, 0)) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    )


def frame(picture: bytes, x: int = 0, y: int = 0, width: int = SIZE[0], height: int = SIZE[1]) -> bytes:
    """An ANMF chunk."""
    numbers = (x // 2, y // 2, width - 1, height - 1, 100)
    return chunk(b"ANMF", b"".join(n.to_bytes(3, "little") for n in numbers) + b"\0" + picture)


def _lies(simple: bytes) -> Iterator[tuple[str, bytes, frozenset[str]]]:
    picture = simple[12:]
    yield "larger-canvas", webp(canvas(400, 300), picture), BROKEN
    yield "smaller-canvas", webp(canvas(4, 3), picture), BROKEN
    yield "size-0", webp(picture, size=0), CORRUPT
    yield "size-4-billion", webp(picture, size=0xFFFFFFFF), TRUNCATED
    yield "size-too-small", webp(picture, size=40), TRUNCATED
    yield "size-one-more", webp(picture, size=len(picture) + 5), TRUNCATED
    yield "no-chunks", webp(), CORRUPT
    yield "only-metadata", webp(canvas(96, 64, 8), chunk(b"EXIF", orientation_exif(6))), BROKEN
    yield "unknown-chunk-first", webp(chunk(b"ABCD", b"x" * 99), picture), BROKEN
    yield "unknown-chunk-last", webp(picture, chunk(b"ABCD", b"x" * 99)), OK
    yield "two-pictures", webp(picture, picture), OK
    yield "chunk-beyond-the-end", webp(picture, b"ABCD\xff\xff\xff\x7f"), TRUNCATED
    yield "no-signature-in-picture", webp(chunk(b"VP8 ", bytes(200))), CORRUPT
    yield "lossless-of-nonsense", webp(chunk(b"VP8L", b"\x2f\x5f\xc0\x0f\0" + b"\xa5" * 99)), BROKEN
    yield "lossless-wrong-mark", webp(chunk(b"VP8L", b"\x2e\x5f\xc0\x0f\0" + b"\xa5" * 99)), CORRUPT
    yield "alpha-of-nonsense", webp(canvas(96, 64, 0x10), chunk(b"ALPH", b"\x05" + b"\xff" * 30), picture), BROKEN
    yield "flags-lie", webp(canvas(96, 64, 0xFF), picture), BROKEN
    yield "animation-without-frames", webp(canvas(96, 64, 2), chunk(b"ANIM", bytes(6))), BROKEN
    yield "frame-outside-of-canvas", webp(canvas(96, 64, 2), chunk(b"ANIM", bytes(6)), frame(picture, x=2000)), BROKEN
    yield (
        "frame-says-another-size",
        webp(canvas(96, 64, 2), chunk(b"ANIM", bytes(6)), frame(picture, width=8, height=8)),
        OK,
    )
    for name, exif in looping_exif().items():
        yield f"exif-{name}", webp(canvas(96, 64, 8), picture, chunk(b"EXIF", exif)), OK
    for orientation in (0, 6, 9):
        yield (
            f"orientation-{orientation}",
            webp(canvas(96, 64, 8), picture, chunk(b"EXIF", orientation_exif(orientation))),
            OK,
        )
    yield "xmp-4-MB", webp(canvas(96, 64, 4), picture, chunk(b"XMP ", b"<x>" * 1_300_000)), OK
    yield "profile-of-nonsense", webp(canvas(96, 64, 0x20), chunk(b"ICCP", b"\xa5" * 400), picture), OK
    yield "profile-4-MB", webp(canvas(96, 64, 0x20), chunk(b"ICCP", b"\xa5" * 4_000_000), picture), OK


def _bombs() -> Iterator[tuple[str, bytes, frozenset[str]]]:
    lossy = save(Image.fromarray(make_photo(3, SIZE)), "WEBP", quality=60)[12:]
    huge = (16383 - 1) | (16383 - 1) << 14
    yield "lossless-16383-squared", webp(chunk(b"VP8L", b"\x2f" + struct.pack("<I", huge) + bytes(99))), TOO_MANY_PIXELS
    key = b"\x10\0\0\x9d\x01\x2a" + struct.pack("<HH", 16383, 16383) + bytes(99)
    yield "lossy-16383-squared", webp(chunk(b"VP8 ", key)), TOO_MANY_PIXELS
    yield "canvas-of-2-to-the-48", webp(canvas(2**24, 2**24), lossy), TOO_MANY_PIXELS
    start = (canvas(96, 64, 2), chunk(b"ANIM", bytes(6)))
    yield "2001-frames", webp(*start, *[frame(chunk(b"VP8 ", b"x"))] * 2001), TOO_MANY_FRAMES
    yield "90000-empty-frames", webp(*start, *[chunk(b"ANMF", b"")] * 90_000), TOO_MANY_FRAMES
    yield "hundred-thousand-chunks", webp(lossy, *[chunk(b"ABCD", b"")] * 100_001), CORRUPT
    yield (
        "6-frames-of-90-megapixels",
        webp(canvas(9500, 9500, 2), chunk(b"ANIM", bytes(6)), *[frame(lossy)] * 6),
        TOO_MANY_FRAMES,
    )
    # one small frame on a canvas of 12 megapixels: a kilobyte that wants some hundred megabytes
    yield "small-frame-on-a-large-canvas", webp(canvas(3500, 3500, 2), chunk(b"ANIM", bytes(6)), frame(lossy)), OK
