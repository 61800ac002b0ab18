"""Hostile HEIC and AVIF files: boxes that loop, lie or lead out of the file."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from media_assets_tests.hostile.specimens import (
    A_VIDEO,
    BROKEN,
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
from media_assets_tests.media.pictures import exif_bytes, make_animation, make_avif, make_heic

SIZE = (96, 64)

# No checksums, and entropy coders that read anything: many a flip only changes the picture.
_DAMAGE = Damage()


def specimens() -> Iterator[Specimen]:
    """All of them."""
    heic, avif = make_heic(0, SIZE, enc_params={"preset": "ultrafast"}), make_avif(1, SIZE)
    yield from damaged("heic", "heic", heic, _DAMAGE)
    yield from damaged("avif", "avif", avif, _DAMAGE)
    turned = make_heic(2, SIZE, exif=exif_bytes(6), enc_params={"preset": "ultrafast"})
    yield Specimen("heic/turned.heic", turned, OK)
    yield Specimen("avif/turned.avif", make_avif(3, SIZE, exif=exif_bytes(6)), OK)
    yield Specimen("avif/animation.avif", make_animation("AVIF", 3, SIZE, speed=10), OK)
    for name, data in (("heic", heic), ("avif", avif)):
        yield from named(f"{name}-lies", name, _lies(data))


def box(kind: bytes, content: bytes, size: int | None = None) -> bytes:
    """One box; `size` lies about its length."""
    return struct.pack(">I", len(content) + 8 if size is None else size) + kind + content


def _lies(good: bytes) -> Iterator[tuple[str, bytes, frozenset[str]]]:
    n_ftyp = int.from_bytes(good[:4], "big")
    ftyp, rest = good[:n_ftyp], good[n_ftyp:]
    ispe = good.index(b"ispe") + 8
    yield "65535-squared", good[:ispe] + struct.pack(">II", 65535, 65535) + good[ispe + 8 :], TOO_MANY_PIXELS | BROKEN
    yield "4-billion-squared", good[:ispe] + b"\xff" * 8 + good[ispe + 8 :], TOO_MANY_PIXELS | BROKEN
    yield "no-size", good[:ispe] + bytes(8) + good[ispe + 8 :], BROKEN
    yield "another-size", good[:ispe] + struct.pack(">II", 400, 300) + good[ispe + 8 :], OK_OR_BROKEN
    yield "only-a-type", ftyp, BROKEN
    yield "box-of-size-0", ftyp + box(b"free", b"", 0) + rest, BROKEN
    yield "box-of-size-1", ftyp + box(b"free", b"", 1) + rest, BROKEN
    yield "box-of-size-7", ftyp + box(b"free", b"", 7) + rest, BROKEN
    yield "box-beyond-the-end", ftyp + box(b"free", b"", 2**31) + rest, TRUNCATED
    yield "box-of-64-bits-beyond-the-end", ftyp + box(b"free", b"\xff" * 8, 1) + rest, TRUNCATED
    yield "many-small-boxes", ftyp + box(b"free", b"") * 20_000 + rest, BROKEN
    yield "hundred-thousand-boxes", ftyp + box(b"free", b"") * 100_001 + rest, BROKEN
    yield "no-description", ftyp + rest[rest.index(b"mdat") - 4 :], BROKEN
    yield "description-twice", ftyp + rest[: rest.index(b"mdat") - 4] * 2 + rest, BROKEN
    for kind in (b"iloc", b"iinf", b"pitm", b"iprp"):
        yield f"without-{kind.decode()}", good.replace(kind, b"free", 1), BROKEN
    iloc = good.index(b"iloc")
    yield "places-of-255", good[: iloc + 8] + b"\xff" * 12 + good[iloc + 20 :], BROKEN
    yield "data-of-zeros", good[: good.index(b"mdat") + 4] + bytes(len(good) - good.index(b"mdat") - 4), BROKEN
    deep = b""
    for _ in range(3000):
        deep = box(b"meta", bytes(4) + deep)
    yield "three-thousand-boxes-deep", ftyp + deep, BROKEN
    yield "unknown-brand", b"\0\0\0\x14ftypzzzz\0\0\0\0zzzz" + rest, UNSUPPORTED
    yield "brand-of-a-film", b"\0\0\0\x14ftypisom\0\0\0\0mp41" + rest, A_VIDEO
    yield "general-brand", b"\0\0\0\x14ftypmif1\0\0\0\0mif1" + rest, UNSUPPORTED
