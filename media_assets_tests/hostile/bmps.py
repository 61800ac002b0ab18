"""Hostile BMPs: every depth and header, run lengths that run away, sizes of either sign."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from PIL import Image

from media_assets_tests.hostile.specimens import (
    BROKEN,
    CORRUPT,
    OK,
    TOO_MANY_PIXELS,
    TRUNCATED,
    UNKNOWN,
    Damage,
    Specimen,
    damaged,
    named,
)
from media_assets_tests.media.pictures import make_photo, save

SIZE = (64, 48)
PALETTE = bytes(range(256)) * 4

# Plain pixels: whatever bits are flipped, they are still colours.
_DAMAGE = Damage(flipped=OK, holed=OK)


def specimens() -> Iterator[Specimen]:
    """All of them."""
    photo = Image.fromarray(make_photo(5, SIZE))
    yield from damaged("bmp", "bmp", save(photo, "BMP"), _DAMAGE)
    yield from damaged("bmp-gray", "bmp", save(photo.convert("L"), "BMP"), _DAMAGE)
    yield from named("bmp-kinds", "bmp", _kinds())
    yield from named("bmp-lies", "bmp", _lies())


def bmp(
    width: int = 8,
    height: int = 8,
    depth: int = 24,
    compression: int = 0,
    data: bytes | None = None,
    palette: bytes = b"",
    *,
    n_colours: int = 0,
    offset: int | None = None,
    header_size: int = 40,
    planes: int = 1,
    extra: bytes = b"",
) -> bytes:
    """A BMP with any field (BITMAPINFOHEADER and its successors)."""
    if data is None:
        data = bytes((depth * width + 31) // 32 * 4 * abs(height)) if abs(width * height) < 10**6 else b""
    info = struct.pack("<IiiHHIIiiII", header_size, width, height, planes, depth, compression, 0, 0, 0, n_colours, 0)
    info += extra
    start = 14 + len(info) + len(palette) if offset is None else offset
    return b"BM" + struct.pack("<IHHI", 14 + len(info) + len(palette) + len(data), 0, 0, start) + info + palette + data


def _kinds() -> Iterator[tuple[str, bytes, frozenset[str]]]:
    for depth in (1, 4, 8):
        yield f"{depth}-bit", bmp(depth=depth, palette=PALETTE[: 4 << depth]), OK
    yield "16-bit", bmp(depth=16), OK
    yield "32-bit", bmp(depth=32), OK
    yield "top-down", bmp(height=-9), OK
    masks = struct.pack("<III", 0xF800, 0x07E0, 0x001F)
    yield "bit-fields", bmp(depth=16, compression=3, extra=masks), OK
    yield "bit-fields-odd", bmp(depth=16, compression=3, extra=struct.pack("<III", 1, 2, 4)), BROKEN
    yield (
        "alpha-fields",
        bmp(depth=32, compression=3, header_size=56, extra=struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
        OK,
    )
    core = struct.pack("<IHHHH", 12, 8, 8, 1, 24)
    yield "os2", b"BM" + struct.pack("<IHHI", 26 + 192, 0, 0, 26) + core + bytes(192), OK
    yield "v4", bmp(header_size=108, extra=bytes(68)), OK
    yield "v5", bmp(header_size=124, extra=bytes(84)), OK
    yield "header-of-99", bmp(header_size=99, extra=bytes(59)), UNKNOWN
    rows = b"\x08\x05\0\0" * 8 + b"\0\1"
    yield "rle8", bmp(depth=8, compression=1, palette=PALETTE, data=rows), OK
    yield "rle4", bmp(depth=4, compression=2, palette=PALETTE[:64], data=rows), OK


def _lies() -> Iterator[tuple[str, bytes, frozenset[str]]]:
    def runs(data: bytes, depth: int = 8) -> bytes:
        return bmp(depth=depth, compression=1 if depth == 8 else 2, palette=PALETTE[: 4 << depth], data=data)

    yield "rle-too-long", runs(b"\xff\x05" * 400 + b"\0\1"), BROKEN
    yield "rle-too-short", runs(b"\x08\x05\0\0\0\1"), BROKEN
    yield "rle-empty", runs(b""), BROKEN
    yield "rle-only-an-end", runs(b"\0\1"), BROKEN
    yield "rle-jumps-away", runs(b"\0\2\xff\xff" * 300 + b"\0\1"), OK
    yield "rle-literal-cut", runs(b"\0\xff\1\2\3"), BROKEN
    yield "rle-zero-runs", runs(b"\0\0" * 5000 + b"\0\1"), BROKEN
    yield "rle4-literal-odd", runs(b"\0\7\1\2\3\4" * 9 + b"\0\1", 4), BROKEN
    yield "no-width", bmp(0, 8, data=bytes(99)), CORRUPT
    yield "no-height", bmp(8, 0, data=bytes(99)), CORRUPT
    yield "width-negative", bmp(-8, 8, data=bytes(300)), BROKEN | TOO_MANY_PIXELS
    yield "height-least", bmp(8, -(2**31), data=bytes(99)), TOO_MANY_PIXELS
    yield "sides-2-billion", bmp(2**31 - 1, 2**31 - 1, data=bytes(99)), TOO_MANY_PIXELS
    yield "20000-squared", bmp(20_000, 20_000, data=bytes(99)), TOO_MANY_PIXELS
    yield "9500-squared-without-data", bmp(9500, 9500, data=bytes(99)), TRUNCATED
    yield "1-bit-9500-squared-without-data", bmp(9500, 9500, 1, data=bytes(99), palette=PALETTE[:8]), TRUNCATED
    yield "rle-9500-squared-without-data", bmp(9500, 9500, 8, 1, b"\0\1", PALETTE), BROKEN
    yield "depth-0", bmp(depth=0, data=bytes(99)), BROKEN
    yield "depth-7", bmp(depth=7, data=bytes(99)), BROKEN
    yield "depth-64", bmp(depth=64, data=bytes(999)), BROKEN
    yield "planes-9", bmp(planes=9, data=bytes(192) + b"p"), OK
    yield "jpeg-inside", bmp(compression=4, data=bytes(99)), BROKEN
    yield "png-inside", bmp(compression=5, data=bytes(99)), BROKEN
    yield "compression-99", bmp(compression=99, data=bytes(99)), BROKEN
    yield "colours-4-billion", bmp(depth=8, palette=PALETTE, n_colours=2**32 - 1), BROKEN | OK
    yield "colours-300", bmp(depth=8, palette=PALETTE + bytes(176), n_colours=300), BROKEN
    yield "palette-missing", bmp(depth=8, palette=b""), BROKEN
    yield "data-at-0", bmp(offset=0, data=bytes(192) + b"0"), OK
    yield "data-behind-the-end", bmp(offset=2**31), BROKEN
    yield "only-a-mark", b"BM", UNKNOWN | frozenset({"failed/unsupported_format"})
    yield "only-a-header", bmp(data=b""), BROKEN
