"""Hostile JPEGs: every coding, every kind of damage, segments that lie, scans without end."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
from PIL import Image

from media_assets_tests.hostile.exifs import big_exif, looping_exif, orientation_exif
from media_assets_tests.hostile.specimens import (
    BROKEN,
    CORRUPT,
    OK,
    OK_OR_BROKEN,
    TOO_MANY_PIXELS,
    TRUNCATED,
    UNSUPPORTED,
    Damage,
    Specimen,
    damaged,
    named,
)
from media_assets_tests.media.pictures import (
    insert_segments,
    make_cmyk_jpeg,
    make_jpeg,
    make_mpo,
    make_photo,
    make_restart_jpeg,
    matrix_profile,
    save,
)

SIZE = (160, 120)

# Entropy-coded data have no checksum; libjpeg's warnings are errors here, so most flips are seen and none need be.
_DAMAGE = Damage()


def specimens() -> Iterator[Specimen]:
    """All of them."""
    gray = save(Image.fromarray(make_photo(2, SIZE)).convert("L"), "JPEG", quality=90)
    for name, data in {
        "jpeg": make_jpeg(0, SIZE),
        "jpeg-progressive": make_jpeg(1, SIZE, progressive=True),
        "jpeg-cmyk": make_cmyk_jpeg(3, SIZE),
        "jpeg-gray": gray,
        "jpeg-444": make_jpeg(4, SIZE, subsampling=0),
        "jpeg-restart": make_restart_jpeg(5, SIZE),
    }.items():
        yield from damaged(name, "jpg", data, _DAMAGE)
    # the second picture of a telephone's file is never used: damage there costs nothing
    mpo = make_mpo(6, SIZE)
    yield from named("jpeg-mpo", "jpg", [("good", mpo, OK), ("second-cut", mpo[: int(len(mpo) * 0.9)], OK)])
    yield from named("jpeg-coding", "jpg", _codings())
    yield from named("jpeg-header", "jpg", _headers())
    yield from named("jpeg-metadata", "jpg", _metadata())
    yield from named("jpeg-bombs", "jpg", _bombs())


def _frame_header(jpeg: bytes) -> int:
    """Position of the frame header's marker byte."""
    return next(i + 1 for i in range(2, len(jpeg)) if jpeg[i] == 0xFF and jpeg[i + 1] in (0xC0, 0xC2))


def with_frame_header(jpeg: bytes, **fields: int) -> bytes:
    """The same file under another frame header: `marker`, `precision`, `height`, `width`, `n_components`."""
    at = _frame_header(jpeg)
    made = bytearray(jpeg)
    made[at] = fields.get("marker", made[at])
    made[at + 3] = fields.get("precision", made[at + 3])
    made[at + 4 : at + 6] = struct.pack(">H", fields.get("height", int.from_bytes(made[at + 4 : at + 6], "big")))
    made[at + 6 : at + 8] = struct.pack(">H", fields.get("width", int.from_bytes(made[at + 6 : at + 8], "big")))
    made[at + 8] = fields.get("n_components", made[at + 8])
    return bytes(made)


def _codings() -> Iterator[tuple[str, bytes, frozenset[str]]]:
    jpeg = make_jpeg(10, SIZE)
    yield "extended", with_frame_header(make_jpeg(11, SIZE), marker=0xC1), OK
    yield "12-bit", with_frame_header(jpeg, marker=0xC1, precision=12), UNSUPPORTED
    yield "16-bit", with_frame_header(jpeg, precision=16), UNSUPPORTED
    yield "lossless", with_frame_header(jpeg, marker=0xC3), UNSUPPORTED
    yield "differential", with_frame_header(jpeg, marker=0xC5), UNSUPPORTED
    yield "differential-progressive", with_frame_header(jpeg, marker=0xC6), UNSUPPORTED
    yield "lossless-arithmetic", with_frame_header(jpeg, marker=0xCB), UNSUPPORTED
    # Huffman data read as arithmetic ones: they mean something else, and hardly anything is wrong in that coding
    yield "arithmetic", with_frame_header(jpeg, marker=0xC9), OK_OR_BROKEN
    yield "arithmetic-progressive", with_frame_header(make_jpeg(10, SIZE, progressive=True), marker=0xCA), OK_OR_BROKEN
    yield "reserved", with_frame_header(jpeg, marker=0xC8), CORRUPT
    yield "rgb", make_jpeg(12, SIZE, keep_rgb=True), OK
    yield "one-pixel", make_jpeg(13, (1, 1)), OK
    yield "one-row", make_jpeg(13, (900, 1)), OK
    yield "one-column", make_jpeg(13, (1, 900)), OK
    yield "quality-1", make_jpeg(14, SIZE, quality=1), OK


