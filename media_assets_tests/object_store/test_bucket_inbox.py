"""An inbox in a bucket: what is listed, what may be read of it as which version, and what its store's errors mean."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from media_assets.defs import doctor
from media_assets.defs.inbox import take_in
from media_assets.defs.resources import Settings
from media_assets.errors import ErrorCode, SetupError, StoreCode, StoreRefused
from media_assets.ingest.fetch.buckets import BucketRoot, object_named
from media_assets.ingest.fetch.fetch_all import fetch_all
from media_assets.ingest.fetch.items import Fetched, FetchFailed, FetchRequest
from media_assets.ingest.fetch.limits import FetchLimits
from media_assets.ingest.inbox import bucket as bucket_module
from media_assets.ingest.inbox.bucket import list_bucket
from media_assets.ingest.inbox.closing import InboxMemory
from media_assets.ingest.inbox.landed import Landed
from media_assets.lake import s3_options
from media_assets.lake.delta import Provenance
from media_assets.lake.s3_options import S3Options
from media_assets.stages.images import read_batch
from media_assets.stages.stage import IMAGE_STAGES
from media_assets.stages.workbench import ReadOptions
from media_assets.tables import ITEM_STATUS, MANIFEST
from media_assets_tests.ingest.fetch.running import MemorySink
from media_assets_tests.media.pictures import make_jpeg
from media_assets_tests.object_store.proxy import Proxy, proxy_before
from media_assets_tests.object_store.stores import Keys, client, set_keys
from media_assets_tests.object_store.test_errors import answer, is_silent
from media_assets_tests.stages.batches import SMALL

QUICK = FetchLimits(backoff_seconds=0.01, max_backoff_seconds=0.02, total_seconds=20, max_bytes=100_000)
ODD_KEYS = ("a//b.jpg", "./c.jpg", "d/../e.jpg", "tab\there.jpg", "ende/")


@dataclass
class Inbox:
    """A prefix of a bucket behind a proxy; `put` goes to the store itself."""

    root: BucketRoot
    proxy: Proxy
    store: Any

    def put(self, name: str, body: bytes) -> None:
        self.store.put_object(Bucket=self.root.bucket, Key=f"{self.root.prefix}{name}", Body=body)

    def entries(self) -> dict[str, Landed]:
        return {entry.path.decode(): entry for entry in list_bucket(self.root, None, time.time()).listing()}

    def fetch(
        self, *requests: FetchRequest, limits: FetchLimits = QUICK, root: BucketRoot | None = None
    ) -> list[Fetched | FetchFailed]:
        roots = (root or self.root,)
        found = list(fetch_all(requests, MemorySink(), user_agent="test", limits=limits, bucket_roots=roots))
        return sorted(found, key=lambda outcome: str(outcome.key))

    def fetch_listed(self, name: str, **arguments: Any) -> Fetched | FetchFailed:
        entry = self.entries()[name]
        (found,) = self.fetch(FetchRequest(name, entry.uri, version=entry.version), **arguments)
        return found


@pytest.fixture(scope="module")
def store(moto: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One client for all tests: making one takes longer than most of them."""
    with pytest.MonkeyPatch.context() as patch:
        set_keys(patch, Keys(), tmp_path_factory.mktemp("empty"))
        return client(moto)


@pytest.fixture
def inbox(moto: str, store: Any, keys: Keys) -> Iterator[Inbox]:
    bucket = f"inbox-{uuid.uuid4().hex[:12]}"
    store.create_bucket(Bucket=bucket)
    with proxy_before(moto) as proxy:
        options = S3Options(endpoint=proxy.url, region="us-east-1", n_retries=0, timeout_seconds=5)
        yield Inbox(BucketRoot.of(f"s3://{bucket}/in", options), proxy, store)


def code(outcome: Fetched | FetchFailed) -> ErrorCode | None:
    return outcome.error.code if isinstance(outcome, FetchFailed) else None


def test_every_object_below_the_prefix_is_listed_whatever_its_key(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_module, "N_KEYS", 3)
    plain = ["1.jpg", "cats/ü 2.jpg", "q?x=1#y.jpg", "100%.jpg", "z+.jpg"]
    for name in (*plain, *ODD_KEYS):
        inbox.put(name, b"12")
    inbox.put("cats/", b"")
    inbox.store.put_object(Bucket=inbox.root.bucket, Key="inbox-2/other.jpg", Body=b"1")
    found = inbox.entries()
    assert sorted(found) == sorted((*plain, *ODD_KEYS))
    assert sum(request.is_listing for request in inbox.proxy.requests) == 4
    fetched = inbox.fetch(*(FetchRequest(name, found[name].uri, version=found[name].version) for name in found))
    assert {str(each.key): code(each) for each in fetched} == {
        **dict.fromkeys(plain),
        **dict.fromkeys(ODD_KEYS, ErrorCode.URL_REFUSED),
    }
    assert len({entry.item_key for entry in found.values()}) == len(found)


