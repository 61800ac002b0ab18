"""Jumping ahead gives what reading everything gives, and reads less."""

from __future__ import annotations

import dataclasses
import hashlib
import io
from collections.abc import Callable
from itertools import islice
from typing import Any

import av
import numpy as np
import pytest

from media_assets.media.video import decoding
from media_assets.media.video.decoding import Group, Undecodable, chosen_pictures, groups_of
from media_assets.media.video.opening import VideoLimits, opened, pictures_of, sniffed
from media_assets.media.video.packets import PacketIndex, index_packets
from media_assets_tests.media.video.clips import OPEN_H264, clip, make_clip, number_in, remux, with_edits

CLIPS: dict[str, Callable[[], bytes]] = {
    **{
        name: lambda name=name: clip(name)  # type: ignore[misc]
        for name in ("h264", "h264-mkv", "open-h264", "open-hevc", "vp9", "av1", "av1-webm", "h264-ts", "mpeg4-avi")
    },
    "open-mkv": lambda: make_clip("mkv", options=OPEN_H264, n=40),
    "mov": lambda: make_clip("mov", n=40),
    "sound": lambda: make_clip("mp4", sound_seconds=1),
    "live": lambda: make_clip("mkv", n=40, container_options={"live": "1"}),
    "fragments": lambda: make_clip("mp4", n=40, container_options={"movflags": "frag_keyframe+empty_moov"}),
    "cut": lambda: make_clip("mkv", n=40)[:-2000],
}
READ_WHOLE = ("h264-ts", "mpeg4-avi", "cut")
"""Without an index that is to be relied on."""


class Counting(io.BytesIO):
    """A file that knows how much was read of it."""

    n_read = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.n_read += len(data)
        return data


class Jumps:
    """The jumps of a reader that takes five packets for far; `lost` are those (by number) that do not arrive."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, lost: tuple[int, ...] = (), *, allowed: bool = True) -> None:
        self.n, self._lost, self._jumped = 0, lost, decoding._jumped
        monkeypatch.setattr(decoding, "_FAR", 5)
        monkeypatch.setattr(decoding, "_jumped", self._noted)
        if not allowed:
            monkeypatch.setattr(decoding, "_INDEXED", frozenset())

    def _noted(self, container: Any, stream: Any, group: Group) -> Any:
        self.n += 1
        packets = self._jumped(container, stream, group)
        if self.n in self._lost:
            raise decoding._Lost
        return packets


def index_of(data: bytes) -> PacketIndex:
    file = io.BytesIO(data)
    with opened(file, sniffed(file)) as container:
        stream = pictures_of(container)
        assert stream is not None
        return index_packets(container, stream, VideoLimits())


def came(
    data: bytes, wanted: list[int], file: io.BytesIO | None = None
) -> tuple[list[tuple[int, str]], dict[int, str]]:
    """Time and hash of each picture that came, and what was said of the others."""
    undecodable = Undecodable()
    groups, mime = groups_of(index_of(data), wanted), sniffed(io.BytesIO(data))
    found = []
    for frame, _ in chosen_pictures(file or io.BytesIO(data), mime, groups, VideoLimits(), undecodable):
        assert frame.pts is not None
        found.append((frame.pts, hashlib.sha256(frame.to_ndarray().tobytes()).hexdigest()))
    return found, undecodable.faults


@pytest.mark.parametrize("name", CLIPS)
def test_a_jump_changes_nothing_whatever_the_container(name: str) -> None:
    data = CLIPS[name]()
    times = index_of(data).shown.tolist()
    for wanted in (times[-1:], times[::11], times[9:12], times):
        with pytest.MonkeyPatch.context() as patch:
            jumps = Jumps(patch, allowed=False)
            read = came(data, wanted)
            assert (jumps.n, len(read[0])) == (0, len(wanted))
        with pytest.MonkeyPatch.context() as patch:
            jumps = Jumps(patch)
            assert came(data, wanted) == read
            if len(wanted) == 1:
                assert (jumps.n > 0) == (name not in READ_WHOLE)


@pytest.mark.parametrize("lost", [(1,), (2,), (3,)])
def test_a_jump_that_leads_elsewhere_costs_no_picture_and_gives_none_twice(
    lost: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_clip("mkv", n=40)
    wanted = index_of(data).shown.tolist()[::9]
    read = came(data, wanted)
    jumps = Jumps(monkeypatch, lost)
    assert came(data, wanted) == read
    assert jumps.n == lost[0], "it is not tried again"


def test_a_jump_after_which_the_video_ends_early_gives_no_picture_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    data, jumped = make_clip("mkv", n=40), decoding._jumped
    wanted = index_of(data).shown.tolist()[16:22]
    read = came(data, wanted)
    monkeypatch.setattr(decoding, "_FAR", 5)
    monkeypatch.setattr(decoding, "_jumped", lambda *of: islice(jumped(*of), 4))
    assert came(data, wanted) == read


B_FRAMES = {"preset": "ultrafast", "x264-params": "scenecut=0:bframes=2:b-adapt=0:keyint=8:min-keyint=8"}


@pytest.mark.parametrize("seed", range(12))
def test_every_picture_that_edits_show_is_the_one_that_all_of_the_video_would_give(seed: int) -> None:
    random = np.random.default_rng(seed)
    edits = [(int(random.integers(3, 20)), int(random.integers(0, 30))) for _ in range(1 + seed % 3)]
    data = with_edits(make_clip(n=48, options=B_FRAMES), edits)
    shown: dict[int, set[int]] = {}
    with av.open(io.BytesIO(data)) as container:
        for frame in container.decode(video=0):
            assert frame.pts is not None
            shown.setdefault(frame.pts, set()).add(number_in(frame.to_ndarray(format="rgb24")))
    groups = groups_of(index_of(data), sorted(shown))
    found = chosen_pictures(io.BytesIO(data), "video/mp4", groups, VideoLimits(), undecodable := Undecodable())
    given = {frame.pts: number_in(frame.to_ndarray(format="rgb24")) for frame, _ in found}
    assert {pts: number for pts, number in given.items() if pts is None or number not in shown[pts]} == {}
    assert set(given) | set(undecodable.faults) == set(shown)
    assert not undecodable.faults


def test_pictures_without_a_time_of_their_own_are_not_jumped_to(monkeypatch: pytest.MonkeyPatch) -> None:
    index = index_of(make_clip(n=40))
    twice = index.pts.copy()
    twice[20] = twice[32]
    groups = groups_of(dataclasses.replace(index, pts=twice), [int(twice[24]), int(twice[33])])
    assert [(group.first, group.is_findable) for group in groups] == [(24, True), (32, False)]
    for changed in ({"n_untimed": 1}, {"fault": "reading stopped"}):
        assert not any(
            group.is_findable for group in groups_of(dataclasses.replace(index, **changed), [int(twice[24])])
        )


def test_of_a_long_video_that_is_read_which_is_looked_at() -> None:
    def noise(number: int) -> np.ndarray:
        return np.random.default_rng(number).integers(0, 255, (96, 128, 3), np.uint8)

    data = remux(make_clip("mkv", n=8, picture=noise), "mp4", times_over=200)
    file = Counting(data)
    times = index_of(data).shown.tolist()
    pictures, _ = came(data, [times[0], times[len(times) // 2], times[-1]], file)
    assert len(pictures) == 3
    assert file.n_read < len(data) / 2
