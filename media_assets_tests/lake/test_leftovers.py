"""Files of killed runs: found once they are old, and nothing else is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from media_assets.errors import SetupError, TableDamaged
from media_assets.lake.blobs import BlobStore
from media_assets.lake.delta import Lake
from media_assets.lake.leftovers import delete_leftovers, find_leftovers
from media_assets.lake.parts import PartWriter
from media_assets.tables import TENSORS_IMAGES
from media_assets_tests.lake.lakes import US, plan, planned, tensor

LATER = datetime.now(UTC) + timedelta(days=30)


def write(lake: Lake, *numbers: int) -> None:
    with PartWriter(lake, TENSORS_IMAGES, "a", "tensor") as writer:
        for number in numbers:
            writer.append("small", tensor(number))
        writer.commit(US)


def stored(lake: Lake, version: int | None = None) -> set[str]:
    return set(lake.scan(TENSORS_IMAGES, version=version).collect()["frame_id"])


def kill_a_writer(lake: Lake, point: str) -> None:
    command = [sys.executable, "-m", "media_assets_tests.lake.part_process", lake.location.root, "die", point]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.fixture
def littered(lake: Lake) -> Lake:
    """A lake with a current and a replaced version of a batch, and what killed writers left behind."""
    plan(lake, "a", "12")
    write(lake, 1, 2)
    write(lake, 2, 3)
    BlobStore.at(lake.location).put("ab" * 32, b"x")
    kill_a_writer(lake, "finished")
    kill_a_writer(lake, "open and large")
    cut_short = lake.location.path / "blobs" / "ab" / f"{'ab' * 32}#1"
    cut_short.write_bytes(b"half a bl")
    return lake


def test_what_killed_writers_left_is_deleted_and_every_version_stays_readable(littered: Lake) -> None:
    found = find_leftovers(littered, now=LATER)
    assert [(file.folder, file.path.rpartition("/")[2].partition("part-")[0]) for file in found] == [
        ("blobs", f"{'ab' * 32}#1"),
        ("tensors/images", ""),
        ("tensors/images", ""),
    ]
    assert sum("#" in file.path for file in found) == 2
    assert all(file.size_bytes > 0 for file in found)
    table = littered.table(TENSORS_IMAGES)
    assert table is not None
    before, now = stored(littered, table.version() - 1), stored(littered)
    delete_leftovers(littered, found)
    delete_leftovers(littered, found)  # whoever else cleans up at the same time
    assert not any((littered.location.path / file.path).exists() for file in found)
    assert find_leftovers(littered, now=LATER) == []
    assert (stored(littered, table.version() - 1), stored(littered)) == (before, now)
    assert planned(littered) == [("a", "1"), ("a", "2")]
    assert BlobStore.at(littered.location).read("ab" * 32) == b"x"


def test_the_young_files_of_a_running_writer_are_left_alone(littered: Lake) -> None:
    assert find_leftovers(littered) == []
    assert find_leftovers(littered, timedelta(days=1)) == []
    with pytest.raises(SetupError, match="running writer"):
        find_leftovers(littered, timedelta(hours=23))


def test_a_file_that_is_committed_while_the_folder_is_listed_is_left_alone(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(lake, 1)
    writer = PartWriter(lake, TENSORS_IMAGES, "a", "tensor")
    writer.append("small", tensor(2))
    writer.finish()
    table = Lake.table

    def commit_first(self: Lake, contract: object) -> object:
        monkeypatch.setattr(Lake, "table", table)
        writer.commit(US)
        return self.table(TENSORS_IMAGES)

    monkeypatch.setattr(Lake, "table", commit_first)
    assert find_leftovers(lake, now=LATER) == []


def test_nothing_is_judged_without_a_log(littered: Lake) -> None:
    log = Path(littered.uri(TENSORS_IMAGES), "_delta_log")
    log.rename(log.with_name("lost"))
    with pytest.raises(TableDamaged, match="its log is gone"):
        find_leftovers(littered, now=LATER)


def test_age_is_that_of_the_last_write(littered: Lake) -> None:
    (young, *_) = [file for file in find_leftovers(littered, now=LATER) if file.folder == "tensors/images"]
    eight_days_ago = time.time() - 8 * 86400
    os.utime(littered.location.path / young.path, (eight_days_ago, eight_days_ago))
    (old,) = find_leftovers(littered)
    assert old.path == young.path
    assert abs(old.modified_at.timestamp() - eight_days_ago) < 1
