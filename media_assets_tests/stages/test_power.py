"""What a loss of power leaves: rows never name bytes that are not on the disk, and a batch told to be done is."""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from media_assets.errors import StoreFailed
from media_assets.lake import local_storage
from media_assets.lake.crash_points import watch_crash_points
from media_assets.lake.local_storage import LocalStorage
from media_assets.tables import ITEM_STATUS, RAW_MEDIA
from media_assets_tests.stages.batches import Case


def test_bytes_are_flushed_before_the_first_row_and_statuses_before_the_batch_is_done(
    make_case: Callable[[str], Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    case, seen, flush = make_case("lake"), list[str](), LocalStorage.flush

    def flushing(storage: LocalStorage) -> None:
        flush(storage)
        seen.append("flushed")

    monkeypatch.setattr(LocalStorage, "flush", flushing)
    watch_crash_points(seen.append)
    try:
        case.run()
    finally:
        watch_crash_points()
    first_row, last_blob = seen.index("before raw/media"), len(seen) - 1 - seen[::-1].index("after journal")
    assert "flushed" in seen[last_blob:first_row]
    assert "flushed" in seen[seen.index("after ingest/item_status") : seen.index("before ending a publication")]


def test_a_disk_that_did_not_keep_the_bytes_publishes_nothing(
    make_case: Callable[[str], Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    case = make_case("lake")

    def refused(_: int) -> int:
        ctypes.set_errno(errno.EIO)
        return -1

    with monkeypatch.context() as broken:
        broken.setattr(local_storage, "_syncfs", refused)
        with pytest.raises(StoreFailed, match="Input/output error"):
            case.run()
    assert case.bench.lake.scan(RAW_MEDIA).collect().is_empty()
    case.run()
    assert not case.bench.lake.scan(ITEM_STATUS).collect().is_empty()


def test_flushing_tells_that_the_folder_is_gone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        LocalStorage(tmp_path / "none").flush()
