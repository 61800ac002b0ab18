"""The journal of a batch: what a killed run leaves behind can be read, whatever it cut short."""

from __future__ import annotations

import multiprocessing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from media_assets.lake.journal import FetchJournal, JournalEntry
from media_assets.lake.local_storage import FileLog
from media_assets.lake.location import LakeLocation


def entry(key: str, media_id: str = "a" * 64) -> JournalEntry:
    return JournalEntry(key, f"https://example.org/{key}", media_id, 12, datetime(2026, 1, 1, 12, 0, 0, 1, tzinfo=UTC))


@pytest.fixture
def journal(tmp_path: Path) -> FetchJournal:
    """A journal in a lake that is still empty."""
    return FetchJournal.of(LakeLocation(str(tmp_path)), "test.0001")


def test_entries_come_back_as_they_were(journal: FetchJournal) -> None:
    keys = ["1.jpg", "a/b c.jpg", "line\nbreak", 'quote"', "ü\u2028", "\x00"]
    for key in keys:
        journal.append(entry(key))
    assert journal.entries() == {key: entry(key) for key in keys}


def test_there_are_no_entries_when_there_is_no_journal(journal: FetchJournal) -> None:
    assert journal.entries() == {}
    assert not journal.log.path.parent.exists(), "reading creates nothing"


def test_the_latest_entry_of_an_item_counts(journal: FetchJournal) -> None:
    journal.append(entry("1", "a" * 64))
    journal.append(entry("2"))
    journal.append(entry("1", "b" * 64))
    assert journal.entries()["1"].media_id == "b" * 64
    assert list(journal.entries()) == ["1", "2"]


def test_a_torn_last_line_costs_one_entry_wherever_it_was_cut(journal: FetchJournal) -> None:
    journal.append(entry("kept"))
    kept = journal.log.path.read_bytes()
    journal.append(entry("tørn"))
    whole = journal.log.path.read_bytes()
    for length in range(len(kept), len(whole) - 1):
        journal.log.path.write_bytes(whole[:length])
        assert set(journal.entries()) == {"kept"}, length
        journal.append(entry("next"))
        assert set(journal.entries()) == {"kept", "next"}, length


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b"null",
        b"[]",
        b"{}",
        b'{"item_key": 1}',
        b"\x00" * 40,
        b"\xff\xfe",
        b'{"item_key":"k\xff","uri_sha256":"u","media_id":"m","size_bytes":1,"fetched_at":"2026-01-01T00:00:00Z"}',
        b'{"item_key":"k","uri_sha256":"u","media_id":"m","size_bytes":"1","fetched_at":"2026-01-01T00:00:00Z"}',
    ],
)
def test_unknown_lines_are_passed_over(journal: FetchJournal, line: bytes) -> None:
    journal.append(entry("1"))
    with journal.log.path.open("ab") as file:
        file.write(b"\n" + line + b"\n")
    journal.append(entry("2"))
    assert set(journal.entries()) == {"1", "2"}


def append_many(path: str, prefix: str, n_entries: int) -> None:
    """Runs in a process of its own."""
    for number in range(n_entries):
        FetchJournal(FileLog(Path(path))).append(entry(f"{prefix}{number}" + "x" * 3000))


def test_two_processes_append_without_tearing_each_others_lines(journal: FetchJournal) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=append_many, args=(str(journal.log.path), prefix, 200)) for prefix in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert set(journal.entries()) == {f"{prefix}{number}" + "x" * 3000 for prefix in "ab" for number in range(200)}


def test_clear_forgets_everything_and_may_be_repeated(journal: FetchJournal) -> None:
    journal.append(entry("1"))
    journal.clear()
    assert journal.entries() == {}
    journal.clear()
    journal.append(entry("2"))
    assert set(journal.entries()) == {"2"}


def test_batches_have_journals_of_their_own(tmp_path: Path) -> None:
    location = LakeLocation(str(tmp_path))
    FetchJournal.of(location, "a").append(entry("1"))
    assert FetchJournal.of(location, "b").entries() == {}
    assert set(FetchJournal.of(location, "a").entries()) == {"1"}
