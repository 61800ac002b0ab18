"""A prefix of a bucket as an inbox: what lies there, by listings whose cost does not grow with what lies there.

An object is there when it is whole, so nothing is ever being written. A listing gives keys in the order of their bytes,
a thousand a request, from any key on. Up to 20,000 objects one look lists all of them. Beyond that it lists two
stretches of that length: one after the last key known (where keys with a date in front arrive), and one that goes
round, so that keys which sort before it are found as well, a little later. Both move on only when everything in them is
planned. Where a store does not sort, everything is listed.

Listings are botocore's: object_store gives up on a whole listing that holds one key it could not have written, such as
`a//b`, and anybody who may upload could stop an inbox with it. Not here: reading objects (`fetch/buckets.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

from botocore.exceptions import BotoCoreError, ClientError, CredentialRetrievalError, NoCredentialsError

from media_assets.errors import StoreCode, StoreRefused
from media_assets.ingest.fetch.buckets import BucketRoot, object_version
from media_assets.ingest.inbox.closing import Place
from media_assets.ingest.inbox.landed import Landed, State
from media_assets.ingest.inbox.provisional import is_provisional
from media_assets.ingest.inbox.stretch import Stretch
from media_assets.lake.s3_client import list_client
from media_assets.lake.store_errors import refused_by_answer

N_PAGES = 20
"""Requests of one stretch."""

N_KEYS = 1000
"""Keys that one request lists; no store gives more."""

_PROVISIONAL_SECONDS = 3600.0


def list_bucket(root: BucketRoot, place: Place | None, now: float, n_pages: int = N_PAGES) -> Stretch:
    """What one look covers, after a look that got to `place`. Memory: two stretches of listing.

    Raises:
        StoreRefused: the bucket cannot be listed.
    """
    place = place or Place()
    swept = _listed(root, place.swept_to, n_pages)
    newest = max(place.newest, swept.last)
    entries = _landed(root, swept, now)
    if swept.is_whole:
        return Stretch(lambda: entries, Place("", newest))
    tail = _listed(root, newest, n_pages)
    entries += _landed(root, tail, now)
    return Stretch(lambda: entries, Place(swept.last, max(newest, tail.last)))


@dataclass
class _Listing:
    last: str = ""  # the greatest key
    is_whole: bool = False  # whether the listing came to its end
    objects: list[dict[str, Any]] = field(default_factory=list)


def _listed(root: BucketRoot, after: str, n_pages: int) -> _Listing:
    found, is_sorted = _Listing(after), True
    for number, (objects, is_last) in enumerate(_pages(root, after), 1):
        for each in objects:
            is_sorted &= each["Key"] > found.last
            found.last = max(found.last, each["Key"])
        found.objects += objects
        found.is_whole = is_last
        if number == n_pages and is_sorted:
            break
    return found


def _pages(root: BucketRoot, after: str) -> Iterator[tuple[list[dict[str, Any]], bool]]:
    """The objects after a key, a request each time, with whether they are the last."""
    where = {"Bucket": root.bucket, "Prefix": root.prefix, "MaxKeys": N_KEYS}
    start = {"StartAfter": after} if after else {}
    try:
        client = list_client(root.options)
        while True:
            answer = client.list_objects_v2(**where, **start)
            yield answer.get("Contents", []), not answer.get("IsTruncated")
            if not answer.get("IsTruncated"):
                return
            start = {"ContinuationToken": answer["NextContinuationToken"]}
    except (ClientError, BotoCoreError) as error:
        raise _told(error, root) from None  # its text may repeat what was asked


def _told(error: Exception, root: BucketRoot) -> StoreRefused:
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return refused_by_answer(str(error.response.get("Error", {}).get("Code", "")), status, root.url)
    if isinstance(error, NoCredentialsError | CredentialRetrievalError):
        return StoreRefused(
            f"Expected credentials for {root.url}, found none. Provide some; docs/object-storage.md shows how.",
            StoreCode.CREDENTIALS_MISSING,
        )
    return refused_by_answer("", None, root.url)


def _landed(root: BucketRoot, listing: _Listing, now: float) -> list[Landed]:
    entries = (_entry(root, each, now) for each in listing.objects)
    return [entry for entry in entries if entry is not None]


def _entry(root: BucketRoot, found: dict[str, Any], now: float) -> Landed | None:
    """What an object is to the inbox; None for an empty one that stands for a folder."""
    key, n_bytes, modified = found["Key"], int(found["Size"]), found["LastModified"]
    if key.endswith("/") and not n_bytes:
        return None
    path = key[len(root.prefix) :].encode()
    uri = f"s3://{root.bucket}/{quote(key, safe='/')}"
    return Landed(path, uri, n_bytes, object_version(n_bytes, found.get("ETag")), _state(path, modified, now))


def _state(path: bytes, modified: datetime, now: float) -> State:
    if not is_provisional(path):
        return "whole"
    return "refused" if abs(now - modified.timestamp()) >= _PROVISIONAL_SECONDS else "in_writing"
