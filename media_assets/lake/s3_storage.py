"""A lake in a bucket of an S3-compatible store.

A put is whole or not there, and a create of what exists is refused; commits rest on the latter, so `doctor` and the
first table of a lake hold the store to it. Not here: settings and credentials (`s3_options.py`).
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore, S3Store

from media_assets.errors import LakeUnfit, StoreCode, StoreRefused
from media_assets.lake.put_if_absent import second_create_is_refused
from media_assets.lake.s3_options import Keys, S3Options, credential_source, credentials, permanent_keys
from media_assets.lake.storage import AppendLog, StoredFile
from media_assets.lake.store_errors import refused, told

_N_FOLDERS_LISTED_ALONE = 16  # beyond that one listing of all is cheaper
_N_DELETED_AT_ONCE = 1000  # what one request may name
_N_READERS = 16
_SEGMENT_SECONDS = 0.2


@dataclass(frozen=True)
class S3Storage:
    """Implements `Storage` below one prefix of a bucket."""

    bucket: str
    prefix: str
    options: S3Options

    @property
    def url(self) -> str:
        """`s3://bucket/prefix`."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def store(self, *parts: str) -> ObjectStore:
        """The store at a prefix; nothing is asked yet. Equal ones share their connections."""
        prefix = "/".join(part for part in (self.prefix, *parts) if part)
        return _store(self.options, self.bucket, prefix, permanent_keys())

    def delta_options(self) -> dict[str, str] | None:
        """With the credentials of this moment."""
        return self.options.delta_options(self.bucket)

    def scan_options(self) -> dict[str, Any] | None:
        """With the credentials of this moment."""
        return self.options.scan_options(self.bucket)

    def has_folder(self, *parts: str) -> bool:
        """Always: there are no folders, and listing what is not there makes nothing."""
        return True

    def files(self, folder: str) -> Iterator[StoredFile]:
        """A listing. Uploads cut short are listed nowhere: a lifecycle rule of the bucket ends them."""
        for metas in obstore.list(self.store(folder)):
            for meta in metas:
                if not any(name.startswith("_") for name in meta["path"].split("/")[:-1]):
                    yield StoredFile(f"{folder}/{meta['path']}", meta["size"], meta["last_modified"])

    def sizes(self, folder: str, paths: Collection[str]) -> dict[str, int]:
        """Listings of the folders that hold the files, never a request for each file."""
        wanted = set(paths)
        folders = {path.rpartition("/")[0] for path in wanted}
        prefixes = sorted(folders) if len(folders) <= _N_FOLDERS_LISTED_ALONE else [""]
        store, found = self.store(folder), {}
        for prefix in prefixes:
            for metas in obstore.list(store, prefix or None):
                found.update({meta["path"]: meta["size"] for meta in metas if meta["path"] in wanted})
        return found

    def delete(self, paths: Iterable[str]) -> None:
        """Many in one request."""
        store = self.store()
        for some in _batched(paths, _N_DELETED_AT_ONCE):
            obstore.delete(store, some)

    def log(self, *parts: str) -> AppendLog:
        """Objects of lines below a prefix."""
        return ObjectLog(self.store(*parts))

    def local_path(self, *parts: str) -> Path | None:
        """None: nothing lies on this machine."""
        return None

    def describe(self) -> str:
        """URL, endpoint, region, style, encryption, and which provider the credentials come from."""
        place = self.options.place()
        style = "virtual-hosted" if place.is_virtual(self.bucket) else "path"
        encryption = self.options.encryption or "as the bucket is set"
        return (
            f"{self.url} at {place.endpoint or 'AWS'}, region {place.region}, {style} style, encryption {encryption}, "
            f"credentials from {credential_source()}"
        )

    def flush(self) -> None:
        """An object store acknowledges what it keeps: nothing is owed."""

    def remove_folder(self, *parts: str) -> None:
        """Delete what is listed below the prefix."""
        store = self.store(*parts)
        for metas in obstore.list(store):
            obstore.delete(store, [meta["path"] for meta in metas])

    def require_put_if_absent(self) -> None:
        """Create one object twice, once a process."""
        _require_put_if_absent(self)

    def require_usable(self) -> None:
        """List one key, with few retries: an endpoint that does not answer is told within seconds."""
        credentials()
        quick = S3Store(
            self.bucket,
            prefix=self.prefix or None,
            config=self.options.store_config(self.bucket),
            client_options=self.options.client_options() | {"timeout": "10s", "connect_timeout": "5s"},
            retry_config={"max_retries": 2},
            credential_provider=credentials,
        )
        try:
            next(iter(obstore.list(quick, chunk_size=1)), None)
        except (OSError, BaseError) as error:
            raise refused(
                error, f"{self.url} at {self.options.place().endpoint or 'AWS'}"
            ) from None  # the error's own text may hold secrets


