"""Bytes under their SHA-256: put if absent, overwritten only where what lies there is damaged.

Not here: which bytes are worth keeping, and the tables that name them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, ObjectStore

from media_assets.lake.blobs_at_hand import BlobsAtHand
from media_assets.lake.crash_points import crash_point
from media_assets.lake.location import LakeLocation
from media_assets.lake.store_errors import told

MULTIPART_BYTES = 64 * 1024**2
"""From here on a blob is uploaded in parts. No create takes parts, so the store is asked whether it is there first."""

_N_QUESTIONS = 32  # sizes asked for at the same time

_Mode = Literal["create", "overwrite"]


def blob_path(media_id: str) -> str:
    """Where a blob lies in its store: fanned out by the first hash byte, so that no folder grows huge."""
    return f"{media_id[:2]}/{media_id}"


@dataclass(frozen=True)
class BlobStore:
    """Content-addressed bytes in one object store (`local_root` when that is a local folder)."""

    store: ObjectStore
    local_root: Path | None = None
    _at_hand: BlobsAtHand = field(default_factory=BlobsAtHand, compare=False, repr=False)

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
        n_bytes = len(body) if isinstance(body, bytes) else body.stat().st_size  # noqa: ASYNC240 - one stat
        try:
            try:
                await self._put_async(path, body, n_bytes, "create")
            except AlreadyExistsError:
                if not await self._is_whole_async(media_id, n_bytes):
                    await self._put_async(path, body, n_bytes, "overwrite")
        except BaseError as error:
            raise OSError(f"the blob store did not take {path}: {told(error)}") from None
        if self.local_root is None and isinstance(body, bytes):
            self._at_hand.remember(media_id, body)
        crash_point("after blob")

    def put(self, media_id: str, body: bytes) -> None:
        """The same as `put_if_absent`, outside an event loop."""
        path = blob_path(media_id)
        crash_point("before blob")
        try:
            try:
                self._put(path, body, "create")
            except AlreadyExistsError:
                if not self._is_whole(media_id, len(body)):
                    self._put(path, body, "overwrite")
        except BaseError as error:
            raise OSError(f"the blob store did not take {path}: {told(error)}") from None
        crash_point("after blob")

    async def _put_async(self, path: str, body: bytes | Path, n_bytes: int, mode: _Mode) -> None:
        if n_bytes < MULTIPART_BYTES or self.local_root is not None:
            await obstore.put_async(self.store, path, body, mode=mode, use_multipart=False)
            return
        if mode == "create" and await self._exists_async(path):
            raise AlreadyExistsError(path)
        await obstore.put_async(self.store, path, body, mode="overwrite", use_multipart=True)

    def _put(self, path: str, body: bytes, mode: _Mode) -> None:
        if len(body) < MULTIPART_BYTES or self.local_root is not None:
            obstore.put(self.store, path, body, mode=mode, use_multipart=False)
            return
        if mode == "create" and self._exists(path):
            raise AlreadyExistsError(path)
        obstore.put(self.store, path, body, mode="overwrite", use_multipart=True)

    async def _exists_async(self, path: str) -> bool:
        try:
            await obstore.head_async(self.store, path)
        except FileNotFoundError:
            return False
        return True

    def _exists(self, path: str) -> bool:
        try:
            obstore.head(self.store, path)
        except FileNotFoundError:
            return False
        return True

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
        """Length of a blob, or None when there is none.

        Raises:
            OSError: the store did not answer.
        """
        if self.local_root is not None:  # one stat instead of a call through the store
            try:
                return (self.local_root / blob_path(media_id)).stat().st_size
            except FileNotFoundError:
                return None
        try:
            return int(obstore.head(self.store, blob_path(media_id))["size"])
        except FileNotFoundError:
            return None
        except BaseError as error:
            raise OSError(f"the blob store did not say how long {blob_path(media_id)} is: {told(error)}") from None

    def sizes(self, media_ids: Iterable[str]) -> Callable[[str], int | None]:
        """`size_bytes` of these blobs, asked for many at a time where each question is a request."""
        if self.local_root is not None:
            return self.size_bytes
        asked = list(dict.fromkeys(media_ids))
        with ThreadPoolExecutor(_N_QUESTIONS) as pool:
            found = dict(zip(asked, pool.map(self.size_bytes, asked), strict=True))
        return lambda media_id: found[media_id] if media_id in found else self.size_bytes(media_id)

    def read(self, media_id: str) -> bytes:
        """All bytes of a blob.

        Raises:
            FileNotFoundError: there is no such blob.
            OSError: the store did not give it.
        """
        try:
            return bytes(obstore.get(self.store, blob_path(media_id)).bytes())
        except BaseError as error:
            raise OSError(f"the blob store did not give {blob_path(media_id)}: {told(error)}") from None

    def read_ahead(self, media_ids: Iterable[str]) -> None:
        """Say which blobs `source` will be asked for next, in this order: distant ones are read some ahead."""
        if self.local_root is None:
            self._at_hand.expect(media_ids, self.read)

    def source(self, media_id: str) -> bytes | Path:
        """What a worker can read the blob from: its path when it is local, else the bytes.

        Raises:
            OSError: the store did not give it.
        """
        if self.local_root is not None:
            return self.local_root / blob_path(media_id)
        at_hand = self._at_hand.take(media_id)
        return self.read(media_id) if at_hand is None else at_hand

    def close(self) -> None:
        """Stop reading ahead, and forget what is at hand."""
        self._at_hand.clear()
