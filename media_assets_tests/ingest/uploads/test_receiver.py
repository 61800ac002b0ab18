"""Receiving without HTTP: exactly one file for the same bytes, whatever stops where; quotas; recovery.

A kill is played by an error at a named point, and a fresh receiver over the same folders.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from media_assets.ingest.uploads import rows
from media_assets.ingest.uploads.body import Body
from media_assets.ingest.uploads.landing import LocalLanding
from media_assets.ingest.uploads.ledger import Ledger
from media_assets.ingest.uploads.limits import UploadLimits
from media_assets.ingest.uploads.receiver import Received, Receiver
from media_assets.ingest.uploads.refusals import UploadCode, UploadRefused
from media_assets.ingest.uploads.resumable import Resumable
from media_assets.ingest.uploads.tokens import Token
from media_assets.ingest.uploads.tus import Checksum
from media_assets.lake.crash_points import watch_crash_points
from media_assets_tests.ingest.uploads.receivers import Killed, die_at, open_receiver

ONE, OTHER = Token("one", "phones", ""), Token("other", "phones", "")
LIMITS = UploadLimits(max_bytes=100_000, free_bytes=0, checkpoint_bytes=30)
CAT, DOG = b"cat" * 100, b"dog" * 100


@pytest.fixture(autouse=True)
def _calm() -> Iterator[None]:
    yield
    watch_crash_points()


def receiving(
    root: Path, limits: UploadLimits = LIMITS, clock: Callable[[], float] = lambda: 1e9
) -> AbstractAsyncContextManager[Receiver]:
    """A receiver that has recovered, as a server begins."""
    return open_receiver(root / "inbox", root / "state", limits, clock)


def body(chunks: Sequence[bytes], limits: UploadLimits = LIMITS, *, is_cut: bool = False) -> Body:
    """A body that comes in these chunks; a cut one ends with the connection."""
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages.append({"type": "http.disconnect"} if is_cut else {"type": "http.request", "body": b""})
    waiting = iter(messages)

    async def receive() -> dict[str, Any]:
        return next(waiting)

    return Body(receive, limits)


def send(receiver: Receiver, data: bytes, token: Token = ONE, name: str = "cat.jpg") -> Awaitable[Received]:
    return receiver.receive_file(token, name, body([data]), len(data), None)


def landed(root: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((root / "inbox").rglob("*")) if path.is_file()]


def parts(root: Path) -> list[str]:
    return [path.name for path in (root / "state" / "parts").iterdir()]


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(30):
            await work()

    asyncio.run(main())


def test_the_same_bytes_of_one_token_are_one_file_and_of_two_are_two(tmp_path: Path) -> None:
    async def work() -> None:
        async with receiving(tmp_path) as receiver:
            first, again = await send(receiver, CAT), await send(receiver, CAT, name="other name.png")
            other = await send(receiver, CAT, OTHER)
        async with receiving(tmp_path) as receiver:  # and after a restart
            later = await send(receiver, CAT)
        assert [first.is_repeat, again.is_repeat, other.is_repeat, later.is_repeat] == [False, True, False, True]
        assert {first.receipt.id, again.receipt.id, later.receipt.id} == {first.receipt.id}
        assert first.receipt.sha256 == hashlib.sha256(CAT).hexdigest()

    run(work)
    assert landed(tmp_path) == [CAT, CAT]
    assert parts(tmp_path) == []


def test_many_at_once_with_the_same_bytes_are_one_file(tmp_path: Path) -> None:
    async def work() -> None:
        async with receiving(tmp_path) as receiver:
            received = await asyncio.gather(*(send(receiver, CAT) for _ in range(20)))
            assert sum(not each.is_repeat for each in received) == 1
            assert len({each.receipt.id for each in received}) == 1
            assert receiver.n_in_flight == 0

    run(work)
    assert landed(tmp_path) == [CAT]
    assert parts(tmp_path) == []


def test_bytes_whose_file_was_deleted_after_it_landed_are_still_known(tmp_path: Path) -> None:
    async def work() -> None:
        now = [1e9]
        async with receiving(tmp_path, clock=lambda: now[0]) as receiver:
            first = await send(receiver, CAT)
            (tmp_path / "inbox" / first.receipt.path).unlink()
            assert (await send(receiver, CAT)).is_repeat
            now[0] += LIMITS.remember_seconds + 1
            await receiver.clean()
            assert not (await send(receiver, CAT)).is_repeat

    run(work)
    assert landed(tmp_path) == [CAT]


def test_bytes_receipt_and_name_are_flushed_in_this_order_before_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill does not show what is only in the disk's cache: what is flushed is looked at instead."""
    steps: list[str] = []
    genuine = os.fsync

    def fsync(handle: int) -> None:
        steps.append(Path(f"/proc/self/fd/{handle}").readlink().parent.name)
        genuine(handle)

    async def work() -> None:
        async with receiving(tmp_path) as receiver:
            assert await receiver.ledger.do(lambda db: db.execute("pragma synchronous").fetchone()[0]) == 2  # full
            monkeypatch.setattr(os, "fsync", fsync)
            watch_crash_points(steps.append)
            await send(receiver, CAT)
            monkeypatch.undo()

    run(work)
    assert steps == ["parts", "after upload receipt", tmp_path.name, "inbox", "after upload landed"]


