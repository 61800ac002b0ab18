"""A file of a distant table, read by ranges, as the file object that pyarrow expects."""

from __future__ import annotations

import io
import os

import obstore
import pyarrow as pa
from obstore.store import ObjectStore


class RangedFile(io.RawIOBase):
    """Each read is one request for exactly the bytes asked for; nothing is buffered."""

    def __init__(self, store: ObjectStore, path: str) -> None:
        super().__init__()
        self._store, self._path, self._at = store, path, 0
        self._n_bytes = int(obstore.head(store, path)["size"])

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """The place that is read next."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go there; no request."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._n_bytes}[whence]
        self._at = base + offset
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """Bytes from here on, fewer at the end only."""
        wanted = self._n_bytes if size is None or size < 0 else self._at + size
        start, end = self._at, min(wanted, self._n_bytes)
        if end <= start:
            return b""
        self._at = end
        return bytes(obstore.get_range(self._store, self._path, start=start, end=end))


def open_ranged(store: ObjectStore, path: str) -> pa.PythonFile:
    """The file for `pq.ParquetFile`."""
    return pa.PythonFile(RangedFile(store, path), mode="r")
