"""EXIF blocks as nobody should write them: loops, lies about size, odd orientations, and tags with markers."""

from __future__ import annotations

import struct

_HEAD = b"Exif\0\0"
Entry = tuple[int, int, int, bytes]
"""Tag, type, count, and the four bytes of value or offset."""


def tiff_block(entries: list[Entry], next_ifd: int = 0, extra: bytes = b"") -> bytes:
    """A little-endian TIFF with one directory at byte 8, and bytes behind it."""
    body = struct.pack("<H", len(entries))
    for tag, kind, count, value in entries:
        body += struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")
    return b"II*\0\x08\0\0\0" + body + struct.pack("<I", next_ifd) + extra


def orientation_exif(value: int) -> bytes:
    """EXIF whose orientation is any 16-bit number; only 1 to 8 mean something."""
    return _HEAD + tiff_block([(0x0112, 3, 1, struct.pack("<H", value))])


def looping_exif() -> dict[str, bytes]:
    """EXIF that sends its readers in circles or out of the file."""
    far = struct.pack("<I", 0xFFFFFFF0)
    here = struct.pack("<I", 8)
    return {
        "self-pointing": _HEAD + tiff_block([(0x8769, 4, 1, here)], next_ifd=8),
        "gps-is-the-root": _HEAD + tiff_block([(0x8825, 4, 1, here)]),
        "interop-loop": _HEAD + tiff_block([(0x8769, 4, 1, here), (0xA005, 4, 1, here)]),
        "far-pointer": _HEAD + tiff_block([(0x8769, 4, 1, far)], next_ifd=0xFFFFFFF0),
        "gps-far-away": _HEAD + tiff_block([(0x8825, 4, 1, far)]),
        "count-4-billion": _HEAD + tiff_block([(0x010F, 2, 0xFFFFFFFF, here)]),
        "orientation-of-text": _HEAD + tiff_block([(0x0112, 2, 4, b"six\0")]),
        "orientation-of-rational-0": _HEAD + tiff_block([(0x0112, 5, 1, struct.pack("<I", 26))], 0, bytes(8)),
        "orientation-of-many": _HEAD + tiff_block([(0x0112, 3, 2, struct.pack("<HH", 6, 8))]),
        "unknown-type": _HEAD + tiff_block([(0x0112, 77, 1, b"\6")]),
        "entries-missing": _HEAD + b"II*\0\x08\0\0\0" + b"\xff\xff",
        "no-block": _HEAD,
        "half-a-header": _HEAD + b"II*",
        "other-magic": _HEAD + b"XX*\0\x08\0\0\0",
        "date-of-nonsense": _HEAD
        + tiff_block([(0x8769, 4, 1, struct.pack("<I", 26))], 0, b"\1\0\x03\x90\2\0\x14\0\0\0\x2c\0\0\0\0\0\0\0")
        + b"9999:99:99 99:99:99\0",
        "thumbnail-far-away": _HEAD
        + tiff_block([], next_ifd=14, extra=b"\1\0\1\2\4\0\1\0\0\0\xff\xff\xff\x7f\0\0\0\0"),
    }


def big_exif(n_bytes: int) -> bytes:
    """One maker note of so many bytes."""
    n_note = n_bytes - 60
    pointer = struct.pack("<I", 26)
    inner = struct.pack("<HHHII", 1, 0x927C, 7, n_note, 44) + bytes(4)
    return _HEAD + tiff_block([(0x8769, 4, 1, pointer)], 0, inner + b"\xa5" * n_note)