@pytest.mark.parametrize("point", ["after upload receipt", "after upload landed"])
def test_a_retry_finds_one_file_when_killed_between_receipt_and_answer(tmp_path: Path, point: str) -> None:
    async def killed() -> None:
        async with receiving(tmp_path) as receiver:
            die_at(point)
            with pytest.raises(Killed):
                await send(receiver, CAT)

    async def retried() -> None:
        async with receiving(tmp_path) as receiver:
            assert landed(tmp_path) == [CAT]
            assert (await send(receiver, CAT)).is_repeat

    run(killed)
    assert landed(tmp_path) == ([] if "receipt" in point else [CAT])
    watch_crash_points()
    run(retried)
    assert landed(tmp_path) == [CAT]
    assert parts(tmp_path) == []


def test_a_receipt_whose_bytes_the_disk_lost_is_withdrawn(tmp_path: Path) -> None:
    async def killed() -> None:
        async with receiving(tmp_path) as receiver:
            die_at("after upload receipt")
            with pytest.raises(Killed):
                await send(receiver, CAT)

    async def retried() -> None:
        async with receiving(tmp_path) as receiver:
            assert not (await send(receiver, CAT)).is_repeat

    run(killed)
    for name in parts(tmp_path):
        (tmp_path / "state" / "parts" / name).unlink()
    watch_crash_points()
    run(retried)
    assert landed(tmp_path) == [CAT]


def test_what_was_never_whole_is_removed_at_the_next_start_and_uploads_under_way_stay(tmp_path: Path) -> None:
    async def work() -> None:
        async with receiving(tmp_path) as receiver:
            resumable = Resumable(receiver)
            upload = await resumable.begin(ONE, 300, "cat.jpg")
            with suppress(UploadRefused):
                await resumable.append(ONE, upload.id, 0, body([CAT[:100]], is_cut=True), None, None)
        (tmp_path / "state" / "parts" / "leftover").write_bytes(b"x")
        async with receiving(tmp_path) as receiver:
            assert parts(tmp_path) == [upload.id]
            resumable = Resumable(receiver)
            assert (await resumable.look(ONE, upload.id)).offset == 100
            progress = await resumable.append(ONE, upload.id, 100, body([CAT[100:]]), None, None)
            assert progress.received is not None

    run(work)
    assert landed(tmp_path) == [CAT]


def test_an_upload_whose_bytes_the_disk_lost_is_not_continued(tmp_path: Path) -> None:
    async def work() -> None:
        async with receiving(tmp_path) as receiver:
            resumable = Resumable(receiver)
            upload = await resumable.begin(ONE, 300, "cat.jpg")
            await resumable.append(ONE, upload.id, 0, body([CAT[:100]]), None, None)
        (tmp_path / "state" / "parts" / upload.id).write_bytes(CAT[:99])
        async with receiving(tmp_path) as receiver:
            with pytest.raises(UploadRefused) as refused:
                await Resumable(receiver).look(ONE, upload.id)
            assert refused.value.code is UploadCode.UPLOAD_EXPIRED

    run(work)
    assert parts(tmp_path) == []


