"""What can be asked about: each still and each video of a batch once, whatever table it is in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandera.polars as pa
import polars as pl
import pytest
import simplejpeg

from media_assets.engine.map_items import InProcessEngine
from media_assets.errors import SetupError, StoreFailed
from media_assets.labeling.batch_queue import queue_batch
from media_assets.labeling.candidates import CANDIDATE, frames_of, look_at, videos_of, with_hashes
from media_assets.labeling.project_files import open_project
from media_assets.lake.blobs import BlobStore
from media_assets.lake.delta import Lake
from media_assets.media.identity import label_task_key, media_id
from media_assets.tables import (
    FRAMES_IMAGES,
    FRAMES_KEYFRAMES,
    ITEM_STATUS,
    LABELS_CONSENSUS,
    LABELS_QUEUE,
    RAW_MEDIA,
    TableContract,
)
from media_assets_tests.labeling.queues import BATCH, NOON, US, project
from media_assets_tests.tables.rows import sha, valid

HERE = {"batch_id": [BATCH]}


def picture(seed: int) -> bytes:
    cells = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return simplejpeg.encode_jpeg(np.ascontiguousarray(np.kron(cells, np.ones((8, 8, 1), np.uint8))), 90)


@pytest.fixture
def filled(lake: Lake) -> Lake:
    """Two stills, and two keyframes of one video; only the first still's pixels are kept."""
    blobs = BlobStore.at(lake.location)
    body = picture(1)
    blobs.put(media_id(body), body)
    stills = [
        valid(FRAMES_IMAGES, frame_id=f"{1:032x}", item_key="1.jpg", blob=media_id(body), blob_mime="image/jpeg"),
        valid(FRAMES_IMAGES, frame_id=f"{2:032x}", item_key="2.jpg", blob=sha("2")),
    ]
    lake.overwrite(FRAMES_IMAGES, FRAMES_IMAGES.frame(stills), HERE, US)
    keyframes = [valid(FRAMES_KEYFRAMES, frame_id=f"{n:032x}", media_id=sha("e"), blob=sha(str(n))) for n in (3, 4)]
    lake.overwrite(FRAMES_KEYFRAMES, FRAMES_KEYFRAMES.frame(keyframes), HERE, US)
    media = [
        valid(RAW_MEDIA, item_key="1.mp4", media_id=sha("e"), kind="video", mime="video/mp4"),
        valid(RAW_MEDIA, item_key="2.mp4", media_id=sha("e"), kind="video", mime="video/mp4"),
        valid(RAW_MEDIA, item_key="1.jpg", media_id=sha("d")),
    ]
    lake.overwrite(RAW_MEDIA, RAW_MEDIA.frame(media), HERE, US)
    return lake


def test_every_still_is_there_once(filled: Lake) -> None:
    frames = frames_of(filled, BATCH)
    assert frames.schema == CANDIDATE
    assert frames["subject_id"].to_list() == [f"{n:032x}" for n in (1, 2, 3, 4)]
    assert frames["uncertainty"].null_count() == 4, "there is no table of predictions"
    assert frames_of(filled, "other.0001").is_empty()


class _PredictionModel(pa.DataFrameModel):
    batch_id: str
    frame_id: str
    model: str
    uncertainty: pl.Float64 = pa.Field(nullable=True)


_PREDICTIONS = TableContract(
    ("predictions", "frames"), _PredictionModel, ("batch_id", "frame_id", "model"), ("batch_id",), "P."
)


def test_what_a_model_is_unsure_of_comes_first_once_there_are_predictions(filled: Lake) -> None:
    """The greatest doubt of several models counts; a frame without any is between."""
    doubts = {1: [0.0, 0.1], 2: [1.0, 0.2], 3: [None]}
    rows = [
        {"batch_id": BATCH, "frame_id": f"{frame:032x}", "model": f"m{i}", "uncertainty": doubt}
        for frame, each in doubts.items()
        for i, doubt in enumerate(each)
    ]
    filled.overwrite(_PREDICTIONS, _PREDICTIONS.frame(rows), HERE, US)
    assert frames_of(filled, BATCH)["uncertainty"].to_list() == [0.1, 1.0, None, None]
    queue_batch(filled, BlobStore.at(filled.location), InProcessEngine(), [project(per_batch=3)], BATCH, NOON, US)
    queued = filled.scan(LABELS_QUEUE).collect().sort("priority", "task_key", descending=[True, False])
    assert queued["subject_id"].to_list() == [f"{frame:032x}" for frame in (2, 3, 4)]
    assert videos_of(filled, BATCH)["uncertainty"].to_list() == [None]


