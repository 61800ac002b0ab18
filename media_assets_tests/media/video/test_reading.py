"""What confined workers make of videos is what one stream over them gives, and a hostile file costs one item."""

from __future__ import annotations

import hashlib
import io
import random
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from media_assets.engine.map_items import Engine, InProcessEngine, ProcessPoolEngine, WorkerLimits
from media_assets.engine.tasks import Outcome, Task, Work
from media_assets.errors import ErrorCode, ItemError
from media_assets.media.video import reading
from media_assets.media.video.keyframes import KeyframeRequest, keyframes
from media_assets.media.video.reading import (
    PartRequest,
    VideoPart,
    VideoPlan,
    VideoRequest,
    plan_video,
    read_part,
)
from media_assets_tests.hostile.mutations import mutated
from media_assets_tests.media.video.clips import clip, make_clip, number_in, numbered

PLAN = Task("media_assets.media.video.reading:plan_video", VideoRequest, VideoPlan, takes_file=True)
READ = Task("media_assets.media.video.reading:read_part", PartRequest, VideoPart, takes_file=True)
NAMES = ["h264", "open-h264", "open-hevc", "vp9", "av1", "h264-ts"]


def decoded(png: bytes) -> np.ndarray:
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def streamed(data: bytes, request: KeyframeRequest) -> list[tuple[int, int, int, int | None, str]]:
    return [
        (k.pts_ticks, k.pts_ns, k.frame_number, k.shot, hashlib.sha256(k.pixels).hexdigest())
        for k in keyframes(io.BytesIO(data), request)
    ]


def in_parts(plan: VideoPlan, parts: list[VideoPart]) -> list[tuple[int, int, int, int | None, str]]:
    pixels = {s.pts_ticks: hashlib.sha256(decoded(s.png)).hexdigest() for part in parts for s in part.stills}
    return [(s.pts_ticks, s.pts_ns, s.frame_number, s.shot, pixels[s.pts_ticks]) for s in plan.stills]


@pytest.mark.parametrize("is_pool", [False, True])
def test_workers_give_what_one_stream_gives(is_pool: bool, tmp_path: Path) -> None:
    engine: Engine = ProcessPoolEngine(2, WorkerLimits()) if is_pool else InProcessEngine()
    paths = {name: tmp_path / name for name in NAMES}
    for name, path in paths.items():
        path.write_bytes(clip(name))
    request = KeyframeRequest("uniform:6")
    plans = {o.key: o for o in engine.map_items(PLAN, (Work(n, p, VideoRequest(request)) for n, p in paths.items()))}
    assert {name: outcome.error for name, outcome in plans.items()} == dict.fromkeys(NAMES)
    works = (Work(n, paths[n], part) for n, o in plans.items() for part in o.response.parts)
    read: dict[str, list[Outcome[str, VideoPart]]] = {}
    for outcome in engine.map_items(READ, works):
        read.setdefault(outcome.key, []).append(outcome)
    for name in NAMES:
        parts = [outcome.response for outcome in read[name]]
        assert in_parts(plans[name].response, parts) == streamed(clip(name), request)


