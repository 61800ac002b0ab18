"""What a lake's storage promises, held on an S3 as on a disk: listings, sizes, logs, blobs, and shared credentials."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import pickle
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import obstore
import pytest

from media_assets.errors import StoreRefused, TableDamaged
from media_assets.lake import blobs as blobs_module
from media_assets.lake import s3_options
from media_assets.lake.blobs import BlobStore, blob_path
from media_assets.lake.blobs_at_hand import N_AHEAD, BlobsAtHand
from media_assets.lake.delta import Lake
from media_assets.lake.journal import FetchJournal, JournalEntry
from media_assets.lake.leftovers import delete_leftovers, find_leftovers
from media_assets.lake.location import LakeLocation
from media_assets.lake.parts import PartWriter
from media_assets.lake.publications import Publications, unfinished_publications
from media_assets.lake.s3_options import S3Options
from media_assets.serving.files import open_table
from media_assets.serving.statistics import measure_statistics
from media_assets.serving.tensors import TensorReader
from media_assets.stages.histograms import update_histograms
from media_assets.tables import MANIFEST, TENSORS_IMAGES
from media_assets_tests.lake.lakes import US, lake_at, manifest, plan, planned, tensor
from media_assets_tests.object_store.proxy import Proxy, proxy_before
from media_assets_tests.object_store.stores import SECRET, TOKEN, Keys, client, set_keys
from media_assets_tests.serving.tensor_lakes import finish

PHOTO = os.urandom(70_000)


def name_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


@pytest.fixture
def proxy(moto: str) -> Iterator[Proxy]:
    """A proxy before the store, to count what is asked."""
    with proxy_before(moto) as opened:
        yield opened


@pytest.fixture(params=["folder", "bucket"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> LakeLocation:
    """A lake in a folder, then one in a bucket: what holds here holds for both."""
    if request.param == "folder":
        return LakeLocation(str(tmp_path / "lake"))
    location: LakeLocation = request.getfixturevalue("location")
    return location


def entry(key: str) -> JournalEntry:
    return JournalEntry(key, f"https://example.org/{key}", "a" * 64, 12, datetime(2026, 1, 1, tzinfo=UTC))


def test_files_and_their_sizes_are_found_below_a_folder(either: LakeLocation) -> None:
    store = either.store("raw", "media")
    obstore.put(store, "batch_id=a/one.parquet", b"1")
    obstore.put(store, "batch_id=b/two.parquet", b"22")
    obstore.put(store, "_delta_log/0.json", b"333")
    obstore.put(either.store(), "raw/mediaother/x.parquet", b"4")
    found = {file.path: file.size_bytes for file in either.storage.files("raw/media")}
    assert found == {"raw/media/batch_id=a/one.parquet": 1, "raw/media/batch_id=b/two.parquet": 2}
    wanted = ["batch_id=a/one.parquet", "batch_id=b/gone.parquet"]
    assert either.storage.sizes("raw/media", wanted) == {"batch_id=a/one.parquet": 1}
    either.storage.delete(["raw/media/batch_id=a/one.parquet", "raw/media/never-there"])
    assert [file.path for file in either.storage.files("raw/media")] == ["raw/media/batch_id=b/two.parquet"]
    assert list(either.storage.files("nothing/here")) == []


def test_sizes_cost_one_listing_a_folder_and_one_in_all_for_many(bucket: str, proxy: Proxy) -> None:
    storage = LakeLocation(f"s3://{bucket}/x", S3Options(endpoint=proxy.url, region="us-east-1")).storage
    paths = [f"batch_id={number:02}/part.parquet" for number in range(20)]
    for path in paths:
        obstore.put(storage.store("t"), path, b"12")
    proxy.requests.clear()
    assert storage.sizes("t", paths[:3]) == dict.fromkeys(paths[:3], 2)
    assert len(proxy.requests) == 3
    proxy.requests.clear()
    assert storage.sizes("t", paths) == dict.fromkeys(paths, 2)
    assert len(proxy.requests) == 1
    assert all(request.is_listing for request in proxy.requests)


def test_a_journal_survives_its_writer_and_is_forgotten_when_cleared(either: LakeLocation) -> None:
    ours, theirs = FetchJournal.of(either, "batch.0001"), FetchJournal.of(either, "batch.0001")
    other = FetchJournal.of(either, "batch.00011")
    for number in range(40):
        ours.append(entry(f"ours-{number}"))
        theirs.append(entry(f"theirs-{number}"))
    other.append(entry("other"))
    for journal in (ours, theirs, other):
        journal.close()
    assert len(FetchJournal.of(either, "batch.0001").entries()) == 80
    ours.clear()
    assert theirs.entries() == {}
    assert set(other.entries()) == {"other"}
    ours.append(entry("anew"))
    ours.close()
    assert set(theirs.entries()) == {"anew"}


def test_a_journal_costs_far_fewer_requests_than_lines(bucket: str, proxy: Proxy) -> None:
    location = LakeLocation(f"s3://{bucket}/x", S3Options(endpoint=proxy.url, region="us-east-1"))
    with FetchJournal.of(location, "b") as journal:
        for number in range(60):
            journal.append(entry(str(number)))
            time.sleep(0.01)
    assert len(journal.entries()) == 60
    assert sum(request.method == "PUT" for request in proxy.requests) <= 10


def test_a_journal_that_was_not_taken_is_told_by_the_next_line(bucket: str, proxy: Proxy) -> None:
    options = S3Options(endpoint=proxy.url, region="us-east-1", n_retries=0)
    journal = FetchJournal.of(LakeLocation(f"s3://{bucket}/x", options), "b")
    proxy.answer = lambda request: (403, f"<Error><Code>AccessDenied</Code>{SECRET}</Error>".encode())
    journal.append(entry("1"))
    journal.close()
    with pytest.raises(OSError, match="access_denied") as caught:
        journal.append(entry("2"))
    assert SECRET not in str(caught.value)


def test_blobs_are_put_once_read_back_and_healed(location: LakeLocation) -> None:
    blobs, name = BlobStore.at(location), name_of(PHOTO)
    blobs.put(name, PHOTO)
    asyncio.run(blobs.put_if_absent(name, PHOTO))
    assert (blobs.read(name), blobs.size_bytes(name), blobs.size_bytes("0" * 64)) == (PHOTO, len(PHOTO), None)
    obstore.put(blobs.store, blob_path(name), PHOTO[:100])
    asyncio.run(blobs.put_if_absent(name, PHOTO))
    assert BlobStore.at(location).source(name) == PHOTO


def test_large_blobs_go_up_in_parts_from_memory_and_from_a_file(
    bucket: str, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs_module, "MULTIPART_BYTES", 6_000_000)
    blobs = BlobStore.at(LakeLocation(f"s3://{bucket}/x", S3Options(endpoint=proxy.url, region="us-east-1")))
    for number, put in enumerate((lambda n, b: asyncio.run(blobs.put_if_absent(n, b)), blobs.put)):
        body = bytes([number]) * 12_000_000
        file = tmp_path / "body"
        file.write_bytes(body)
        name = name_of(body)
        put(name, file if number == 0 else body)
        assert any("uploadId" in request.path for request in proxy.requests), "it went up in one piece"
        assert name_of(BlobStore(blobs.store).read(name)) == name
        proxy.requests.clear()
        put(name, file if number == 0 else body)
        assert not any("uploads" in request.path for request in proxy.requests), "it was there"


def test_what_was_just_put_is_not_asked_for_again(bucket: str, proxy: Proxy) -> None:
    blobs = BlobStore.at(LakeLocation(f"s3://{bucket}/x", S3Options(endpoint=proxy.url, region="us-east-1")))
    asyncio.run(blobs.put_if_absent(name_of(PHOTO), PHOTO))
    n_asked = len(proxy.requests)
    assert blobs.source(name_of(PHOTO)) == PHOTO
    assert len(proxy.requests) == n_asked
    assert blobs.source(name_of(PHOTO)) == PHOTO, "given out once, then read"
    assert len(proxy.requests) == n_asked + 1


def test_sizes_of_many_blobs_are_asked_for_at_the_same_time(location: LakeLocation) -> None:
    blobs = BlobStore.at(location)
    bodies = [bytes([number]) * (number + 1) for number in range(40)]
    for body in bodies:
        blobs.put(name_of(body), body)
    size = blobs.sizes([*map(name_of, bodies), "0" * 64])
    assert [size(name_of(body)) for body in bodies] == [len(body) for body in bodies]
    assert size("0" * 64) is None
    blobs.put(name_of(b"later"), b"later")
    assert size(name_of(b"later")) == 5


def test_blobs_are_read_ahead_in_order_and_what_is_left_out_is_dropped() -> None:
    names = [str(number) for number in range(100)]
    lock, began, gate = threading.Lock(), [], threading.Event()

    def read(name: str) -> bytes:
        with lock:
            began.append(name)
        assert gate.wait(20)
        if name == "7":
            raise OSError("gone")
        return name.encode()

    hand = BlobsAtHand()
    hand.expect(names, read)
    with ThreadPoolExecutor(1) as consumer:
        first = consumer.submit(hand.take, "0")
        gate.set()
        assert first.result(20) == b"0"
    assert len(began) <= N_AHEAD + 2
    assert hand.take("5") == b"5", "1 to 4 were left out"
    with pytest.raises(OSError, match="gone"):
        hand.take("7")
    assert hand.take("8") == b"8"
    assert hand.take("50") == b"50", "a jump beyond what was being read"
    assert hand.take("3") is None, "what lies behind has to be read"
    hand.clear()
    assert hand.take("51") is None


def test_memory_for_blobs_that_were_just_put_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("media_assets.lake.blobs_at_hand.MAX_REMEMBERED_BYTES", 100)
    hand = BlobsAtHand()
    for name in "abc":
        hand.remember(name, b"x" * 40)
    assert [hand.take(name) is None for name in "abc"] == [True, False, False]


def test_tables_are_written_replaced_and_read(lake: Lake) -> None:
    plan(lake, "a", ["1", "2"])
    plan(lake, "b", ["3"])
    plan(lake, "a", ["4"])
    assert planned(lake) == [("a", "4"), ("b", "3")]
    assert lake.partition_values(MANIFEST) == ["a", "b"]


def test_tensors_are_written_in_parts_and_dropped_again(lake: Lake) -> None:
    with PartWriter(lake, TENSORS_IMAGES, "a", "tensor") as writer:
        for number in range(5):
            writer.append("small", tensor(number))
        writer.drop("frame_id", [f"{3:032x}"])
        writer.commit(US)
    ids = lake.scan(TENSORS_IMAGES).select("frame_id").collect()["frame_id"]
    assert sorted(int(frame_id, 16) for frame_id in ids) == [0, 1, 2, 4]
    assert len(list(lake.location.storage.files("tensors/images"))) == 1, "the file that was rewritten is gone"


def test_a_lost_file_is_told_and_so_is_a_lost_log(lake: Lake) -> None:
    plan(lake, "a", ["1"])
    plan(lake, "b", ["2"])
    storage = lake.location.storage
    lost = next(file.path for file in storage.files("ingest/manifest") if "batch_id=a" in file.path)
    storage.delete([lost])
    with pytest.raises(TableDamaged, match="is missing"):
        lake.scan(MANIFEST)
    assert lake.scan(MANIFEST, {"batch_id": ["b"]}).collect().height == 1
    storage.remove_folder("ingest", "manifest", "_delta_log")
    with pytest.raises(TableDamaged, match="its log is gone"):
        lake.table(MANIFEST)


def test_publications_and_leftovers_work_through_listings(lake: Lake) -> None:
    assert unfinished_publications(lake.location) == set()
    with Publications.of(lake.location).under_way("a", ["raw.media"]):
        assert unfinished_publications(lake.location) == {"a"}
    assert unfinished_publications(lake.location) == set()
    plan(lake, "a", ["1"])
    obstore.put(lake.location.store(), "ingest/manifest/batch_id=a/part-left.parquet", b"left")
    assert find_leftovers(lake) == [], "too young to be one"
    (found,) = find_leftovers(lake, now=datetime.now(UTC) + timedelta(days=8))
    assert found.path == "ingest/manifest/batch_id=a/part-left.parquet"
    delete_leftovers(lake, [found, found])
    assert planned(lake) == [("a", "1")]


def test_a_reader_decodes_from_afar_or_maps_what_it_keeps_nearby(lake: Lake, tmp_path: Path) -> None:
    bodies = [bytes([number]) * 12 for number in range(6)]
    rows = [tensor(number, body) | {"shape": [2, 2, 3]} for number, body in enumerate(bodies)]
    near = lake_at(tmp_path / "near")
    for somewhere in (lake, near):
        with PartWriter(somewhere, TENSORS_IMAGES, "a", "tensor") as writer:
            for row in rows:
                writer.append("small", row)
            writer.commit(US)
        finish(somewhere, "a")
    expected = TensorReader(near)[:]
    far = TensorReader(lake)
    assert (far.n_mapped_files, far.n_fallback_files) == (0, 1)
    assert (far[:] == expected).all()
    cache = tmp_path / "cache"
    kept = TensorReader(lake, cache=cache)
    assert (kept.n_mapped_files, kept.n_fallback_files) == (1, 0)
    assert (kept[:] == expected).all()
    (file,) = [path for path in cache.rglob("*") if path.is_file()]
    written = file.stat().st_mtime_ns
    again = pickle.loads(pickle.dumps(kept))
    assert (again[:] == expected).all()
    assert file.stat().st_mtime_ns == written, "it was there already"
    file.write_bytes(file.read_bytes()[:50])
    assert (TensorReader(lake, cache=cache)[:] == expected).all(), "a file cut short is fetched again"
    assert SECRET.encode() not in pickle.dumps(kept)


def test_histograms_are_counted_from_afar_once_and_their_sum_is_that_of_a_lake_nearby(
    lake: Lake, tmp_path: Path
) -> None:
    near = lake_at(tmp_path / "near")
    for somewhere in (lake, near):
        for number, batch_id in enumerate("ab"):
            with PartWriter(somewhere, TENSORS_IMAGES, batch_id, "tensor") as writer:
                row = tensor(number, bytes(range(number, number + 12)))
                writer.append("small", row | {"shape": [2, 2, 3], "batch_id": batch_id})
                writer.commit(US)
            finish(somewhere, batch_id)
    for n_measured in (2, 0):
        far = update_histograms(open_table(lake, include_unfinished=False), None, US)
        assert far.n_measured == n_measured
        assert far.statistics.equals(measure_statistics(near))


def test_every_write_asks_for_the_encryption_that_is_configured(bucket: str, proxy: Proxy, moto: str) -> None:
    options = S3Options(endpoint=proxy.url, region="us-east-1", encryption="aws:kms", kms_key_id="alias/lake")
    lake = Lake(LakeLocation(f"s3://{bucket}/x", options))
    plan(lake, "a", ["1"])
    with PartWriter(lake, TENSORS_IMAGES, "a", "tensor") as writer:
        writer.append("small", tensor(1))
        writer.commit(US)
    BlobStore.at(lake.location).put(name_of(PHOTO), PHOTO)
    puts = [request for request in proxy.requests if request.method == "PUT"]
    assert {request.headers.get("x-amz-server-side-encryption") for request in puts} == {"aws:kms"}
    names = {request.headers.get("x-amz-server-side-encryption-aws-kms-key-id") for request in puts}
    assert names == {"alias/lake"}
    assert len(puts) > 5
    assert client(moto).head_object(Bucket=bucket, Key=f"x/blobs/{blob_path(name_of(PHOTO))}")["SSEKMSKeyId"]


def test_obstore_deltalake_and_polars_sign_with_the_same_refreshed_credentials(
    bucket: str, proxy: Proxy, keys: Keys, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # In a profile, which only botocore reads as AWS does: the environment each library reads by itself.
    given = f"aws_access_key_id={keys.key}\naws_secret_access_key={keys.secret}\naws_session_token={keys.token}\n"
    (tmp_path / "config").write_text(f"[default]\n{given}")
    for name in keys.environment:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    s3_options.forget()
    lake = Lake(LakeLocation(f"s3://{bucket}/x", S3Options(endpoint=proxy.url, region="eu-west-3")))
    plan(lake, "a", ["1"])
    BlobStore.at(lake.location).put(name_of(PHOTO), PHOTO)
    assert planned(lake)
    signed = {
        (r.headers["authorization"].split("Credential=")[1].split("/")[0], r.headers.get("x-amz-security-token"))
        for r in proxy.requests
    }
    assert signed == {(keys.key, TOKEN)}
    assert all("/eu-west-3/s3/" in request.headers["authorization"] for request in proxy.requests)

    renewed = Keys(key="AKIARENEWED000000000", token=None)
    set_keys(monkeypatch, renewed, Path("/nonexistent"))
    s3_options.forget()
    proxy.requests.clear()
    plan(lake, "b", ["2"])
    assert planned(lake) == [("a", "1"), ("b", "2")]
    delta = [r for r in proxy.requests if "ingest" in r.path]
    assert {r.headers["authorization"].split("Credential=")[1].split("/")[0] for r in delta} == {renewed.key}


@pytest.mark.parametrize("source", ["profile", "process"])
def test_credentials_and_endpoint_come_from_a_profile(
    moto: str, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str
) -> None:
    for name in Keys().environment:
        monkeypatch.delenv(name)
    given = "aws_access_key_id = AKIAPROFILE000000000\naws_secret_access_key = x\n"
    if source == "process":
        script = tmp_path / "keys.sh"
        script.write_text(
            '#!/bin/sh\necho \'{"Version": 1, "AccessKeyId": "AKIAPROFILE000000000", "SecretAccessKey": "x"}\'\n'
        )
        script.chmod(0o700)
        given = f"credential_process = {script}\n"
    (tmp_path / "config").write_text(f"[profile lake]\nregion = eu-north-1\nendpoint_url = {moto}\n{given}")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "lake")
    s3_options.forget()
    location = LakeLocation(f"s3://{bucket}/x")
    plan(Lake(location), "a", ["1"])
    assert planned(Lake(location)) == [("a", "1")]
    told = location.storage.describe()
    assert moto in told
    assert "eu-north-1" in told
    assert "AKIA" not in told


def test_keys_that_stay_are_given_to_obstore_and_those_that_do_not_are_asked_for(
    keys: Keys, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def provider() -> Any:
        storage = LakeLocation("s3://bucket/x", S3Options(endpoint="http://127.0.0.1:1", region="r")).storage
        return storage.store().credential_provider

    s3_options.forget()
    assert provider() is None
    assert SECRET not in repr(s3_options.permanent_keys())
    for name in keys.environment:
        monkeypatch.delenv(name)
    expires = "2099-01-01T00:00:00Z"
    told = {"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "b", "SessionToken": "c", "Expiration": expires}
    script = tmp_path / "keys.sh"
    script.write_text(f"#!/bin/sh\necho '{json.dumps(told)}'\n")
    script.chmod(0o700)
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {script}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    s3_options.forget()
    assert provider() is s3_options.credentials
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    s3_options.forget()
    assert provider() is s3_options.credentials, "which says that there are none"


def test_what_is_configured_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch, keys: Keys) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:2")
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    s3_options.forget()
    place = S3Options().place()
    assert (place.endpoint, place.region, place.path_style) == ("http://127.0.0.1:2", "us-west-2", True)
    own = S3Options(endpoint="https://minio.example:9000", region="r", path_style=False)
    assert own.place().endpoint_of("lake") == "https://lake.minio.example:9000"
    assert own.place().endpoint_of("with.dots") == "https://minio.example:9000"
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    s3_options.forget()
    aws = S3Options().place()
    assert (aws.endpoint, aws.path_style, aws.is_virtual("lake")) == ("", False, True)


@pytest.mark.parametrize(
    "fault",
    [
        {"endpoint": "http://user:s3cr3t@host"},
        {"endpoint": "ftp://s3cr3t"},
        {"endpoint": "https://host?s3cr3t=1"},
        {"endpoint": "https://"},
        {"endpoint": "https://host:s3cr3t"},
        {"encryption": "rot13"},
        {"kms_key_id": "alias/x"},
        {"encryption": "AES256", "kms_key_id": "alias/x"},
        {"timeout_seconds": 0},
    ],
)
def test_settings_that_cannot_be_meant_are_refused_and_not_repeated(fault: dict[str, Any]) -> None:
    with pytest.raises(OSError, match="Expected") as caught:
        replace(S3Options(), **fault)
    assert "s3cr3t" not in str(caught.value)


def test_no_table_is_begun_where_put_if_absent_is_ignored(bucket: str, proxy: Proxy) -> None:
    proxy.lost_headers = frozenset({"if-none-match"})
    lake = Lake(LakeLocation(f"s3://{bucket}/x", S3Options(endpoint=proxy.url, region="us-east-1")))
    frame = MANIFEST.frame(manifest("a", ["1"]))
    with pytest.raises(StoreRefused, match="would lose commits") as caught:
        lake.overwrite(MANIFEST, frame, {"batch_id": ["a"]}, US)
    assert caught.value.code == "put_if_absent_ignored"
    assert list(lake.location.storage.files("ingest/manifest")) == []
    proxy.lost_headers = frozenset()
    plan(lake, "a", ["1"])
    assert planned(lake) == [("a", "1")]
