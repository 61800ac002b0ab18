"""Whole uploads put below a prefix of a bucket, which the inbox sensor watches.

An object appears whole or not at all, and is durable once the store has answered. Where no answer came it may be there
all the same, or come to be: `LandingUnsure` says so, and the part is kept for another attempt under the same key.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path

import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from media_assets.errors import LakeUnfit
from media_assets.ingest.fetch.buckets import BucketRoot
from media_assets.ingest.uploads.refusals import LandingUnsure, UploadCode, UploadRefused
from media_assets.lake.s3_storage import S3Storage
from media_assets.lake.store_errors import http_status, store_code

_N_RETRIES, _SECONDS = 2, 20
"""Of one request: somebody waits for the answer, and is told to come back."""

_MAY_PASS = (408, 429)
_PROBE = "health"  # a name that no upload gets


class BucketLanding:
    """A prefix of a bucket. The bytes under way lie on this machine until they are put."""

    def __init__(self, root: BucketRoot) -> None:
        self.root = root

    @cached_property
    def _store(self) -> ObjectStore:
        asked = self.root.options
        options = replace(
            asked, n_retries=min(asked.n_retries, _N_RETRIES), timeout_seconds=min(asked.timeout_seconds, _SECONDS)
        )
        return S3Storage(self.root.bucket, self.root.prefix.rstrip("/"), options).store()

    def land(self, part: Path, path: str) -> None:
        """Put a part there as `path`, in several requests if it is large, and remove the part.

        Raises:
            LandingUnsure: the store has not answered, or failed.
            UploadRefused: the store has refused it.
            OSError: the part could not be read.
        """
        with part.open("rb") as file:  # a part that cannot be read is the disk's fault, not the store's
            failed: Exception | None = None
            try:
                obstore.put(self._store, path, file)
            except (OSError, BaseError) as error:
                failed = error
        if failed is not None and not self._is_there_all_the_same(failed, path):
            raise LandingUnsure(_told(failed))
        part.unlink(missing_ok=True)

    def confirm(self, path: str) -> bool:
        """Whether an object lies there: it is durable, then.

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

    def probe(self) -> None:
        """Whether the store answers to this identity."""
        self.confirm(_PROBE)

    def _is_there_all_the_same(self, error: Exception, path: str) -> bool:
        """A reply may be lost when the object is there; what was refused is not there.

        Raises:
            UploadRefused: the store has refused it.
        """
        status = http_status(error)
        if isinstance(error, LakeUnfit) or (status is not None and 400 <= status < 500 and status not in _MAY_PASS):
            raise UploadRefused(UploadCode.STORAGE_FAILED, _told(error))
        try:
            return self.confirm(path)
        except UploadRefused:
            return False


def _told(error: Exception) -> str:
    return f"the bucket of the inbox failed ({store_code(error) or type(error).__name__}); come back later"