def test_a_body_comes_whole_with_its_hash_and_etag(inbox: Inbox) -> None:
    body = bytes(range(256)) * 300
    inbox.put("a.bin", body)
    (found,) = inbox.fetch(FetchRequest("a", inbox.entries()["a.bin"].uri), limits=replace(QUICK, memory_bytes=1000))
    assert isinstance(found, Fetched)
    assert (found.media_id, found.size_bytes) == (hashlib.sha256(body).hexdigest(), len(body))
    assert found.etag
    assert found.n_attempts == 1


def test_what_was_replaced_since_it_was_listed_is_another_item_and_never_taken_for_it(inbox: Inbox) -> None:
    inbox.put("a.jpg", b"first")
    first = inbox.entries()["a.jpg"]
    inbox.put("a.jpg", b"other")
    second = inbox.entries()["a.jpg"]
    assert first.item_key != second.item_key
    old, new = inbox.fetch(
        FetchRequest("1", first.uri, version=first.version), FetchRequest("2", second.uri, version=second.version)
    )
    assert (code(old), code(new)) == (ErrorCode.CHECKSUM_MISMATCH, None)
    assert isinstance(old, FetchFailed)
    assert "item of its own" in old.error.message
    inbox.put("a.jpg", b"other")
    assert inbox.entries()["a.jpg"].item_key == second.item_key, "the same bytes again are nothing new"


def test_an_object_over_the_cap_is_refused_before_it_is_read_and_one_that_is_gone_is_not_found(inbox: Inbox) -> None:
    inbox.put("big.bin", b"x" * 100_001)
    found = inbox.fetch_listed("big.bin")
    assert isinstance(found, FetchFailed)
    assert found.error.code is ErrorCode.TOO_MANY_BYTES
    assert "the object has at least 100001 bytes" in found.error.message
    uri = f"{inbox.root.url}gone.jpg"
    assert code(inbox.fetch(FetchRequest("gone", uri))[0]) is ErrorCode.NOT_FOUND


OUTSIDE = (
    "s3://{bucket}/other/a.jpg",
    "s3://{bucket}/in-2/a.jpg",
    "s3://{bucket}/in",
    "s3://{bucket}/in/",
    "s3://another-bucket/in/a.jpg",
    "s3://{bucket}/in/../secret.jpg",
    "s3://{bucket}/in/%2e%2e/secret.jpg",
    "s3://{bucket}/in/a.jpg?versionId=1",
    "s3://{bucket}/in/a.jpg#x",
    "s3://{bucket}/in/%ff.jpg",
    "s3://key:secret@{bucket}/in/a.jpg",
    "s3://{bucket}",
    "s3://",
)


def test_nothing_outside_the_configured_prefix_is_asked_for(inbox: Inbox) -> None:
    found = inbox.fetch(*(FetchRequest(uri, uri.format(bucket=inbox.root.bucket)) for uri in OUTSIDE))
    assert {str(each.key): code(each) for each in found} == dict.fromkeys(OUTSIDE, ErrorCode.URL_REFUSED)
    assert inbox.proxy.requests == []
    assert not any("secret@" in str(each.error) for each in found if isinstance(each, FetchFailed))


def test_without_a_configured_prefix_no_object_is_read() -> None:
    (found,) = fetch_all([FetchRequest("x", "s3://bucket/in/a.jpg")], MemorySink(), user_agent="test")
    assert code(found) is ErrorCode.URL_REFUSED


OF_ONE_OBJECT = (
    (503, "SlowDown", ErrorCode.SERVER_ERROR, 4),
    (500, "InternalError", ErrorCode.SERVER_ERROR, 4),
    (429, "", ErrorCode.RATE_LIMITED, 4),
    (403, "AccessDenied", ErrorCode.FORBIDDEN, 1),
    (403, "InvalidObjectState", ErrorCode.FORBIDDEN, 1),
    (405, "MethodNotAllowed", ErrorCode.HTTP_ERROR, 1),
)


