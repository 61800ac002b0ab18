"""The bytes of uploads under way: one file each, in a folder beside the inbox, written and flushed in threads.

Not here: which of them are whole (`ledger.py`), or where they go then (`landing.py`).
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from media_assets.ingest.uploads.refusals import UploadCode, UploadRefused

T = TypeVar("T")

_BUFFER_BYTES = 256 * 1024
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Parts:
    """A folder of parts, and the threads that work in it."""

    def __init__(self, folder: Path, n_threads: int = 8) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._threads = ThreadPoolExecutor(n_threads, thread_name_prefix="uploads")

    def path(self, part_id: str) -> Path:
        """Where a part lies."""
        return self.folder / part_id

    async def run(self, work: Callable[[], T]) -> T:
        """Do something with files in a thread.

        Raises:
            UploadRefused: the disk is full, or failed.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, refusing, work)

    def writer(self, part_id: str, offset: int = 0) -> PartWriter:
        """Go on writing a part behind its first `offset` bytes; what lies there is dropped."""
        return PartWriter(self, part_id, offset)

    async def remove(self, part_ids: Iterable[str]) -> None:
        """Remove parts, those that are not there as well."""
        paths = [self.path(part_id) for part_id in part_ids]

        def remove() -> None:
            for path in paths:
                path.unlink(missing_ok=True)

        if paths:
            await self.run(remove)

    def sizes(self) -> dict[str, int]:
        """Every part with its bytes."""
        with os.scandir(self.folder) as entries:
            return {entry.name: entry.stat().st_size for entry in entries}

    def require_room(self, n_bytes: int, free_bytes: int) -> None:
        """Hold the disk to what is to come.

        Raises:
            UploadRefused: less than `free_bytes` would stay free.
        """
        found = os.statvfs(self.folder)
        if found.f_bavail * found.f_frsize < n_bytes + free_bytes:
            raise UploadRefused(UploadCode.STORAGE_FULL, f"expected room for {n_bytes} bytes, the disk is nearly full")

    def close(self) -> None:
        """End the threads, once they have done what was begun."""
        self._threads.shutdown()


class PartWriter:
    """Writes one part, and hashes what it writes. Use it from one task at a time, and close it.

    A small file costs one turn of a thread: it is opened, written, flushed and closed at once.
    """

    def __init__(self, parts: Parts, part_id: str, offset: int) -> None:
        self.part_id = part_id
        self._parts, self._handle = parts, -1
        self._buffers: list[bytes] = []
        self._n_buffered = 0
        self.n_begun = offset
        self.n_bytes = offset
        """Taken so far, all requests together; durable only after `flush`."""
        self._sha256 = hashlib.sha256()

    async def write(self, chunk: bytes) -> None:
        """Take some bytes."""
        self._buffers.append(chunk)
        self._n_buffered += len(chunk)
        self.n_bytes += len(chunk)
        if self._n_buffered >= _BUFFER_BYTES:
            await self._spill()

    async def flush(self) -> None:
        """Everything that was taken is on the disk.

        Raises:
            UploadRefused: the disk is full or failed, or has lost what earlier requests wrote.
        """
        await self._spill(self._sync)

    async def finish(self) -> None:
        """Flush, and close.

        Raises:
            UploadRefused: as `flush`.
        """
        await self._spill(self._sync, self._close)

    async def close(self) -> None:
        """Close the file; what was not flushed may be lost."""
        if self._handle >= 0:
            await self._parts.run(self._close)

    async def sha256(self) -> str:
        """Of the whole part, once flushed: as it was written, or read again where an earlier request began it."""
        if self.n_begun == 0:
            return self._sha256.hexdigest()
        return await self._parts.run(lambda: _sha256(self._parts.path(self.part_id)))

    async def _spill(self, *then: Callable[[], None]) -> None:
        buffers, self._buffers, self._n_buffered = self._buffers, [], 0

        def spill() -> None:
            if self._handle < 0:
                self._handle = _opened(self._parts.path(self.part_id), self.n_begun)
            for buffer in buffers:
                if self.n_begun == 0:
                    self._sha256.update(buffer)
                _write_all(self._handle, buffer)
            for step in then:
                step()

        await self._parts.run(spill)

    def _sync(self) -> None:
        os.fsync(self._handle)

    def _close(self) -> None:
        handle, self._handle = self._handle, -1
        os.close(handle)


def _opened(path: Path, offset: int) -> int:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
    try:
        if os.fstat(handle).st_size < offset:
            raise UploadRefused(
                UploadCode.UPLOAD_NOT_FOUND, "the bytes of this upload are gone from the disk: begin it anew"
            )
        os.ftruncate(handle, offset)
        os.lseek(handle, offset, os.SEEK_SET)
    except BaseException:
        os.close(handle)
        raise
    return handle


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refusing(work: Callable[[], T]) -> T:
    """Do something with files.

    Raises:
        UploadRefused: the disk is full, or failed.
    """
    with refusing_disk_errors():
        return work()


@contextmanager
def refusing_disk_errors() -> Iterator[None]:
    """Say what a disk has failed to do as clients understand it.

    Raises:
        UploadRefused: instead of an OSError.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise UploadRefused(UploadCode.STORAGE_FULL, "the disk is full; come back later") from error
        raise UploadRefused(
            UploadCode.STORAGE_FAILED, f"the disk failed ({error.strerror}); come back later"
        ) from error
