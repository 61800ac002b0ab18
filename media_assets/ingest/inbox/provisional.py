"""Names that say that a file is no upload yet. Alone here: what makes names need not load what plans batches."""

from __future__ import annotations

_TEMPORARY = (b".part", b".partial", b".tmp", b".temp", b".crdownload", b".filepart", b".upload", b"~")


def is_provisional(path: bytes) -> bool:
    """Whether a name says that it is not an upload yet: a part of it is hidden, or it ends as temporary files do."""
    return any(part.startswith(b".") for part in path.split(b"/")) or path.lower().endswith(_TEMPORARY)
