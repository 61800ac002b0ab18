"""Where the lake is: its root, its stores, and whether that place can hold it.

Not here: what is written there (`delta.py`, `blobs.py`, `journal.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from deltalake.exceptions import DeltaError
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from media_assets.errors import LakeUnfit

# polars cannot read a local Delta table whose path needs percent-encoding, although it can be written; to it `a=b`
# anywhere in a path or URL is a partition.
_READABLE_PATH = re.compile(r"[A-Za-z0-9._/+:,@~'-]+")

STORE_ERRORS: tuple[type[Exception], ...] = (OSError, BaseError, DeltaError)
"""What comes out of a store that fails: the system's, obstore's and deltalake's errors."""


@dataclass(frozen=True)
class LakeLocation:
    """The root of a lake: a local folder, or an object-store URL.

    Raises:
        LakeUnfit: the path holds letters with which tables could be written but not read back.
    """

    root: str
    storage_options: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Turn a local root into an absolute path and refuse one that polars could not read back."""
        if self.root.lower().startswith("file:"):
            object.__setattr__(self, "root", _path_of_url(self.root))
        if self.is_local:
            absolute = _absolute(self.root)
            object.__setattr__(self, "root", absolute)
            if not _READABLE_PATH.fullmatch(absolute):
                raise LakeUnfit(
                    f"The lake's path must consist of ASCII letters, digits and . _ - / + : , @ ~ ' only, got "
                    f"{absolute!r}: tables there could be written but not read back. Set MEDIA_ASSETS_LAKE to another "
                    f"folder."
                )
        elif "=" in self.root:
            raise LakeUnfit(f"Expected a lake's URL without =, got {self.root!r}: `a=b` reads as a partition column.")

    @property
    def is_local(self) -> bool:
        """Whether the lake is a folder on this machine."""
        return "://" not in self.root

    @property
    def path(self) -> Path:
        """The local root.

        Raises:
            LakeUnfit: the lake is an object store.
        """
        if not self.is_local:
            raise LakeUnfit(f"Expected a lake in a local folder, got {self.root}.")
        return Path(self.root)

    def store(self, *parts: str) -> ObjectStore:
        """The object store rooted at a folder of the lake (created when local).

        Raises:
            LakeUnfit: the folder cannot be created, or the URL names no store that we know.
        """
        try:
            if self.is_local:
                return LocalStore(self.path.joinpath(*parts), mkdir=True)
            return from_url(self.uri(*parts), config=self.storage_options or None)  # type: ignore[arg-type]
        except (OSError, BaseError) as error:
            told = str(error).partition("\n")[0]  # obstore adds a page of debug text
            raise LakeUnfit(
                f"Expected a lake in a folder that can be written, or at s3://bucket/prefix; {self.uri(*parts)}: {told}"
            ) from error

    def uri(self, *parts: str) -> str:
        """Path or URL of a folder of the lake, as deltalake and polars take it."""
        return "/".join([self.root.rstrip("/"), *parts])


def _path_of_url(url: str) -> str:
    """The path of a `file://` URL. `?` and `#` are letters of the path: dropping them would name another folder."""
    path = url[len("file:") :].removeprefix("//").removeprefix("localhost")
    if not url[len("file:") :].startswith(("///", "//localhost/")):
        raise LakeUnfit(f"Expected file:///absolute/path, got {url!r}. Set MEDIA_ASSETS_LAKE to such a URL, or a path.")
    return unquote(path)


def _absolute(root: str) -> str:
    if not root:
        raise LakeUnfit("Expected the path or URL of the lake, got an empty one. Set MEDIA_ASSETS_LAKE to a folder.")
    try:
        return str(Path(root).expanduser().absolute())
    except RuntimeError as error:  # ~user of nobody
        raise LakeUnfit(f"Expected the path of the lake, got {root!r}: {error}") from error
