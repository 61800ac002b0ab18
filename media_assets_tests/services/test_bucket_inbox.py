"""An inbox in a real store: its order of keys, its ETags, uploads in parts, and thousands of objects in one look."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dagster as dg
import obstore
import pytest

from media_assets.defs.inbox import take_in
from media_assets.defs.resources import Settings
from media_assets.ingest.fetch.buckets import BucketRoot
from media_assets.ingest.fetch.items import Fetched, FetchRequest
from media_assets.ingest.fetch.limits import FetchLimits
from media_assets.ingest.inbox import bucket as bucket_module
from media_assets.ingest.inbox.bucket import list_bucket
from media_assets.ingest.inbox.closing import ClosingRules, InboxMemory, Place
from media_assets.ingest.inbox.look import look
from media_assets.lake import s3_options
from media_assets.lake.delta import Lake, Provenance
from media_assets.lake.location import LakeLocation
from media_assets.lake.s3_options import S3Options
from media_assets.lake.s3_storage import S3Storage
from media_assets.tables import MANIFEST
from media_assets_tests.ingest.fetch.running import run
from media_assets_tests.ingest.test_inbox import Registry
from media_assets_tests.object_store.stores import client, make_bucket, set_keys
from media_assets_tests.services.seaweedfs import WRITER, SeaweedFS

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]
N_OBJECTS = 3000
MIB = 2**20


@pytest.fixture
def root(seaweedfs: SeaweedFS, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[BucketRoot]:
    """An empty inbox."""
    set_keys(monkeypatch, WRITER, tmp_path)
    bucket = make_bucket(seaweedfs.url)
    yield BucketRoot.of(f"s3://{bucket}/in", S3Options(endpoint=seaweedfs.url, region="us-east-1"))
    s3_options.forget()


@pytest.fixture
def store(root: BucketRoot) -> Any:
    """A client that shares no code with what is tested."""
    return client(root.options.endpoint)


def keys_of(root: BucketRoot, place: Place | None = None, n_pages: int = 20) -> tuple[list[str], Place | None]:
    stretch = list_bucket(root, place, time.time(), n_pages)
    return [entry.path.decode() for entry in stretch.listing()], stretch.next_place


def test_every_key_is_found_a_page_at_a_time_whatever_its_order(
    root: BucketRoot, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_module, "N_KEYS", 2)
    names = ["a", "a.b", "a-b/c", "a/b", "a/b.c", "a0", "b/1", "b/2", "b.1", "é/1", "z~1"]
    for name in names:
        store.put_object(Bucket=root.bucket, Key=f"in/{name}", Body=b"x")
    assert sorted(keys_of(root)[0]) == sorted(names)
    place: Place | None = None
    found: set[str] = set()
    for _ in range(len(names) + 2):
        some, place = keys_of(root, place, n_pages=1)
        found |= set(some)
    assert found == set(names)


def test_listing_and_answer_name_the_same_version_of_large_objects_and_of_uploads_in_parts(
    root: BucketRoot, store: Any
) -> None:
    large = bytes(range(256)) * (12 * 4096)  # which the store cuts into pieces of its own
    store.put_object(Bucket=root.bucket, Key="in/large.bin", Body=large)
    where = {"Bucket": root.bucket, "Key": "in/parts.bin"}
    upload = where | {"UploadId": store.create_multipart_upload(**where)["UploadId"]}
    parts = []
    for number in (1, 2):
        etag = store.upload_part(**upload, PartNumber=number, Body=bytes([number]) * 5 * MIB)["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
    assert keys_of(root)[0] == ["large.bin"], "an upload that is not completed is not there"
    store.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    entries = {entry.path: entry for entry in list_bucket(root, None, time.time()).listing()}
    requests = [FetchRequest(0, entry.uri, version=entry.version) for entry in entries.values()]
    outcomes, sink = run(requests, bucket_roots=(root,), limits=FetchLimits())
    assert all(isinstance(outcome, Fetched) for outcome in outcomes), outcomes
    assert sorted(map(len, sink.bodies.values())) == [10 * MIB, len(large)]


def test_thousands_of_objects_are_taken_in_by_few_looks_in_time(root: BucketRoot, tmp_path: Path) -> None:
    fill(root, N_OBJECTS)
    settings = Settings(
        lake=str(tmp_path / "lake"),
        inbox=root.url,
        s3_endpoint=root.options.endpoint,
        s3_region="us-east-1",
        inbox_wait_seconds=0,
    )
    lake, memory = settings.open_lake(), InboxMemory()
    with dg.DagsterInstance.ephemeral() as instance:
        for _ in range(2):
            started = time.monotonic()
            memory = take_in(instance, lake, settings, memory).memory
            assert time.monotonic() - started < 60, "a sensor is given 60 seconds"
        assert len(instance.get_dynamic_partitions("batches")) == N_OBJECTS // 1000
    assert lake.scan(MANIFEST).select("item_key").collect()["item_key"].n_unique() == N_OBJECTS


def test_two_who_look_at_once_with_a_lake_in_the_store_plan_each_object_once(root: BucketRoot) -> None:
    fill(root, 400)
    lake = Lake(LakeLocation(f"s3://{root.bucket}/lake", root.options))

    def look_once(_: int) -> None:
        stretch = list_bucket(root, None, time.time())
        look(lake, Registry(), stretch.listing, InboxMemory(), ClosingRules(50, 0), time.time(), Provenance("t", "1"))

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(look_once, range(2))) == [None, None]
    look_once(0)
    keys = lake.scan(MANIFEST).select("item_key").collect()["item_key"]
    assert (len(keys), keys.n_unique()) == (400, 400)


def fill(root: BucketRoot, n_objects: int) -> None:
    """So many small objects, many at a time."""
    store = S3Storage(root.bucket, "in", root.options).store()

    async def put_all() -> None:
        for start in range(0, n_objects, 100):
            puts = [obstore.put_async(store, f"{n:06d}.jpg", b"%d" % n) for n in range(start, start + 100)]
            await asyncio.gather(*puts)

    asyncio.run(put_all())
