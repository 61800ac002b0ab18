"""One body from a `file://` URI: opened name by name, links never followed, only regular files read.

Not here: which folders may be read (the caller's `local_roots`), and HTTP (`downloader`).
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from urllib.parse import unquote_to_bytes

from media_assets.errors import ErrorCode, ItemError
from media_assets.ingest.fetch.body import Body
from media_assets.ingest.fetch.limits import MIB
from media_assets.ingest.fetch.redaction import shown
from media_assets.ingest.versions import require_version, version_of

_FOLDER = os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_ERRORS = {
    errno.ENOENT: (ErrorCode.NOT_FOUND, "there is no such file"),
    errno.ENOTDIR: (ErrorCode.NOT_FOUND, "a part of the path is not a folder"),
    errno.ENAMETOOLONG: (ErrorCode.NOT_FOUND, "a part of the path is longer than file names can be"),
    errno.EACCES: (ErrorCode.FORBIDDEN, "no permission to read it"),
    errno.EPERM: (ErrorCode.FORBIDDEN, "no permission to read it"),
    errno.ELOOP: (ErrorCode.SYMLINK_REFUSED, "it became a symbolic link while it was opened"),
}


def is_file_uri(uri: str) -> bool:
    """Whether a URI names a local file."""
    return uri[:5].lower() == "file:"


def path_components(uri: str, local_roots: tuple[Path, ...]) -> list[bytes]:
    """The raw names from `/` down to the file that a URI (RFC 8089) names, below one of the allowed folders.

    Raises:
        ItemError: URL_REFUSED.
    """
    path = _path_of(uri)
    names = [unquote_to_bytes(part) for part in path.split(b"/") if part]
    if not names or path.endswith(b"/"):
        raise _refused(uri, "it names no file")
    for name in names:
        if name in {b".", b".."} or b"/" in name or b"\0" in name:
            raise _refused(uri, "a part of its path is '.', '..' or holds a slash or a zero byte")
    if not any(names[: len(root)] == root for root in map(_names, local_roots)):
        roots = ", ".join(map(str, local_roots)) or "none"
        raise _refused(
            uri, f"it is outside the folders that may be read (local roots: {roots}); plan its folder or configure it"
        )
    return names


def _path_of(uri: str) -> bytes:
    raw = os.fsencode(uri)[len("file:") :]
    if b"?" in raw or b"#" in raw:
        raise _refused(uri, "'?' and '#' in file names are written %3F and %23")
    if raw.startswith(b"//"):
        host, slash, rest = raw[2:].partition(b"/")
        if host.lower() not in {b"", b"localhost"}:
            raise _refused(uri, "it names another machine")
        raw = slash + rest
    if not raw.startswith(b"/"):
        raise _refused(uri, "its path does not begin with '/'")
    return raw


def _names(root: Path) -> list[bytes]:
    return [name for name in os.fsencode(root.absolute()).split(b"/") if name]


def read_file(uri: str, body: Body, local_roots: tuple[Path, ...], version: str | None = None) -> None:
    """Read the file into an empty body (blocks on the disk). With a `version`, only if it is still that one.

    Raises:
        ItemError: NOT_FOUND, FORBIDDEN, SYMLINK_REFUSED, NOT_A_REGULAR_FILE, TOO_MANY_BYTES, TRUNCATED_BODY (it changed
            meanwhile), CHECKSUM_MISMATCH (it was replaced before), URL_REFUSED, CONNECTION_FAILED (the disk failed).
    """
    names = path_components(uri, local_roots)
    where = shown(uri)
    try:
        handle = _open(names, where)
        try:
            _read(handle, body, where, version)
        finally:
            os.close(handle)
    except OSError as error:
        failed = (ErrorCode.CONNECTION_FAILED, f"reading failed ({error.strerror})")
        code, what = _ERRORS.get(error.errno or 0, failed)
        raise ItemError(code, f"{where}: {what}") from None


def _open(names: list[bytes], where: str) -> int:
    """A handle on a regular file, every name on the way opened relative to its folder and never followed."""
    folder = os.open("/", _FOLDER)
    try:
        for name in names[:-1]:
            _refuse_links(name, folder, where)
            deeper = os.open(name, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = deeper
        # Looked at before, because opening a device can already act on it, and again once open.
        _refuse_odd_kinds(_refuse_links(names[-1], folder, where), where)
        handle = os.open(names[-1], _FILE, dir_fd=folder)
    finally:
        os.close(folder)
    return handle


def _refuse_links(name: bytes, folder: int, where: str) -> os.stat_result:
    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISLNK(found.st_mode):
        raise ItemError(
            ErrorCode.SYMLINK_REFUSED,
            f"{where}: {os.fsdecode(name)!r} is a symbolic link; name the real file and folder",
        )
    return found


def _refuse_odd_kinds(found: os.stat_result, where: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ItemError(ErrorCode.NOT_A_REGULAR_FILE, f"{where}: not a regular file ({stat.filemode(found.st_mode)})")


def _refused(uri: str, why: str) -> ItemError:
    return ItemError(ErrorCode.URL_REFUSED, f"{shown(uri)}: {why}")


def file_version(found: os.stat_result) -> str:
    """The version of a file: what changes when it is written or replaced."""
    return version_of(found.st_size, found.st_mtime_ns)


def _read(handle: int, body: Body, where: str, version: str | None) -> None:
    before = os.fstat(handle)
    _refuse_odd_kinds(before, where)
    require_version(version, file_version(before), where)
    body.refuse_more_than_cap(before.st_size, f"{where}: the file has")
    while body.size_bytes <= before.st_size and (chunk := os.read(handle, MIB)):
        body.append(chunk)
        if body.is_flush_due:
            body.flush()
    after = os.fstat(handle)
    is_same = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    if not is_same or body.size_bytes != after.st_size:
        raise ItemError(ErrorCode.TRUNCATED_BODY, f"{where}: the file changed while it was read")
