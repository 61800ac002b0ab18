"""A local folder as an inbox: every name below it, with whether somebody still writes there.

A file is whole when it has not changed for a while and no process has it open for writing. The first is judged by its
change time, which is the kernel's own and cannot be set; the second by asking the kernel for a read lease (fcntl(2),
F_SETLEASE), which is refused while there is a writer. Where leases are not to be had (another owner, NFS) the first has
to do. Links, FIFOs and devices are entries like others: they are never followed or opened here, and refused with their
own code when they are fetched.
"""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote_from_bytes

from media_assets.errors import SetupError
from media_assets.ingest.fetch.local_files import file_version
from media_assets.ingest.folder import folder_uri
from media_assets.ingest.inbox.landed import Landed, State
from media_assets.ingest.inbox.provisional import is_provisional

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | getattr(os, "O_NOATIME", 0)
_LEASES = hasattr(fcntl, "F_SETLEASE") and hasattr(fcntl, "F_SETSIG")


def list_folder(
    root: Path, *, settle_seconds: float = 5.0, provisional_seconds: float = 3600.0, now: float | None = None
) -> Iterator[Landed]:
    """Every file below a folder, depth first, the names of each folder sorted by their bytes.

    Args:
        root: the inbox; made if it is not there.
        settle_seconds: how long a file must not have changed.
        provisional_seconds: for how long a hidden or temporary name may stand for an upload that is under way.
        now: seconds since the epoch; default is the clock.

    Raises:
        SetupError: the inbox cannot be made or read.
    """
    now = time.time() if now is None else now
    try:
        root.mkdir(parents=True, exist_ok=True)
        resolved = os.fsencode(root.resolve())
        stack = [(b"", iter(_listing(resolved)))]
    except OSError as error:
        raise SetupError(
            f"Expected an inbox that can be read at {root}, got: {error.strerror or error}. Check MEDIA_ASSETS_INBOX."
        ) from error
    base_uri = folder_uri(root)
    while stack:
        prefix, rest = stack[-1]
        if (entry := next(rest, None)) is None:
            stack.pop()
            continue
        path = prefix + entry.name
        try:
            if entry.is_dir(follow_symlinks=False):
                try:
                    inside = _listing(entry.path)
                except PermissionError:
                    found = entry.stat(follow_symlinks=False)
                    yield Landed(path + b"/", base_uri + quote_from_bytes(path), 0, file_version(found), "unreadable")
                else:
                    stack.append((path + b"/", iter(inside)))
            else:
                yield _landed(path, base_uri, entry, settle_seconds, provisional_seconds, now)
        except OSError:
            continue  # gone, or not readable: it is looked at again with the next listing


def _listing(folder: bytes) -> list[os.DirEntry[bytes]]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _landed(
    path: bytes, base_uri: str, entry: os.DirEntry[bytes], settle: float, provisional: float, now: float
) -> Landed:
    found = entry.stat(follow_symlinks=False)
    state: State = "whole"
    unchanged_seconds = now - found.st_ctime
    if is_provisional(path):
        state = "refused" if abs(unchanged_seconds) >= provisional else "in_writing"
    elif stat.S_ISREG(found.st_mode) and (abs(unchanged_seconds) < settle or _is_written(entry.path)):
        state = "in_writing"
    uri = base_uri + quote_from_bytes(path, safe="/")
    return Landed(path, uri, found.st_size, file_version(found), state)


def _is_written(path: bytes) -> bool:
    """Whether a process has the file open for writing, as far as the kernel tells."""
    if not _LEASES:
        return False
    try:
        handle = _opened(path)
    except OSError:
        return False
    try:
        # Should somebody open it for writing in this very moment, the kernel sends a signal: one that is ignored.
        fcntl.fcntl(handle, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:  # EAGAIN: there is a writer
        return True
    except OSError:
        return False
    finally:
        os.close(handle)
    return False


def _opened(path: bytes) -> int:
    try:
        return os.open(path, _OPEN)
    except PermissionError:  # only the owner may ask for O_NOATIME
        return os.open(path, _OPEN & ~getattr(os, "O_NOATIME", 0))
