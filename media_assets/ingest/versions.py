"""Which version of a file or object an item stands for: eight hex digits of what is known of its bytes unread.

An inbox puts them into the item's key, and a fetch holds what it opens against them: bytes that were replaced after
they were listed are never taken for those that were. Pure. Not here: which facts those are (each listing's own).
"""

from __future__ import annotations

from hashlib import blake2b

from media_assets.errors import ErrorCode, ItemError


def version_of(*facts: int | str) -> str:
    """Eight hex digits that stand for what is known of the bytes without reading them."""
    return blake2b(":".join(map(str, facts)).encode(), digest_size=4).hexdigest()


def require_version(expected: str | None, found: str, where: str) -> None:
    """Refuse bytes of another version than the one that was listed; None: any version will do.

    Raises:
        ItemError: CHECKSUM_MISMATCH.
    """
    if expected is not None and expected != found:
        raise ItemError(
            ErrorCode.CHECKSUM_MISMATCH,
            f"{where}: replaced since it was listed (expected version {expected}, found {found}); what lies there now "
            f"is an item of its own",
        )
