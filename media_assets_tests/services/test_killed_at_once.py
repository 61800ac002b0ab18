"""`kill -9` of daemon, code server, run and its workers together, in the middle of a batch: after the next start the
batch is done without a person, and nothing twice.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from media_assets.defs.dead_runs import KILLED
from media_assets.defs.partitions import PartitionRegistry
from media_assets.defs.resources import Settings, dagster_home, open_instance
from media_assets.tables import ITEM_STATUS
from media_assets_tests.media.pictures import make_jpeg
from media_assets_tests.services.availability import Unavailable, give_up
from media_assets_tests.services.conftest import SMALL_TENSORS
from media_assets_tests.services.dagster_dev import running_dagster_dev
from media_assets_tests.shelf import Shelf
from media_assets_tests.stages.batches import BATCH, write_manifest

pytestmark = [pytest.mark.services, pytest.mark.timeout(400)]

N_ITEMS = 6
SLOW = "5.jpg"
SECONDS = 150


def test_a_batch_is_done_without_a_person_after_everything_was_killed_at_once(tmp_path: Path) -> None:
    settings = Settings(lake=str(tmp_path / "lake"), n_workers=1, tensor_specs=SMALL_TENSORS)
    environment = {
        "DAGSTER_HOME": str(tmp_path / "home"),
        "MEDIA_ASSETS_LAKE": settings.lake,
        "MEDIA_ASSETS_ALLOWED_NETWORKS": "127.0.0.0/8",
        "MEDIA_ASSETS_TENSOR_SPECS": SMALL_TENSORS,
        "MEDIA_ASSETS_WORKERS": "1",
    }
    with Shelf() as shelf, dagster_home(tmp_path / "home"), open_instance(settings) as instance:
        shelf.files = {f"{i}.jpg": make_jpeg(i, (96, 64)) for i in range(N_ITEMS)}
        shelf.delays = {SLOW: 100.0}
        items = [{"item_key": key, "uri": f"{shelf.url}/{key}"} for key in shelf.files]
        write_manifest(settings.open_lake(), items)
        PartitionRegistry(instance).register(BATCH, N_ITEMS, {})
        try:
            with running_dagster_dev(environment, tmp_path) as dev:
                dev.wait_for("the batch is being read", lambda: shelf.hits[SLOW] > 0, SECONDS)
                os.killpg(_group_of(dev.url), signal.SIGKILL)
                shelf.delays = {}
            (killed,) = instance.get_runs()
            assert not killed.is_finished, "nobody was left to say that it is dead"
            with running_dagster_dev(environment, tmp_path) as dev:
                lake = settings.open_lake()
                dev.wait_for(
                    "the batch is done",
                    lambda: lake.scan(ITEM_STATUS, {"stage": ["tensors.images"]}).collect().height == N_ITEMS,
                    SECONDS,
                )
                dev.wait_for(
                    "its run ended",
                    lambda: "SUCCESS" in dev.runs_tagged("media_assets/retry_of", killed.run_id),
                    SECONDS,
                )
        except Unavailable as reason:
            give_up(reason)
        statuses = settings.open_lake().scan(ITEM_STATUS).collect()
        counted = Counter(statuses.select("stage", "status").iter_rows())
        stages = ("raw.media", "frames.images", "tensors.images")
        assert counted == {
            **{(stage, "accepted"): N_ITEMS for stage in stages},
            ("frames.keyframes", "filtered"): N_ITEMS,
        }
        assert instance.get_run_by_id(killed.run_id).tags[KILLED] == "true"  # type: ignore[union-attr]
        assert len(instance.get_runs()) <= 3, "the killed one, its retry, and perhaps the statistics"
    assert {key: n for key, n in shelf.hits.items() if key != SLOW} == {f"{i}.jpg": 1 for i in range(N_ITEMS - 1)}


def _group_of(url: str) -> int:
    """The process group of the `dagster dev` that listens at a port."""
    port = url.rpartition(":")[2]
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and f"--port\0{port}\0" in _command_of(folder):
            return os.getpgid(int(folder.name))
    raise AssertionError(f"nobody listens at {url}")


def _command_of(process: Path) -> str:
    try:
        return (process / "cmdline").read_text(errors="replace")
    except OSError:
        return ""