def test_a_quota_holds_over_restarts_and_ends_with_the_day(tmp_path: Path) -> None:
    token = replace_quota(bytes_per_day=650, files_per_day=3)

    async def work() -> None:
        now = [1e9]
        async with receiving(tmp_path, clock=lambda: now[0]) as receiver:
            await send(receiver, CAT, token)
            assert (await send(receiver, CAT, token)).is_repeat  # costs nothing
        async with receiving(tmp_path, clock=lambda: now[0]) as receiver:
            await send(receiver, CAT[1:], token)
            with pytest.raises(UploadRefused) as refused:
                await send(receiver, CAT[2:], token)
            assert refused.value.code is UploadCode.QUOTA_EXCEEDED
            await send(receiver, b"dog", token)
            with pytest.raises(UploadRefused):
                await send(receiver, b"cow", token)  # the fourth file
            await send(receiver, CAT[2:], OTHER)
            now[0] += 86_400
            await send(receiver, CAT[2:], token)

    run(work)
    assert len(landed(tmp_path)) == 5


def test_a_quota_holds_for_many_at_once_and_for_lies_about_the_length(tmp_path: Path) -> None:
    token = replace_quota(bytes_per_day=1000, files_per_day=None)

    async def work() -> None:
        async with receiving(tmp_path) as receiver:
            sent = [receiver.receive_file(token, "x", body([bytes([i]) * 300]), 1, None) for i in range(10)]
            outcomes = await asyncio.gather(*sent, return_exceptions=True)
            assert sum(isinstance(each, Received) for each in outcomes) == 3
            used = await receiver.ledger.do(lambda db: rows.used_on(db, "one", rows.day_of(1e9)))
            assert used == rows.Use(3, 900)

    run(work)
    assert len(landed(tmp_path)) == 3
    assert parts(tmp_path) == []


def test_unfinished_uploads_count_for_the_quota(tmp_path: Path) -> None:
    token = replace_quota(bytes_per_day=1000, files_per_day=None)

    async def work() -> None:
        async with receiving(tmp_path) as receiver:
            resumable = Resumable(receiver)
            upload = await resumable.begin(token, 800, "x")
            with pytest.raises(UploadRefused) as refused:
                await send(receiver, CAT, token)
            assert refused.value.code is UploadCode.QUOTA_EXCEEDED
            await resumable.end(token, upload.id)
            await send(receiver, CAT, token)

    run(work)


def test_a_refused_last_step_leaves_the_offset_before_it(tmp_path: Path) -> None:
    """An offset that is the length says that all is safe: it must not be told before it is."""
    token = replace_quota(bytes_per_day=400, files_per_day=None)

    async def work() -> None:
        now = [1e9]
        limits = replace(LIMITS, expire_seconds=1e6)
        async with receiving(tmp_path, limits, clock=lambda: now[0]) as receiver:
            resumable = Resumable(receiver)
            upload = await resumable.begin(token, 300, "cat.jpg")
            now[0] += 86_400
            receipt = rows.Receipt("r", token.name, "s", "p", 200, now[0])
            await receiver.ledger.do(lambda db: rows.claim(db, token, receipt))
            await receiver.ledger.do(lambda db: rows.mark_landed(db, "r"))
            await resumable.append(token, upload.id, 0, body([CAT[:100]]), None, None)
            with pytest.raises(UploadRefused) as refused:
                await resumable.append(token, upload.id, 100, body([CAT[100:]]), None, None)
            assert refused.value.code is UploadCode.QUOTA_EXCEEDED
            assert (await resumable.look(token, upload.id)).offset < 300
            now[0] += 86_400
            offset = (await resumable.look(token, upload.id)).offset
            await resumable.append(token, upload.id, offset, body([CAT[offset:]]), None, None)

    run(work)
    assert landed(tmp_path) == [CAT]


