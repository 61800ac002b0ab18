"""A lake in a folder of this machine."""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore

from media_assets.errors import LakeUnfit
from media_assets.lake.storage import AppendLog, StoredFile

_syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)


@dataclass(frozen=True)
class LocalStorage:
    """Implements `Storage` below one folder."""

    root: Path

    def store(self, *parts: str) -> ObjectStore:
        """The store at a folder, which is created."""
        try:
            return LocalStore(self.root.joinpath(*parts), mkdir=True)
        except (OSError, BaseError) as error:
            told = str(error).partition("\n")[0]  # obstore adds a page of debug text
            raise LakeUnfit(
                f"Expected a lake in a folder that can be written, or at s3://bucket/prefix; "
                f"{self.root.joinpath(*parts)}: {told}"
            ) from error

    def delta_options(self) -> dict[str, str] | None:
        """None."""
        return None

    def scan_options(self) -> dict[str, Any] | None:
        """None."""
        return None

    def has_folder(self, *parts: str) -> bool:
        """Whether the folder is there."""
        return self.root.joinpath(*parts).is_dir()

    def files(self, folder: str) -> Iterator[StoredFile]:
        """Every file, with the uploads cut short (`name#1`), which the store's own listing leaves out."""
        for where, folders, names in os.walk(self.root / folder):
            folders[:] = [name for name in folders if not name.startswith("_")]
            for name in names:
                path = Path(where, name)
                with suppress(FileNotFoundError):  # finished or deleted meanwhile
                    stat = path.stat()
                    modified_at = datetime.fromtimestamp(stat.st_mtime, UTC)
                    yield StoredFile(path.relative_to(self.root).as_posix(), stat.st_size, modified_at)

    def sizes(self, folder: str, paths: Collection[str]) -> dict[str, int]:
        """One stat a file."""
        found = {}
        for path in paths:
            with suppress(FileNotFoundError):
                found[path] = (self.root / folder / path).stat().st_size
        return found

    def delete(self, paths: Iterable[str]) -> None:
        """Unlink the files."""
        for path in paths:
            (self.root / path).unlink(missing_ok=True)

    def log(self, *parts: str) -> AppendLog:
        """One file of lines."""
        return FileLog(self.root.joinpath(*parts[:-1], f"{parts[-1]}.jsonl"))

    def local_path(self, *parts: str) -> Path | None:
        """The path itself."""
        return self.root.joinpath(*parts)

    def flush(self) -> None:
        """Write out the whole file system that the folder lies on: thousands of files for the price of their bytes."""
        if _syncfs is None:  # macOS
            os.sync()
            return
        folder = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if _syncfs(folder):
                code = ctypes.get_errno()
                raise OSError(code, os.strerror(code), str(self.root))
        finally:
            os.close(folder)

    def describe(self) -> str:
        """The path."""
        return str(self.root)

    def remove_folder(self, *parts: str) -> None:
        """Remove the folder."""
        shutil.rmtree(self.root.joinpath(*parts), ignore_errors=True)

    def require_put_if_absent(self) -> None:
        """A disk refuses to create what exists; `doctor` looks all the same."""

    def require_usable(self) -> None:
        """A folder is made when it is first written to: nothing to ask."""


@dataclass
class FileLog:
    """An `AppendLog` in one file. Each line is one append, so neither a kill nor a rival can tear an earlier one."""

    path: Path
    _handle: int | None = None

    def read(self) -> bytes:
        """The file's content; reading creates nothing."""
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""

    def append(self, line: bytes) -> None:
        """One write at the end of the file."""
        if self._handle is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        # The leading line break ends whatever a killed writer left half-written.
        os.write(self._handle, b"\n" + line + b"\n")

    def clear(self) -> None:
        """Remove the file."""
        self.close()
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
