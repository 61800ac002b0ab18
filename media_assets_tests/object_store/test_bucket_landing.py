"""Uploads into an inbox that is a bucket, on a real S3 server: durable when acknowledged, and there once."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from media_assets.errors import SetupError
from media_assets.ingest.fetch.buckets import BucketRoot
from media_assets.ingest.uploads import rows
from media_assets.ingest.uploads.body import Body
from media_assets.ingest.uploads.bucket_landing import BucketLanding
from media_assets.ingest.uploads.limits import UploadLimits
from media_assets.ingest.uploads.receiver import Received, Receiver
from media_assets.ingest.uploads.refusals import LandingUnsure, UploadCode, UploadRefused
from media_assets.ingest.uploads.resumable import Resumable
from media_assets.ingest.uploads.server import UploadPlaces
from media_assets.lake.crash_points import watch_crash_points
from media_assets.lake.s3_options import S3Options
from media_assets_tests.ingest.uploads.receivers import Killed, die_at, open_receiver
from media_assets_tests.ingest.uploads.site import tokens
from media_assets_tests.object_store.proxy import Proxy, Request, proxy_before
from media_assets_tests.object_store.stores import client as client_of

LIMITS = UploadLimits(free_bytes=0)
TOKEN = tokens()[0]
CAT = b"a cat" * 60


def down(request: Request) -> tuple[int, bytes]:
    """What a store says that is down."""
    return 500, b"<Error><Code>InternalError</Code></Error>"


@pytest.fixture(autouse=True)
def _calm() -> Iterator[None]:
    yield
    watch_crash_points()


@pytest.fixture
def proxy(moto: str, keys: object) -> Iterator[Proxy]:
    with proxy_before(moto) as proxy:
        yield proxy


@pytest.fixture
def root(proxy: Proxy, bucket: str) -> BucketRoot:
    options = S3Options(endpoint=proxy.url, region="us-east-1", n_retries=0, timeout_seconds=5)
    return BucketRoot.of(f"s3://{bucket}/in", options)


def receiving(root: BucketRoot, state: Path) -> AbstractAsyncContextManager[Receiver]:
    """A receiver that has recovered, as a server begins."""
    return open_receiver(root, state, LIMITS)


async def send_and_die(point: str, root: BucketRoot, state: Path) -> None:
    """A server that is killed at this point of an upload."""
    async with receiving(root, state) as receiver:
        die_at(point)
        with pytest.raises(Killed):
            await send(receiver, CAT)
        watch_crash_points()


def body(data: bytes) -> Body:
    messages = iter([{"type": "http.request", "body": data, "more_body": True}, {"type": "http.request", "body": b""}])

    async def receive() -> dict[str, Any]:
        return next(messages)

    return Body(receive, LIMITS)


async def send(receiver: Receiver, data: bytes) -> Received:
    return await receiver.receive_file(TOKEN, "cat.jpg", body(data), None, None)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def objects(moto: str, root: BucketRoot) -> dict[str, bytes]:
    """Key → bytes of everything in the bucket."""
    client = client_of(moto)
    found = client.list_objects_v2(Bucket=root.bucket).get("Contents", [])
    return {o["Key"]: client.get_object(Bucket=root.bucket, Key=o["Key"])["Body"].read() for o in found}


def test_an_upload_is_one_object_below_the_prefix_and_a_repeat_is_none(
    moto: str, root: BucketRoot, tmp_path: Path
) -> None:
    async def work() -> None:
        async with receiving(root, tmp_path) as receiver:
            first = await send(receiver, CAT)
            assert objects(moto, root) == {f"in/{first.receipt.path}": CAT}
            again = await send(receiver, CAT)
            assert (again.receipt.id, again.is_repeat) == (first.receipt.id, True)
        assert list((tmp_path / "parts").iterdir()) == []

    run(work())
    assert len(objects(moto, root)) == 1


def test_a_large_upload_arrives_whole_in_several_requests(
    moto: str, root: BucketRoot, proxy: Proxy, tmp_path: Path
) -> None:
    data, part = random.Random(1).randbytes(12_000_000), tmp_path / "part"
    part.write_bytes(data)
    BucketLanding(root).land(part, "phones/big.bin")
    assert objects(moto, root) == {"in/phones/big.bin": data}
    assert sum("partNumber" in request.path for request in proxy.requests) > 1
    assert not part.exists()


@pytest.mark.parametrize("comes_late", [False, True])
def test_what_the_store_did_not_confirm_is_no_success_and_sent_again_is_there_once(
    moto: str, root: BucketRoot, proxy: Proxy, tmp_path: Path, comes_late: bool
) -> None:
    async def work() -> None:
        async with receiving(root, tmp_path) as receiver:
            proxy.answer = down
            with pytest.raises(UploadRefused) as refused:
                await send(receiver, CAT)
            assert refused.value.code is UploadCode.STORAGE_FAILED
            proxy.answer = lambda request: None
            (begun,) = await receiver.ledger.do(rows.receipts_under_way)
            if comes_late:
                client_of(moto).put_object(Bucket=root.bucket, Key=f"in/{begun.path}", Body=CAT)
            received = await send(receiver, CAT)
            assert received.receipt.path == begun.path
            assert await receiver.ledger.do(lambda db: rows.used_on(db, "one", rows.day_of(1e9))) == rows.Use(1, 300)

    run(work())
    assert list(objects(moto, root).values()) == [CAT]


def test_an_object_whose_confirmation_was_lost_is_found(
    moto: str, root: BucketRoot, proxy: Proxy, tmp_path: Path
) -> None:
    part = tmp_path / "part"
    part.write_bytes(CAT)
    client_of(moto).put_object(Bucket=root.bucket, Key="in/phones/cat.jpg", Body=CAT)
    proxy.answer = lambda request: (500, b"") if request.method == "PUT" else None
    BucketLanding(root).land(part, "phones/cat.jpg")
    assert not part.exists()


@pytest.mark.parametrize("point", ["after upload receipt", "after upload landed"])
def test_a_kill_between_any_two_steps_loses_nothing_and_doubles_nothing(
    moto: str, root: BucketRoot, tmp_path: Path, point: str
) -> None:
    async def after() -> None:
        async with receiving(root, tmp_path) as receiver:
            assert list(objects(moto, root).values()) == [CAT]
            assert (await send(receiver, CAT)).is_repeat

    run(send_and_die(point, root, tmp_path))
    run(after())
    assert len(objects(moto, root)) == 1


def test_a_resumable_upload_is_not_finished_before_the_store_has_it(
    moto: str, root: BucketRoot, proxy: Proxy, tmp_path: Path
) -> None:
    async def work() -> None:
        async with receiving(root, tmp_path) as receiver:
            resumable = Resumable(receiver)
            upload = await resumable.begin(TOKEN, len(CAT), "cat.jpg")
            proxy.answer = down
            with pytest.raises(UploadRefused):
                await resumable.append(TOKEN, upload.id, 0, body(CAT), None, None)
            for ask in (resumable.look(TOKEN, upload.id), append_nothing(resumable, upload.id)):
                with pytest.raises(UploadRefused) as refused:
                    await ask
                assert refused.value.code is UploadCode.STORAGE_FAILED
            proxy.answer = lambda request: None
            assert (await resumable.look(TOKEN, upload.id)).state == "finished"

    run(work())
    assert list(objects(moto, root).values()) == [CAT]


async def append_nothing(resumable: Resumable, upload_id: str) -> None:
    await resumable.append(TOKEN, upload_id, len(CAT), body(b""), None, None)


def test_rivals_with_the_same_bytes_are_acknowledged_only_when_they_are_there(
    moto: str, root: BucketRoot, proxy: Proxy, tmp_path: Path
) -> None:
    async def work() -> None:
        async with receiving(root, tmp_path) as receiver:
            proxy.answer = down
            rivals = await asyncio.gather(*(send(receiver, CAT) for _ in range(8)), return_exceptions=True)
            assert {type(each) for each in rivals} <= {UploadRefused, LandingUnsure}
            proxy.answer = lambda request: None
            received = await asyncio.gather(*(send(receiver, CAT) for _ in range(8)))
            assert len({each.receipt.id for each in received}) == 1
        assert list((tmp_path / "parts").iterdir()) == []

    run(work())
    assert list(objects(moto, root).values()) == [CAT]


def test_what_was_not_confirmed_is_put_there_later_by_itself(
    moto: str, root: BucketRoot, proxy: Proxy, tmp_path: Path
) -> None:
    async def work() -> None:
        proxy.answer = down
        async with receiving(root, tmp_path) as receiver:
            with pytest.raises(UploadRefused):
                await send(receiver, CAT)
        async with receiving(root, tmp_path) as receiver:  # begins though the store is still down
            await receiver.clean()
            assert objects(moto, root) == {}
            proxy.answer = lambda request: None
            await receiver.clean()
            assert list(objects(moto, root).values()) == [CAT]
            assert (await send(receiver, CAT)).is_repeat

    run(work())
    assert list((tmp_path / "parts").iterdir()) == []


def test_what_the_store_refuses_leaves_no_receipt_and_no_bytes(root: BucketRoot, proxy: Proxy, tmp_path: Path) -> None:
    async def work() -> None:
        async with receiving(root, tmp_path) as receiver:
            proxy.answer = lambda request: (403, b"<Error><Code>AccessDenied</Code></Error>")
            with pytest.raises(UploadRefused):
                await send(receiver, CAT)
            assert await receiver.ledger.do(rows.receipts_under_way) == []
            assert await receiver.ledger.do(lambda db: rows.used_on(db, "one", rows.day_of(1e9))) == rows.Use()
            with pytest.raises(UploadRefused):
                await receiver.settling.probe()

    run(work())
    assert list((tmp_path / "parts").iterdir()) == []


def test_what_lies_there_is_not_put_again_after_a_kill(
    moto: str, root: BucketRoot, proxy: Proxy, tmp_path: Path
) -> None:
    """An encrypting store gives the same bytes another ETag each time they are put: another version of the item."""

    async def after() -> None:
        async with receiving(root, tmp_path) as receiver:
            assert await receiver.ledger.do(rows.receipts_under_way) == []

    run(send_and_die("after upload landed", root, tmp_path))
    (key,) = objects(moto, root)
    (tmp_path / "parts" / key.rpartition("/")[2][:32]).write_bytes(CAT)  # killed before it was removed
    run(after())
    assert list((tmp_path / "parts").iterdir()) == []
    assert sum(request.method == "PUT" for request in proxy.requests) == 1


def test_a_store_that_hangs_holds_up_no_other_upload(root: BucketRoot, proxy: Proxy, tmp_path: Path) -> None:
    is_back = threading.Event()

    def hang(request: Request) -> tuple[int, bytes]:
        is_back.wait(20)
        return down(request)

    async def work() -> None:
        async with receiving(root, tmp_path) as receiver:
            proxy.answer = hang
            hung = [asyncio.create_task(send(receiver, CAT + bytes([number]))) for number in range(9)]
            await asyncio.sleep(0.3)
            async with asyncio.timeout(3):  # nothing of this asks the store
                resumable = Resumable(receiver)
                upload = await resumable.begin(TOKEN, len(CAT), "cat.jpg")
                await resumable.append(TOKEN, upload.id, 0, body(CAT[:100]), None, None)
                assert (await resumable.look(TOKEN, upload.id)).offset == 100
            is_back.set()
            assert all(isinstance(each, UploadRefused) for each in await asyncio.gather(*hung, return_exceptions=True))

    run(work())


def test_an_inbox_in_a_bucket_needs_a_folder_for_what_is_under_way(root: BucketRoot) -> None:
    with pytest.raises(SetupError, match="MEDIA_ASSETS_UPLOAD_STATE"):
        UploadPlaces(root, "tokens.json").state_folder()
