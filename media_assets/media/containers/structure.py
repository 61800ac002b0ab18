"""What a walk over a container tells, and how a walk refuses."""

from __future__ import annotations

import msgspec

from media_assets.errors import ErrorCode, ItemError

MAX_PARTS = 100_000
"""Segments, chunks or boxes in one file; photos have some thousands at most."""


class Structure(msgspec.Struct, frozen=True, kw_only=True):
    """Facts that need no decoder. `None` means that the container does not say, or that Pillow says it
    better.

    `n_frames` is exact up to the cap that the walk was given, and cap + 1 beyond it. `is_bare` means that the
    file holds nothing but one picture: no metadata, no trailing bytes. `turns_itself` means that the
    container carries a turn that its decoder applies. `has_foreign_colour`: it declares primaries or a
    transfer curve, outside of any ICC profile, that differ from sRGB and that no decoder here applies. `exif`:
    the block of a container where Pillow finds it only by decoding the picture.
    """

    width_px: int | None = None
    height_px: int | None = None
    n_frames: int = 1
    bit_depth: int | None = None
    is_bare: bool = False
    has_c2pa: bool = False
    turns_itself: bool = False
    swaps_sides: bool = False
    has_foreign_colour: bool = False
    exif: bytes | None = None


def truncated(what: str) -> ItemError:
    """The error for a file that ends too early."""
    return ItemError(ErrorCode.TRUNCATED, f"{what}. The file was cut off; fetch it again or ask its source.")


def corrupt(what: str) -> ItemError:
    """The error for a file whose structure is broken."""
    return ItemError(ErrorCode.CORRUPT, f"{what}. The file is damaged; ask its source for another copy.")


def check_parts(n_parts: int, what: str) -> None:
    """Refuse a file that consists of too many parts.

    Raises:
        ItemError: CORRUPT, beyond `MAX_PARTS`.
    """
    if n_parts > MAX_PARTS:
        raise corrupt(f"expected at most {MAX_PARTS} {what} in one file, found more")
