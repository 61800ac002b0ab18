"""JPEG at segment level (ITU-T T.81 Annex B): walking, judging and stripping, without touching entropy-coded
data.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from media_assets.errors import ErrorCode, ItemError
from media_assets.media.containers.structure import Structure, check_parts, corrupt, truncated

_SOI, _EOI, _SOS, _COM, _APP0, _APP11, _APP14, _APP15 = 0xD8, 0xD9, 0xDA, 0xFE, 0xE0, 0xEB, 0xEE, 0xEF
_NOT_FRAMES = frozenset({0xC4, 0xC8, 0xCC})
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_DECODED_SOFS = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
"""Baseline, extended, progressive, and the last two arithmetic-coded: what the decoder knows, all of them
8-bit.
"""

_NEEDED = frozenset({*range(0xC0, 0xD0), _SOS, 0xDB, 0xDC, 0xDD}) - {0xC8}
"""Segments that a decoder needs: SOFn, DHT, DAC, SOS, DQT, DNL, DRI."""

_MAX_SCANS = 256
"""Photos have at most some dozens; each further scan of a large picture costs seconds for a few bytes."""

_JFIF = b"\xff\xe0\x00\x10JFIF\0\1\1\0\0\1\0\1\0\0"


class Segment(NamedTuple):
    """One marker segment; `end` is exclusive and, for scans, lies after the entropy-coded data."""

    marker: int
    start: int
    payload_start: int
    payload_end: int
    end: int


class JpegStructure(msgspec.Struct, frozen=True):
    """A walked JPEG: its first picture's segments, up to and including the end marker at `end`."""

    structure: Structure
    n_components: int
    segments: tuple[Segment, ...]
    end: int


def examine_jpeg(data: bytes) -> JpegStructure:
    """Walk the first picture of a JPEG.

    Raises:
        ItemError: TRUNCATED without an end marker; CORRUPT where no marker is; UNSUPPORTED_FORMAT for 12-bit,
            lossless and hierarchical JPEGs.
    """
    segments, end = _walk(data)
    frames = [s for s in segments if 0xC0 <= s.marker <= 0xCF and s.marker not in _NOT_FRAMES]
    n_scans = sum(s.marker == _SOS for s in segments)
    if len(frames) != 1 or not n_scans:
        raise corrupt(f"expected one JPEG frame header and at least one scan, got {len(frames)} and {n_scans}")
    if n_scans > _MAX_SCANS:
        raise corrupt(f"expected at most {_MAX_SCANS} scans in a JPEG, got {n_scans}")
    precision, height, width, n_components = _frame_header(data, frames[0])
    structure = Structure(
        width_px=width,
        height_px=height,
        bit_depth=precision,
        is_bare=end == len(data) and _is_bare(data, segments),
        has_c2pa=any(s.marker == _APP11 and b"jumb" in data[s.payload_start : s.payload_end] for s in segments),
    )
    return JpegStructure(structure, n_components, segments, end)


def stripped_jpeg(data: bytes, jpeg: JpegStructure) -> bytes:
    """The first picture with nothing but what a decoder needs; its entropy-coded data are the same bytes.

    JFIF and Adobe segments decide how colours are decoded, so they stay, rewritten to fixed content (density
    and thumbnail gone, the Adobe transform kept). Every other APPn, comments, and all bytes after the end
    marker go.
    """
    parts = [b"\xff\xd8"]
    has_jfif = False
    for segment in jpeg.segments:
        payload = data[segment.payload_start : segment.payload_end]
        if segment.marker in _NEEDED:
            parts.append(data[segment.start : segment.end])
        elif _is_jfif(segment, payload) and not has_jfif:
            parts.append(_JFIF)
            has_jfif = True
        elif _is_adobe(segment, payload):
            parts.append(b"\xff\xee\x00\x0eAdobe\x00\x64\0\0\0\0" + payload[11:12])
    parts.append(b"\xff\xd9")
    return b"".join(parts)


def _is_jfif(segment: Segment, payload: bytes) -> bool:
    return segment.marker == _APP0 and payload.startswith(b"JFIF\0") and len(payload) >= 14


