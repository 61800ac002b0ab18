"""`frames/keyframes`: stills of the accepted videos of a batch, or a dead letter, and nothing between the two."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import polars as pl
import pytest
from PIL import Image

from media_assets.lake.crash_points import watch_crash_points
from media_assets.lake.delta import Provenance
from media_assets.media.identity import frame_id, media_id
from media_assets.media.still import StillRequest, read_still
from media_assets.media.video.keyframes import KeyframeRequest
from media_assets.media.video.reading import VideoPart
from media_assets.stages.done import done_batches
from media_assets.stages.images import code_versions
from media_assets.stages.keyframes import KeyframeReader
from media_assets.stages.pictures import batch_cells
from media_assets.stages.settled import settled_report
from media_assets.stages.stage import IMAGE_STAGES, KEYFRAMES, RAW
from media_assets.tables import FAILURES, FRAMES_KEYFRAMES, ITEM_STATUS
from media_assets_tests.equality import missing_blobs, tables_of
from media_assets_tests.media.pictures import make_jpeg
from media_assets_tests.media.video.clips import clip, make_clip, number_in
from media_assets_tests.shelf import Shelf
from media_assets_tests.stages.batches import BATCH, Case, make_bench, write_manifest


def damaged(data: bytes, pictures: range) -> bytes:
    """A clip whose container is whole, and in which these pictures are noise."""
    noisy = bytearray(data)
    with av.open(io.BytesIO(data)) as container:
        for number, packet in enumerate(container.demux(container.streams.video[0])):
            if number in pictures:
                assert packet.pos is not None
                noisy[packet.pos + 4 : packet.pos + packet.size] = b"\xff" * (packet.size - 4)
    return bytes(noisy)


def pixels_of(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


FILES = {
    "photo.jpg": make_jpeg(1, (96, 64)),
    "clip.mp4": clip("h264"),
    "clip.webm": clip("vp9"),
    "again.mp4": clip("h264"),
    "bad.mp4": damaged(make_clip(n=16), range(4, 16)),
    "cut.mp4": clip("h264")[:-200],
}
FATES = {
    "photo.jpg": "filtered",
    "clip.mp4": "accepted",
    "clip.webm": "accepted",
    "bad.mp4": "accepted",
}
KEYS = [0, 8, 16]  # the numbers of the pictures where decoding can begin


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with Shelf() as server:
        server.files = dict(FILES)
        yield server


def make_case(root: Path, shelf: Shelf) -> Case:
    case = Case(make_bench(root))
    write_manifest(case.bench.lake, [{"item_key": key, "uri": f"{shelf.url}/{key}"} for key in shelf.files])
    return case


@pytest.fixture
def case(tmp_path: Path, shelf: Shelf) -> Case:
    return make_case(tmp_path / "lake", shelf)


def stills(case: Case, key: str) -> list[dict[str, Any]]:
    """The rows of one item, by time."""
    rows = case.bench.lake.scan(FRAMES_KEYFRAMES).filter(pl.col("item_key") == key).sort("pts_ticks").collect()
    return rows.to_dicts()


def fates(case: Case) -> dict[str, str]:
    return case.statuses("frames.keyframes")


def test_each_video_gives_the_stills_its_policy_chooses(case: Case) -> None:
    report = case.run()
    assert fates(case) == FATES
    rows = stills(case, "clip.mp4")
    assert [row["frame_number"] for row in rows] == KEYS
    assert [row["pts_ns"] for row in rows] == [0, 333_333_333, 666_666_667]
    assert [row["frame_id"] for row in rows] == [frame_id(media_id(FILES["clip.mp4"]), row["pts_ns"]) for row in rows]
    assert {(row["policy"], row["reason"], row["shot"], row["blob_mime"]) for row in rows} == {
        ("codec", "codec", None, "image/png")
    }
    for row in rows:
        png = case.bench.blobs.read(row["blob"])
        still = read_still(png, StillRequest())
        assert still.probe is not None
        assert (still.probe.mime, still.probe.width_px, still.probe.height_px) == ("image/png", 128, 96)
        assert number_in(pixels_of(png)) == row["frame_number"]
    assert [row["frame_number"] for row in stills(case, "bad.mp4")] == [0]
    assert not stills(case, "photo.jpg")
    told = report.stages["frames/keyframes"]
    blobs = case.bench.lake.scan(FRAMES_KEYFRAMES).collect()["blob"]
    assert (told.n_entered, told.n_rows, told.codes) == (4, 7, {})
    assert told.n_bytes == sum(case.bench.blobs.size_bytes(blob) or 0 for blob in blobs)
    assert [cell.status for cell in report.cells_of_stills] == ["accepted"] * 4
    assert all(cell.thumbnail for cell in report.cells_of_stills)
    later = {cell.caption: cell for cell in batch_cells(case.bench, BATCH)}
    assert (later["clip.mp4"].status, later["clip.mp4"].thumbnail) == ("accepted", report.cells_of_stills[0].thumbnail)


@pytest.mark.parametrize(
    ("request_", "numbers"),
    [
        (KeyframeRequest("uniform:3"), [0, 11, 23]),
        (KeyframeRequest("every:0.25"), [0, 6, 12, 18]),
        (KeyframeRequest("shots"), None),
        (KeyframeRequest("codec", max_frames=2), [0, 16]),
        (KeyframeRequest("codec", near_identical_levels=255), [0]),
    ],
)
def test_policy_cap_and_suppression_are_the_options(
    case: Case, request_: KeyframeRequest, numbers: list[int] | None
) -> None:
    case.run([RAW])
    case.run([KEYFRAMES], keyframes=request_)
    rows = stills(case, "clip.mp4")
    if numbers is not None:
        assert [row["frame_number"] for row in rows] == numbers
    assert {row["policy"] for row in rows} == {request_.policy}
    assert {row["shot"] is None for row in rows} == {request_.policy != "shots"}
    (version,) = set(case.bench.lake.scan(ITEM_STATUS, {"stage": [KEYFRAMES.name]}).collect()["code_version"])
    assert version != code_versions([KEYFRAMES], case.options)[KEYFRAMES.name], "another choice is another output"


def test_a_run_again_together_or_alone_changes_nothing(case: Case) -> None:
    case.run()
    before = tables_of(case.bench.lake)
    case.run()
    assert tables_of(case.bench.lake) == before
    n_opened = case.n_opened
    case.run([KEYFRAMES])
    assert case.n_opened - n_opened == 3 + 3, "of each video its plan and one part; of the picture nothing"
    assert tables_of(case.bench.lake) == before
    assert settled_report(case.bench.lake, BATCH, IMAGE_STAGES, case.options) is not None
    case.bench.lake.overwrite(
        FRAMES_KEYFRAMES,
        case.bench.lake.scan(FRAMES_KEYFRAMES).collect().head(5),
        {"batch_id": [BATCH]},
        Provenance("test", "1"),
    )
    assert settled_report(case.bench.lake, BATCH, IMAGE_STAGES, case.options) is None, "a row is lost"


def test_what_does_not_decode_is_told_and_nothing_stands_in_for_it(case: Case) -> None:
    case.run([RAW])
    case.run([KEYFRAMES], keyframes=KeyframeRequest("uniform:16"))
    assert fates(case) == FATES | {"bad.mp4": "converted"}
    assert [row["frame_number"] for row in stills(case, "bad.mp4")] == [0, 1, 2, 3]
    statuses = case.bench.lake.scan(ITEM_STATUS, {"stage": [KEYFRAMES.name]})
    (bad,) = statuses.filter(pl.col("status") == "converted").collect().to_dicts()
    assert bad["n_outputs"] == 4
    assert bad["message"].startswith("12 chosen pictures do not decode (")


MIDDLE = KeyframeRequest("uniform:1")  # the middle picture alone, which is damaged in bad.mp4


def test_a_video_of_which_nothing_chosen_decodes_is_a_dead_letter_and_its_replay_asks_the_source_again(
    case: Case, shelf: Shelf, tmp_path: Path
) -> None:
    case.run(keyframes=MIDDLE)
    assert fates(case) == FATES | {"bad.mp4": "failed/corrupt"}
    assert len(stills(case, "clip.mp4")) == 1, "the batch goes on"
    (letter,) = (
        case.bench.lake.scan(ITEM_STATUS, {"stage": [KEYFRAMES.name]}).filter(status="failed").collect().to_dicts()
    )
    assert letter["blob"] == media_id(FILES["bad.mp4"])
    assert not letter["is_retryable"]
    failures = case.bench.lake.scan(FAILURES).filter(stage=KEYFRAMES.name).collect()
    assert failures["item_key"].to_list() == ["bad.mp4"]

    shelf.files["bad.mp4"] = make_clip(n=16)  # the source was mended
    shelf.hits.clear()
    n_opened, before = case.n_opened, tables_of(case.bench.lake)[FRAMES_KEYFRAMES.name]
    case.run(retry=["bad.mp4"], keyframes=MIDDLE)
    assert fates(case) == FATES | {"bad.mp4": "accepted"}
    assert (case.n_opened - n_opened, dict(shelf.hits)) == (3, {"bad.mp4": 1}), "nothing else was touched"
    after = tables_of(case.bench.lake)[FRAMES_KEYFRAMES.name]
    assert (len(after), [row for row in before if row not in after]) == (len(before) + 1, [])
    assert case.bench.lake.scan(FAILURES).filter(stage=KEYFRAMES.name).collect()["resolution"].to_list() == ["accepted"]
    clean = make_case(tmp_path / "clean", shelf)
    clean.run(keyframes=MIDDLE)
    assert tables_of(case.bench.lake) == tables_of(clean.bench.lake)


def test_a_replay_whose_source_is_gone_keeps_the_file_that_was_there(case: Case, shelf: Shelf) -> None:
    case.run(keyframes=MIDDLE)
    before = tables_of(case.bench.lake)
    shelf.statuses["bad.mp4"] = 404
    case.run(retry=["bad.mp4"], keyframes=MIDDLE)
    assert tables_of(case.bench.lake) == before

    (blob,) = (p for p in Path(case.bench.lake.location.root).rglob(media_id(FILES["bad.mp4"])) if p.is_file())
    blob.chmod(0o600)
    blob.write_bytes(FILES["bad.mp4"][:-1] + b"?")
    case.run(retry=["bad.mp4"], keyframes=MIDDLE)
    assert case.statuses()["bad.mp4"] == "failed/blob_damaged", "nor is it taken for what it was"


def test_a_replay_under_another_choice_makes_all_of_the_batch_anew(case: Case, shelf: Shelf, tmp_path: Path) -> None:
    case.run()
    case.run([KEYFRAMES], retry=["bad.mp4"], keyframes=MIDDLE)
    clean = make_case(tmp_path / "clean", shelf)
    clean.run(keyframes=MIDDLE)
    assert tables_of(case.bench.lake) == tables_of(clean.bench.lake)


POINTS = (
    "before frames/images",
    "before frames/keyframes",
    "before ingest/item_status",
    "after ingest/item_status",
)


@pytest.mark.parametrize("point", POINTS)
def test_the_next_run_ends_like_a_clean_one_when_killed_between_commits(
    point: str, case: Case, shelf: Shelf, tmp_path: Path
) -> None:
    clean = make_case(tmp_path / "clean", shelf)
    clean.run()
    command = [sys.executable, "-m", "media_assets_tests.stages.dying_run", case.bench.lake.location.root, point]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr
    is_published = not case.bench.lake.scan(FRAMES_KEYFRAMES).collect().is_empty()
    assert is_published == (POINTS.index(point) > 1)
    assert done_batches(case.bench.lake, IMAGE_STAGES) == set()
    case.run(retry=["photo.jpg"] if point == "before ingest/item_status" else None)
    assert tables_of(case.bench.lake) == tables_of(clean.bench.lake)
    assert missing_blobs(case.bench.lake, case.bench.blobs) == set()
    assert done_batches(case.bench.lake, IMAGE_STAGES) == {BATCH}


def test_a_replay_makes_anew_what_lost_its_rows_and_carries_what_did_not(case: Case, tmp_path: Path) -> None:
    case.run()
    before = tables_of(case.bench.lake)
    kept = case.bench.lake.scan(FRAMES_KEYFRAMES).filter(~(pl.col("item_key").eq("clip.webm") & pl.col("pts_ns").gt(0)))
    case.bench.lake.overwrite(FRAMES_KEYFRAMES, kept.collect(), {"batch_id": [BATCH]}, Provenance("lost", "1"))
    n_opened = case.n_opened
    case.run([KEYFRAMES], retry=["clip.mp4"])
    assert case.n_opened - n_opened == 4, "the one that was meant, and the one whose rows were lost"
    assert tables_of(case.bench.lake) == before


def test_a_batch_of_pictures_commits_nothing_to_the_table(tmp_path: Path, shelf: Shelf) -> None:
    shelf.files = {"photo.jpg": FILES["photo.jpg"]}
    case, points = make_case(tmp_path / "lake", shelf), []
    watch_crash_points(points.append)
    try:
        case.run()
    finally:
        watch_crash_points()
    assert fates(case) == {"photo.jpg": "filtered"}
    assert "before frames/images" in points
    assert "before frames/keyframes" not in points
    assert case.n_opened == 1


def test_a_video_that_became_a_picture_leaves_no_stills(case: Case, shelf: Shelf) -> None:
    case.run()
    shelf.files = {key: FILES["photo.jpg"] if key == "photo.jpg" else make_jpeg(n) for n, key in enumerate(FILES, 5)}
    case.run([RAW], refetch=True)
    assert fates(case) == {}, "what was said of the videos is withdrawn"
    case.run()
    assert set(fates(case).values()) == {"filtered"}
    assert case.bench.lake.scan(FRAMES_KEYFRAMES).collect().is_empty()


def test_what_was_said_of_stills_is_withdrawn_once_one_video_is_another(case: Case, shelf: Shelf) -> None:
    case.run()
    case.run([RAW], refetch=True)
    assert fates(case) == FATES, "the same videos: it stays true"
    shelf.files = FILES | {"clip.webm": make_clip(n=16)}
    case.run([RAW], refetch=True)
    assert fates(case) == {}
    case.run()
    assert [row["frame_number"] for row in stills(case, "clip.webm")] == [0, 8]


def test_damage_to_a_kept_video_fails_its_stills_alone_and_a_replay_mends_both(case: Case, tmp_path: Path) -> None:
    case.run()
    before = tables_of(case.bench.lake)
    (blob,) = (p for p in (tmp_path / "lake").rglob(media_id(FILES["clip.mp4"])) if p.is_file())
    blob.chmod(0o600)
    blob.write_bytes(FILES["clip.mp4"][:-1] + b"?")
    report = case.run([KEYFRAMES])
    assert (fates(case)["clip.mp4"], fates(case)["clip.webm"], report.n_damaged_blobs) == (
        "failed/blob_damaged",
        "accepted",
        1,
    )
    case.run(retry=["clip.mp4"])
    assert tables_of(case.bench.lake) == before


def test_only_the_stills_of_parts_under_way_are_in_memory(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("media_assets.media.video.reading.PART_BYTES", 3 * 128 * 96 * 2)  # two stills a part
    alive: list[weakref.ref[VideoPart]] = []
    most = 0
    keep = KeyframeReader._keep

    def watched(self: KeyframeReader, outcome: Any) -> None:
        nonlocal most
        alive.append(weakref.ref(outcome))
        keep(self, outcome)
        most = max(most, sum(ref() is not None for ref in alive))

    monkeypatch.setattr(KeyframeReader, "_keep", watched)
    case.run(keyframes=KeyframeRequest("uniform:24"))
    assert [row["frame_number"] for row in stills(case, "clip.mp4")] == list(range(24))
    assert len(alive) == 12 + 8 + 8
    assert most <= 2, "a part is let go before the next one comes"