def test_what_a_store_answers_about_one_object_is_that_items_failure(inbox: Inbox) -> None:
    for status, said, wanted, n_attempts in OF_ONE_OBJECT:
        inbox.proxy.answer = answer(status, said)
        (found,) = inbox.fetch(FetchRequest("x", f"{inbox.root.url}a.jpg"))
        assert isinstance(found, FetchFailed)
        assert (found.error.code, found.n_attempts) == (wanted, n_attempts), said
        assert is_silent(found.error.message)


OF_THE_STORE = (
    (403, "InvalidAccessKeyId", StoreCode.CREDENTIALS_REFUSED),
    (400, "ExpiredToken", StoreCode.CREDENTIALS_REFUSED),
    (404, "NoSuchBucket", StoreCode.BUCKET_MISSING),
    (403, "RequestTimeTooSkewed", StoreCode.CLOCK_SKEWED),
    (403, "AccessDenied", StoreCode.ACCESS_DENIED),
    (503, "SlowDown", StoreCode.STORE_ERROR),
)


def test_what_no_object_would_get_better_ends_the_fetch_and_the_listing(inbox: Inbox) -> None:
    for status, said, wanted in OF_THE_STORE:
        inbox.proxy.answer = answer(status, said)
        meetings: list[Callable[[], object]] = [inbox.entries]
        if wanted not in (StoreCode.ACCESS_DENIED, StoreCode.STORE_ERROR):  # those are an object's own matter
            meetings.append(lambda: inbox.fetch(FetchRequest("x", f"{inbox.root.url}a.jpg")))
        for meet in meetings:
            with pytest.raises(StoreRefused) as caught:
                meet()
            assert caught.value.code is wanted
            assert is_silent(str(caught.value))
            assert caught.value.__cause__ is None
            assert inbox.root.bucket in str(caught.value)


def test_a_store_that_does_not_answer_is_told_of_items_and_of_the_listing(keys: Keys) -> None:
    options = S3Options(endpoint="http://127.0.0.1:1", region="us-east-1", n_retries=0, timeout_seconds=2)
    nowhere = BucketRoot.of("s3://some-bucket/in", options)
    request = FetchRequest("x", "s3://some-bucket/in/a.jpg")
    (found,) = fetch_all([request], MemorySink(), user_agent="test", limits=QUICK, bucket_roots=(nowhere,))
    assert code(found) is ErrorCode.CONNECTION_FAILED
    with pytest.raises(StoreRefused) as caught:
        list_bucket(nowhere, None, 0.0)
    assert caught.value.code is StoreCode.STORE_UNREACHABLE


def test_without_credentials_no_item_is_to_blame(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in keys.environment:
        monkeypatch.delenv(name)
    s3_options.forget()
    nowhere = BucketRoot.of("s3://some-bucket/in", S3Options(endpoint="http://127.0.0.1:1", region="us-east-1"))
    request = FetchRequest("x", "s3://some-bucket/in/a.jpg")
    meetings: list[Callable[[], object]] = [
        lambda: list_bucket(nowhere, None, 0.0),
        lambda: list(fetch_all([request], MemorySink(), user_agent="test", limits=QUICK, bucket_roots=(nowhere,))),
    ]
    for meet in meetings:
        with pytest.raises(StoreRefused) as caught:
            meet()
        assert caught.value.code is StoreCode.CREDENTIALS_MISSING


def test_a_slow_object_is_too_slow(inbox: Inbox) -> None:
    inbox.put("a.jpg", b"x")

    def dawdle(request: object) -> None:
        time.sleep(1)

    entry = inbox.entries()["a.jpg"]
    inbox.proxy.answer = dawdle
    (found,) = inbox.fetch(FetchRequest("x", entry.uri), limits=replace(QUICK, total_seconds=0.2))
    assert code(found) is ErrorCode.TOO_SLOW


@pytest.mark.parametrize(
    "url",
    [
        "s3://",
        "s3://b/x?y",
        "s3://key:secret@bucket/x",
        "s3://bucket/a//b",
        "s3://bucket/../x",
        "s3://Bucket/x",
        "s3:/b",
    ],
)
def test_an_inbox_that_is_no_such_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(SetupError) as caught:
        BucketRoot.of(url, S3Options())
    assert "secret" not in str(caught.value)


def test_a_prefix_may_hold_what_lakes_may_not() -> None:
    root = BucketRoot.of("s3://bucket/date=2026-11-27/ü x/", S3Options())
    assert root.prefix == "date=2026-11-27/ü x/"
    assert object_named("s3://bucket/date=2026-11-27/%C3%BC%20x/a.jpg", (root,)) == (root, "date=2026-11-27/ü x/a.jpg")


def test_what_lands_in_a_bucket_becomes_tensors_and_what_is_put_anew_a_new_batch(
    inbox: Inbox, moto: str, tmp_path: Path
) -> None:
    settings = Settings(
        lake=str(tmp_path / "lake"),
        inbox=inbox.root.url,
        inbox_batch_size=3,
        inbox_wait_seconds=0,
        n_workers=0,
        s3_endpoint=moto,
        s3_region="us-east-1",
    )
    lake = settings.open_lake()
    for number in range(3):
        inbox.put(f"{number}.jpg", make_jpeg(number, (48, 32)))
    inbox.put("3.jpg.part", b"half")
    with dg.DagsterInstance.ephemeral() as instance:
        seen = take_in(instance, lake, settings, InboxMemory())
        assert seen.n_in_writing == 1
        assert take_in(instance, lake, settings, seen.memory).plan is None
        assert take_in(instance, lake, settings, InboxMemory()).n_waiting == 0
        inbox.put("1.jpg", make_jpeg(9, (48, 32)))
        take_in(instance, lake, settings, seen.memory)
        batches = list(instance.get_dynamic_partitions("batches"))
    assert batches == ["uploads.0001", "uploads.0002"]
    for batch_id in batches:
        read_batch(
            settings.workbench(),
            batch_id,
            IMAGE_STAGES,
            ReadOptions(specs=(SMALL,), n_thumbnails=0),
            Provenance("run", "1"),
        )
    uris = lake.scan(MANIFEST).select("uri").collect()["uri"].to_list()
    assert sorted(uris) == sorted(f"{inbox.root.url}{n}.jpg" for n in (0, 1, 1, 2))
    rows = lake.scan(ITEM_STATUS, {"stage": ["raw.media"]}).collect().sort("batch_id", "item_key")
    told = [(row["batch_id"][-1], row["item_key"][:5], row["error_code"]) for row in rows.iter_rows(named=True)]
    assert told == [
        ("1", "0.jpg", None),
        ("1", "1.jpg", "checksum_mismatch"),
        ("1", "2.jpg", None),
        ("2", "1.jpg", None),
    ]


def test_the_doctor_says_whether_the_inbox_can_be_listed(inbox: Inbox, tmp_path: Path) -> None:
    options = inbox.root.options
    far = Settings(
        lake=str(tmp_path / "lake"), inbox=inbox.root.url, s3_endpoint=options.endpoint, s3_region="us-east-1"
    )
    assert "nothing lies there" in doctor._inbox(far).detail
    inbox.put("a.jpg", b"1")
    assert "something lies there" in doctor._inbox(far).detail
    with pytest.raises(StoreRefused):
        doctor._inbox(replace(far, inbox="s3://no-such-bucket-here/in"))
    near = replace(far, inbox=str(tmp_path / "inbox"))
    assert "made when looked at" in doctor._inbox(near).detail
    assert not (tmp_path / "inbox").exists()


@pytest.mark.parametrize(
    ("lake", "inbox"),
    [
        ("{tmp}/lake", "{tmp}"),
        ("{tmp}/lake", "{tmp}/lake/in"),
        ("{tmp}/lake", "{tmp}/lake"),
        ("s3://bucket/lake", "s3://bucket"),
        ("s3://bucket/lake", "s3://bucket/lake/in/"),
        ("{tmp}/lake", "gs://bucket/in"),
        ("{tmp}/lake", "s3://bucket/x?y"),
    ],
)
def test_an_inbox_that_holds_the_lake_or_lies_in_it_or_nowhere_is_refused(
    tmp_path: Path, lake: str, inbox: str
) -> None:
    settings = Settings(lake=lake.format(tmp=tmp_path), inbox=inbox.format(tmp=tmp_path))
    with pytest.raises(SetupError, match="MEDIA_ASSETS_INBOX"):
        settings.check()


@pytest.mark.parametrize(
    ("lake", "inbox"),
    [("{tmp}/lake", "{tmp}/lake-in"), ("s3://bucket/lake", "s3://bucket/lake-in"), ("{tmp}/l", "s3://b-b")],
)
def test_an_inbox_beside_the_lake_is_taken(tmp_path: Path, lake: str, inbox: str) -> None:
    Settings(lake=lake.format(tmp=tmp_path), inbox=inbox.format(tmp=tmp_path)).check()