@lru_cache(maxsize=256)
def _store(options: S3Options, bucket: str, prefix: str, keys: Keys | None) -> ObjectStore:
    try:
        return S3Store(
            bucket,
            prefix=prefix or None,
            config=options.store_config(bucket) | (keys.config() if keys else {}),
            client_options=options.client_options(),
            retry_config=options.retry_config(),
            credential_provider=None if keys else credentials,
        )
    except (OSError, BaseError, ValueError) as error:
        raise LakeUnfit(f"Expected a lake at s3://bucket/prefix; s3://{bucket}/{prefix}: {told(error)}") from None


@lru_cache(maxsize=16)
def _require_put_if_absent(storage: S3Storage) -> None:
    if second_create_is_refused(storage.store("doctor")):
        return
    raise StoreRefused(
        f"Expected the object store of {storage.url} to refuse a second create of one object (If-None-Match: *), and "
        f"it took it: concurrent runs would lose commits there. No table was made. Use a store that honours it; "
        f"docs/object-storage.md names some, `media-assets doctor` tells.",
        StoreCode.PUT_IF_ABSENT_IGNORED,
    )


@dataclass
class ObjectLog:
    """An `AppendLog` of small objects, since nothing can be appended to an object.

    Lines are collected for a fifth of a second and put together, in the background: writing them costs neither a
    request a line nor a wait. A kill costs the lines of that moment; `close` and `clear` wait for them.
    """

    store: ObjectStore
    _waiting: list[bytes] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _writer: threading.Thread | None = None
    _is_closing: bool = False
    _failed: Exception | None = None

    def read(self) -> bytes:
        """Every object, in the order in which they were begun."""
        names = sorted(meta["path"] for metas in obstore.list(self.store) for meta in metas)
        with ThreadPoolExecutor(_N_READERS) as pool:
            return b"\n".join(pool.map(self._content, names))

    def append(self, line: bytes) -> None:
        """Leave the line to the background; it is kept a fifth of a second later."""
        with self._changed:
            if self._failed is not None:
                raise OSError(f"the store did not take the journal: {told(self._failed)}")
            self._waiting.append(line)
            if self._writer is None:
                self._is_closing = False
                self._writer = threading.Thread(target=self._write, name="media-assets-journal", daemon=True)
                self._writer.start()
            self._changed.notify()

    def clear(self) -> None:
        """Delete every object."""
        self.close()
        self._failed = None
        for metas in obstore.list(self.store):
            obstore.delete(self.store, [meta["path"] for meta in metas])

    def close(self) -> None:
        """Wait until what was appended is kept, or has failed."""
        with self._changed:
            writer, self._writer = self._writer, None
            self._is_closing = True
            self._changed.notify()
        if writer is not None:
            writer.join()

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_closing)
                self._changed.wait_for(lambda: self._is_closing, _SEGMENT_SECONDS)
                lines, self._waiting = self._waiting, []
                if not lines:
                    return
            try:
                obstore.put(self.store, f"{time.time_ns():020}-{uuid.uuid4().hex}", b"\n".join(lines))
            except Exception as error:  # whatever it is, the next append says so
                with self._changed:
                    self._failed = error
                return

    def _content(self, name: str) -> bytes:
        try:
            return bytes(obstore.get(self.store, name).bytes())
        except FileNotFoundError:  # another run has just cleared it
            return b""


def _batched(paths: Iterable[str], n: int) -> Iterator[list[str]]:
    iterator = iter(paths)
    while some := [path for _, path in zip(range(n), iterator, strict=False)]:
        yield some
