"""The sample videos: whole but for one, with a still for each shot, and the same every time."""

from __future__ import annotations

import io
from pathlib import Path

from media_assets.demo.clips import CUT_OFF, SHOT_PICTURES, write_clip, write_clips
from media_assets.ingest.planned import PlannedItem
from media_assets.ingest.videos.addresses import MediaBase
from media_assets.ingest.videos.reader import CatalogCounts, read_videos
from media_assets.media.video.keyframes import KeyframeRequest, keyframes
from media_assets.media.video.probe import probe_video


def test_each_shot_begins_with_a_key_picture_and_one_video_is_cut_off(tmp_path: Path) -> None:
    clips = write_clips(tmp_path / "videos")
    items = list(read_videos(clips.catalog, MediaBase.of(str(clips.root)), (), "", CatalogCounts()))
    assert all(isinstance(item, PlannedItem) for item in items)
    assert len(items) == len(clips.n_shots) + 1
    for name, n_shots in clips.n_shots.items():
        file = io.BytesIO((clips.root / f"{name}.webm").read_bytes())
        assert probe_video(file).cut_off is None
        stills = list(keyframes(file, KeyframeRequest("codec")))
        assert [still.frame_number for still in stills] == [shot * SHOT_PICTURES for shot in range(n_shots)]
    assert probe_video(io.BytesIO((clips.root / f"{CUT_OFF}.webm").read_bytes())).cut_off is not None


def test_a_video_is_the_same_every_time(tmp_path: Path) -> None:
    for name in ("once", "again"):
        write_clip(tmp_path / name, (3, 5))
    once, again = (
        [still.pixels.tobytes() for still in keyframes(io.BytesIO((tmp_path / name).read_bytes()), KeyframeRequest())]
        for name in ("once", "again")
    )
    assert len(once) == 2
    assert once == again
