"""Hostile PNGs: every colour type and depth, both orders of rows, chunks that lie, bombs in every compressed part."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np

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
from media_assets_tests.media.pictures import make_animation, make_png, png_chunk

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SIZE = (64, 48)
MIB = 2**20

# Every chunk has a checksum: no flipped bit gets by.
_DAMAGE = Damage(flipped=CORRUPT, holed=CORRUPT)
_N_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_PASSED_OVER = {"international-text-short"}
"""A chunk too short for its fields that Pillow leaves alone; others it refuses."""
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def specimens() -> Iterator[Specimen]:
    """All of them."""
    yield from damaged("png", "png", make_png(0, SIZE), _DAMAGE)
    yield from damaged("png-rgba", "png", make_png(1, SIZE, mode="RGBA"), _DAMAGE)
    yield from damaged("png-palette", "png", make_png(2, SIZE, mode="P"), _DAMAGE)
    yield from damaged("png-interlaced", "png", made(2, 8, (40, 31), is_interlaced=True), _DAMAGE)
    # cut within the frames after the first
    animation = Damage(flipped=CORRUPT, holed=CORRUPT, data_from=0.7)
    yield from damaged("apng", "png", make_animation("PNG", 3, SIZE), animation)
    for colour_type, depths in DEPTHS.items():
        for depth in depths:
            for is_interlaced in (False, True):
                data = made(colour_type, depth, is_interlaced=is_interlaced)
                name = f"type-{colour_type}-depth-{depth}{'-interlaced' if is_interlaced else ''}"
                yield Specimen(f"png-modes/{name}.png", data, OK)
    yield from named("png-header", "png", _headers())
    yield from named("png-chunks", "png", _chunks())
    yield from named("png-data", "png", _data())
    yield from named("png-bombs", "png", _bombs())
    yield from named("apng-lies", "png", _animations())


def header(
    width: int, height: int, depth: int = 8, colour_type: int = 2, interlace: int = 0, compression: int = 0
) -> bytes:
    """An IHDR chunk."""
    return png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour_type, compression, 0, interlace))


def png(*chunks: bytes) -> bytes:
    """A PNG of these chunks."""
    return SIGNATURE + b"".join(chunks)


END = png_chunk(b"IEND", b"")


def made(colour_type: int, depth: int, size: tuple[int, int] = (24, 17), *, is_interlaced: bool = False) -> bytes:
    """A PNG of noise in any of the fifteen kinds (W3C PNG, table 12), rows in order or Adam7 (section 8.2)."""
    width, height = size
    values = np.random.default_rng(100 * colour_type + depth + 7 * is_interlaced).integers(
        0, 2**depth, (height, width, _N_CHANNELS[colour_type]), np.uint16
    )
    passes = _ADAM7 if is_interlaced else ((0, 0, 1, 1),)
    rows = b"".join(_packed(values[y::dy, x::dx], depth) for x, y, dx, dy in passes)
    palette = [png_chunk(b"PLTE", bytes(i * 7 % 256 for i in range(3 * 2**depth)))] if colour_type == 3 else []
    return png(
        header(width, height, depth, colour_type, int(is_interlaced)),
        *palette,
        png_chunk(b"IDAT", zlib.compress(rows)),
        END,
    )


def _packed(values: np.ndarray, depth: int) -> bytes:
    if not values.size:
        return b""
    rows = []
    for row in values.reshape(len(values), -1):
        if depth == 16:
            packed = row.astype(">u2").tobytes()
        else:
            bits = np.unpackbits(row.astype(np.uint8)[:, None], axis=1)[:, 8 - depth :]
            packed = np.packbits(bits.reshape(-1)).tobytes()
        rows.append(b"\0" + packed)
    return b"".join(rows)


def _pixels(width: int, height: int, n_channels: int = 3) -> bytes:
    return png_chunk(b"IDAT", zlib.compress(b"".join(b"\0" + bytes(width * n_channels) for _ in range(height))))


def _headers() -> Iterator[tuple[str, bytes, frozenset[str]]]:
    data = _pixels(24, 17)
    yield "no-width", png(header(0, 17), data, END), CORRUPT
    yield "no-height", png(header(24, 0), data, END), CORRUPT
    yield "depth-3", png(header(24, 17, 3), data, END), CORRUPT
    yield "depth-16-palette", png(header(24, 17, 16, 3), png_chunk(b"PLTE", bytes(6)), data, END), CORRUPT
    yield "colour-type-5", png(header(24, 17, 8, 5), data, END), CORRUPT
    yield "interlace-9", png(header(24, 17, interlace=9), data, END), BROKEN
    yield "compression-1", png(header(24, 17, compression=1), data, END), OK
    yield "taller-than-its-data", png(header(24, 400), data, END), BROKEN
    yield "wider-than-its-data", png(header(2400, 17), data, END), BROKEN
    # more data than pixels: every decoder stops when it has them all
    yield "shorter-than-its-data", png(header(24, 9), data, END), OK
    yield "header-twice", png(header(24, 17), header(240, 170), data, END), BROKEN
    yield "header-last", png(data, header(24, 17), END), CORRUPT
    yield "header-of-12-bytes", png(png_chunk(b"IHDR", bytes(12)), data, END), CORRUPT
    yield "only-a-signature", SIGNATURE, TRUNCATED
    yield "only-a-header", png(header(24, 17)), TRUNCATED
    yield "negative-sides", png(header(2**32 - 1, 2**32 - 1), data, END), TOO_MANY_PIXELS
    yield "no-palette", png(header(24, 17, 8, 3), _pixels(24, 17, 1), END), BROKEN
    short = png_chunk(b"PLTE", bytes(6))
    yield (
        "index-beyond-the-palette",
        png(header(24, 17, 8, 3), short, png_chunk(b"IDAT", zlib.compress((b"\0" + b"\xc8" * 24) * 17)), END),
        OK,
    )
    yield "palette-of-257", png(header(24, 17, 8, 3), png_chunk(b"PLTE", bytes(771)), _pixels(24, 17, 1), END), BROKEN


def _chunks() -> Iterator[tuple[str, bytes, frozenset[str]]]:
    start, data = header(24, 17), _pixels(24, 17)
    whole = png(start, data, END)
    bad = bytearray(whole)
    bad[8 + 25 + 4 + 10] ^= 1
    yield "bad-sum-of-data", bytes(bad), CORRUPT
    bad = bytearray(whole)
    bad[8 + 8 + 3] ^= 1
    yield "bad-sum-of-header", bytes(bad), CORRUPT
    yield "bad-sum-of-end", whole[:-1] + b"\0", CORRUPT
    yield "bad-sum-of-text", png(start, png_chunk(b"tEXt", b"a\0b")[:-1] + b"\0", data, END), CORRUPT
    yield "length-2-billion", png(start, struct.pack(">I", 0x7FFFFFFF) + b"tEXtx", data, END), TRUNCATED
    yield "length-4-billion", png(start, struct.pack(">I", 0xFFFFFFFF) + b"IDATx", data, END), TRUNCATED
    yield "empty-data-chunks", png(start, *[png_chunk(b"IDAT", b"")] * 500, data, END), OK
    yield (
        "data-byte-by-byte",
        png(start, *(png_chunk(b"IDAT", bytes((b,))) for b in zlib.compress(bytes(73 * 17))), END),
        OK,
    )
    yield "critical-unknown", png(start, png_chunk(b"QRST", b"x"), data, END), OK
    yield "ancillary-unknown", png(start, png_chunk(b"qrSt", b"x"), data, END), OK
    yield "name-of-no-letters", png(start, png_chunk(b"\0\1\2\3", b"x"), data, END), BROKEN
    yield "data-missing", png(start, END), BROKEN
    yield (
        "data-split-by-text",
        png(
            start,
            png_chunk(b"IDAT", data[8:-4][:20]),
            png_chunk(b"tEXt", b"a\0b"),
            png_chunk(b"IDAT", data[8:-4][20:]),
            END,
        ),
        OK,
    )
    yield "two-pictures", png(start, data, END) + png(start, data, END), OK
    yield "hundred-thousand-chunks", png(start, *[png_chunk(b"qrSt", b"")] * 100_001, data, END), CORRUPT
    for name, content in {
        "gamma-0": (b"gAMA", bytes(4)),
        "gamma-short": (b"gAMA", b"\1"),
        "chromaticities-0": (b"cHRM", bytes(32)),
        "chromaticities-short": (b"cHRM", bytes(3)),
        "srgb-short": (b"sRGB", b""),
        "srgb-99": (b"sRGB", b"\x63"),
        "density-short": (b"pHYs", b"\1"),
        "transparency-short": (b"tRNS", b"\1"),
        "transparency": (b"tRNS", bytes(6)),
        "text-without-key": (b"tEXt", b"\0\0"),
        "compressed-text-of-nonsense": (b"zTXt", b"k\0\0nonsense"),
        "compressed-text-method-9": (b"zTXt", b"k\0\x09" + zlib.compress(b"x")),
        "international-text-short": (b"iTXt", b"k"),
        "profile-of-nonsense": (b"iCCP", b"k\0\0nonsense"),
        "profile-method-9": (b"iCCP", b"k\0\x09nonsense"),
        "profile-without-name": (b"iCCP", b""),
        "cicp-pq": (b"cICP", b"\x09\x10\0\1"),
    }.items():
        fates = BROKEN if name.endswith(("-short", "-9", "-without-name")) and name not in _PASSED_OVER else OK
        yield name, png(start, png_chunk(*content), data, END), fates
    for number, (name, exif) in enumerate(looping_exif().items()):
        chunk = png_chunk(b"eXIf", exif[6:])
        yield f"exif-{name}", png(start, chunk, _pixels(24, 17), png_chunk(b"tEXt", b"n\0%d" % number), END), OK
    for orientation in (0, 6, 9, 65535):
        yield (
            f"orientation-{orientation}",
            png(start, png_chunk(b"eXIf", orientation_exif(orientation)[6:]), data, END),
            OK,
        )


def _data() -> Iterator[tuple[str, bytes, frozenset[str]]]:
    start = header(24, 17)
    packed = zlib.compress(np.random.default_rng(5).integers(0, 2, 73 * 17, np.uint8).tobytes())
    yield "filter-9", png(start, png_chunk(b"IDAT", zlib.compress((b"\x09" + bytes(72)) * 17)), END), BROKEN
    yield "stream-cut", png(start, png_chunk(b"IDAT", packed[: len(packed) // 2]), END), BROKEN
    yield "stream-of-nonsense", png(start, png_chunk(b"IDAT", b"nonsense" * 40), END), BROKEN
    yield "stream-empty", png(start, png_chunk(b"IDAT", b""), END), BROKEN
    # The sum at the stream's end is one more checksum over data that the chunk's own sum vouches for.
    yield "stream-sum-wrong", png(start, png_chunk(b"IDAT", packed[:-1] + b"\0"), END), BROKEN
    yield "stream-with-a-dictionary", png(start, png_chunk(b"IDAT", b"\x78\xbb" + bytes(200)), END), BROKEN
    yield "stream-with-a-tail", png(start, png_chunk(b"IDAT", packed + b"tail" * 50), END), OK


def _bombs() -> Iterator[tuple[str, bytes, frozenset[str]]]:
    start, data = header(24, 17), _pixels(24, 17)
    row = zlib.compress(bytes(60_000 * 3 + 1), 9)
    yield "60000-squared", png(header(60_000, 60_000), png_chunk(b"IDAT", row), END), TOO_MANY_PIXELS
    yield "1-bit-100000-squared", png(header(100_000, 100_000, 1, 0), png_chunk(b"IDAT", row), END), TOO_MANY_PIXELS
    yield "just-over-the-cap", png(header(10_001, 10_000), png_chunk(b"IDAT", row), END), TOO_MANY_PIXELS
    yield "one-row-of-2-billion", png(header(2**31 - 1, 1), png_chunk(b"IDAT", row), END), TOO_MANY_PIXELS
    # as many pixels as promised: large, and good all the same
    whole = zlib.compress(bytes(3000 * (4000 * 3 + 1)), 9)
    yield "12-megapixels-of-black", png(header(4000, 3000), png_chunk(b"IDAT", whole), END), OK
    # data without end behind the last row: nobody has to unpack it
    endless = png_chunk(b"IDAT", zlib.compress(bytes(70 * MIB), 9))
    yield "70-MB-behind-the-last-row", png(start, endless, END), OK
    # Pillow unpacks at most 1 MiB of a text or profile, and 64 MiB of all texts of a file; beyond it refuses.
    bomb = zlib.compress(bytes(70 * MIB), 9)
    yield "text", png(start, png_chunk(b"zTXt", b"k\0\0" + bomb), data, END), BROKEN
    yield "international-text", png(start, png_chunk(b"iTXt", b"k\0\1\0\0\0" + bomb), data, END), BROKEN
    yield "profile", png(start, png_chunk(b"iCCP", b"k\0\0" + bomb), data, END), BROKEN
    small = zlib.compress(bytes(MIB - 1), 9)
    texts = [png_chunk(b"zTXt", b"k%d\0\0" % n + small) for n in range(300)]
    yield "300-texts", png(start, *texts, data, END), BROKEN
    yield "text-behind-the-data", png(start, data, png_chunk(b"zTXt", b"k\0\0" + bomb), END), BROKEN
    yield "plain-text-4-MB", png(start, png_chunk(b"tEXt", b"k\0" + b"x" * 4 * MIB), data, END), OK


def _animations() -> Iterator[tuple[str, bytes, frozenset[str]]]:
    start, data = header(24, 17), _pixels(24, 17)

    def control(n_frames: int) -> bytes:
        return png_chunk(b"acTL", struct.pack(">II", n_frames, 0))

    frame = png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 24, 17, 0, 0, 1, 10, 0, 0))
    yield "says-4-billion-frames", png(start, control(0xFFFFFFFF), frame, data, END), TOO_MANY_FRAMES
    yield "says-2001-frames", png(start, control(2001), frame, data, END), TOO_MANY_FRAMES
    yield "says-0-frames", png(start, control(0), frame, data, END), OK
    yield "says-3-has-1", png(start, control(3), frame, data, END), OK
    yield "control-behind-the-data", png(start, data, control(0xFFFFFFFF), END), OK
    yield "control-short", png(start, png_chunk(b"acTL", b"\1"), data, END), BROKEN
    yield "control-twice", png(start, control(2), control(3), frame, data, END), OK
    large = png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 2**31 - 1, 2**31 - 1, 0, 0, 1, 10, 0, 0))
    yield "frame-larger-than-canvas", png(start, control(2), large, data, END), BROKEN
    outside = png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 24, 17, 99, 99, 1, 10, 0, 0))
    yield "frame-outside-of-canvas", png(start, control(2), outside, data, END), BROKEN
    yield "order-wrong", png(start, control(2), png_chunk(b"fdAT", struct.pack(">I", 7) + b"x"), data, END), BROKEN
    yield "6-frames-of-90-megapixels", png(header(9500, 9500), control(6), frame, data, END), TOO_MANY_FRAMES
