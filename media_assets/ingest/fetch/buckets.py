"""One body from an `s3://` URI: below a prefix that is configured, whole, and of the version that was listed.

A get is one version of an object from its first byte to its last, and says which; so nothing is mixed, and nothing
swapped. Answers that no other item would get better (no bucket, no credentials, a clock that is wrong) are no item's
fault and end the fetch. Not here: which prefixes may be read (the caller's `bucket_roots`), and listing them.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, replace
from urllib.parse import unquote_to_bytes

import obstore
from obstore.exceptions import BaseError

from media_assets.errors import ErrorCode, ItemError, LakeUnfit, SetupError, StoreCode, StoreRefused
from media_assets.ingest.fetch.body import Body
from media_assets.ingest.fetch.limits import MIB
from media_assets.ingest.fetch.redaction import shown
from media_assets.ingest.versions import require_version, version_of
from media_assets.lake.s3_options import S3Options, credentials
from media_assets.lake.s3_storage import S3Storage
from media_assets.lake.store_errors import http_status, refused, store_code

_N_RETRIES = 2  # of one request; an item has its own attempts, with longer waits
_ROOT = re.compile(r"s3a?://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([^?#%\x00-\x1f\x7f]*))?", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NO_ITEMS_FAULT = {
    StoreCode.BUCKET_MISSING,
    StoreCode.CREDENTIALS_MISSING,
    StoreCode.CREDENTIALS_REFUSED,
    StoreCode.CLOCK_SKEWED,
    StoreCode.REGION_WRONG,
}


def is_s3_uri(uri: str) -> bool:
    """Whether a URI names an object or a prefix of an S3-compatible store."""
    return uri.lower().startswith(("s3://", "s3a://"))


@dataclass(frozen=True)
class BucketRoot:
    """A prefix of a bucket whose objects may be read; `prefix` is empty or ends with a slash."""

    bucket: str
    prefix: str
    options: S3Options

    @classmethod
    def of(cls, url: str, options: S3Options) -> BucketRoot:
        """The root that `s3://bucket/prefix` names, whose letters stand for themselves.

        Raises:
            SetupError: it is no such URL. It is not repeated: people put keys into URLs.
        """
        found = _ROOT.fullmatch(url)
        prefix = (found[2] or "").rstrip("/") if found else ""
        if not found or (prefix and not _is_nameable(prefix)):
            raise SetupError(
                "Expected s3://bucket/prefix, without ? # % and empty parts (keys belong into AWS's own variables or "
                "profiles); got another URL."
            )
        return cls(found[1], f"{prefix}/" if prefix else "", options)

    @property
    def url(self) -> str:
        """`s3://bucket/prefix/`."""
        return f"s3://{self.bucket}/{self.prefix}"


def object_named(uri: str, roots: tuple[BucketRoot, ...]) -> tuple[BucketRoot, str]:
    """The root below which a URI lies, and the object's key.

    Raises:
        ItemError: URL_REFUSED: below none of them, or a key that cannot be asked for.
    """
    if "?" in uri or "#" in uri:
        raise _refused(uri, "'?' and '#' in keys are written %3F and %23")
    bucket, slash, quoted = uri.partition("://")[2].partition("/")
    try:
        key = unquote_to_bytes(quoted).decode()
    except UnicodeDecodeError:
        raise _refused(uri, "its key is not UTF-8") from None
    if not slash or not _is_nameable(key):
        raise _refused(
            uri, "a part of its key is empty, '.', '..' or holds a control character; give the object another key"
        )
    for root in roots:
        if root.bucket == bucket and key.startswith(root.prefix):
            return root, key
    names = ", ".join(root.url for root in roots) or "none"
    raise _refused(uri, f"it is outside the prefixes that may be read ({names}); put it there, or configure its own")


async def read_object(
    uri: str, body: Body, roots: tuple[BucketRoot, ...], version: str | None, seconds: float
) -> str | None:
    """Read an object into an empty body, within so many seconds; its ETag.

    Raises:
        ItemError: NOT_FOUND, FORBIDDEN, TOO_MANY_BYTES, CHECKSUM_MISMATCH (replaced since it was listed),
            TRUNCATED_BODY, TOO_SLOW, CONNECTION_FAILED, SERVER_ERROR, RATE_LIMITED, HTTP_ERROR, URL_REFUSED.
        StoreRefused: the store cannot be used as it is configured, for this item or any other.
    """
    root, key = object_named(uri, roots)
    timer = asyncio.timeout(max(0.0, seconds))
    try:
        async with timer:
            return await _read(root, key, body, version, shown(uri))
    except TimeoutError:
        raise ItemError(
            ErrorCode.TOO_SLOW, f"{shown(uri)}: not complete in time ({body.size_bytes} bytes came)"
        ) from None


async def _read(root: BucketRoot, key: str, body: Body, version: str | None, where: str) -> str | None:
    options = replace(root.options, n_retries=min(root.options.n_retries, _N_RETRIES))
    failed: OSError | BaseError | None = None
    try:
        found = await obstore.get_async(S3Storage(root.bucket, "", options).store(), key)
        n_bytes, etag = found.meta["size"], found.meta["e_tag"]
        require_version(version, object_version(n_bytes, etag), where)
        body.refuse_more_than_cap(n_bytes, f"{where}: the object has")
        async for chunk in found.stream(min_chunk_size=MIB):
            body.append(bytes(chunk))
            if body.is_flush_due:
                await asyncio.to_thread(body.flush)
    except LakeUnfit:
        raise
    except (OSError, BaseError) as error:
        failed = error
    if failed is not None:  # outside of the handler: the text of what failed may hold secrets
        if http_status(failed) is None:
            await asyncio.to_thread(credentials)  # obstore does not say that there are none
        raise _fault(failed, root, where, is_in_body=body.size_bytes > 0)
    if body.size_bytes != n_bytes:
        raise ItemError(ErrorCode.TRUNCATED_BODY, f"{where}: expected {n_bytes} bytes, got {body.size_bytes}")
    return etag


def object_version(n_bytes: int, etag: str | None) -> str:
    """The version of an object, as listings and answers tell it: some quote the ETag, some do not."""
    return version_of(n_bytes, (etag or "").strip('"'))


def _fault(error: Exception, root: BucketRoot, where: str, *, is_in_body: bool) -> ItemError | StoreRefused:
    code = store_code(error)
    if code in _NO_ITEMS_FAULT:
        return refused(error, root.url)
    if isinstance(error, FileNotFoundError):
        return ItemError(ErrorCode.NOT_FOUND, f"{where}: there is no such object")
    if is_in_body:
        return ItemError(ErrorCode.TRUNCATED_BODY, f"{where}: the body broke off")
    if code is StoreCode.ACCESS_DENIED:
        return ItemError(ErrorCode.FORBIDDEN, f"{where}: the store does not let this identity read it")
    status = http_status(error)
    if status is None:
        return ItemError(ErrorCode.CONNECTION_FAILED, f"{where}: the store does not answer")
    if status == 429:
        return ItemError(ErrorCode.RATE_LIMITED, f"{where}: answered {status}")
    is_theirs = 500 <= status <= 599
    return ItemError(ErrorCode.SERVER_ERROR if is_theirs else ErrorCode.HTTP_ERROR, f"{where}: answered {status}")


def _is_nameable(key: str) -> bool:
    """Whether object_store can ask for this key: it would drop a slash at an end, and refuse the rest."""
    return not _CONTROL.search(key) and not any(part in ("", ".", "..") for part in key.split("/"))


def _refused(uri: str, why: str) -> ItemError:
    return ItemError(ErrorCode.URL_REFUSED, f"{shown(uri)}: {why}")
