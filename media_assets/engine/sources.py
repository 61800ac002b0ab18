"""Getting at the bytes of one work: regular files only, size known and capped before a byte is read."""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path

from media_assets.errors import ErrorCode, ItemError

# O_NONBLOCK: a FIFO without a writer would otherwise hang the opener; it changes nothing for regular files
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BUFFER_BYTES = 1 << 18
_OWN_CODES = {
    errno.ELOOP: ErrorCode.SYMLINK_REFUSED,
    errno.ENXIO: ErrorCode.NOT_A_REGULAR_FILE,  # a socket, or a device without a driver
}


def check_size(n_bytes: int, max_bytes: int) -> None:
    """Raise `ItemError(TOO_MANY_BYTES)` if a source of so many bytes is over the cap."""
    if n_bytes > max_bytes:
        raise ItemError(
            ErrorCode.TOO_MANY_BYTES,
            f"expected at most {max_bytes} bytes in one item, got {n_bytes}; not opened",
        )


def open_source(path: Path, max_bytes: int) -> tuple[int, int]:
    """Open a file for one read: (file descriptor, size in bytes). The caller closes the descriptor.

    Raises:
        ItemError: STORAGE_FAILED (missing or unreadable), SYMLINK_REFUSED (the last part of the path is a
        link),
            NOT_A_REGULAR_FILE, TOO_MANY_BYTES.
    """
    try:
        fd = os.open(path, _FLAGS)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        code = _OWN_CODES.get(getattr(error, "errno", None) or 0, ErrorCode.STORAGE_FAILED)
        raise ItemError(code, f"expected a readable file, got {error}") from error
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise ItemError(ErrorCode.NOT_A_REGULAR_FILE, f"expected a regular file at {path}; it was not read")
        check_size(found.st_size, max_bytes)
    except BaseException:
        os.close(fd)
        raise
    return fd, found.st_size


def read_exactly(fd: int, n_bytes: int) -> bytes:
    """All bytes of an open file of known size; the descriptor's position is neither used nor moved.

    Raises:
        ItemError: STORAGE_FAILED: the device failed, or the file became shorter or longer since it was
        opened.
    """
    try:
        data = os.pread(fd, n_bytes, 0)  # the whole file at once, except beyond 2 GiB
        while len(data) < n_bytes and (more := os.pread(fd, n_bytes - len(data), len(data))):
            data += more
        has_more = bool(os.pread(fd, 1, n_bytes))
    except OSError as error:
        raise ItemError(ErrorCode.STORAGE_FAILED, f"the file was opened but could not be read: {error}") from error
    if len(data) != n_bytes or has_more:
        came = "more" if has_more else str(len(data))
        raise ItemError(
            ErrorCode.STORAGE_FAILED,
            f"expected {n_bytes} bytes, got {came}: the file changed while it was read",
        )
    return data


def file_over(fd: int) -> io.BufferedReader:
    """An open file from its beginning, read as it is needed. Closing it leaves the descriptor open."""
    os.lseek(fd, 0, os.SEEK_SET)
    return io.BufferedReader(io.FileIO(fd, closefd=False), _BUFFER_BYTES)


def check_unchanged(fd: int, n_bytes: int) -> None:
    """Raise `ItemError(STORAGE_FAILED)` for a file that became shorter or longer since it was opened."""
    if (now := os.fstat(fd).st_size) != n_bytes:
        raise ItemError(
            ErrorCode.STORAGE_FAILED, f"expected {n_bytes} bytes, got {now}: the file changed while it was read"
        )


def read_source(source: bytes | Path, max_bytes: int) -> bytes:
    """The bytes of a work's source.

    Raises:
        ItemError: as `open_source` and `read_exactly`.
    """
    if isinstance(source, bytes):
        check_size(len(source), max_bytes)
        return source
    fd, n_bytes = open_source(source, max_bytes)
    try:
        return read_exactly(fd, n_bytes)
    finally:
        os.close(fd)
