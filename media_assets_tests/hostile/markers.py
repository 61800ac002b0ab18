"""Pictures with people's names, positions and payloads hidden in every place a format has for them.

Not here: looking for them in what was published (`traces`).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from PIL import Image

from media_assets_tests.hostile.exifs import tiff_block
from media_assets_tests.hostile.gifs import gif, picture
from media_assets_tests.hostile.pngs import END, header, png
from media_assets_tests.hostile.specimens import CORRUPT, OK, PAYLOAD, TRUNCATED, Specimen
from media_assets_tests.hostile.tiffs import tags_of, tiff
from media_assets_tests.hostile.webps import canvas, chunk, webp
from media_assets_tests.media.pictures import (
    insert_segments,
    make_avif,
    make_heic,
    make_jpeg,
    make_photo,
    png_chunk,
    save,
)

AUTHOR = "planted-author-ada-example"
PLACE = "planted-place-48.8583701N-2.2944813E"
COMMENT = "planted-comment-my-home"
SERIAL = "planted-serial-0042"
DEGREES = struct.pack("<6I", 48, 1, 51, 1, 301333, 10000)
"""The rationals of a latitude, as TIFF writes them."""

MARKERS = (*tuple(text.encode() for text in (AUTHOR, PLACE, COMMENT, SERIAL, PAYLOAD)), DEGREES)
SIZE = (96, 64)


def specimens() -> Iterator[Specimen]:
    """Good ones in every format, and some that fail, since a message could quote them."""
    for name, data in _good():
        yield Specimen(f"markers/{name}", data, OK, MARKERS)
    jpeg = with_everything(make_jpeg(70, SIZE))
    yield Specimen("markers/cut.jpg", jpeg[: jpeg.rindex(b"\xff\xda") + 900], TRUNCATED, MARKERS)
    wrong = png_chunk(b"tEXt", b"Author\0" + AUTHOR.encode())[:-1] + b"\0"
    pixels = png_chunk(b"IDAT", zlib.compress(bytes(25 * 17)))
    yield Specimen("markers/bad-sum.png", png(header(24, 17, colour_type=0), wrong, pixels, END), CORRUPT, MARKERS)
    text = tags_of(t256=(2, AUTHOR.encode() + b"\0"))
    yield Specimen("markers/name-for-a-width.tif", tiff(text), CORRUPT, MARKERS)


def exif_with_notes() -> bytes:
    """EXIF with an author, a description, a serial number, a comment and a position."""
    texts = {0x010E: COMMENT, 0x013B: AUTHOR, 0x8298: AUTHOR}
    n_entries = len(texts) + 2
    start = 8 + 2 + 12 * n_entries + 4
    entries, extra = [], b""

    def text(tag: int, value: bytes, kind: int = 2) -> tuple[int, int, int, bytes]:
        nonlocal extra
        place = struct.pack("<I", start + len(extra))
        extra += value + bytes(len(value) % 2)
        return tag, kind, len(value), place

    for tag, value in texts.items():
        entries.append(text(tag, value.encode() + b"\0"))
    comment, serial = b"ASCII\0\0\0" + COMMENT.encode(), SERIAL.encode() + b"\0"
    where, degrees = PLACE.encode() + b"\0", DEGREES
    places = [
        text(tag, value, kind)[1:]
        for tag, value, kind in ((0, comment, 7), (0, serial, 2), (0, where, 2), (0, degrees, 5))
    ]
    exif_ifd = start + len(extra)
    owner = places[1]
    extra += struct.pack("<H", 2)
    for tag, (kind, count, place) in ((0x9286, places[0]), (0xA431, owner)):
        extra += struct.pack("<HHI", tag, kind, count) + place
    extra += bytes(4)
    gps_ifd = start + len(extra)
    extra += struct.pack("<H", 3) + struct.pack("<HHI", 1, 2, 2) + b"N\0\0\0"
    extra += (
        struct.pack("<HHI", 2, 5, 3) + places[3][2] + struct.pack("<HHI", 27, 7, places[2][1]) + places[2][2] + bytes(4)
    )
    entries += [(0x8769, 4, 1, struct.pack("<I", exif_ifd)), (0x8825, 4, 1, struct.pack("<I", gps_ifd))]
    return b"Exif\0\0" + tiff_block(sorted(entries), 0, extra)


XMP = f"<x:xmpmeta><dc:creator>{AUTHOR}</dc:creator><exif:GPSLatitude>{PLACE}</exif:GPSLatitude></x:xmpmeta>"
IPTC = (
    b"Photoshop 3.0\x008BIM\x04\x04\0\0"
    + struct.pack(">I", len(AUTHOR) + 5)
    + b"\x1c\x02\x50"
    + struct.pack(">H", len(AUTHOR))
    + AUTHOR.encode()
)


def with_everything(jpeg: bytes) -> bytes:
    """A JPEG with markers in EXIF, XMP, IPTC, a comment, a maker's segment, and behind its end."""
    return (
        insert_segments(
            jpeg,
            (0xE1, exif_with_notes()),
            (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP.encode()),
            (0xED, IPTC),
            (0xEB, b"JP\0\1\0\0\0\1" + AUTHOR.encode()),
            (0xEC, SERIAL.encode()),
            (0xFE, COMMENT.encode()),
        )
        + PAYLOAD.encode()
    )


