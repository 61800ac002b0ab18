"""`disk-full`: the lake's file system runs full in the middle of a batch; once there is room, the next run is clean.

Needs to mount a small tmpfs, so root on Linux; elsewhere the drill says why it did not run.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from media_assets.errors import ErrorCode, MediaAssetsError
from media_assets.stages.stage import IMAGE_STAGES
from media_assets.tables import ITEM_STATUS
from media_assets_tests.chaos.ground import Batches, Ground, failed_items, judge, make_pictures
from media_assets_tests.chaos.result import Options, Result, say

BATCH = "test.0001"
N_ITEMS = 50
ROOM_KIB = 4096
_VISIBLE = {ErrorCode.STORAGE_FAILED.value, ErrorCode.BLOB_DAMAGED.value}


def run(folder: Path, options: Options) -> Result:
    """The same batch with ever more room, from almost none to almost enough."""
    result = Result("disk-full", options.seed)
    mount = folder / "mount"
    mount.mkdir(parents=True)
    try:
        with small_disk(mount):
            pass
    except OSError as error:
        result.skipped = f"a small file system cannot be mounted here ({error}); run as root on Linux"
        return result
    photos = folder / "photos"
    photos.mkdir()
    files = make_pictures(N_ITEMS)
    for name, body in files.items():
        (photos / name).write_bytes(body)
    ground = Ground(folder / "lakes", Batches(photos.as_uri(), {BATCH: tuple(files)}, (photos,)))
    _ = ground.clean
    needed = _kib_of(ground.folder / "clean") - _kib_of(ground.template)
    draw = random.Random(options.seed)
    n_trials = 4 if options.small else 30
    for number in range(n_trials):
        room = int(needed * (number + draw.random()) / n_trials)
        with small_disk(mount):
            _fill_up(mount, ground, room, result)
        if (number + 1) % 10 == 0:
            say(f"disk-full: {number + 1} of {n_trials} disks")
    return result


def _fill_up(mount: Path, ground: Ground, room_kib: int, result: Result) -> None:
    root = mount / "lake"
    shutil.copytree(ground.template, root)
    ballast = mount / "ballast"
    free = shutil.disk_usage(mount).free // 1024
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, free - room_kib) * 1024)
    told = f"with room for {room_kib} KiB"
    raised: Exception | None = None
    try:
        ground.batches.read(root)
    except Exception as error:
        raised = error
    result.faults += 1
    failed = failed_items(root, _VISIBLE)
    n_failed = sum(map(len, failed.values()))
    became = f"run failed: {type(raised).__name__}" if raised else "dead letters" if n_failed else "done"
    result.count("became", became)
    if raised is not None:
        holds = isinstance(raised, MediaAssetsError)
        result.promise("a full disk is told in our own words", holds=holds, case=f"{told}: {raised!r:.300}")
        is_done = _has_all_statuses(ground, root)
        result.promise("a run that failed has not made its batch done", holds=not is_done, case=f"{told}: {raised}")
    ballast.unlink()
    try:
        if n_failed and raised is None:
            ground.batches.read(root, retry=failed[BATCH])
        else:
            ground.batches.read(root)
    except Exception as error:
        result.promise("the next run completes", holds=False, case=f"{told}: {error!r:.300}")
        return
    verdict = judge(root, ground.clean)
    result.lost += verdict.lost
    result.twice += verdict.twice
    result.promise("the next run completes", holds=True)
    result.promise("tables equal those of a clean run", holds=verdict.is_clean, case=f"{told}: {verdict}")


def _has_all_statuses(ground: Ground, root: Path) -> bool:
    """Whether the batch looks done to the next `media-assets materialize`."""
    from media_assets.stages.done import done_batches

    lake = ground.batches.bench(root).lake
    return lake.table(ITEM_STATUS) is not None and BATCH in done_batches(lake, IMAGE_STAGES)


def _kib_of(folder: Path) -> int:
    return sum(-(-path.stat().st_size // 4096) * 4 for path in folder.rglob("*") if path.is_file())


@contextmanager
def small_disk(place: Path) -> Iterator[None]:
    """A file system of a few megabytes, mounted here for a while.

    Raises:
        OSError: it cannot be mounted.
    """
    command = ["mount", "-t", "tmpfs", "-o", f"size={ROOM_KIB}k", "tmpfs", str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(done.stderr.strip() or "mount failed")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
