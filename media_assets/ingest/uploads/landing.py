"""Where whole uploads go: a protocol, and the local folder that the inbox sensor watches.

Not here: the names (`names.py`), and when an upload is whole (`receiver.py`).
"""

from __future__ import annotations

import errno
import os
from collections import defaultdict
from pathlib import Path
from threading import Lock
from typing import Protocol

from media_assets.errors import SetupError
from media_assets.ingest.fetch.buckets import BucketRoot
from media_assets.ingest.uploads.bucket_landing import BucketLanding
from media_assets.ingest.uploads.refusals import LandingUnsure


class Landing(Protocol):
    """A place for whole files. Its calls block; any thread may make them."""

    def land(self, part: Path, path: str) -> None:
        """Put a part there as `path`, all at once; it is durable when this returns, and the part is gone.

        Raises:
            OSError: it could not be put there, and is not there.
            UploadRefused: the place does not take it.
            LandingUnsure: it may be there, or come to be; the part is as it was, or there.
        """

    def confirm(self, path: str) -> bool:
        """Whether something lies there, durably from now on.

        Raises:
            OSError: that cannot be made sure.
            UploadRefused: the place does not say.
        """

    def probe(self) -> None:
        """Find out whether something could be put there; nothing is.

        Raises:
            OSError: it could not.
            UploadRefused: it could not.
        """


class LocalLanding:
    """A folder on the parts' own file system: a rename is atomic there, and seen whole or not at all."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._flushes: defaultdict[Path, _SharedFlush] = defaultdict(_SharedFlush)

    def land(self, part: Path, path: str) -> None:
        """Rename, and flush the folder, together with others that wait for that."""
        target = self.root / path
        self._make(target.parent)
        part.rename(target)
        try:
            self._flushes[target.parent].flush(target.parent)
        except OSError as error:
            raise LandingUnsure(f"the disk failed ({error.strerror}); come back later") from error

    def confirm(self, path: str) -> bool:
        """Whether the name is there, whatever it is; its folder is flushed."""
        target = self.root / path
        if not os.path.lexists(target):
            return False
        self._flushes[target.parent].flush(target.parent)
        return True

    def probe(self) -> None:
        """Whether the folder may be written."""
        if not os.access(self.root, os.W_OK | os.X_OK):
            raise OSError(errno.EACCES, f"the inbox {self.root.name} cannot be written")

    def _make(self, folder: Path) -> None:
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            _flush(folder.parent)


class _SharedFlush:
    """Flushes of one folder: whoever waits while one is under way shares the next."""

    def __init__(self) -> None:
        self._counting, self._flushing = Lock(), Lock()
        self._n_asked = self._n_flushed = 0

    def flush(self, folder: Path) -> None:
        """Return when everything that was in the folder before the call is durable.

        Raises:
            OSError: the disk failed.
        """
        with self._counting:
            self._n_asked += 1
            mine = self._n_asked
        with self._flushing:
            if self._n_flushed >= mine:
                return
            with self._counting:
                upto = self._n_asked
            _flush(folder)
            self._n_flushed = upto


def open_landing(inbox: Path | BucketRoot, state: Path) -> Landing:
    """The landing over an inbox, made if it is a folder that is not there; `state` is where parts will lie.

    Raises:
        SetupError: a folder that cannot be used, or on another file system than the parts.
    """
    if isinstance(inbox, BucketRoot):
        try:
            state.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SetupError(f"Expected a folder for uploads under way at {state}, got: {error}.") from error
        return BucketLanding(inbox)
    return _folder(inbox.absolute(), state)


def _folder(root: Path, state: Path) -> LocalLanding:
    try:
        root.mkdir(parents=True, exist_ok=True)
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_one = root.stat().st_dev == state.stat().st_dev
    except OSError as error:
        raise SetupError(f"Expected folders for uploads at {root} and {state}, got: {error}.") from error
    if state.resolve().is_relative_to(root.resolve()):
        raise SetupError(f"Expected uploads under way to lie outside the inbox {root}, got {state}.")
    if not is_one:
        raise SetupError(
            f"Expected {state} on the file system of the inbox {root}, where a rename is atomic. Set "
            f"MEDIA_ASSETS_UPLOAD_STATE to a folder there."
        )
    return LocalLanding(root)


def _flush(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
