"""What a lake's storage can do, whether it is a folder or an object store: the one place where the two differ.

`LocalStorage` and `S3Storage` implement it; everything above asks `LakeLocation.storage`. Not here: what is stored.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from obstore.store import ObjectStore


@dataclass(frozen=True)
class StoredFile:
    """One file of a lake; `path` is relative to the lake's root."""

    path: str
    size_bytes: int
    modified_at: datetime


class AppendLog(Protocol):
    """Lines that outlive a killed process, from several writers at once."""

    def read(self) -> bytes:
        """All lines so far; what a kill cut short may stand among them."""

    def append(self, line: bytes) -> None:
        """Add one line.

        Raises:
            OSError: this line, or an earlier one, could not be kept.
        """

    def clear(self) -> None:
        """Forget all lines, other writers' too."""

    def close(self) -> None:
        """Free what `append` holds, once everything appended is kept; `append` takes it again."""


class Storage(Protocol):
    """The storage of one lake. Parts are names of nested folders."""

    def store(self, *parts: str) -> ObjectStore:
        """The object store rooted at a folder of the lake.

        Raises:
            LakeUnfit: it cannot be opened or, where folders exist, created.
        """

    def delta_options(self) -> dict[str, str] | None:
        """`storage_options` for deltalake, good for ten minutes at least."""

    def scan_options(self) -> dict[str, Any] | None:
        """`storage_options` for polars, good for ten minutes at least."""

    def has_folder(self, *parts: str) -> bool:
        """Whether anything was ever written there, as far as that can be told without a request."""

    def files(self, folder: str) -> Iterator[StoredFile]:
        """Every file below a folder, uploads cut short included where they can be seen; none below a name with `_`."""

    def sizes(self, folder: str, paths: Collection[str]) -> dict[str, int]:
        """Sizes in bytes of those of these files that exist; paths are relative to the folder."""

    def delete(self, paths: Iterable[str]) -> None:
        """Delete files by their path in the lake; one that is gone is no error."""

    def log(self, *parts: str) -> AppendLog:
        """A log of that name."""

    def local_path(self, *parts: str) -> Path | None:
        """Where a file lies on this machine, or None."""

    def flush(self) -> None:
        """Return once everything written so far survives a loss of power, where that is not so from the start.

        Raises:
            OSError: something written earlier, by whomever, could not be kept.
        """

    def describe(self) -> str:
        """Where it is and how it is reached, for people; never with a secret."""

    def remove_folder(self, *parts: str) -> None:
        """Delete a folder with everything in it."""

    def require_put_if_absent(self) -> None:
        """Refuse a store on which concurrent commits would be lost, where that can be.

        Raises:
            StoreRefused: it takes a second create of one object.
        """

    def require_usable(self) -> None:
        """One cheap request that says whether the lake can be reached at all.

        Raises:
            StoreRefused: it cannot.
        """
