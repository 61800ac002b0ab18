"""Whether a store is fit for a lake: a store that would lose data is found out."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import obstore
import polars as pl
import pytest
from obstore.store import LocalStore, MemoryStore

from media_assets.lake import fitness, put_if_absent
from media_assets.lake.fitness import examine, put_if_absent_verdict
from media_assets.lake.location import LakeLocation

CHECKS = [
    "store can be reached",
    "store honours put-if-absent",
    "Delta tables written here can be read",
    "disk has room",
]


def test_a_good_folder_passes_every_check_and_is_left_clean(tmp_path: Path) -> None:
    verdicts = list(examine(LakeLocation(str(tmp_path / "lake"))))
    assert [(verdict.check, verdict.passed) for verdict in verdicts] == [(check, True) for check in CHECKS]
    assert all(verdict.detail for verdict in verdicts)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert list((tmp_path / "lake" / "doctor").iterdir()) == []


@pytest.fixture
def careless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that takes every create, whether the object exists or not."""

    def put(store: Any, path: str, body: bytes, mode: str, use_multipart: bool) -> None:
        obstore.put(store, path, body, mode="overwrite")

    monkeypatch.setattr(put_if_absent, "obstore", SimpleNamespace(put=put, delete=obstore.delete))


@pytest.mark.usefixtures("careless")
def test_a_store_is_refused_when_it_ignores_put_if_absent(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    verdict = put_if_absent_verdict(store)
    assert not verdict.passed
    assert "was accepted" in verdict.detail
    assert "If-None-Match" in verdict.advice
    assert list(tmp_path.iterdir()) == [], "the probe is removed"
    assert [found.passed for found in examine(LakeLocation(str(tmp_path / "lake")))] == [True, False, True, True]


@pytest.mark.parametrize("store", [MemoryStore()])
def test_a_store_passes_when_it_honours_put_if_absent(store: MemoryStore) -> None:
    assert put_if_absent_verdict(store).passed
    assert [page for page in obstore.list(store) if page] == []


def test_a_folder_that_cannot_be_written_is_a_finding_not_a_crash(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way, for root too")
    verdicts = list(examine(LakeLocation(str(tmp_path / "file" / "lake"))))
    assert [(verdict.check, verdict.passed) for verdict in verdicts] == [(check, False) for check in CHECKS]
    assert all("Not a directory" in verdict.detail and verdict.advice for verdict in verdicts)


def test_a_store_that_fails_is_a_finding_not_a_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def put(*arguments: Any, **options: Any) -> None:
        raise PermissionError("403")

    monkeypatch.setattr(put_if_absent, "obstore", SimpleNamespace(put=put, delete=obstore.delete))
    _, first, *rest = examine(LakeLocation(str(tmp_path)))
    assert (first.passed, first.detail) == (False, "PermissionError: 403")
    assert "permissions" in first.advice
    assert all(verdict.passed for verdict in rest)


def test_tables_that_cannot_be_read_back_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under a path that polars cannot read."""

    def scan(uri: str, **options: Any) -> None:
        raise FileNotFoundError(uri)

    monkeypatch.setattr(pl, "scan_delta", scan)
    verdict = list(examine(LakeLocation(str(tmp_path))))[2]
    assert not verdict.passed
    assert "FileNotFoundError" in verdict.detail
    assert list((tmp_path / "doctor").iterdir()) == [], "the probe is removed all the same"


def test_a_full_disk_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=fitness.MIN_FREE_BYTES - 1))
    verdict = list(examine(LakeLocation(str(tmp_path))))[-1]
    assert (verdict.check, verdict.passed) == ("disk has room", False)
    assert "Free at least 2 GiB" in verdict.advice


class Racy:
    """A store that refuses a second create, unless both come at the same moment."""

    def __init__(self, n_winners: int) -> None:
        self.n_winners, self.n_calls, self.lock = n_winners, 0, threading.Lock()

    def put(self, store: Any, path: str, body: bytes, mode: str, use_multipart: bool) -> None:
        with self.lock:
            self.n_calls += 1
            if 2 < self.n_calls <= 2 + self.n_winners:
                obstore.put(store, path, body, mode="overwrite")
                return
        obstore.put(store, path, body, mode="create")


def test_a_store_is_refused_when_several_creates_of_one_moment_win(monkeypatch: pytest.MonkeyPatch) -> None:
    racy = Racy(3)
    fake = SimpleNamespace(put=racy.put, get=obstore.get, delete=obstore.delete)
    monkeypatch.setattr(put_if_absent, "obstore", fake)
    verdict = put_if_absent_verdict(MemoryStore())
    assert not verdict.passed
    assert "of 8 writers at the same moment 3 won" in verdict.detail
