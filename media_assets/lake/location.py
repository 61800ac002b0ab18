"""Where the lake is: its root, the storage there, and whether that place can hold it.

Not here: what is written there (`delta.py`, `blobs.py`, `journal.py`), or how (`local_storage.py`, `s3_storage.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

from obstore.store import ObjectStore

from media_assets.errors import LakeUnfit
from media_assets.lake.local_storage import LocalStorage
from media_assets.lake.s3_options import S3Options
from media_assets.lake.s3_storage import S3Storage
from media_assets.lake.storage import Storage

# polars cannot read a local Delta table whose path needs percent-encoding, although it can be written; to it `a=b`
# anywhere in a path or URL is a partition.
_READABLE_PATH = re.compile(r"[A-Za-z0-9._/+:,@~'-]+")
_BUCKET = re.compile(
    r"s3a?://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/((?:[A-Za-z0-9._-]+/)*(?:[A-Za-z0-9._-]+)?))?", re.ASCII
)


@dataclass(frozen=True)
class LakeLocation:
    """The root of a lake: a local folder, or `s3://bucket/prefix`, reached as `s3` says.

    Raises:
        LakeUnfit: the path or URL holds letters with which tables could be written but not read back, or names no
            store that we know.
    """

    root: str
    s3: S3Options = field(default_factory=S3Options)

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
        else:
            bucket, prefix = _bucket_and_prefix(self.root)
            object.__setattr__(self, "root", f"s3://{bucket}/{prefix}".rstrip("/"))

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

    @cached_property
    def storage(self) -> Storage:
        """What can be done there."""
        if self.is_local:
            return LocalStorage(self.path)
        return S3Storage(*_bucket_and_prefix(self.root), self.s3)

    def store(self, *parts: str) -> ObjectStore:
        """The object store rooted at a folder of the lake (created when local).

        Raises:
            LakeUnfit: the folder cannot be created.
        """
        return self.storage.store(*parts)

    def uri(self, *parts: str) -> str:
        """Path or URL of a folder of the lake, as deltalake and polars take it."""
        return "/".join([self.root.rstrip("/"), *parts])


def _bucket_and_prefix(url: str) -> tuple[str, str]:
    """Bucket and prefix of an S3 URL. What is refused is not repeated: people put keys into URLs."""
    if not (found := _BUCKET.fullmatch(url)) or ".." in url:
        scheme = url.partition("://")[0]
        raise LakeUnfit(
            f"Expected the lake's path, or s3://bucket/prefix with a prefix of letters, digits and . _ - / only (`a=b` "
            f"reads as a partition column; keys belong into AWS's own variables or profiles), got another URL, of "
            f"scheme {scheme[:20]!r}. Set MEDIA_ASSETS_LAKE to such a URL, or a path."
        )
    return found[1], (found[2] or "").rstrip("/")


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
