"""Bytes under their SHA-256: put if absent, overwritten only where what lies there is damaged.

Not here: which bytes are worth keeping, and the tables that name them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, ObjectStore

from media_assets.lake.crash_points import crash_point
from media_assets.lake.location import LakeLocation


def blob_path(media_id: str) -> str:
    """Where a blob lies in its store: fanned out by the first hash byte, so that no folder grows huge."""
    return f"{media_id[:2]}/{media_id}"


@dataclass(frozen=True)
class BlobStore:
    """Content-addressed bytes in one object store (`local_root` when that is a local folder)."""

    store: ObjectStore
    local_root: Path | None = None

    @classmethod
    def at(cls, location: LakeLocation, folder: str = "blobs") -> BlobStore:
        """The blob store inside a lake."""
        store = location.store(folder)
        return cls(store, location.path / folder if isinstance(store, LocalStore) else None)

    async def put_if_absent(self, media_id: str, body: bytes | Path) -> None:
        """Store bytes under their hash unless they are there already.

        What is there already is read again: bytes that do not have this hash, or cannot be read, are damage, and are
        replaced by the right ones.

        Raises:
            OSError: the store did not take the bytes.
        """
        path = blob_path(media_id)
        crash_point("before blob")
        try:
            try:
                await obstore.put_async(self.store, path, body, mode="create")
            except AlreadyExistsError:
                n_bytes = len(body) if isinstance(body, bytes) else body.stat().st_size  # noqa: ASYNC240 - one stat
                if not await self._is_whole_async(media_id, n_bytes):
                    await obstore.put_async(self.store, path, body, mode="overwrite")
        except BaseError as error:
            raise OSError(f"the blob store did not take {path}: {error}") from error
        crash_point("after blob")

    def put(self, media_id: str, body: bytes) -> None:
        """The same as `put_if_absent`, outside an event loop."""
        path = blob_path(media_id)
        crash_point("before blob")
        try:
            try:
                obstore.put(self.store, path, body, mode="create")
            except AlreadyExistsError:
                if not self._is_whole(media_id, len(body)):
                    obstore.put(self.store, path, body, mode="overwrite")
        except BaseError as error:
            raise OSError(f"the blob store did not take {path}: {error}") from error
        crash_point("after blob")

    async def _is_whole_async(self, media_id: str, n_bytes: int) -> bool:
        path = blob_path(media_id)
        if (await obstore.head_async(self.store, path))["size"] != n_bytes:
            return False
        found = hashlib.sha256()
        try:
            async for part in (await obstore.get_async(self.store, path)).stream():
                found.update(part)
        except BaseError:
            return False
        return found.hexdigest() == media_id

    def _is_whole(self, media_id: str, n_bytes: int) -> bool:
        path = blob_path(media_id)
        if obstore.head(self.store, path)["size"] != n_bytes:
            return False
        found = hashlib.sha256()
        try:
            for part in obstore.get(self.store, path).stream():
                found.update(part)
        except BaseError:
            return False
        return found.hexdigest() == media_id

    def size_bytes(self, media_id: str) -> int | None:
        """Length of a blob, or None when there is none."""
        if self.local_root is not None:  # one stat instead of a call through the store
            try:
                return (self.local_root / blob_path(media_id)).stat().st_size
            except FileNotFoundError:
                return None
        try:
            return int(obstore.head(self.store, blob_path(media_id))["size"])
        except FileNotFoundError:
            return None

    def read(self, media_id: str) -> bytes:
        """All bytes of a blob.

        Raises:
            FileNotFoundError: there is no such blob.
            OSError: the store did not give it.
        """
        try:
            return bytes(obstore.get(self.store, blob_path(media_id)).bytes())
        except BaseError as error:
            raise OSError(f"the blob store did not give {blob_path(media_id)}: {error}") from error

    def source(self, media_id: str) -> bytes | Path:
        """What a worker can read the blob from: its path when it is local, else the bytes."""
        if self.local_root is not None:
            return self.local_root / blob_path(media_id)
        return self.read(media_id)
