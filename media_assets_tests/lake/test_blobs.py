"""Blobs: written once, healed when damaged, and the same bytes back."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import obstore
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from obstore.exceptions import GenericError
from obstore.store import MemoryStore

from media_assets.lake.blobs import BlobStore, blob_path
from media_assets.lake.location import LakeLocation

Put = Callable[[BlobStore, str, bytes], None]


def name_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def put_at_once(store: BlobStore, name: str, body: bytes) -> None:
    store.put(name, body)


def put_in_a_loop(store: BlobStore, name: str, body: bytes) -> None:
    asyncio.run(store.put_if_absent(name, body))


both_ways = pytest.mark.parametrize("put", [put_at_once, put_in_a_loop])


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    """A local store, and one that is no folder."""
    if request.param == "memory":
        return BlobStore(MemoryStore())
    return BlobStore.at(LakeLocation(str(tmp_path / "lake")))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200), put=st.sampled_from([put_at_once, put_in_a_loop]))
def test_what_is_put_is_read(store: BlobStore, body: bytes, put: Put) -> None:
    name = name_of(body)
    put(store, name, body)
    put(store, name, body)
    assert store.read(name) == body
    assert store.size_bytes(name) == len(body)
    source = store.source(name)
    assert (source if isinstance(source, bytes) else source.read_bytes()) == body


@both_ways
def test_a_blob_is_never_written_again(store: BlobStore, put: Put) -> None:
    name = name_of(b"right")
    put(store, name, b"right")
    put(store, name, b"wrong")  # of equal length: only a store that overwrites would show it
    assert store.read(name) == b"right"


@both_ways
def test_a_blob_is_healed_when_it_was_cut_short(store: BlobStore, put: Put) -> None:
    name = name_of(b"whole blob")
    put(store, name, b"whole")
    put(store, name, b"whole blob")
    assert store.read(name) == b"whole blob"


@both_ways
@pytest.mark.parametrize("rotten", [b"whole blub", b"", b"whole blob and more"], ids=["other bytes", "empty", "longer"])
def test_a_blob_is_healed_when_its_bytes_rotted(store: BlobStore, put: Put, rotten: bytes) -> None:
    name = name_of(b"whole blob")
    obstore.put(store.store, blob_path(name), rotten)
    put(store, name, b"whole blob")
    assert store.read(name) == b"whole blob"


@both_ways
def test_a_blob_is_healed_when_it_cannot_be_read(monkeypatch: pytest.MonkeyPatch, put: Put) -> None:
    store, name = BlobStore(MemoryStore()), name_of(b"abc")
    obstore.put(store.store, blob_path(name), b"xyz")
    with monkeypatch.context() as broken:
        break_function(broken, "get")
        put(store, name, b"abc")
        with pytest.raises(OSError, match="did not give"):
            store.read(name)
    assert store.read(name) == b"abc"


def test_a_blob_can_be_put_from_a_file(store: BlobStore, tmp_path: Path) -> None:
    body = os.urandom(6_000_000)  # above the size from which obstore cuts into parts
    file = tmp_path / "body"
    file.write_bytes(body)
    name = name_of(body)
    asyncio.run(store.put_if_absent(name, file))
    asyncio.run(store.put_if_absent(name, file))
    assert store.read(name) == body

    for damaged in (body[:100], body[:-1] + bytes([body[-1] ^ 1])):
        obstore.put(store.store, blob_path(name), damaged)
        asyncio.run(store.put_if_absent(name, file))
        assert store.read(name) == body


def test_a_missing_blob_has_no_size_and_cannot_be_read(store: BlobStore) -> None:
    assert store.size_bytes("0" * 64) is None
    with pytest.raises(FileNotFoundError):
        store.read("0" * 64)


def test_a_local_blob_is_handed_out_as_its_path(tmp_path: Path) -> None:
    store = BlobStore.at(LakeLocation(str(tmp_path)))
    name = name_of(b"x")
    store.put(name, b"x")
    assert store.source(name) == tmp_path / "blobs" / name[:2] / name
    assert list((tmp_path / "blobs").iterdir()) == [tmp_path / "blobs" / name[:2]]


def test_concurrent_puts_leave_one_whole_blob(store: BlobStore) -> None:
    bodies = [os.urandom(200_000) for _ in range(4)]
    names = [name_of(body) for body in bodies]
    errors: list[BaseException] = []

    def put_all(in_a_loop: bool) -> None:
        try:
            for name, body in zip(names, bodies, strict=True):
                (put_in_a_loop if in_a_loop else put_at_once)(store, name, body)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=put_all, args=(number % 2 == 0,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [store.read(name) for name in names] == bodies


def test_many_tasks_of_one_loop_put_the_same_blob(store: BlobStore) -> None:
    body = os.urandom(100_000)

    async def put_all() -> None:
        await asyncio.gather(*(store.put_if_absent(name_of(body), body) for _ in range(20)))

    asyncio.run(put_all())
    assert store.read(name_of(body)) == body


@both_ways
@pytest.mark.parametrize("is_there", [False, True], ids=["first put", "heal"])
def test_what_a_store_throws_is_an_os_error(monkeypatch: pytest.MonkeyPatch, put: Put, is_there: bool) -> None:
    """Callers tell a store that failed from a bad item by this type."""
    store = BlobStore(MemoryStore())
    if is_there:
        put(store, name_of(b"abc"), b"a")
    else:
        break_function(monkeypatch, "put")
    break_function(monkeypatch, "head")
    with pytest.raises(OSError, match="the blob store did not take"):
        put(store, name_of(b"abc"), b"abc")


def break_function(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let a function of obstore fail, in both of its forms."""

    def fail(*arguments: Any, **options: Any) -> None:
        raise GenericError("503")

    async def fail_async(*arguments: Any, **options: Any) -> None:
        raise GenericError("503")

    monkeypatch.setattr(obstore, name, fail)
    monkeypatch.setattr(obstore, f"{name}_async", fail_async)


@both_ways
def test_a_store_without_room_for_the_blob_is_an_os_error(tmp_path: Path, put: Put) -> None:
    store = BlobStore.at(LakeLocation(str(tmp_path)))
    name = name_of(b"x")
    (tmp_path / "blobs" / name[:2]).write_text("a file where a folder has to be")
    with pytest.raises(OSError):
        put(store, name, b"x")