@pytest.mark.parametrize(
    ("number", "code"), [(errno.ENOSPC, UploadCode.STORAGE_FULL), (errno.EIO, UploadCode.STORAGE_FAILED)]
)
def test_a_failed_landing_is_no_success_and_can_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: UploadCode
) -> None:
    def fails(self: LocalLanding, part: Path, path: str) -> None:
        raise OSError(number, "no")

    async def work() -> None:
        async with receiving(tmp_path) as receiver:
            with monkeypatch.context() as patch:
                patch.setattr(LocalLanding, "land", fails)
                with pytest.raises(UploadRefused) as refused:
                    await send(receiver, CAT)
                assert refused.value.code is code
            assert parts(tmp_path) == []
            assert not (await send(receiver, CAT)).is_repeat
            assert await receiver.ledger.do(lambda db: rows.used_on(db, "one", rows.day_of(1e9))) == rows.Use(1, 300)

    run(work)
    assert landed(tmp_path) == [CAT]


def test_a_file_whose_folder_could_not_be_flushed_is_no_success_and_there_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(folder: Path) -> None:
        raise OSError(errno.EIO, "no")

    async def work() -> None:
        async with receiving(tmp_path) as receiver:
            await send(receiver, DOG)  # the folder is there
            with monkeypatch.context() as patch:
                patch.setattr("media_assets.ingest.uploads.landing._flush", fails)
                for _ in range(2):
                    with pytest.raises(UploadRefused) as refused:
                        await send(receiver, CAT)
                    assert refused.value.code is UploadCode.STORAGE_FAILED
            assert (await send(receiver, CAT)).is_repeat
        assert parts(tmp_path) == []

    run(work)
    assert sorted(landed(tmp_path)) == sorted([CAT, DOG])


def test_room_is_held_for_what_others_bring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with receiving(tmp_path, replace(LIMITS, free_bytes=0)) as receiver:
            disk = os.statvfs(tmp_path)
            free = disk.f_bavail * disk.f_frsize
            with receiver.room(free - 1_000_000_000), pytest.raises(UploadRefused) as refused:
                async with receiver.allowance(ONE, rows.Use(1, 2_000_000_000)):
                    pass
            assert refused.value.code is UploadCode.STORAGE_FULL

    run(work)


def test_a_full_disk_is_told_before_a_byte_is_taken(tmp_path: Path) -> None:
    async def work() -> None:
        async with receiving(tmp_path, replace(LIMITS, free_bytes=2**60)) as receiver:
            with pytest.raises(UploadRefused) as refused:
                await send(receiver, CAT)
            assert refused.value.code is UploadCode.STORAGE_FULL
            assert receiver._held == {}

    run(work)


def test_an_upload_expires_and_its_bytes_go(tmp_path: Path) -> None:
    async def work() -> None:
        now = [1e9]
        async with receiving(tmp_path, clock=lambda: now[0]) as receiver:
            resumable = Resumable(receiver)
            upload = await resumable.begin(ONE, 300, "cat.jpg")
            await resumable.append(ONE, upload.id, 0, body([CAT[:100]]), None, None)
            now[0] += LIMITS.expire_seconds + 1
            for _ in range(2):  # before it was cleaned up, and after
                with pytest.raises(UploadRefused) as refused:
                    await resumable.append(ONE, upload.id, 100, body([CAT[100:]]), None, None)
                assert refused.value.status == 410
                await receiver.clean()
            assert parts(tmp_path) == []
            now[0] += LIMITS.expire_seconds + 1
            await receiver.clean()
            with pytest.raises(UploadRefused) as refused:
                await resumable.look(ONE, upload.id)
            assert refused.value.status == 404

    run(work)


def test_one_change_that_fails_leaves_the_others_of_its_commit(tmp_path: Path) -> None:
    async def work() -> None:
        ledger = Ledger(tmp_path / "ledger")

        def add(i: int) -> rows.Upload:
            return rows.Upload(str(i), "one", 1, 0, "", "open", 0.0)

        def bad(db: Any) -> None:
            rows.insert_upload(db, add(99))
            raise UploadRefused(UploadCode.BUSY, "no")

        changes = [lambda db, i=i: rows.insert_upload(db, add(i)) for i in range(5)]
        outcomes = await asyncio.gather(*map(ledger.do, [*changes, bad, *changes[:0]]), return_exceptions=True)
        assert [type(each) for each in outcomes] == [type(None)] * 5 + [UploadRefused]
        ledger.close()
        ledger = Ledger(tmp_path / "ledger")
        assert [upload.id for upload in await ledger.do(rows.open_uploads)] == ["0", "1", "2", "3", "4"]
        ledger.close()

    run(work)