def _good() -> Iterator[tuple[str, bytes]]:
    yield "plain.jpg", with_everything(make_jpeg(60, SIZE))
    yield "progressive.jpg", with_everything(make_jpeg(61, SIZE, progressive=True))
    yield "gray.jpg", with_everything(save(Image.fromarray(make_photo(62, SIZE)).convert("L"), "JPEG"))
    yield "cmyk.jpg", with_everything(save(Image.fromarray(make_photo(63, SIZE)).convert("CMYK"), "JPEG"))
    # markers where a decoder needs the segment: its first bytes are kept, what is behind them is not
    jfif = insert_segments(
        make_jpeg(64, SIZE)[:2] + make_jpeg(64, SIZE)[20:], (0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0" + AUTHOR.encode())
    )
    yield "in-the-jfif-segment.jpg", jfif
    yield (
        "in-the-adobe-segment.jpg",
        insert_segments(make_jpeg(65, SIZE), (0xEE, b"Adobe\0\x64\0\0\0\0\1" + AUTHOR.encode())),
    )
    yield "in-a-quantisation-table.jpg", insert_segments(make_jpeg(66, SIZE), (0xE3, PAYLOAD.encode()))
    notes = [
        png_chunk(b"tEXt", b"Author\0" + AUTHOR.encode()),
        png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(COMMENT.encode())),
        png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP.encode()),
        png_chunk(b"eXIf", exif_with_notes()[6:]),
        png_chunk(b"prVt", SERIAL.encode()),
    ]
    for colour_type, name in ((2, "colour"), (0, "gray")):
        row = b"\0" + bytes(range(24 * (3 if colour_type else 1)))
        pixels = png_chunk(b"IDAT", zlib.compress(row * 17))
        whole = png(header(24, 17, colour_type=colour_type), *notes, pixels, END)
        yield f"{name}.png", whole + PAYLOAD.encode()
    photo = Image.fromarray(make_photo(67, SIZE))
    lossy = save(photo, "WEBP", quality=80)[12:]
    yield (
        "lossy.webp",
        webp(
            canvas(*SIZE, 0x0C),
            lossy,
            chunk(b"EXIF", exif_with_notes()),
            chunk(b"XMP ", XMP.encode()),
            chunk(b"PRIV", SERIAL.encode()),
        )
        + PAYLOAD.encode(),
    )
    lossless = save(photo, "WEBP", lossless=True, method=0)[12:]
    yield "lossless.webp", webp(lossless, chunk(b"PRIV", SERIAL.encode())) + PAYLOAD.encode()
    comment = b"!\xfe" + bytes((len(COMMENT),)) + COMMENT.encode() + b"\0"
    xmp = b"!\xff\x0bXMP DataXMP" + XMP.encode() + b"\1" + bytes(range(255, -1, -1)) + b"\0\0"
    yield "comment.gif", gif(comment, picture()) + PAYLOAD.encode()
    yield "xmp.gif", gif(comment, picture(), xmp) + PAYLOAD.encode()
    tags = tags_of(
        t270=(2, COMMENT.encode() + b"\0"), t315=(2, AUTHOR.encode() + b"\0"), t700=(1, XMP.encode()), t33723=(7, IPTC)
    )
    yield "tags.tif", tiff(tags) + PAYLOAD.encode()
    bmp = save(photo, "BMP")
    yield "behind.bmp", bmp + PAYLOAD.encode()
    options = {"exif": exif_with_notes(), "xmp": XMP.encode()}
    yield "phone.heic", make_heic(68, SIZE, enc_params={"preset": "ultrafast"}, **options) + _free(PAYLOAD)
    yield "phone.avif", make_avif(69, SIZE, **options) + _free(PAYLOAD)


def _free(text: str) -> bytes:
    return struct.pack(">I", len(text) + 8) + b"free" + text.encode()
