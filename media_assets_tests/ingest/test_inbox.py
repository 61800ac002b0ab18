"""The inbox: what is whole, when it becomes a batch, and that nothing is planned twice or skipped."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_assets.errors import SetupError
from media_assets.ingest.inbox.closing import ClosingRules, InboxMemory, memory_after, n_to_close
from media_assets.ingest.inbox.folder import list_folder
from media_assets.ingest.inbox.landed import Landed, planned_version
from media_assets.ingest.inbox.look import Look, look
from media_assets.ingest.inbox.provisional import is_provisional
from media_assets.ingest.planned import PlannedItem, RejectedRow
from media_assets.lake.delta import Lake, Provenance
from media_assets.lake.location import LakeLocation
from media_assets.tables import MANIFEST
from media_assets_tests.examples import few

US = Provenance("test", "1")
DAY = 86_400.0


def states(root: Path, **arguments: float) -> dict[str, str]:
    return {os.fsdecode(entry.path): entry.state for entry in list_folder(root, **arguments)}


def later(path: Path, seconds: float = 60.0) -> float:
    """A moment so many seconds after the file last changed."""
    return path.lstat().st_ctime + seconds


class TestFolder:
    def test_a_file_is_whole_once_it_has_not_changed_for_a_while(self, tmp_path: Path) -> None:
        file = tmp_path / "a" / "1.jpg"
        file.parent.mkdir()
        file.write_bytes(b"x")
        assert states(tmp_path, now=later(file, 1)) == {"a/1.jpg": "in_writing"}
        assert states(tmp_path, now=later(file, 5)) == {"a/1.jpg": "whole"}

    def test_a_time_that_was_set_does_not_make_a_file_whole(self, tmp_path: Path) -> None:
        file = tmp_path / "1.jpg"
        file.write_bytes(b"x")
        os.utime(file, (1, 1))  # as `cp -p` and unpacking do
        assert states(tmp_path, now=later(file, 1)) == {"1.jpg": "in_writing"}

    def test_a_file_that_somebody_has_open_for_writing_is_left_alone(self, tmp_path: Path) -> None:
        file = tmp_path / "slow.jpg"
        with file.open("wb") as writing:
            writing.write(b"x")
            writing.flush()
            assert states(tmp_path, now=later(file)) == {"slow.jpg": "in_writing"}
        assert states(tmp_path, now=later(file)) == {"slow.jpg": "whole"}

    def test_whoever_opens_a_file_for_writing_while_it_is_looked_at_is_not_hurt_and_hurts_nobody(
        self, tmp_path: Path
    ) -> None:
        file, is_over = tmp_path / "busy.jpg", threading.Event()
        file.write_bytes(b"x")

        def write() -> None:
            while not is_over.is_set():
                with file.open("ab") as writing:
                    writing.write(b"y")

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(300):  # a signal that nobody ignores would end this process
                states(tmp_path, now=later(file))
        finally:
            is_over.set()
            writer.join()

    @pytest.mark.parametrize("name", [".DS_Store", ".hidden/a.jpg", "a.jpg.part", "B.TMP", "x.crdownload", "draft~"])
    def test_a_provisional_name_is_waited_for_then_refused(self, tmp_path: Path, name: str) -> None:
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"x")
        assert states(tmp_path, now=later(file)) == {name: "in_writing"}
        assert states(tmp_path, now=later(file, 3600)) == {name: "refused"}
        (entry,) = list_folder(tmp_path, now=later(file, 3600))
        row = entry.planned()
        assert isinstance(row, RejectedRow)
        assert "rename it" in row.message

    def test_links_and_fifos_are_items_that_are_neither_followed_nor_opened(self, tmp_path: Path) -> None:
        inbox, outside = tmp_path / "in", tmp_path / "outside"
        inbox.mkdir()
        outside.mkdir()
        (outside / "secret.jpg").write_bytes(b"x")
        (inbox / "folder").symlink_to(outside)
        (inbox / "file.jpg").symlink_to(outside / "secret.jpg")
        os.mkfifo(inbox / "pipe")
        assert states(inbox) == {"file.jpg": "whole", "folder": "whole", "pipe": "whole"}

    def test_a_file_of_a_terabyte_without_content_and_one_far_below_are_entries_like_others(
        self, tmp_path: Path
    ) -> None:
        with (tmp_path / "giant.jpg").open("wb") as file:
            file.truncate(1 << 40)
        deep = tmp_path.joinpath(*(["folder"] * 60))
        deep.mkdir(parents=True)
        (deep / "1.jpg").write_bytes(b"x")
        found = {entry.path.rpartition(b"/")[2]: entry for entry in list_folder(tmp_path, now=later(deep / "1.jpg"))}
        assert {name: entry.state for name, entry in found.items()} == {b"giant.jpg": "whole", b"1.jpg": "whole"}
        assert found[b"giant.jpg"].n_bytes == 1 << 40
        assert found[b"1.jpg"].item_key.count("/") == 60

    def test_a_path_too_long_for_a_key_is_a_rejected_row(self) -> None:
        row = Landed(b"x" * 5000, "file:///x", 1, "00000000", "whole").planned()
        assert isinstance(row, RejectedRow)
        assert "4096 characters, got 5009" in row.message

    def test_a_folder_that_cannot_be_read_is_told_and_does_not_hide_the_others(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("a", "b", "c"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "1.jpg").write_bytes(b"x")
        scandir = os.scandir

        def refusing(path: str | bytes) -> object:  # nothing is forbidden to root: the kernel's answer is played
            if os.fsencode(path).endswith(b"/b"):
                raise PermissionError(13, "Permission denied")
            return scandir(path)

        monkeypatch.setattr(os, "scandir", refusing)
        assert list(states(tmp_path)) == ["a/1.jpg", "b/", "c/1.jpg"]
        (told,) = [entry.planned() for entry in list_folder(tmp_path) if entry.path == b"b/"]
        assert isinstance(told, RejectedRow)
        assert "may not read" in told.message

    def test_an_inbox_that_is_a_file_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "inbox").write_bytes(b"")
        with pytest.raises(SetupError, match="MEDIA_ASSETS_INBOX"):
            list(list_folder(tmp_path / "inbox"))

    def test_other_bytes_under_the_same_name_are_another_item(self, tmp_path: Path) -> None:
        file = tmp_path / "1.jpg"
        file.write_bytes(b"x")
        (first,) = list_folder(tmp_path)
        file.write_bytes(b"other")
        (second,) = list_folder(tmp_path)
        assert first.path == second.path
        assert first.item_key != second.item_key
        assert first.item_key.startswith("1.jpg@")

    def test_the_version_of_an_item_is_found_in_its_key(self, tmp_path: Path) -> None:
        (tmp_path / "a@b.jpg").write_bytes(b"x")
        (entry,) = list_folder(tmp_path)
        assert planned_version("uploads", entry.item_key) == entry.version
        assert planned_version("folder", entry.item_key) is None
        assert planned_version("uploads", "a@b.jpg") is None

    @given(st.binary(min_size=1, max_size=40).filter(lambda name: b"\0" not in name))
    def test_a_key_is_made_of_any_name(self, name: bytes) -> None:
        row = Landed(name, "file:///x", 1, "00000000", "whole").planned()
        assert isinstance(row, PlannedItem)
        assert row.item_key.isprintable() or not name.decode("utf-8", "replace").isprintable()

    def test_names_of_photos_are_not_provisional(self) -> None:
        assert not any(map(is_provisional, [b"a.jpg", b"part/a.jpg", b"tmp.jpg", b"a.part.jpg", b"~a.jpg"]))


class TestClosing:
    RULES = ClosingRules(batch_size=10, max_wait_seconds=60, max_batches=3)

    @pytest.mark.parametrize(
        ("n_waiting", "waited", "closed"),
        [
            (0, 1000, 0),
            (9, 59, 0),
            (9, 60, 9),
            (10, 0, 10),
            (25, 0, 20),
            (25, 60, 25),
            (95, 0, 30),
            (95, 1000, 30),  # no more than three batches at once
            (5, -1, 5),  # the clock was set back
        ],
    )
    def test_batches_are_closed_by_count_or_by_age(self, n_waiting: int, waited: float, closed: int) -> None:
        assert n_to_close(n_waiting, 1000.0, 1000.0 + waited, self.RULES) == closed

    def test_what_was_seen_just_now_has_not_waited(self) -> None:
        assert n_to_close(9, None, 1000.0, self.RULES) == 0

    @given(st.integers(0, 200), st.none() | st.floats(0, 1e6), st.floats(0, 1e6))
    def test_never_more_than_there_is_and_whole_batches_first(
        self, n_waiting: int, since: float | None, now: float
    ) -> None:
        closed = n_to_close(n_waiting, since, now, self.RULES)
        assert 0 <= closed <= n_waiting
        assert closed <= 30
        assert closed >= min(n_waiting // 10, 3) * 10

    def test_the_wait_begins_when_something_is_first_seen_and_anew_after_a_batch(self) -> None:
        first = memory_after(InboxMemory(), n_left=3, n_closed=0, now=100, listing="a")
        assert first == InboxMemory(100, None)
        assert memory_after(first, n_left=4, n_closed=0, now=130, listing="b") == InboxMemory(100, None)
        assert memory_after(first, n_left=4, n_closed=10, now=130, listing="b") == InboxMemory(130, None)
        assert memory_after(first, n_left=0, n_closed=3, now=160, listing="c") == InboxMemory(None, "c")


class Registry:
    def __init__(self) -> None:
        self.batches: list[str] = []

    def registered(self) -> set[str]:
        return set(self.batches)

    def register(self, batch_id: str, n_items: int, metadata: object) -> None:
        self.batches.append(batch_id)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(LakeLocation(str(tmp_path / "lake")))


def entries(*names: str, state: str = "whole") -> list[Landed]:
    return [Landed(name.encode(), f"file:///in/{name}", 1, "00000000", state) for name in names]  # type: ignore[arg-type]


def look_at(
    lake: Lake, registry: Registry, there: list[Landed], memory: InboxMemory, now: float, size: int = 2
) -> Look:
    return look(lake, registry, lambda: there, memory, ClosingRules(size, 60, 3), now, US)


def planned(lake: Lake) -> dict[str, list[str]]:
    rows = lake.scan(MANIFEST).sort("batch_id", "position").collect()
    found: dict[str, list[str]] = {}
    for batch_id, key in rows.select("batch_id", "item_key").iter_rows():
        found.setdefault(batch_id, []).append(key.partition("@")[0])
    return found


class TestLook:
    def test_full_batches_at_once_and_the_rest_after_its_wait(self, lake: Lake) -> None:
        registry, there = Registry(), entries("1", "2", "3")
        first = look_at(lake, registry, there, InboxMemory(), 100)
        assert planned(lake) == {"uploads.0001": ["1", "2"]}
        assert first.n_waiting == 1
        waiting = look_at(lake, registry, there, first.memory, 159)
        assert waiting.n_waiting == 1
        last = look_at(lake, registry, there, waiting.memory, 160)
        assert planned(lake) == {"uploads.0001": ["1", "2"], "uploads.0002": ["3"]}
        assert registry.batches == ["uploads.0001", "uploads.0002"]
        assert last.memory.waiting_since is None

    def test_nothing_is_read_when_nothing_has_changed(self, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
        registry, there = Registry(), entries("1", "2")
        done = look_at(lake, registry, there, InboxMemory(), 100)
        monkeypatch.setattr(Lake, "scan", None)
        again = look_at(lake, registry, there, done.memory, 200)
        assert again.plan is None

    def test_a_lost_cursor_plans_nothing_twice(self, lake: Lake) -> None:
        registry, there = Registry(), entries("1", "2", "3", "4")
        look_at(lake, registry, there, InboxMemory(), 100)
        again = look_at(lake, registry, there, InboxMemory(), 200)
        assert again.plan is not None
        assert again.plan.n_planned == 0
        assert planned(lake) == {"uploads.0001": ["1", "2"], "uploads.0002": ["3", "4"]}

    def test_what_is_being_written_waits_and_is_planned_when_it_is_whole(self, lake: Lake) -> None:
        registry = Registry()
        seen = look_at(lake, registry, entries("1", state="in_writing"), InboxMemory(), 100, size=1)
        assert (planned(lake), seen.n_in_writing) == ({}, 1)
        look_at(lake, registry, entries("1"), seen.memory, 110, size=1)
        assert planned(lake) == {"uploads.0001": ["1"]}

    def test_a_crash_between_manifest_and_registration_is_completed(self, lake: Lake) -> None:
        class Dying(Registry):
            def register(self, batch_id: str, n_items: int, metadata: object) -> None:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            look_at(lake, Dying(), entries("1", "2"), InboxMemory(), 100)
        registry = Registry()
        look_at(lake, registry, entries("1", "2"), InboxMemory(), 200)
        assert registry.batches == ["uploads.0001"]
        assert planned(lake) == {"uploads.0001": ["1", "2"]}

    def test_two_who_look_at_once_plan_each_item_once(self, lake: Lake) -> None:
        there, registry, errors = entries(*map(str, range(40))), Registry(), []

        def run() -> None:
            try:
                look_at(lake, registry, there, InboxMemory(), 100, size=5)
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=run) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        look_at(lake, registry, there, InboxMemory(0), 200, size=5)
        for _ in range(3):
            look_at(lake, registry, there, InboxMemory(0), 200, size=5)
        keys = [key for batch in planned(lake).values() for key in batch]
        assert sorted(keys, key=int) == [str(i) for i in range(40)]

    @few(8)
    @given(st.data())
    def test_any_order_of_arrivals_looks_and_lost_cursors_plans_each_whole_item_once(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        lake = Lake(LakeLocation(str(tmp_path_factory.mktemp("inbox"))))
        registry, there, memory, now, n = Registry(), [], InboxMemory(), 0.0, 0
        for _ in range(data.draw(st.integers(1, 8))):
            arrived = data.draw(st.integers(0, 5))
            there = [*there, *entries(*(f"{n + i}" for i in range(arrived)))]
            n += arrived
            now += data.draw(st.sampled_from([1.0, 30.0, 61.0]))
            seen = look_at(lake, registry, there, memory, now)
            memory = InboxMemory() if data.draw(st.booleans()) else seen.memory
        for _ in range(12):
            now += 61
            memory = look_at(lake, registry, there, memory, now).memory
        keys = [key for batch in planned(lake).values() for key in batch]
        assert sorted(keys, key=int) == [str(i) for i in range(n)]
        assert registry.batches == sorted(planned(lake))