def test_an_answer_that_nobody_waits_for_ends_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        ledger, begun, go_on = Ledger(tmp_path / "ledger"), threading.Event(), threading.Event()

        def slow(db: Any) -> None:
            begun.set()
            go_on.wait(10)

        waiting = [asyncio.create_task(ledger.do(slow))]
        await asyncio.to_thread(begun.wait, 10)
        waiting.append(asyncio.create_task(ledger.do(lambda db: None)))
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        await asyncio.sleep(0)
        go_on.set()
        assert await ledger.do(lambda db: 1) == 1
        ledger.close()

    run(work)


def replace_quota(bytes_per_day: int | None, files_per_day: int | None) -> Token:
    return Token("one", "phones", "", bytes_per_day, files_per_day)


# -- any chopping


STEPS = st.lists(
    st.tuples(
        st.lists(st.integers(0, 90), max_size=4),  # sizes of chunks
        st.sampled_from(["whole", "cut", "checked", "wrong", "restart", "again"]),
    ),
    max_size=12,
)


@settings(max_examples=15, deadline=None)
@given(STEPS)
@example([([50, 20], "cut"), ([], "restart"), ([90], "checked"), ([40], "wrong"), ([300], "whole")])
@example([([90, 90, 90, 30], "cut"), ([], "again"), ([1], "whole")])
def test_any_chopping_and_any_cuts_give_the_same_bytes_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[list[int], str]]
) -> None:
    root = tmp_path_factory.mktemp("chopped")
    run(lambda: chopped(root, steps))
    assert landed(root) == [CAT]
    assert parts(root) == []


async def chopped(root: Path, steps: list[tuple[list[int], str]]) -> None:
    """Send CAT as the steps say, then whatever is left; hold every answer to what was sent."""
    upload_id, offset, left = "", 0, [*steps, ([len(CAT)], "whole")]
    while left:
        async with receiving(root) as receiver:
            resumable = Resumable(receiver)
            if not upload_id:
                upload_id = (await resumable.begin(ONE, len(CAT), "cat.jpg")).id
            while left:
                sizes, how = left.pop(0)
                if how == "restart":
                    break
                if how == "again":
                    assert (await resumable.look(ONE, upload_id)).offset == offset
                else:
                    offset = await one_step(resumable, upload_id, offset, sizes, how)


async def one_step(resumable: Resumable, upload_id: str, offset: int, sizes: list[int], how: str) -> int:
    chunks, at = [], offset
    for size in sizes:
        chunks.append(CAT[at : at + size])
        at = min(at + size, len(CAT))
    sent = b"".join(chunks)
    digest = hashlib.sha1(sent if how != "wrong" else sent + b"!").digest()
    checksum = Checksum("sha1", digest) if how in ("checked", "wrong") else None
    if offset == len(CAT):
        assert (await resumable.append(ONE, upload_id, offset, body([]), 0, None)).upload.state == "finished"
        return offset
    appended = resumable.append(ONE, upload_id, offset, body(chunks, is_cut=how == "cut"), None, checksum)
    if how in ("cut", "wrong"):
        with pytest.raises(UploadRefused) as refused:
            await appended
        assert refused.value.code is (UploadCode.CUT_OFF if how == "cut" else UploadCode.CHECKSUM_MISMATCH)
        told = (await resumable.look(ONE, upload_id)).offset
        assert offset <= told < len(CAT)
        assert told == (offset if how == "wrong" else told)
        assert how != "cut" or at == len(CAT) or told == at
        return told
    progress = await appended
    assert progress.upload.offset == at == (await resumable.look(ONE, upload_id)).offset
    assert (progress.received is not None) == (at == len(CAT))
    return at
