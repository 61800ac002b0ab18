"""Batches that are not done are not served, and the reader says which and why; judged by the logs alone."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path

import pytest

from media_assets.errors import NotMaterialized
from media_assets.lake.delta import Lake
from media_assets.lake.publications import Publications
from media_assets.serving.tensors import TensorReader
from media_assets.serving.unfinished import UnfinishedBatches
from media_assets.tables import ITEM_STATUS, TENSORS_IMAGES
from media_assets_tests.serving.tensor_lakes import PROVENANCE, SMALL, finish, lake_at, samples, write


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Three done batches of 2, 3 and 5 samples."""
    return write(lake_at(tmp_path), samples(2) + samples(3, SMALL, "b.0002") + samples(5, SMALL, "b.0003"))


def withdraw(lake: Lake, batch_id: str) -> None:
    """As a run does that makes an earlier stage alone and lets other frames through."""
    lake.overwrite(
        ITEM_STATUS, ITEM_STATUS.frame([]), {"stage": ["tensors.images"], "batch_id": [batch_id]}, PROVENANCE
    )


def die_at_publishing(lake: Lake, batch_id: str) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        Publications.of(lake.location).under_way(batch_id, ["raw.media", "tensors.images"]),
    ):
        raise KeyboardInterrupt


def test_a_lake_whose_batches_are_done_is_served_whole_without_a_word(lake: Lake) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(TensorReader(lake)) == 10
        assert len(TensorReader(lake, batches=["b.0002"])) == 3


def test_batches_without_statuses_or_half_published_are_left_out_with_a_warning(lake: Lake) -> None:
    withdraw(lake, "b.0002")
    die_at_publishing(lake, "b.0003")
    told = (
        r"^Left out: 2 of 3 batches .* 1 without a status at stage tensors\.images \(.*\): b\.0002; "
        r"1 being published, or cut short at it: b\.0003\. `media-assets materialize`.*include_unfinished=True"
    )
    with pytest.warns(UnfinishedBatches, match=told) as caught:
        reader = TensorReader(lake)
    assert caught[0].filename == __file__, "where the reader was made"
    assert set(reader.batch_ids) == {"b.0001"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(TensorReader(lake, include_unfinished=True)) == 10


def test_a_status_of_another_stage_does_not_make_tensors_done(lake: Lake) -> None:
    withdraw(lake, "b.0002")
    row = lake.scan(ITEM_STATUS).collect().to_dicts()[0] | {"stage": "raw.media", "batch_id": "b.0002"}
    where = {"stage": ["raw.media"], "batch_id": ["b.0002"]}
    lake.overwrite(ITEM_STATUS, ITEM_STATUS.frame([row]), where, PROVENANCE)
    with pytest.warns(UnfinishedBatches, match=r"b\.0002"):
        assert len(TensorReader(lake)) == 7


def test_what_was_asked_for_by_name_or_is_all_there_is_must_be_done(lake: Lake) -> None:
    withdraw(lake, "b.0002")
    with pytest.raises(NotMaterialized, match=r"1 of 2 batches .*b\.0002"):
        TensorReader(lake, batches=["b.0001", "b.0002"])
    withdraw(lake, "b.0001")
    die_at_publishing(lake, "b.0003")
    with pytest.raises(NotMaterialized, match=r"3 of 3 batches .*b\.0001, b\.0002; 1 being.*b\.0003"):
        TensorReader(lake)
    assert len(TensorReader(lake, batches=["b.0002"], include_unfinished=True)) == 3


def test_a_pickled_reader_keeps_its_batches_when_others_get_done(lake: Lake) -> None:
    withdraw(lake, "b.0001")
    with pytest.warns(UnfinishedBatches):
        reader = TensorReader(lake)
    packed = pickle.dumps(reader)
    finish(lake, "b.0001")
    withdraw(lake, "b.0003")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = pickle.loads(packed)
    assert again.frame_ids.tolist() == reader.frame_ids.tolist()


def test_no_row_is_read_to_judge_a_batch(lake: Lake) -> None:
    withdraw(lake, "b.0002")
    statuses = Path(lake.uri(ITEM_STATUS))
    for path in [*statuses.rglob("*.parquet"), *Path(lake.uri(TENSORS_IMAGES), "batch_id=b.0002").glob("*.parquet")]:
        path.unlink()
    with pytest.warns(UnfinishedBatches):
        assert len(TensorReader(lake)) == 7
