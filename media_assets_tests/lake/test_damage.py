"""A damaged table is refused by its name, with the way to restore it; nothing else is taken for damage."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from media_assets.errors import TableDamaged
from media_assets.lake import damage
from media_assets.lake.delta import Lake
from media_assets.tables import MANIFEST, RAW_MEDIA
from media_assets_tests.chaos.damaged_log import DAMAGES, Damage
from media_assets_tests.lake.lakes import US, plan, planned


@pytest.fixture
def table(lake: Lake) -> Path:
    for batch in "abc":
        plan(lake, batch, ["1", "2"])
    return Path(lake.uri(MANIFEST))


@pytest.mark.parametrize("harm", DAMAGES, ids=lambda harm: harm.__name__)
def test_a_damaged_table_is_refused_until_a_copy_is_put_back(
    harm: Damage, lake: Lake, table: Path, tmp_path: Path
) -> None:
    shutil.copytree(table, tmp_path / "copy")
    harm(table, random.Random(1))
    with pytest.raises(TableDamaged, match=r"^ingest/manifest: .*docs/runbook\.md"):
        lake.scan(MANIFEST)
    with pytest.raises(TableDamaged):
        lake.require_whole(MANIFEST)
    shutil.rmtree(table)
    shutil.copytree(tmp_path / "copy", table)
    assert len(planned(lake)) == 6


@pytest.mark.parametrize("harm", DAMAGES[:6], ids=lambda harm: harm.__name__)
def test_nothing_is_written_to_a_table_with_a_damaged_log(harm: Damage, lake: Lake, table: Path) -> None:
    harm(table, random.Random(1))
    before = sorted(table.rglob("*"))
    with pytest.raises(TableDamaged):
        plan(lake, "d", ["9"])
    assert sorted(table.rglob("*")) == before


def test_an_empty_commit_before_the_newest_checkpoint_is_no_damage(lake: Lake, table: Path) -> None:
    DeltaTable(str(table)).create_checkpoint()
    (table / "_delta_log" / f"{1:020d}.json").write_bytes(b"")
    plan(lake, "d", ["1"])
    assert len(planned(lake)) == 7


def test_a_file_of_another_batch_may_be_missing_when_one_batch_is_read(lake: Lake, table: Path) -> None:
    next((table / "batch_id=b").glob("*.parquet")).unlink()
    assert lake.scan(MANIFEST, {"batch_id": ["a"]}).collect().height == 2
    with pytest.raises(TableDamaged, match="its file batch_id=b/"):
        lake.scan(MANIFEST, {"batch_id": ["a", "b"]})


def test_a_batch_with_a_missing_file_can_be_replaced(lake: Lake, table: Path) -> None:
    next((table / "batch_id=b").glob("*.parquet")).unlink()
    plan(lake, "b", ["3"])
    assert [key for batch, key in planned(lake) if batch == "b"] == ["3"]


def test_a_table_that_was_never_written_is_no_damage(lake: Lake) -> None:
    lake.require_whole(RAW_MEDIA)
    lake.ensure(RAW_MEDIA)
    lake.require_whole(RAW_MEDIA)
    lake.overwrite(RAW_MEDIA, RAW_MEDIA.frame([]), {}, US)
    lake.require_whole(RAW_MEDIA)


def test_a_store_that_does_not_answer_is_no_damage(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise DeltaError("Kernel error: Error interacting with object store: timed out")

    opened: Callable[..., object] = refuse
    monkeypatch.setattr(damage, "DeltaTable", opened)
    with pytest.raises(DeltaError):
        lake.table(MANIFEST)
