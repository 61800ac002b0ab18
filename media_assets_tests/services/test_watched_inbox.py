"""Files dropped into the inbox while `dagster dev` runs become tensors without a person. After the UI's own tests."""

from __future__ import annotations

import time
from pathlib import Path

import polars as pl
import pytest

from media_assets.tables import ITEM_STATUS, MANIFEST
from media_assets_tests.media.pictures import make_jpeg
from media_assets_tests.services.conftest import BATCH_SIZE
from media_assets_tests.services.dagster_dev import DagsterDev
from media_assets_tests.services.workplace import Workplace

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

SECONDS = 240  # two ticks, two runs that start processes slowly


def statuses(workplace: Workplace, stage: str) -> dict[str, str]:
    """File name → status of what came from the inbox."""
    rows = workplace.settings.open_lake().scan(ITEM_STATUS, {"stage": [stage]}).collect()
    rows = rows.filter(pl.col("batch_id").str.starts_with("uploads."))
    return {key.partition("@")[0]: status for key, status in rows.select("item_key", "status").iter_rows()}


def test_what_is_dropped_while_everything_runs_becomes_tensors_once(
    workplace: Workplace, dagster_dev: DagsterDev
) -> None:
    inbox = Path(workplace.settings.inbox)
    inbox.mkdir(exist_ok=True)
    names = [f"{i}.jpg" for i in range(BATCH_SIZE + 3)]
    (inbox / "slow.jpg.part").write_bytes(b"not yet")
    for i, name in enumerate(names):
        (inbox / name).write_bytes(make_jpeg(100 + i, (160, 120)))
        time.sleep(0.1)
    (inbox / "notes.txt").write_text("no picture")
    dagster_dev.wait_for(
        "every dropped file has its tensor",
        lambda: sorted(statuses(workplace, "tensors.images")) == sorted(names),
        SECONDS,
    )
    assert statuses(workplace, "raw.media") == {**dict.fromkeys(names, "accepted"), "notes.txt": "failed"}
    (inbox / "slow.jpg.part").rename(inbox / "slow.jpg")
    (inbox / "slow.jpg").write_bytes(make_jpeg(500, (160, 120)))
    dagster_dev.wait_for(
        "the slow file has its tensor", lambda: "slow.jpg" in statuses(workplace, "tensors.images"), SECONDS
    )
    planned = workplace.settings.open_lake().scan(MANIFEST).filter(pl.col("source") == "uploads").collect()
    assert sorted(key.partition("@")[0] for key in planned["item_key"]) == sorted([*names, "notes.txt", "slow.jpg"])
    batches = planned["batch_id"].unique().to_list()
    dagster_dev.wait_for(
        "each batch has one run that the sensor asked for, and it ended well",
        lambda: all(dagster_dev.runs_tagged("dagster/run_key", batch_id) == ["SUCCESS"] for batch_id in batches),
        60,
    )
