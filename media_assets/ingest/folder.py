"""A folder as a source: one item per file below it, in a fixed order.

Hidden names (beginning with a dot) are left out and counted. Everything else becomes an item, judged when it
is fetched: a symbolic link (also to a folder: it is not followed), a FIFO or a device is refused there with
its own code. The size is not declared: a file may still grow. Not here: opening files.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote_from_bytes

from media_assets.errors import PlanRefused
from media_assets.ingest.batch_numbers import list_name
from media_assets.ingest.item_keys import item_key_of
from media_assets.ingest.planned import PlannedItem, RejectedRow
from media_assets.tables.columns import Kind

SOURCE = "folder"
_MAX_ITEM_KEY = 4096  # characters, as the manifest's contract says


@dataclass
class FolderCounts:
    """What a walk left out."""

    n_hidden: int = 0


def folder_batch_name(root: Path) -> str:
    """What the batch ids of a folder begin with: `folder.holiday-2019`."""
    return list_name(SOURCE, os.fsencode(root.resolve().name))


def folder_uri(root: Path) -> str:
    """The `file://` URI of a folder with a slash at its end: what the URIs of all its items begin with."""
    resolved = os.fsencode(root.resolve()).rstrip(b"/")
    return f"file://{quote_from_bytes(resolved, safe='/')}/"


def read_folder(
    root: Path, source_kind: Kind = Kind.IMAGE, counts: FolderCounts | None = None
) -> Iterator[PlannedItem | RejectedRow]:
    """Every file below a folder, as an item whose key is its path relative to the folder.

    Folders are walked depth first, the names of each sorted by their bytes. Memory: the names in one folder
    and in its parents. A folder that cannot be read, and a path too long for a key, is a rejected row.

    Args:
        root: the folder; may itself be reached through a symbolic link.
        source_kind: what sort of media its files are expected to hold.
        counts: is filled in while the items are consumed.

    Raises:
        PlanRefused: there is no such folder, or it cannot be read.
    """
    resolved = os.fsencode(root.resolve())
    try:
        names = _listing(resolved)
    except OSError as error:
        raise PlanRefused(
            f"Expected a folder that can be read at {root}, got: {error.strerror or error}. Check the path."
        ) from error
    return _walk(resolved, names, folder_uri(root), Kind(source_kind), counts or FolderCounts())


def _walk(
    root: bytes, names: list[tuple[bytes, bool]], base_uri: str, kind: Kind, counts: FolderCounts
) -> Iterator[PlannedItem | RejectedRow]:
    """Depth first without recursion: a stack holds, per folder on the way down, the names still to come."""
    stack = [(b"", iter(names))]
    while stack:
        prefix, rest = stack[-1]
        if (entry := next(rest, None)) is None:
            stack.pop()
            continue
        name, is_folder = entry
        path = prefix + name
        if name.startswith(b"."):
            counts.n_hidden += 1
        elif not is_folder:
            yield _item(path, base_uri, kind)
        else:
            try:
                stack.append((path + b"/", iter(_listing(root + b"/" + path))))
            except OSError as error:
                yield _rejected(path, f"the folder cannot be read: {error.strerror or error}")


def _listing(folder: bytes) -> list[tuple[bytes, bool]]:
    """Names in a folder, sorted, each with whether it is a folder itself (a link to one is not)."""
    with os.scandir(folder) as entries:
        return sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)


def _item(path: bytes, base_uri: str, kind: Kind) -> PlannedItem | RejectedRow:
    item_key = item_key_of(path)
    if len(item_key) > _MAX_ITEM_KEY:
        return _rejected(
            path, f"expected a path of at most {_MAX_ITEM_KEY} characters, got {len(item_key)}; shorten it"
        )
    return PlannedItem(item_key=item_key, uri=base_uri + quote_from_bytes(path, safe="/"), kind=kind)


def _rejected(path: bytes, message: str) -> RejectedRow:
    """A row whose key stays unique when the path is too long to be a key."""
    key = item_key_of(path)
    if len(key) > _MAX_ITEM_KEY:
        key = f"{key[:200]}...#{hashlib.sha256(path).hexdigest()}"
    return RejectedRow(key, message)