@pytest.mark.parametrize(
    "request_",
    [
        KeyframeRequest("codec"),
        KeyframeRequest("uniform:24"),
        KeyframeRequest("every:0.1", max_frames=5),
        KeyframeRequest("shots"),
        KeyframeRequest("uniform:24", near_identical_levels=120),
    ],
)
def test_parts_make_no_difference(request_: KeyframeRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    for n_stills in (1, 2, 5, 100):
        monkeypatch.setattr(reading, "PART_BYTES", n_stills * 3 * 128 * 96)
        data = clip("open-h264")
        plan = plan_video(io.BytesIO(data), VideoRequest(request_))
        assert len(plan.parts) == -(-len(plan.stills) // n_stills)
        parts = [read_part(io.BytesIO(data), part) for part in plan.parts]
        assert in_parts(plan, parts) == streamed(data, request_)
        assert all(part.undecodable == {} for part in parts)


@pytest.mark.parametrize(
    ("gop", "wanted", "in_parts_of"),
    [
        (8, "uniform:24", [8, 8, 8]),  # each group of eight is what may be decoded at once
        (8, "codec", [3]),  # three packets
        (8, "uniform:3", [2, 1]),  # 0 to 0, 8 to 11, 16 to 23: one and four packets, eight
        (100, "uniform:24", [24]),  # one group: a second part would begin it again
    ],
)
def test_a_part_is_bounded_by_what_has_to_be_decoded(
    gop: int, wanted: str, in_parts_of: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_clip(gop=gop)
    monkeypatch.setattr(reading, "PART_DECODED_PIXELS", 8 * 128 * 96)
    plan = plan_video(io.BytesIO(data), VideoRequest(KeyframeRequest(wanted)))
    parts = [read_part(io.BytesIO(data), part) for part in plan.parts]
    assert [len(part.stills) for part in parts] == in_parts_of
    assert in_parts(plan, parts) == streamed(data, KeyframeRequest(wanted))


def test_a_plan_tells_what_was_left_out() -> None:
    still_life = make_clip(picture=lambda number: numbered(7))
    request = KeyframeRequest("uniform:24", max_frames=10, near_identical_levels=3)
    plan = plan_video(io.BytesIO(still_life), VideoRequest(request))
    counts = plan.counts
    assert (counts.n_chosen, counts.n_thinned, counts.n_near_identical, counts.n_kept) == (24, 14, 9, 1)
    assert len(plan.stills) == 1
    assert plan.probe.pictures is not None


def test_a_still_is_named_by_its_video_and_its_time() -> None:
    plan = plan_video(io.BytesIO(clip("h264")), VideoRequest(KeyframeRequest("codec")))
    names = [still.frame_id("a" * 64) for still in plan.stills]
    assert len(set(names)) == 3
    assert names[0] == "adee822f8a759329a2cb677766d1c383"


def test_what_does_not_decode_is_told_with_its_part() -> None:
    def noisy(number: int) -> np.ndarray:
        return np.clip(numbered(number) + np.random.default_rng(number).integers(-16, 17, (96, 128, 3)), 0, 255).astype(
            np.uint8
        )

    data = bytearray(make_clip(picture=noisy))
    at = len(data) // 2
    data[at : at + 400] = bytes(400)
    plan = plan_video(io.BytesIO(bytes(data)), VideoRequest(KeyframeRequest("uniform:24")))
    (part,) = (read_part(io.BytesIO(bytes(data)), request) for request in plan.parts)
    assert part.undecodable
    assert len(part.stills) + len(part.undecodable) == len(plan.stills) == 24
    by_ticks = {still.pts_ticks: still.frame_number for still in plan.stills}
    assert all(number_in(decoded(still.png)) == by_ticks[still.pts_ticks] for still in part.stills)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (clip("sound"), ErrorCode.NO_VIDEO),
        (clip("h264")[:-200], ErrorCode.TRUNCATED),
        (clip("vp9")[:-200], ErrorCode.TRUNCATED),
        (b"<html>", ErrorCode.UNSUPPORTED_FORMAT),
    ],
)
def test_what_cannot_be_vouched_for_is_refused(data: bytes, code: ErrorCode) -> None:
    with pytest.raises(ItemError) as caught:
        plan_video(io.BytesIO(data), VideoRequest())
    assert caught.value.code is code


def test_kept_bytes_that_changed_are_refused() -> None:
    data = clip("h264")
    plan_video(io.BytesIO(data), VideoRequest(expected_sha256=hashlib.sha256(data).hexdigest()))
    with pytest.raises(ItemError) as caught:
        plan_video(io.BytesIO(data), VideoRequest(expected_sha256="a" * 64))
    assert caught.value.code is ErrorCode.BLOB_DAMAGED


def test_damaged_files_meet_a_verdict_and_no_worker_is_lost() -> None:
    noise = random.Random(20261127)
    whole = [clip(name) for name in (*NAMES, "h264-flv", "h264-mkv", "mpeg4-avi", "sound")]
    policies = ("uniform:5", "codec", "every:0.1", "shots")
    works = [
        Work(number, mutated(noise.choice(whole), (), noise), VideoRequest(KeyframeRequest(policies[number % 4])))
        for number in range(240)
    ]
    engine = ProcessPoolEngine(2, WorkerLimits(cpu_seconds=10, wall_seconds=30))
    fates = Counter("ok" if o.error is None else o.error.code for o in engine.map_items(PLAN, works))
    assert fates.total() == 240
    assert fates.keys() <= {
        "ok",
        ErrorCode.TRUNCATED,
        ErrorCode.CORRUPT,
        ErrorCode.NO_VIDEO,
        ErrorCode.UNKNOWN_FORMAT,
        ErrorCode.UNSUPPORTED_FORMAT,
        ErrorCode.TOO_MANY_PIXELS,
        ErrorCode.DECODER_MEMORY,  # what a header asks for
    }
    assert min(fates["ok"], fates[ErrorCode.TRUNCATED], fates[ErrorCode.CORRUPT]) >= 10
