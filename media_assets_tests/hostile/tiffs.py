"""Hostile TIFFs: odd flavours, many pages, directories that loop, offsets out of range, counts that lie."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from media_assets_tests.hostile.specimens import (
    BROKEN,
    CORRUPT,
    OK,
    OK_OR_BROKEN,
    TOO_MANY_FRAMES,
    TOO_MANY_PIXELS,
    TRUNCATED,
    UNSUPPORTED,
    Damage,
    Specimen,
    damaged,
    named,
)
from media_assets_tests.media.pictures import make_animation, make_photo, save

SIZE = (96, 64)
_STRUCT = {1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 7: "s", 12: "d", 16: "Q"}


def specimens() -> Iterator[Specimen]:
    """All of them."""
    photo = Image.fromarray(make_photo(3, SIZE))
    # Pillow writes the directory first and plain pixels last, so that any cut loses pixels.
    yield from damaged("tiff", "tif", save(photo, "TIFF"), Damage(flipped=OK, holed=OK))
    # libtiff writes the directory last: cut off, it is out of reach
    yield from damaged("tiff-lzw", "tif", save(photo, "TIFF", compression="tiff_lzw"), Damage())
    yield from damaged("tiff-deflate", "tif", save(photo, "TIFF", compression="tiff_adobe_deflate"), Damage())
    # libtiff's word for a JPEG that breaks off inside of a TIFF is a number
    yield from damaged("tiff-jpeg", "tif", save(photo, "TIFF", compression="jpeg"), Damage(cut=BROKEN))
    yield from named("tiff-flavours", "tif", _flavours(photo))
    yield from named("tiff-lies", "tif", _lies())
    yield from named("tiff-pages", "tif", _pages())
    yield from named("tiff-metadata", "tif", _metadata())


Tags = dict[int, tuple[int, Any]]


def tags_of(width: int = 8, height: int = 8, **changes: Any) -> Tags:
    """The tags of a plain RGB picture, by number: (type, value or values); `t258=(3, 8)` sets one, None drops one."""
    tags: Tags = {
        256: (4, width),
        257: (4, height),
        258: (3, (8, 8, 8)),
        259: (3, 1),
        262: (3, 2),
        273: (4, 8),
        277: (3, 3),
        278: (4, height),
        279: (4, min(width * height * 3, 2**32 - 1)),
    }
    for name, value in changes.items():
        tags.pop(int(name[1:]), None)
        if value is not None:
            tags[int(name[1:])] = value
    return tags


def tiff(tags: Tags, data: bytes | None = None, *, order: str = "<", next_ifd: int = 0, is_big: bool = False) -> bytes:
    """A TIFF or BigTIFF: data right behind the header, then long values, then the one directory."""
    data = bytes(192) if data is None else data
    start = 16 if is_big else 8
    body, room = data + bytes(len(data) % 2), 8 if is_big else 4
    count, offset = ("Q", "Q") if is_big else ("I", "I")
    entries = []
    for tag, (kind, value) in sorted(tags.items()):
        if tag == 273 and value == 8:
            value = start
        content, n = _packed(order, kind, value)
        if len(content) > room:
            place = start + len(body)
            body += content + bytes(len(content) % 2)
            content = struct.pack(order + offset, place)
        entries.append(struct.pack(order + "HH" + count, tag, kind, n) + content.ljust(room, b"\0"))
    ifd = struct.pack(order + ("Q" if is_big else "H"), len(entries)) + b"".join(entries)
    ifd += struct.pack(order + offset, next_ifd)
    mark = b"II" if order == "<" else b"MM"
    head = (
        struct.pack(order + "HHHQ", 43, 8, 0, start + len(body))
        if is_big
        else struct.pack(order + "HI", 42, start + len(body))
    )
    return mark + head + body + ifd


def _packed(order: str, kind: int, value: Any) -> tuple[bytes, int]:
    if isinstance(value, bytes):
        return value, len(value)
    values = value if isinstance(value, tuple) else (value,)
    flat = [part for v in values for part in (v if isinstance(v, tuple) else (v,))]
    code = _STRUCT.get(kind, "I")[0]
    return struct.pack(order + code * len(flat), *flat), len(values)


def _flavours(photo: Image.Image) -> Iterator[tuple[str, bytes, frozenset[str]]]:
    gray = make_photo(4, SIZE)[:, :, 0]
    yield "packbits", save(photo, "TIFF", compression="packbits"), OK
    yield "fax-4", save(photo.convert("1"), "TIFF", compression="group4"), OK
    yield "fax-3", save(photo.convert("1"), "TIFF", compression="group3"), OK
    yield "gray", save(photo.convert("L"), "TIFF"), OK
    yield "palette", save(photo.convert("P"), "TIFF"), OK
    yield "cmyk", save(photo.convert("CMYK"), "TIFF"), OK
    yield "rgba", save(photo.convert("RGBA"), "TIFF"), OK
    yield "gray-16", save(Image.fromarray(gray.astype(np.uint16) * 257), "TIFF"), OK
    yield "float", save(Image.fromarray(gray.astype(np.float32) / 255), "TIFF"), OK
    yield "float-out-of-range", save(Image.fromarray(gray.astype(np.float32)), "TIFF"), UNSUPPORTED
    nan = np.full((8, 8), np.nan, np.float32)
    yield "float-not-a-number", save(Image.fromarray(nan), "TIFF"), UNSUPPORTED
    yield "int-32", save(Image.fromarray(gray.astype(np.int32) * 70_000), "TIFF"), UNSUPPORTED
    yield "big-endian", tiff(tags_of(), order=">"), OK
    yield "bigtiff", tiff(tags_of(), is_big=True), OK
    # Pillow 13 reads BigTIFFs of the other order only
    yield "bigtiff-big-endian", tiff(tags_of(), bytes(191) + b"b", order=">", is_big=True), OK | CORRUPT
    yield "planar", tiff(tags_of(t284=(3, 2), t273=(4, (8, 72, 136)), t279=(4, (64, 64, 64)))), OK
    tiled = tags_of(t273=None, t278=None, t279=None, t322=(3, 16), t323=(3, 16), t324=(4, 8), t325=(4, 768))
    yield "tiled", tiff(tiled, bytes(768)), OK
    yield "min-is-white", tiff(tags_of(t262=(3, 0), t258=(3, 8), t277=(3, 1), t279=(4, 64)), bytes(64)), OK
    yield "ycbcr-plain", tiff(tags_of(t262=(3, 6))), OK_OR_BROKEN | UNSUPPORTED
    yield "16-bit-rgb", tiff(tags_of(t258=(3, (16, 16, 16)), t279=(4, 384)), bytes(384)), OK
    yield "12-bit-gray", tiff(tags_of(t258=(3, 12), t262=(3, 1), t277=(3, 1), t279=(4, 96)), bytes(96)), OK
    yield "fill-order-2", tiff(tags_of(t266=(3, 2))), OK


def _lies() -> Iterator[tuple[str, bytes, frozenset[str]]]:
    yield "no-width", tiff(tags_of(0, 8)), CORRUPT
    yield "no-height", tiff(tags_of(8, 0)), CORRUPT
    yield "width-tag-missing", tiff(tags_of(t256=None)), CORRUPT
    yield "65535-squared", tiff(tags_of(65535, 65535)), TOO_MANY_PIXELS
    yield "2-billion-squared", tiff(tags_of(2**31, 2**31)), TOO_MANY_PIXELS
    yield "4-billion-wide", tiff(tags_of(2**32 - 1, 1)), TOO_MANY_PIXELS
    # within the caps, as far as the header tells, but there are 192 bytes of data
    yield "9500-squared-without-data", tiff(tags_of(9500, 9500)), BROKEN
    yield "9500-squared-lzw-without-data", tiff(tags_of(9500, 9500, t259=(3, 5), t279=(4, 192))), BROKEN
    yield "strip-behind-the-end", tiff(tags_of(t273=(4, 2**31))), BROKEN
    yield "strip-far-behind-the-end", tiff(tags_of(t273=(4, 2**32 - 1))), BROKEN
    yield "strips-behind-the-end-lzw", tiff(tags_of(t259=(3, 5), t273=(4, 2**31))), BROKEN
    yield "strip-of-4-billion-bytes", tiff(tags_of(t279=(4, 2**32 - 1))), OK
    yield "strip-of-no-bytes", tiff(tags_of(t279=(4, 0))), OK
    yield "strip-missing", tiff(tags_of(t273=None)), BROKEN
    yield "rows-per-strip-0", tiff(tags_of(t278=(4, 0))), BROKEN
    # uncompressed: Pillow's own reader would leave what no strip covers black
    yield "strips-too-few", tiff(tags_of(t278=(4, 1))), TRUNCATED
    yield (
        "strips-missing-at-the-end",
        tiff(tags_of(t278=(4, 2), t273=(4, (8, 56, 104)), t279=(4, (48, 48, 48)))),
        TRUNCATED,
    )
    few = tags_of(32, 32, t273=None, t278=None, t279=None, t322=(3, 16), t323=(3, 16), t324=(4, 8), t325=(4, 768))
    yield "tiles-too-few", tiff(few, bytes(768)), TRUNCATED
    yield "plane-missing", tiff(tags_of(t284=(3, 2), t273=(4, (8, 72)), t279=(4, (64, 64)))), TRUNCATED
    yield "strips-100000", tiff(tags_of(t273=(4, (8,) * 100_000), t279=(4, (3,) * 100_000))), OK
    yield "samples-0", tiff(tags_of(t277=(3, 0))), BROKEN
    yield "samples-65535", tiff(tags_of(t277=(3, 65535))), BROKEN
    yield "samples-without-depths", tiff(tags_of(t277=(3, 4))), BROKEN
    yield "depth-0", tiff(tags_of(t258=(3, (0, 0, 0)))), BROKEN
    yield "depth-255", tiff(tags_of(t258=(3, (255, 255, 255)))), BROKEN
    yield "depths-unequal", tiff(tags_of(t258=(3, (8, 5, 1)))), BROKEN
    yield "compression-webp", tiff(tags_of(t259=(3, 50001))), BROKEN
    yield "compression-99", tiff(tags_of(t259=(3, 99))), BROKEN
    yield "compression-old-jpeg", tiff(tags_of(t259=(3, 6))), BROKEN
    yield "compression-jpeg-of-nonsense", tiff(tags_of(t259=(3, 7))), BROKEN
    yield "compression-lzma", tiff(tags_of(t259=(3, 34925))), BROKEN
    yield "compression-zstd", tiff(tags_of(t259=(3, 50000))), BROKEN
    yield "compression-deflate-of-nonsense", tiff(tags_of(t259=(3, 8))), BROKEN
    yield "photometric-99", tiff(tags_of(t262=(3, 99))), BROKEN
    yield "predictor-9", tiff(tags_of(t259=(3, 5), t317=(3, 9))), BROKEN
    yield "tile-of-0", tiff(tags_of(t273=None, t322=(3, 0), t323=(3, 0), t324=(4, 8), t325=(4, 192))), BROKEN
    yield (
        "tile-of-65535",
        tiff(tags_of(t273=None, t322=(4, 65535), t323=(4, 65535), t324=(4, 8), t325=(4, 192))),
        BROKEN,
    )
    yield "directory-behind-the-end", b"II*\0\xff\xff\xff\x7f" + bytes(99), TRUNCATED
    yield "directory-at-0", b"II*\0" + bytes(99), BROKEN
    yield "directory-in-the-header", b"II*\0\2\0\0\0" + bytes(99), BROKEN
    yield "directory-of-65535-tags", b"II*\0\x08\0\0\0\xff\xff" + bytes(99), TRUNCATED
    yield "directory-of-no-tags", b"II*\0\x08\0\0\0" + bytes(99), BROKEN
    yield "bigtiff-directory-far-away", b"II+\0\x08\0\0\0" + b"\xff" * 8 + bytes(99), TRUNCATED
    yield "bigtiff-of-many-tags", b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0" + b"\xff" * 8 + bytes(99), TRUNCATED
    yield "only-a-header", b"II*\0\x08\0\0\0", BROKEN
    yield "only-a-mark", b"II*\0", BROKEN
    yield "tag-of-4-billion-values", _with_count(tiff(tags_of(t270=(2, b"abcdefgh"))), 270, 2**32 - 1), OK
    yield "tag-of-unknown-type", tiff(tags_of(t40000=(99, b"abcd"))), OK
    yield "tags-in-disorder", _reversed_tags(tiff(tags_of())), OK
    yield "strip-offset-is-text", tiff(tags_of(t273=(2, b"a\0"))), BROKEN
    yield "width-is-a-rational-by-0", tiff(tags_of(t256=(5, ((8, 0),)))), BROKEN


def _with_count(data: bytes, tag: int, count: int) -> bytes:
    at = data.rindex(struct.pack("<HH", tag, 2)) + 4
    return data[:at] + struct.pack("<I", count) + data[at + 4 :]


def _reversed_tags(data: bytes) -> bytes:
    start = int.from_bytes(data[4:8], "little")
    n = int.from_bytes(data[start : start + 2], "little")
    entries = [data[start + 2 + 12 * i : start + 14 + 12 * i] for i in range(n)]
    return data[: start + 2] + b"".join(reversed(entries)) + data[start + 2 + 12 * n :]


def _pages() -> Iterator[tuple[str, bytes, frozenset[str]]]:
    yield "three", make_animation("TIFF", 3, SIZE), OK
    one = tiff(tags_of())
    start = int.from_bytes(one[4:8], "little")
    yield "the-next-is-the-first", tiff(tags_of(), next_ifd=start), OK
    # two directories that lead to each other
    second = one[start:-4] + struct.pack("<I", start)
    yield "circle-of-two", one[:-4] + struct.pack("<I", len(one)) + second, OK
    yield "the-next-is-behind-the-end", tiff(tags_of(), bytes(191) + b"n", next_ifd=2**31), OK
    yield "the-next-is-in-the-header", tiff(tags_of(), bytes(191) + b"h", next_ifd=2), OK
    yield "2001", many_pages(2001), TOO_MANY_FRAMES
    yield "40000", many_pages(40_000), TOO_MANY_FRAMES
    yield "6-of-90-megapixels", many_pages(6, width=9500, height=9500), TOO_MANY_FRAMES
    yield "second-of-90-megapixels", _second_page(9500), OK


def many_pages(n_pages: int, **size: int) -> bytes:
    """A TIFF of one strip that all pages share."""
    one = tiff(tags_of(**size))
    start = int.from_bytes(one[4:8], "little")
    ifd = one[start:-4]
    step = len(ifd) + 4
    pages = (ifd + struct.pack("<I", start + (i + 1) * step if i < n_pages - 1 else 0) for i in range(n_pages))
    return one[:start] + b"".join(pages)


def _second_page(side: int) -> bytes:
    one, other = tiff(tags_of()), tiff(tags_of(side, side))
    start = int.from_bytes(other[4:8], "little")
    return one[:-4] + struct.pack("<I", len(one)) + other[start:]


def _metadata() -> Iterator[tuple[str, bytes, frozenset[str]]]:
    for value in (*range(10), 65535):
        yield f"orientation-{value}", tiff(tags_of(t274=(3, value))), OK
    yield "orientation-is-text", tiff(tags_of(t274=(2, b"six\0"))), OK
    yield "orientation-of-none", _with_short_count(tiff(tags_of(t274=(3, 6))), 274), OK
    start = int.from_bytes(tiff(tags_of(t34665=(4, 8)))[4:8], "little")
    yield "exif-is-the-root", tiff(tags_of(t34665=(4, start))), OK
    yield "gps-is-the-root", tiff(tags_of(t34853=(4, start))), OK
    yield "sub-directory-is-the-root", tiff(tags_of(t330=(4, start))), OK
    yield "exif-behind-the-end", tiff(tags_of(t34665=(4, 2**31))), OK
    yield "profile-of-nonsense", tiff(tags_of(t34675=(7, b"\xa5" * 500))), OK
    yield "profile-4-MB", tiff(tags_of(t34675=(7, b"\xa5" * 4_200_000))), OK
    yield "xmp-4-MB", tiff(tags_of(t700=(1, b"<x>" * 1_400_000))), OK
    yield "description-4-MB", tiff(tags_of(t270=(2, b"d" * 4_000_000))), OK
    yield "resolution-by-0", tiff(tags_of(t282=(5, ((72, 0),)), t283=(5, ((0, 0),)), t296=(3, 9))), OK
    yield (
        "colour-map-short",
        tiff(tags_of(t258=(3, 8), t262=(3, 3), t277=(3, 1), t279=(4, 64), t320=(3, (1, 2, 3))), bytes(64)),
        OK,
    )


def _with_short_count(data: bytes, tag: int) -> bytes:
    at = data.rindex(struct.pack("<HH", tag, 3)) + 4
    return data[:at] + struct.pack("<I", 0) + data[at + 4 :]
