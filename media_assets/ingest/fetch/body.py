"""One body while it arrives: counted, hashed, capped, in memory while small and in a temporary file beyond.

Not here: where bytes come from, and where the finished body is kept.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from media_assets.errors import ErrorCode, ItemError
from media_assets.ingest.fetch.items import FetchRequest, checksum_algorithm
from media_assets.ingest.fetch.limits import MIB, FetchLimits


class Body:
    """Bytes received so far. Not safe for use from two threads at once; `flush` may run in another thread.

    Raises:
        ItemError: BAD_ROW when the request's declared checksum cannot be understood.
    """

    def __init__(self, request: FetchRequest, limits: FetchLimits, spool_dir: Path) -> None:
        self._request = request
        self._declared = checksum_algorithm(request)
        self._limits = limits
        self._spool_dir = spool_dir
        self._path: Path | None = None
        self.reset()

    def reset(self) -> None:
        """Forget everything received."""
        self.discard()
        self.size_bytes = 0
        self._sha256 = hashlib.sha256()
        algorithm = self._declared[0] if self._declared else None
        self._md5 = hashlib.md5(usedforsecurity=False) if algorithm == "md5" else None

    def discard(self) -> None:
        """Free the memory and the temporary file."""
        self._chunks: list[bytes] = []
        self._n_buffered = 0
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None

    def append(self, chunk: bytes) -> None:
        """Take more bytes.

        Raises:
            ItemError: TOO_MANY_BYTES above the cap.
        """
        self.size_bytes += len(chunk)
        self.refuse_more_than_cap(self.size_bytes)
        self._sha256.update(chunk)
        if self._md5 is not None:
            self._md5.update(chunk)
        self._chunks.append(chunk)
        self._n_buffered += len(chunk)

    def refuse_more_than_cap(self, n_bytes: int, what: str = "the body has") -> None:
        """Raise TOO_MANY_BYTES when a size, announced or real, is above the cap."""
        if n_bytes > self._limits.max_bytes:
            raise ItemError(
                ErrorCode.TOO_MANY_BYTES,
                f"{what} at least {n_bytes} bytes, more than the cap of {self._limits.max_bytes}; "
                "raise the cap if such items are wanted",
            )

    @property
    def is_flush_due(self) -> bool:
        """Whether enough is buffered that `flush` should be called before the next `append`."""
        return self._n_buffered >= (self._limits.memory_bytes if self._path is None else MIB)

    def flush(self) -> None:
        """Move what is buffered to the temporary file (blocks on the disk).

        Raises:
            ItemError: STORAGE_FAILED when the disk does not take it.
        """
        chunks, self._chunks, self._n_buffered = self._chunks, [], 0
        try:
            if self._path is None:
                handle, name = tempfile.mkstemp(prefix="body-", dir=self._spool_dir)
                os.close(handle)
                self._path = Path(name)
            with self._path.open("ab") as file:
                file.writelines(chunks)
        except OSError as error:
            raise ItemError(
                ErrorCode.STORAGE_FAILED,
                f"the spool folder {self._spool_dir} did not take a large body: {error.strerror}; free some space",
            ) from None

    def finish(self) -> bytes | Path:
        """The whole body, once nothing more comes: bytes, or the temporary file (gone after `discard`)."""
        if self._path is not None:
            if self._chunks:
                self.flush()
            return self._path
        if len(self._chunks) != 1:
            self._chunks = [b"".join(self._chunks)]
        return self._chunks[0]

    @property
    def is_spooled(self) -> bool:
        """Whether part of the body is in a temporary file."""
        return self._path is not None

    @property
    def media_id(self) -> str:
        """SHA-256 of the bytes so far, hex."""
        return self._sha256.hexdigest()

    def judge(self) -> None:
        """Compare the finished body with what the request declares.

        Raises:
            ItemError: EMPTY, or CHECKSUM_MISMATCH (of the declared size as well).
        """
        if self.size_bytes == 0:
            raise ItemError(ErrorCode.EMPTY, "the source answered with an empty body")
        self.judge_size(self.size_bytes)
        if self._declared is None:
            return
        algorithm, wanted = self._declared
        found = self._md5.hexdigest() if self._md5 is not None else self.media_id
        if found != wanted:
            raise ItemError(
                ErrorCode.CHECKSUM_MISMATCH,
                f"expected {algorithm} {wanted}, got {found}: the source has other bytes than declared",
            )

    def judge_size(self, n_bytes: int) -> None:
        """Raise CHECKSUM_MISMATCH when a size, announced or real, is not the declared one."""
        wanted = self._request.declared_bytes
        if wanted is not None and n_bytes != wanted:
            raise ItemError(
                ErrorCode.CHECKSUM_MISMATCH,
                f"expected {wanted} bytes, the source has {n_bytes}: the file changed since it was listed",
            )
