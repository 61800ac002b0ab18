"""TIFF directories (TIFF 6.0, BigTIFF): counting pages without decoding them."""

from __future__ import annotations

from typing import Literal

from media_assets.media.containers.structure import Structure, truncated

_C2PA_TAG = 0xCD41


def examine_tiff(data: bytes, max_frames: int) -> Structure:
    """Count the pages of a TIFF, stopping one beyond `max_frames`.

    Raises:
        ItemError: TRUNCATED where the first directory lies beyond the end of the file.
    """
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    is_big = 43 in (data[2], data[3])
    n_pointer, n_count, n_entry = (8, 8, 20) if is_big else (4, 2, 12)
    offset = int.from_bytes(data[8:16] if is_big else data[4:8], order)
    seen: set[int] = set()
    has_c2pa = False
    while offset and offset not in seen and len(seen) <= max_frames:
        entries = offset + n_count
        n_entries = int.from_bytes(data[offset:entries], order)
        end = entries + n_entries * n_entry
        if end > len(data):
            if not seen:
                raise truncated(f"expected a TIFF directory up to byte {end}, the file has {len(data)} bytes")
            break
        if not seen:
            tags = (data[i : i + 2] for i in range(entries, entries + min(n_entries, 4096) * n_entry, n_entry))
            has_c2pa = _C2PA_TAG.to_bytes(2, order) in tags
        seen.add(offset)
        offset = int.from_bytes(data[end : end + n_pointer], order)
    return Structure(n_frames=max(1, len(seen)), has_c2pa=has_c2pa)
