"""Videos in a batch: taken in when they are whole and show something, and never taken for still pictures."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from media_assets.media.identity import media_id
from media_assets.stages.stage import FRAMES, TENSORS
from media_assets.tables import FRAMES_IMAGES, ITEM_STATUS, RAW_MEDIA, TENSORS_IMAGES
from media_assets_tests.media.pictures import make_jpeg
from media_assets_tests.media.video.clips import clip
from media_assets_tests.shelf import Shelf
from media_assets_tests.stages.batches import Case, make_bench, write_manifest

FILES = {
    "photo.jpg": make_jpeg(1, (96, 64)),
    "clip.mp4": clip("h264"),
    "wrong-name.jpg": clip("vp9"),
    "again.mp4": clip("h264"),
    "cut.mp4": clip("h264")[:-200],
    "cut.webm": clip("vp9")[:-100],
    "sound.mp4": clip("sound"),
}
FATES = {
    "photo.jpg": "accepted",
    "clip.mp4": "accepted",
    "wrong-name.jpg": "accepted",
    "again.mp4": "duplicate",
    "cut.mp4": "failed/truncated",
    "cut.webm": "failed/truncated",
    "sound.mp4": "failed/no_video",
}


def make_case(root: Path, shelf: Shelf) -> Case:
    case = Case(make_bench(root))
    kinds = {"photo.jpg": "image"}
    rows = [{"item_key": k, "uri": f"{shelf.url}/{k}", "kind": kinds.get(k, "video")} for k in FILES]
    write_manifest(case.bench.lake, rows)
    return case


@pytest.fixture
def shelf() -> Shelf:
    with Shelf() as server:
        server.files = dict(FILES)
        yield server


def tables(case: Case) -> dict[str, list[dict[str, object]]]:
    """What the lake says of the batch, without times, runs and counts of attempts."""
    passing = pl.selectors.ends_with("_at") | pl.selectors.by_name("run_id", "attempts", require_all=False)
    return {
        contract.name: sorted(case.bench.lake.scan(contract).select(~passing).collect().to_dicts(), key=str)
        for contract in (RAW_MEDIA, FRAMES_IMAGES, TENSORS_IMAGES, ITEM_STATUS)
    }


def test_every_file_has_one_fate_at_each_stage(tmp_path: Path, shelf: Shelf) -> None:
    case = make_case(tmp_path / "lake", shelf)
    case.run()
    assert case.statuses() == FATES
    stills = {"photo.jpg": "accepted", "clip.mp4": "filtered", "wrong-name.jpg": "filtered"}
    assert case.statuses("frames.images") == stills
    assert case.statuses("tensors.images") == {"photo.jpg": "accepted"}


def test_what_a_video_is_stands_in_raw_media(tmp_path: Path, shelf: Shelf) -> None:
    case = make_case(tmp_path / "lake", shelf)
    case.run()
    rows = {row["item_key"]: row for row in case.bench.lake.scan(RAW_MEDIA).collect().to_dicts()}
    assert {key: (row["kind"], row["mime"]) for key, row in rows.items()} == {
        "photo.jpg": ("image", "image/jpeg"),
        "clip.mp4": ("video", "video/mp4"),
        "wrong-name.jpg": ("video", "video/webm"),
    }
    video = rows["clip.mp4"]
    assert (video["width_px"], video["height_px"], video["n_frames"], video["bit_depth"]) == (128, 96, 24, 8)
    assert (video["duration_ns"], video["colour_mode"]) == (1_000_000_000, "yuv420p")
    assert video["media_id"] == media_id(FILES["clip.mp4"])
    assert rows["photo.jpg"]["duration_ns"] is None


def test_the_tables_are_the_same_when_read_again_together_or_alone(tmp_path: Path, shelf: Shelf) -> None:
    case = make_case(tmp_path / "lake", shelf)
    case.run()
    before = tables(case)
    case.run()
    assert tables(case) == before
    case.run([FRAMES])
    case.run([TENSORS])
    assert tables(case) == before


def test_a_mended_video_comes_back_alone_and_ends_like_a_clean_run(tmp_path: Path, shelf: Shelf) -> None:
    case = make_case(tmp_path / "lake", shelf)
    case.run()
    shelf.files["cut.mp4"] = clip("open-hevc")
    n_before = case.n_opened
    case.run(retry=["cut.mp4"])
    assert case.n_opened == n_before + 3  # judged, planned, and its stills decoded in one part
    assert case.statuses() == FATES | {"cut.mp4": "accepted"}
    assert case.statuses("frames.images")["cut.mp4"] == "filtered"
    clean = make_case(tmp_path / "clean", shelf)
    clean.run()
    assert tables(case) == tables(clean)


def test_damage_to_a_kept_video_is_noticed_and_it_is_fetched_again(tmp_path: Path, shelf: Shelf) -> None:
    case = make_case(tmp_path / "lake", shelf)
    case.run()
    before = tables(case)
    (blob,) = (p for p in (tmp_path / "lake").rglob(media_id(FILES["clip.mp4"])) if p.is_file())
    blob.chmod(0o600)
    blob.write_bytes(FILES["clip.mp4"][:-1] + b"?")
    report = case.run()
    assert report.n_damaged_blobs == 2  # the item, and the one that repeats its bytes
    assert tables(case) == before
    assert blob.read_bytes() == FILES["clip.mp4"]