def test_every_video_is_there_once_under_its_first_key(filled: Lake) -> None:
    videos = videos_of(filled, BATCH)
    assert videos.schema == CANDIDATE
    assert videos.select("subject_id", "item_key", "media_type").rows() == [(sha("e"), "1.mp4", "video/mp4")]


def test_a_still_that_cannot_be_opened_has_no_hash_and_all_of_them_are_an_outage(filled: Lake) -> None:
    frames, blobs, engine = frames_of(filled, BATCH), BlobStore.at(filled.location), InProcessEngine()
    looks = look_at(frames, blobs, engine)
    assert set(looks.thumbnails) == set(looks.hashes) == {f"{1:032x}"}
    assert with_hashes(frames, looks)["perceptual_hash"].null_count() == 3
    with pytest.raises(StoreFailed, match="Expected to open the 3 stills"):
        look_at(frames.tail(3), blobs, engine)


def test_a_batch_goes_into_the_queues_of_its_projects(filled: Lake) -> None:
    blobs, engine = BlobStore.at(filled.location), InProcessEngine()
    projects = [project(), open_project("video-timeline")]
    made = queue_batch(filled, blobs, engine, projects, BATCH, NOON, US)
    assert {name: counts.n_new for name, counts in made.by_project.items()} == {"real-or-fake": 4, "video-timeline": 1}
    queued = filled.scan(LABELS_QUEUE).filter(pl.col("project") == "video-timeline").collect()
    assert queued.select("task_key", "subject", "blob", "media_type").rows() == [
        (f"video-timeline/{sha('e')}@r1", "video", sha("e"), "video/mp4")
    ]


def test_an_erased_item_loses_its_tasks_and_its_label(filled: Lake) -> None:
    blobs, engine = BlobStore.at(filled.location), InProcessEngine()
    queue_batch(filled, blobs, engine, [project()], BATCH, NOON, US)
    task = label_task_key("real-or-fake", f"{1:032x}", 1)
    label = valid(LABELS_CONSENSUS, task_key=task, subject_id=f"{1:032x}")
    filled.overwrite(LABELS_CONSENSUS, LABELS_CONSENSUS.frame([label]), HERE, US)
    status = valid(ITEM_STATUS, item_key="1.jpg", status="erased", error_code=None)
    filled.overwrite(ITEM_STATUS, ITEM_STATUS.frame([status]), HERE | {"stage": ["raw.media"]}, US)
    assert queue_batch(filled, blobs, engine, [], BATCH, NOON, US).withdrawn == [task]
    assert filled.scan(LABELS_CONSENSUS).collect().is_empty()


def test_the_library_of_label_studio_is_not_imported_before_it_is_needed() -> None:
    """It takes a second and 100 MB: whoever runs without a project, or only looks, never pays."""
    code = (
        "import sys, media_assets.labeling.batch_queue, media_assets.labeling.settling, media_assets.labeling.overview;"
        "sys.exit(any(name in sys.modules for name in ('label_studio_sdk', 'nltk', 'matplotlib')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_nothing_is_queued_for_a_project_that_is_no_valid_one(filled: Lake, tmp_path: Path) -> None:
    blobs, engine = BlobStore.at(filled.location), InProcessEngine()
    with pytest.raises(SetupError, match="expected a Label Studio configuration"):
        queue_batch(filled, blobs, engine, [project(config="<View>")], BATCH, NOON, US)
    assert filled.scan(LABELS_QUEUE).collect().is_empty()