def _headers() -> Iterator[tuple[str, bytes, frozenset[str]]]:
    jpeg = make_jpeg(20, SIZE)
    at = _frame_header(jpeg)
    yield "no-width", with_frame_header(jpeg, width=0), CORRUPT
    yield "no-height", with_frame_header(jpeg, height=0), CORRUPT
    yield "taller-than-its-data", with_frame_header(jpeg, height=480), BROKEN
    yield "wider-than-its-data", with_frame_header(jpeg, width=1280), BROKEN
    # fewer pixels than data: the rest does not belong, which libjpeg warns of
    yield "shorter-than-its-data", with_frame_header(jpeg, height=64), BROKEN
    yield "one-component-less", with_frame_header(jpeg, n_components=2), BROKEN
    yield "no-component", with_frame_header(jpeg, n_components=0), BROKEN
    yield "eleven-components", with_frame_header(jpeg, n_components=11), BROKEN
    yield "two-frame-headers", jpeg[: at - 1] + jpeg[at - 1 : at + 18] + jpeg[at - 1 :], CORRUPT
    yield "no-frame-header", jpeg[: at - 1] + jpeg[at + 18 :], CORRUPT
    yield "only-a-beginning", b"\xff\xd8\xff", TRUNCATED
    yield "begin-end", b"\xff\xd8\xff\xd9", CORRUPT
    yield "begin-begin", b"\xff\xd8" + jpeg, CORRUPT
    yield "fill-bytes", jpeg[:2] + b"\xff" * 500 + jpeg[2:], OK
    yield "only-fill-bytes", b"\xff\xd8" + b"\xff" * 5000, TRUNCATED
    yield "segment-of-length-0", jpeg[:2] + b"\xff\xe5\0\0" + jpeg[2:], OK
    yield "segment-of-length-1", jpeg[:2] + b"\xff\xe5\0\1" + jpeg[2:], OK
    yield "segment-beyond-the-end", jpeg[:2] + b"\xff\xe5\xff\xff" + jpeg[2:2000], TRUNCATED
    yield "no-tables", _without(jpeg, 0xDB), BROKEN
    # Pillow and libjpeg know the standard Huffman tables by heart, as motion JPEG left them out
    yield "no-huffman-tables", _without(jpeg, 0xC4), OK
    yield "stray-restart", jpeg[:2] + b"\xff\xd0" + jpeg[2:], CORRUPT
    yield "no-end", jpeg[:-2], TRUNCATED
    yield "end-in-the-middle", jpeg[: len(jpeg) // 2] + b"\xff\xd9" + jpeg[len(jpeg) // 2 :], BROKEN
    yield "a-picture-in-a-picture", insert_segments(jpeg, (0xE2, make_jpeg(21, (16, 16)))), OK
    yield "data-of-zeros", jpeg[: len(jpeg) // 3] + bytes(len(jpeg) // 2) + b"\xff\xd9", BROKEN
    yield "a-restart-interval-of-its-own", insert_segments(jpeg, (0xDD, b"\0\1")), BROKEN
    yield "a-number-of-lines", jpeg[:-2] + b"\xff\xdc\0\4\0\x08\xff\xd9", OK


def _without(jpeg: bytes, marker: int) -> bytes:
    position, parts = 2, [jpeg[:2]]
    while jpeg[position + 1] != 0xDA:
        end = position + 2 + int.from_bytes(jpeg[position + 2 : position + 4], "big")
        if jpeg[position + 1] != marker:
            parts.append(jpeg[position:end])
        position = end
    return b"".join([*parts, jpeg[position:]])


def _metadata() -> Iterator[tuple[str, bytes, frozenset[str]]]:
    jpeg = make_jpeg(30, SIZE)
    for orientation in (*range(10), 255, 65535):
        data = insert_segments(make_jpeg(31, SIZE), (0xE1, orientation_exif(orientation)))
        yield f"orientation-{orientation}", data, OK
    for name, exif in looping_exif().items():
        yield f"exif-{name}", insert_segments(jpeg, (0xE1, exif)), OK
    yield "exif-64-kB", insert_segments(jpeg, (0xE1, big_exif(65_000))), OK
    yield "exif-twice", insert_segments(jpeg, (0xE1, orientation_exif(6)), (0xE1, orientation_exif(3))), OK
    segments = [(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + b"<x>" * 20_000)] * 30
    yield "xmp-2-MB", insert_segments(jpeg, *segments), OK
    yield "iptc-nonsense", insert_segments(jpeg, (0xED, b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0\xff\xff\xff\xff")), OK
    yield "comments", insert_segments(jpeg, *[(0xFE, b"x" * 60_000)] * 40), OK
    yield "ten-thousand-segments", insert_segments(jpeg, *[(0xEA, b"")] * 10_000), OK
    yield "adobe-transform-9", insert_segments(jpeg, (0xEE, b"Adobe\0\x64\0\0\0\0\x09")), OK
    yield "icc", make_jpeg(32, SIZE, icc_profile=matrix_profile()), OK
    yield "icc-nonsense", make_jpeg(33, SIZE, icc_profile=b"\xff" * 600), OK
    yield "icc-3-MB", make_jpeg(34, SIZE, icc_profile=matrix_profile() + bytes(3_000_000)), OK
    yield "icc-parts-missing", insert_segments(jpeg, (0xE2, b"ICC_PROFILE\0\x02\x09" + b"x" * 99)), OK
    yield "icc-part-0-of-0", insert_segments(jpeg, (0xE2, b"ICC_PROFILE\0\0\0" + b"x" * 99)), OK
    yield "mpf-nonsense", insert_segments(jpeg, (0xE2, b"MPF\0II*\0\xff\xff\xff\xff")), OK
    yield "mpf-loop", insert_segments(jpeg, (0xE2, b"MPF\0" + looping_exif()["self-pointing"][6:])), OK


def _bombs() -> Iterator[tuple[str, bytes, frozenset[str]]]:
    jpeg = make_jpeg(40, SIZE)
    yield "65535-squared", with_frame_header(jpeg, width=65535, height=65535), TOO_MANY_PIXELS
    yield "progressive-65535-squared", _progressive_bomb(), TOO_MANY_PIXELS
    # resized so that its shorter side fits it would be 16 megapixels; only the crop is ever made
    yield "one-row-of-65500", make_jpeg(41, (65500, 1), np.zeros((1, 65500, 3), np.uint8)), OK
    yield "1000-scans", many_scans(64, 64, 1000), CORRUPT
    yield "257-scans", many_scans(64, 64, 257), CORRUPT
    yield "256-scans", many_scans(64, 64, 256), OK
    # the longest that a picture within the caps may keep a decoder busy with next to no bytes
    yield "256-scans-of-9-megapixels", many_scans(3000, 3000, 256), OK


def _progressive_bomb() -> bytes:
    return with_frame_header(make_jpeg(42, SIZE, progressive=True), width=65535, height=65535)


def many_scans(width: int, height: int, n_scans: int) -> bytes:
    """A progressive gray JPEG whose scans refine one coefficient again and again, each of them a few bytes.

    Its Huffman table has one code, 0, for an end-of-band run of 2**14 blocks and more, so that a scan of nothing but
    zeros says "nothing new" of every block (T.81, G.1.2.2).
    """
    table = b"\xff\xdb\0\x43\0" + b"\1" * 64
    frame = b"\xff\xc2\0\x0b\x08" + struct.pack(">HH", height, width) + b"\1\1\x11\0"
    huffman = b"\xff\xc4\0\x14\x00" + b"\1" + bytes(15) + b"\0"
    end_of_band = b"\xff\xc4\0\x14\x10" + b"\1" + bytes(15) + b"\xe0"
    first = b"\xff\xda\0\x08\1\1\0\0\0\0" + bytes(-(-width // 8) * -(-height // 8) // 8 + 1)
    n_runs = -(-width // 8) * -(-height // 8) // 2**14 + 1
    more = b"\xff\xda\0\x08\1\1\0\1\x3f\0" + bytes(2 * n_runs)
    return b"\xff\xd8" + table + frame + huffman + end_of_band + first + more * (n_scans - 1) + b"\xff\xd9"
