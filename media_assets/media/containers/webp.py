"""WebP chunks (RFC 9649): walking and judging."""

from __future__ import annotations

from media_assets.media.containers.structure import Structure, check_parts, corrupt, truncated

_BARE_CHUNKS = frozenset({b"VP8 ", b"VP8L", b"VP8X"})


def examine_webp(data: bytes) -> Structure:
    """Walk a WebP: canvas, frames, and whether it holds anything but one picture.

    Raises:
        ItemError: TRUNCATED where the file is shorter than its header says; CORRUPT without a picture in it.
    """
    riff_end = 8 + int.from_bytes(data[4:8], "little")
    if riff_end > len(data):
        raise truncated(f"expected a WebP of {riff_end} bytes, the file has {len(data)}")
    kinds: set[bytes] = set()
    size: tuple[int, int] | None = None
    n_animated, n_chunks, position = 0, 0, 12
    while position + 8 <= riff_end:
        kind = data[position : position + 4]
        start = position + 8
        n_bytes = int.from_bytes(data[position + 4 : start], "little")
        if start + n_bytes > riff_end:
            raise truncated(f"expected a WebP chunk up to byte {start + n_bytes}, the file has {len(data)} bytes")
        size = size or _canvas(kind, data[start : start + min(n_bytes, 10)])
        kinds.add(kind)
        n_animated += kind == b"ANMF"
        position = start + n_bytes + n_bytes % 2
        n_chunks += 1
        check_parts(n_chunks, "WebP chunks")
    if size is None:
        raise corrupt("expected a WebP to hold a VP8, VP8L or VP8X chunk, found none")
    return Structure(
        width_px=size[0],
        height_px=size[1],
        n_frames=max(1, n_animated),
        bit_depth=8,
        is_bare=kinds <= _BARE_CHUNKS and position == riff_end == len(data),
        has_c2pa=b"C2PA" in kinds,
    )


def _canvas(kind: bytes, content: bytes) -> tuple[int, int] | None:
    """Width and height of the canvas, where this chunk states it."""
    if len(content) < 5:
        return None
    if kind == b"VP8X" and len(content) >= 10:
        return int.from_bytes(content[4:7], "little") + 1, int.from_bytes(content[7:10], "little") + 1
    if kind == b"VP8L" and content[0] == 0x2F:
        bits = int.from_bytes(content[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and len(content) >= 10 and content[3:6] == b"\x9d\x01\x2a":
        width, height = int.from_bytes(content[6:8], "little"), int.from_bytes(content[8:10], "little")
        return width & 0x3FFF, height & 0x3FFF
    return None
