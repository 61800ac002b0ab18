"""Whole uploads put below a prefix of a bucket, which the inbox sensor watches.

An object appears whole or not at all, and is durable once the store has answered. Where no answer came it may be there
all the same, or come to be; `LandingUnsure` says so, and the receiver keeps the key for the next attempt, so that the
same bytes are put there again and not beside it.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from media_assets.ingest.fetch.buckets import BucketRoot
from media_assets.ingest.uploads.refusals import LandingUnsure, UploadCode, UploadRefused
from media_assets.lake.s3_storage import S3Storage
from media_assets.lake.store_errors import store_code


class BucketLanding:
    """A prefix of a bucket. The bytes under way lie on this machine until they are put."""

    def __init__(self, root: BucketRoot) -> None:
        self.root = root

    @cached_property
    def _store(self) -> ObjectStore:
        return S3Storage(self.root.bucket, self.root.prefix.rstrip("/"), self.root.options).store()

    def land(self, part: Path, path: str) -> None:
        """Put a part there as `path`, in several requests if it is large, and remove the part.

        Raises:
            LandingUnsure: the store has not confirmed it.
            OSError: the part could not be read.
        """
        with part.open("rb") as file:  # a part that cannot be read is the disk's fault, not the store's
            failed: Exception | None = None
            try:
                obstore.put(self._store, path, file)
            except (OSError, BaseError) as error:
                failed = error
        if failed is not None and not self._holds_after(failed, path):
            raise LandingUnsure(_told(failed))
        part.unlink(missing_ok=True)

    def holds(self, path: str) -> bool:
        """Whether an object lies there.

        Raises:
            UploadRefused: the store does not say.
        """
        failed: Exception | None = None
        try:
            obstore.head(self._store, path)
        except FileNotFoundError:
            return False
        except (OSError, BaseError) as error:
            failed = error
        if failed is not None:  # outside of the handler: the text of what failed may hold secrets
            raise UploadRefused(UploadCode.STORAGE_FAILED, _told(failed))
        return True

    def _holds_after(self, error: Exception, path: str) -> bool:
        """A reply may be lost when the object is there; one that was refused is not."""
        try:
            return self.holds(path)
        except UploadRefused:
            return False


def _told(error: Exception) -> str:
    return f"the bucket of the inbox failed ({store_code(error) or type(error).__name__}); come back later"