def _is_adobe(segment: Segment, payload: bytes) -> bool:
    return segment.marker == _APP14 and payload.startswith(b"Adobe") and len(payload) >= 12


def _is_bare(data: bytes, segments: tuple[Segment, ...]) -> bool:
    n_jfif = n_adobe = 0
    for segment in segments:
        payload = data[segment.payload_start : segment.payload_end]
        if segment.marker in _NEEDED:
            continue
        if _is_jfif(segment, payload) and len(payload) == 14 and payload[12:14] == b"\0\0":
            n_jfif += 1
        elif _is_adobe(segment, payload) and len(payload) == 12:
            n_adobe += 1
        else:
            return False
    return n_jfif <= 1 and n_adobe <= 1


def _frame_header(data: bytes, frame: Segment) -> tuple[int, int, int, int]:
    payload = data[frame.payload_start : frame.payload_end]
    if len(payload) < 6:
        raise corrupt("expected a JPEG frame header of at least 6 bytes")
    if frame.marker not in _DECODED_SOFS or payload[0] != 8:
        raise ItemError(
            ErrorCode.UNSUPPORTED_FORMAT,
            f"expected an 8-bit baseline or progressive JPEG, got {payload[0]}-bit, SOF{frame.marker - 0xC0}; "
            "convert it to PNG.",
        )
    height, width = int.from_bytes(payload[1:3], "big"), int.from_bytes(payload[3:5], "big")
    if not height or not width:
        raise corrupt(f"expected a JPEG of at least 1x1 pixels, got {width}x{height}")
    return payload[0], height, width, payload[5]


def _walk(data: bytes) -> tuple[tuple[Segment, ...], int]:
    segments: list[Segment] = []
    position, n_bytes = 2, len(data)
    markers: npt.NDArray[np.intp] | None = None
    while True:
        start = _next_marker(data, position)
        marker = data[start + 1]
        if marker == _EOI:
            return tuple(segments), start + 2
        if marker == _SOI or marker in _STANDALONE:
            raise corrupt(f"expected a JPEG segment at byte {start}, got the stray marker {marker:#04x}")
        payload_end = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
        if start + 4 > n_bytes or payload_end > n_bytes:
            raise truncated(f"expected a JPEG segment up to byte {payload_end}, the file has {n_bytes} bytes")
        position = max(payload_end, start + 4)
        if marker == _SOS:
            markers = _markers_after_scans(data, position) if markers is None else markers
            position = _end_of_scan(markers, position)
        segments.append(Segment(marker, start, start + 4, payload_end, position))
        check_parts(len(segments), "JPEG segments")


def _next_marker(data: bytes, position: int) -> int:
    """Position of the 0xFF that directly precedes the marker byte; fill bytes before it are skipped
    (B.1.1.2).
    """
    first = position
    while position < len(data) and data[position] == 0xFF and data[position + 1 : position + 2] == b"\xff":
        position += 1
    if position + 2 > len(data):
        raise truncated(f"expected a JPEG marker at byte {first}, the file has {len(data)} bytes")
    if data[position] != 0xFF:
        raise corrupt(f"expected a JPEG marker at byte {position}, got {data[position]:#04x}")
    return position


def _markers_after_scans(data: bytes, start: int) -> npt.NDArray[np.intp]:
    """Positions of every 0xFF from `start` on that is neither stuffed, nor a restart marker, nor a fill
    byte.
    """
    values = np.frombuffer(data, np.uint8, offset=start)
    positions = np.flatnonzero(values[:-1] == 0xFF)
    following = values[positions + 1]
    is_marker = (following != 0) & (following != 0xFF) & ((following < 0xD0) | (following > 0xD7))
    found: npt.NDArray[np.intp] = positions[is_marker] + start
    return found


def _end_of_scan(markers: npt.NDArray[np.intp], position: int) -> int:
    index = int(np.searchsorted(markers, position))
    if index == len(markers):
        raise truncated("expected an end marker after the JPEG's scan, found none")
    return int(markers[index])
