"""An ephemeral-enough instance on disk, a lake with planned batches, and a launcher."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from media_assets.defs.partitions import PartitionRegistry
from media_assets.defs.resources import Settings, dagster_home, open_instance
from media_assets.defs.runs import Launcher
from media_assets_tests.media.pictures import make_jpeg
from media_assets_tests.shelf import Shelf
from media_assets_tests.stages.batches import write_manifest

SIZE = (96, 64)
SPECS = '[{"size": [32, 32], "resize_shorter_px": 36}]'


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    """Twelve pictures, three for each of four batches."""
    with Shelf() as server:
        server.files = {f"{batch}-{i}.jpg": make_jpeg(10 * batch + i, SIZE) for batch in range(4) for i in range(3)}
        yield server


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A lake in a temporary folder, decoding in this process."""
    return Settings(lake=str(tmp_path / "lake"), n_workers=0, tensor_specs=SPECS, allowed_networks="127.0.0.0/8")


@pytest.fixture
def instance(tmp_path: Path, settings: Settings) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance in a temporary folder."""
    with dagster_home(tmp_path / "home"), open_instance(settings) as opened:
        yield opened


@pytest.fixture
def start_command(tmp_path: Path, settings: Settings) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a command as a user would, in a process of its own on the same lake; waits until something holds."""
    environment = os.environ | {
        "MEDIA_ASSETS_LAKE": settings.lake,
        "DAGSTER_HOME": str(tmp_path / "home"),
        "MEDIA_ASSETS_WORKERS": "1",
        "MEDIA_ASSETS_TENSOR_SPECS": SPECS,
        "MEDIA_ASSETS_ALLOWED_NETWORKS": "127.0.0.0/8",
    }
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, until: Callable[[], object]) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "media_assets.cli", *arguments]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True)
        started.append(process)
        deadline = time.monotonic() + 60
        while not until():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def launcher(settings: Settings, instance: dg.DagsterInstance) -> Launcher:
    """Starts runs in this process."""
    return Launcher(settings, instance)


@pytest.fixture
def plan_four(settings: Settings, instance: dg.DagsterInstance, shelf: Shelf) -> Callable[[], list[str]]:
    """Plans four batches of three pictures and registers them."""

    def plan() -> list[str]:
        batch_ids = []
        for batch in range(4):
            batch_id = f"test.{batch + 1:04d}"
            items = [{"item_key": f"{batch}-{i}.jpg", "uri": f"{shelf.url}/{batch}-{i}.jpg"} for i in range(3)]
            write_manifest(settings.open_lake(), items, batch_id)
            PartitionRegistry(instance).register(batch_id, len(items), {})
            batch_ids.append(batch_id)
        return batch_ids

    return plan
