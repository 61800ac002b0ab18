"""Where annotators see the lake's blobs: the addresses in the tasks, and the store that Label Studio is connected to.

Not here: the blobs themselves (`lake/blobs.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol
from urllib.parse import urlsplit

from media_assets.errors import SetupError
from media_assets.labeling.label_studio.client import LabelStudio
from media_assets.labeling.label_studio.media import S3Store, connect_bucket, connect_folder, local_address
from media_assets.lake.blobs import blob_path
from media_assets.lake.location import LakeLocation

_FOLDER = "blobs"


class ShownMedia(Protocol):
    """How a project shows blobs."""

    def connect(self, client: LabelStudio, ls_project_id: int) -> None:
        """Let a project show them; the same again changes nothing."""

    def address(self, blob: str) -> str:
        """What stands in a task for a blob."""


@dataclass(frozen=True)
class LocalMedia:
    """A lake in a folder that Label Studio sees too, below its document root."""

    folder: PurePosixPath
    root: PurePosixPath

    def connect(self, client: LabelStudio, ls_project_id: int) -> None:
        """Connect the folder of blobs."""
        connect_folder(client, ls_project_id, str(self.folder))

    def address(self, blob: str) -> str:
        """A path below the document root."""
        return local_address(str(self.folder.relative_to(self.root) / blob_path(blob)))


@dataclass(frozen=True)
class BucketMedia:
    """A lake in a bucket, which Label Studio reaches with credentials of its own."""

    store: S3Store

    def connect(self, client: LabelStudio, ls_project_id: int) -> None:
        """Connect the bucket."""
        connect_bucket(client, ls_project_id, self.store)

    def address(self, blob: str) -> str:
        """The blob's own URL."""
        return f"s3://{self.store.bucket}/{self.store.prefix}/{blob_path(blob)}"


def shown_media(location: LakeLocation, root: str = "", *, presign: bool = False) -> ShownMedia:
    """How the blobs of a lake are shown.

    Args:
        location: the lake.
        root: of a lake in a folder: the server's LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT; empty for the lake itself.
        presign: of a lake in a bucket: browsers fetch from the bucket itself, with links that end.

    Raises:
        SetupError: the blobs do not lie below that root, or are that root.
    """
    if not location.is_local:
        parts = urlsplit(location.root)
        prefix = f"{parts.path.strip('/')}/{_FOLDER}".lstrip("/")
        return BucketMedia(S3Store(parts.netloc, prefix, location.s3.endpoint, location.s3.region, presign))
    folder = PurePosixPath(location.path / _FOLDER)
    document_root = PurePosixPath(Path(root).absolute() if root else location.path)
    if document_root not in folder.parents:
        raise SetupError(
            f"Expected a folder above {folder} in MEDIA_ASSETS_LABEL_STUDIO_ROOT, the one that Label Studio has as its "
            f"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT, got {document_root}."
        )
    return LocalMedia(folder, document_root)
