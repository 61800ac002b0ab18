"""Files of a distant table, kept in a folder of this machine so that they can be mapped.

A file of a Delta table never changes, and its name is never used again: what lies there with the right length is right.
Nothing is ever deleted here; the folder may be, at any time when no reader opens. Not here: what is in a file.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from media_assets.errors import LakeUnfit
from media_assets.lake.store_errors import refused

_N_AT_ONCE = 8


@dataclass(frozen=True)
class NearbyFiles:
    """The files of one table in one folder."""

    folder: Path
    table_uri: str

    def path(self, name: str) -> Path:
        """Where a file of the table lies once it was brought."""
        return self.folder / hashlib.sha256(self.table_uri.encode()).hexdigest()[:16] / name

    def bring(self, store: ObjectStore, sizes: Mapping[str, int]) -> None:
        """Download the files (name to size in bytes) that are not there whole; several readers may do so at once.

        Raises:
            LakeUnfit: the folder has no room, or cannot be written.
            StoreRefused: the store did not give one.
        """
        missing = {name: size for name, size in sizes.items() if not self.has(name, size)}
        if not missing:
            return
        try:
            self._require_room(sum(missing.values()))
            with ThreadPoolExecutor(_N_AT_ONCE) as pool:
                for _ in pool.map(lambda name: self._download(store, name), missing):
                    pass
        except (BaseError, FileNotFoundError) as error:
            raise refused(error, self.table_uri) from None
        except OSError as error:
            raise LakeUnfit(f"Expected a cache folder that can be written, {self.folder}: {error}.") from error

    def has(self, name: str, size: int) -> bool:
        """Whether a file lies here whole; `size` in bytes."""
        try:
            return self.path(name).stat().st_size == size
        except FileNotFoundError:
            return False

    def _require_room(self, n_bytes: int) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        free_bytes = shutil.disk_usage(self.folder).free
        if free_bytes < n_bytes:
            raise LakeUnfit(
                f"Expected {n_bytes} free bytes for tensor files in the cache {self.folder}, found {free_bytes}. "
                f"Delete what other tables left there, name another folder, or read without a cache."
            )

    def _download(self, store: ObjectStore, name: str) -> None:
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=path.parent, prefix=".coming-")
        try:
            with os.fdopen(handle, "wb") as file:
                for part in obstore.get(store, name).stream():
                    file.write(part)
            Path(partial).replace(path)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise
