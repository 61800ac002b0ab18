"""How a look covers a bucket that is larger than one look lists: everything is found, whatever is put when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_assets.ingest.fetch.buckets import BucketRoot
from media_assets.ingest.inbox import bucket as bucket_module
from media_assets.ingest.inbox.bucket import list_bucket
from media_assets.ingest.inbox.closing import InboxMemory, Place
from media_assets.ingest.inbox.landed import Landed
from media_assets.lake.s3_options import S3Options
from media_assets_tests.examples import few

ROOT = BucketRoot("arrivals", "in/", S3Options())
NOW = 1_800_000_000.0
N_KEYS = 3


class Bucket:
    """Keys, listed three a request, in the order of their bytes or of their arrival."""

    def __init__(self, *, is_sorted: bool = True) -> None:
        self.keys: list[str] = []
        self.n_requests = 0
        self.is_sorted = is_sorted

    def pages(self, root: BucketRoot, after: str) -> Iterator[tuple[list[dict[str, Any]], bool]]:
        ordered = sorted(set(self.keys)) if self.is_sorted else list(dict.fromkeys(self.keys))
        found = [key for key in ordered if key > after]
        for start in range(0, len(found), N_KEYS) or [0]:
            self.n_requests += 1
            page = [
                {"Key": key, "Size": 1, "ETag": '"e"', "LastModified": datetime.fromtimestamp(NOW, UTC)}
                for key in found[start : start + N_KEYS]
            ]
            yield page, start + N_KEYS >= len(found)


def look_once(bucket: Bucket, place: Place | None, n_pages: int) -> tuple[list[Landed], Place | None]:
    stretch = list_bucket(ROOT, place, NOW, n_pages)
    return list(stretch.listing()), stretch.next_place


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Bucket:
    opened = Bucket()
    monkeypatch.setattr(bucket_module, "_pages", opened.pages)
    return opened


def names(entries: list[Landed]) -> list[str]:
    return [entry.path.decode() for entry in entries]


def test_a_small_bucket_is_listed_whole_by_every_look(bucket: Bucket) -> None:
    bucket.keys = [f"in/{n}" for n in range(6)]
    place: Place | None = None
    for _ in range(3):
        bucket.n_requests = 0
        entries, place = look_once(bucket, place, n_pages=3)
        assert names(entries) == list("012345")
        assert bucket.n_requests == 2


def test_in_a_large_bucket_a_look_costs_two_stretches_and_what_comes_last_is_seen_at_once(bucket: Bucket) -> None:
    bucket.keys = [f"in/{n:03d}" for n in range(60)]
    place: Place | None = None
    seen: set[str] = set()
    for _ in range(12):  # sixty keys, two pages of three of them a look, and once round
        bucket.n_requests = 0
        entries, place = look_once(bucket, place, n_pages=2)
        seen |= set(names(entries))
        assert bucket.n_requests <= 4
    assert len(seen) == 60
    bucket.keys.append("in/999")
    entries, place = look_once(bucket, place, n_pages=2)
    assert "999" in names(entries)
    assert place is not None
    assert place.newest == "in/999"


def test_what_sorts_before_everything_known_is_found_all_the_same(bucket: Bucket) -> None:
    bucket.keys = [f"in/{n}" for n in range(5, 9)]
    _, place = look_once(bucket, None, n_pages=3)
    bucket.keys.append("in/1")
    assert names(look_once(bucket, place, n_pages=3)[0]) == list("15678")


def test_a_stretch_in_which_something_waits_is_looked_at_again(bucket: Bucket) -> None:
    bucket.keys = [f"in/{n:03d}" for n in range(30)]
    stretch = list_bucket(ROOT, None, NOW, 1)
    before, after = InboxMemory(place=Place("in/001", "in/009")), InboxMemory(waiting_since=3.0)
    assert stretch.remembered(before, after, n_waiting=1) == InboxMemory(3.0, None, before.place)
    assert stretch.remembered(before, after, n_waiting=0) == InboxMemory(3.0, None, Place("in/002", "in/005"))


def test_a_store_that_does_not_sort_is_listed_whole(bucket: Bucket) -> None:
    bucket.is_sorted = False
    bucket.keys = [f"in/{59 - n:03d}" for n in range(60)]
    entries, place = look_once(bucket, None, n_pages=2)
    assert len(entries) == 60
    assert place == Place("", "in/059")


@few(60)
@given(st.data())
def test_every_key_is_found_within_one_round_whatever_is_put_and_deleted_when(data: st.DataObject) -> None:
    bucket, place, n_pages = Bucket(), None, data.draw(st.integers(1, 3))
    seen: set[str] = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bucket_module, "_pages", bucket.pages)
        for _ in range(data.draw(st.integers(1, 8))):
            put = data.draw(st.lists(st.text("abc/é\U0001f600", min_size=1, max_size=4), max_size=12))
            bucket.keys += [f"in/{name}" for name in put]
            entries, place = look_once(bucket, place, n_pages)
            seen |= set(names(entries))
            gone = data.draw(st.integers(0, 2))
            bucket.keys = [key for key in bucket.keys if key[3:] not in seen or gone]  # done files are deleted
        wanted = {key[3:] for key in bucket.keys}
        for _ in range(2 + len(wanted) // (n_pages * N_KEYS)):  # one round, from wherever it is
            entries, place = look_once(bucket, place, n_pages)
            seen |= set(names(entries))
    assert wanted <= seen


@pytest.mark.parametrize(
    ("key", "size", "state"),
    [
        ("in/a.jpg", 1, "whole"),
        ("in/cats/", 0, None),
        ("in/cats/", 3, "whole"),  # an object of that name: judged when it is asked for
        ("in/", 0, None),
        ("in/a.jpg.part", 1, "in_writing"),
        ("in/.hidden/a.jpg", 1, "in_writing"),
    ],
)
def test_what_an_object_is_to_the_inbox(bucket: Bucket, key: str, size: int, state: str | None) -> None:
    found = {"Key": key, "Size": size, "ETag": '"e"', "LastModified": datetime.fromtimestamp(NOW - 60, UTC)}
    entry = bucket_module._entry(ROOT, found, NOW)
    assert (entry and entry.state) == state
    if state == "in_writing":
        late = bucket_module._entry(ROOT, found, NOW + 3600)
        assert late is not None
        assert late.state == "refused"
