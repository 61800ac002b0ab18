"""GIF blocks (GIF89a specification): counting pictures without decoding them."""

from __future__ import annotations

from media_assets.media.containers.structure import Structure, corrupt, truncated

_MAX_SUB_BLOCKS = 1_000_000
"""A file of 64 MiB in blocks of 255 bytes has a quarter of this."""


def examine_gif(data: bytes, max_frames: int) -> Structure:
    """Count the pictures of a GIF, stopping one beyond `max_frames`.

    A missing end after the first whole picture is forgiven, as every viewer does: only the first one is used.

    Raises:
        ItemError: TRUNCATED inside the first picture; CORRUPT for a block of an unknown kind before it.
    """
    position = 13 + _colour_table_bytes(data[10] if len(data) > 10 else 0)
    n_frames, n_left, has_c2pa = 0, _MAX_SUB_BLOCKS, False
    while n_frames <= max_frames:
        kind = data[position : position + 1]
        if kind == b";" or (n_frames and kind not in (b"!", b",")):
            break
        if kind == b"!":
            has_c2pa = has_c2pa or data[position + 1 : position + 14] == b"\xff\x0bC2PA_GIF\1\0\0"
            position += 2
        elif kind == b",":
            n_frames += 1
            flags = data[position + 9] if len(data) > position + 9 else 0
            position += 11 + _colour_table_bytes(flags)
        else:
            raise _broken(data, position)
        position, n_left = _skip_sub_blocks(data, position, n_left)
        if position > len(data) and n_frames <= 1:
            raise truncated(f"expected a GIF block up to byte {position}, the file has {len(data)} bytes")
    if not n_frames:
        raise corrupt("expected a GIF with at least one picture, found none")
    width, height = int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")
    return Structure(width_px=width, height_px=height, n_frames=n_frames, bit_depth=8, has_c2pa=has_c2pa)


def _broken(data: bytes, position: int) -> Exception:
    if position >= len(data):
        return truncated(f"expected a GIF block at byte {position}, the file has {len(data)} bytes")
    return corrupt(f"expected a GIF block at byte {position}, got {data[position]:#04x}")


def _colour_table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _skip_sub_blocks(data: bytes, position: int, n_left: int) -> tuple[int, int]:
    """Position after the terminator of a chain of sub-blocks, and how many more may come in this file."""
    n_bytes = len(data)
    while position < n_bytes and data[position]:
        position += data[position] + 1
        n_left -= 1
        if not n_left:
            raise corrupt(f"expected at most {_MAX_SUB_BLOCKS} GIF sub-blocks in one file, found more")
    return position + 1, n_left
