"""Names that follow from content alone, so that every machine and every re-run gives the same ones."""

from __future__ import annotations

import hashlib

from media_assets.errors import ErrorCode, ItemError


def media_id(data: bytes) -> str:
    """SHA-256 of the bytes, 64 lower-case hex digits; also the name of their blob."""
    return hashlib.sha256(data).hexdigest()


def require_same(data: bytes, expected: str | None) -> None:
    """Refuse kept bytes that are no longer what was kept. Costs 0.8 ms a megabyte; None: nothing is expected.

    Raises:
        ItemError: BLOB_DAMAGED.
    """
    if expected is not None and (found := media_id(data)) != expected:
        raise ItemError(
            ErrorCode.BLOB_DAMAGED,
            f"Expected kept bytes with the SHA-256 {expected}, got {len(data)} bytes with {found}.",
        )


def frame_id(media_id: str, pts_ns: int = 0, turned_degrees: int = 0) -> str:
    """Name of one still of a medium: 32 lower-case hex digits.

    The first 128 bits of the SHA-256 of the ASCII text ``frame/1:{media_id}:{pts_ns}:{turned_degrees}``, with
    both numbers in decimal. `pts_ns` is media time in nanoseconds (0 for stills); `turned_degrees` is the
    clockwise turn that the manifest asked for, because the same file turned otherwise is another picture.
    The leading ``1`` is the version of this rule.
    """
    text = f"frame/1:{media_id}:{pts_ns}:{turned_degrees}"
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:32]
