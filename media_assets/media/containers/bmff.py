"""ISO base media boxes (ISO/IEC 14496-12, 23008-12): what HEIC and AVIF files say before they are decoded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from media_assets.errors import ErrorCode, ItemError
from media_assets.media.containers.structure import Structure, check_parts, truncated

_C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_SRGB_PRIMARIES = frozenset({1, 2})
_SRGB_TRANSFERS = frozenset({1, 2, 4, 5, 6, 13, 14, 15})
"""ITU-T H.273 code points that are sRGB, close to it, or unspecified."""

_TOP_KINDS = frozenset(
    {b"ftyp", b"meta", b"mdat", b"idat", b"moov", b"moof", b"free", b"skip", b"uuid", b"jumb", b"mpvd", b"sefd"}
)
"""What a file is made of at its top level: one of these that does not end was cut off, anything else is a tail."""


class _Box(NamedTuple):
    kind: bytes
    start: int
    end: int


def examine_bmff(data: bytes) -> Structure:
    """Walk the boxes of a HEIC or AVIF file.

    Turns and colours are read from the whole property container, without asking which item each belongs to: a
    file that turns only its thumbnail is taken for one that turns itself.

    Raises:
        ItemError: TRUNCATED where a box reaches beyond the end of the file. Bytes behind the picture that are no
            box at all are passed over, as in other formats.
    """
    top = _top_boxes(data)
    properties = [p for box in top if box.kind == b"meta" for p in _properties(data, box)]
    angles = [data[p.start] & 3 for p in properties if p.kind == b"irot" and p.end > p.start]
    mirrors = any(p.kind == b"imir" for p in properties)
    return Structure(
        bit_depth=next((depth for p in properties if (depth := _bit_depth(data, p))), None),
        has_c2pa=any(_is_c2pa(data, box) for box in top),
        turns_itself=any(angles) or mirrors,
        swaps_sides=any(angle % 2 for angle in angles),
        has_foreign_colour=_has_foreign_colour(data, properties),
    )


def _top_boxes(data: bytes) -> list[_Box]:
    """The boxes of the file itself, up to its end, or to bytes behind a whole picture that are no box."""
    found: list[_Box] = []
    try:
        for box in _boxes(data, 0, len(data)):
            found.append(box)
    except ItemError as error:
        end = found[-1].end if found else 0
        is_whole = {box.kind for box in found} >= {b"meta", b"mdat"} and data[end + 4 : end + 8] not in _TOP_KINDS
        if error.code is not ErrorCode.TRUNCATED or not is_whole:
            raise
    return found


def _boxes(data: bytes, start: int, end: int) -> Iterator[_Box]:
    n_boxes = 0
    while start + 8 <= end:
        size = int.from_bytes(data[start : start + 4], "big")
        kind = data[start + 4 : start + 8]
        content = start + 8
        if size == 1:
            size = int.from_bytes(data[content : content + 8], "big")
            content += 8
        stop = end if size == 0 else start + size
        if stop > end:
            raise truncated(f"expected a box up to byte {stop}, its container ends at byte {end}")
        if stop < content:
            return
        yield _Box(kind, content, stop)
        start = stop
        n_boxes += 1
        check_parts(n_boxes, "boxes")


def _properties(data: bytes, meta: _Box) -> Iterator[_Box]:
    for outer in _boxes(data, meta.start + 4, meta.end):
        if outer.kind == b"iprp":
            for inner in _boxes(data, outer.start, outer.end):
                if inner.kind == b"ipco":
                    yield from _boxes(data, inner.start, inner.end)


def _bit_depth(data: bytes, box: _Box) -> int | None:
    if box.kind == b"av1C" and box.end - box.start >= 3:
        flags = data[box.start + 2]
        return 12 if flags & 0x20 else 10 if flags & 0x40 else 8
    if box.kind == b"hvcC" and box.end - box.start >= 18:
        return 8 + (data[box.start + 17] & 7)
    return None


def _is_c2pa(data: bytes, box: _Box) -> bool:
    return box.kind == b"jumb" or (box.kind == b"uuid" and data[box.start : box.start + 16] == _C2PA_UUID)


def _has_foreign_colour(data: bytes, properties: list[_Box]) -> bool:
    profiles = [data[p.start : p.start + 8] for p in properties if p.kind == b"colr"]
    if any(profile[:4] in (b"prof", b"rICC") for profile in profiles):
        return False
    declared = [p for p in profiles if p[:4] == b"nclx" and len(p) == 8]
    return any(
        int.from_bytes(p[4:6], "big") not in _SRGB_PRIMARIES or int.from_bytes(p[6:8], "big") not in _SRGB_TRANSFERS
        for p in declared
    )
