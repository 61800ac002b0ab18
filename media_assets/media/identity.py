"""Names that follow from content alone, so that every machine and every re-run gives the same ones."""

from __future__ import annotations

import hashlib
from typing import Protocol

from media_assets.errors import ErrorCode, ItemError

_HASH_BYTES = 1 << 20


class SeekableFile(Protocol):
    """What is asked of a file here."""

    def read(self, n_bytes: int, /) -> bytes:
        """At most so many bytes from here; none at the end."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to an offset; where that is."""


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


def require_same_file(file: SeekableFile, expected: str) -> None:
    """As `require_same`, without holding the file; leaves it at its beginning.

    Raises:
        ItemError: BLOB_DAMAGED.
    """
    found, n_bytes = hashlib.sha256(), 0
    file.seek(0)
    while data := file.read(_HASH_BYTES):
        found.update(data)
        n_bytes += len(data)
    file.seek(0)
    if found.hexdigest() != expected:
        raise ItemError(
            ErrorCode.BLOB_DAMAGED,
            f"Expected kept bytes with the SHA-256 {expected}, got {n_bytes} bytes with {found.hexdigest()}.",
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


def label_task_key(project: str, subject_id: str, round_number: int) -> str:
    """Name of one question to annotators: about one frame or video, in one project and (1-based) round."""
    return f"{project}/{subject_id}@r{round_number}"
