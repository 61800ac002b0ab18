"""The right stills of each codec and container, whatever traps they set."""

import hashlib
import io
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from media_assets.errors import ErrorCode, ItemError
from media_assets.media.identity import frame_id
from media_assets.media.video.keyframes import Keyframe, KeyframeCounts, KeyframeRequest, keyframes
from media_assets_tests.media.video.clips import (
    AV1,
    OPEN_H264,
    OPEN_HEVC,
    VP9,
    clip,
    make_clip,
    number_in,
    numbered,
    remux,
)

STEADY = [
    "h264",
    "h264-ts",
    "h264-flv",
    "h264-mkv",
    "open-h264",
    "open-h264-ts",
    "open-hevc",
    "vp9",
    "av1",
    "av1-webm",
    "mpeg4-avi",
]
"""24 pictures at 24 a second, a key picture each 8."""


def read(data: bytes, policy: str, counts: KeyframeCounts | None = None, **more: int) -> list[Keyframe]:
    return list(keyframes(io.BytesIO(data), KeyframeRequest(policy, **more), counts))


def numbers(stills: list[Keyframe]) -> list[int]:
    return [number_in(still.pixels) for still in stills]


@pytest.mark.parametrize("name", STEADY)
@pytest.mark.parametrize(
    ("policy", "wanted"),
    [("codec", [0, 8, 16]), ("uniform:5", [0, 5, 11, 17, 23]), ("every:0.25", [0, 6, 12, 18])],
)
def test_each_policy_gives_the_right_pictures_of_each_codec(name: str, policy: str, wanted: list[int]) -> None:
    stills = read(clip(name), policy, counts := KeyframeCounts())
    assert numbers(stills) == wanted
    assert [still.frame_number for still in stills] == wanted
    # FLV and Matroska know milliseconds only
    assert [round(still.pts_ns * 24 / 1e9, 1) for still in stills] == wanted
    assert counts.n_kept == counts.n_chosen == len(wanted)


@pytest.mark.parametrize("name", ["h264", "open-h264", "open-hevc", "av1"])
def test_times_are_exact_to_the_nanosecond(name: str) -> None:
    stills = read(clip(name), "uniform:24")
    assert numbers(stills) == list(range(24))
    assert [still.pts_ns for still in stills] == [round(Fraction(i, 24) * 1_000_000_000) for i in range(24)]
    for still in stills:  # the ticks lead back to the same picture without any loss
        assert still.pts_ticks * Fraction(still.time_base) == Fraction(still.frame_number, 24)


@pytest.mark.parametrize(
    ("kind", "codec", "options"),
    [
        ("mp4", "libx264", OPEN_H264),
        ("mp4", "libx265", OPEN_HEVC),
        ("webm", "libvpx-vp9", VP9),
        ("mp4", "libsvtav1", AV1),
    ],
)
def test_a_variable_rate_moves_no_picture(kind: str, codec: str, options: dict[str, str]) -> None:
    milliseconds = [0, 40, 80, 900, 940, 2000, 2010, 2020, 2030, 2040, 2050, 2060, 2070, 2080, 2090, 5000]
    data = make_clip(
        kind, codec, n=16, options=options, times=milliseconds, time_base=Fraction(1, 1000), rate=Fraction(25)
    )
    on_screen = read(data, "every:1")
    assert numbers(on_screen) == [0, 4, 5, 14, 15]
    assert [still.pts_ns for still in on_screen] == [ms * 1_000_000 for ms in (0, 940, 2000, 2090, 5000)]
    assert numbers(read(data, "uniform:3")) == [0, 14, 15]


def test_a_transport_stream_begins_at_zero_whatever_its_clock_says() -> None:
    late = remux(clip("h264"), "ts", shift=10_000)
    stills = read(late, "codec")
    assert stills[0].pts_ticks > 90_000 * 400
    assert [still.pts_ns for still in stills] == [still.pts_ns for still in read(clip("h264"), "codec")]


@pytest.mark.parametrize(
    ("name", "kind"), [("h264", "ts"), ("h264", "mp4"), ("open-h264-ts", "ts"), ("open-hevc", "mkv")]
)
def test_what_has_no_key_picture_before_it_is_left_out_and_counted(name: str, kind: str) -> None:
    late = remux(clip(name), kind, keep=lambda number: number >= 4)
    counts = KeyframeCounts()
    assert numbers(read(late, "codec", counts)) == [8, 16]
    assert counts.n_before_first_key > 0
    chosen = read(late, "uniform:4")
    assert numbers(chosen)[0] == 8
    assert numbers(chosen)[-1] == 23
    assert chosen[0].frame_number == counts.n_before_first_key  # the gap is not closed
    assert chosen[0].pts_ns > 0


def test_a_video_without_any_key_picture_is_refused() -> None:
    without = remux(clip("h264"), "ts", keep=lambda number: number % 8 != 0)
    with pytest.raises(ItemError, match="from which decoding can begin") as caught:
        read(without, "uniform:4")
    assert caught.value.code is ErrorCode.CORRUPT


def test_what_an_edit_list_cuts_away_is_not_shown() -> None:
    edited = remux(clip("h264"), "mp4", shift=-3, container_options={"avoid_negative_ts": "disabled"})
    assert numbers(read(edited, "codec")) == [8, 16]
    stills = read(edited, "uniform:3")
    assert numbers(stills) == [3, 13, 23]
    assert stills[0].pts_ns == 0


def test_sound_alone_is_told_as_such() -> None:
    with pytest.raises(ItemError, match="1 track of sound and no pictures") as caught:
        read(clip("sound"), "codec")
    assert caught.value.code is ErrorCode.NO_VIDEO


def test_sound_beside_the_pictures_changes_nothing() -> None:
    with_sound = make_clip("mkv", sound_seconds=2)
    assert numbers(read(with_sound, "uniform:3")) == [0, 11, 23]


def noisy(number: int) -> np.ndarray:
    """Pictures whose packets are large, so that a cut goes through one."""
    pixels = numbered(number)
    noise = np.random.default_rng(number).integers(-16, 17, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("policy", ["codec", "uniform:24"])
def test_nothing_beyond_a_cut_is_made_up(policy: str) -> None:
    whole = make_clip(picture=noisy, container_options={"movflags": "faststart"})
    for share in (0.3, 0.5, 0.7, 0.9, 0.99):
        got = numbers(read(whole[: int(len(whole) * share)], policy))
        assert got == [n for n in (range(24) if policy != "codec" else (0, 8, 16)) if n <= got[-1]]
        assert got[-1] >= (24 * share - 10 if policy == "codec" else 24 * share - 4)


def test_a_damaged_packet_ends_its_group_and_is_counted() -> None:
    data = bytearray(make_clip(picture=noisy))
    at = len(data) // 2
    data[at : at + 400] = bytes(400)
    stills = read(bytes(data), "uniform:24", counts := KeyframeCounts())
    assert counts.n_undecodable > 0
    assert counts.n_kept == len(stills) == 24 - counts.n_undecodable
    assert numbers(stills) == [still.frame_number for still in stills]
    assert counts.complaint


def test_damage_is_noticed_more_often_than_painted_over() -> None:
    # a flipped byte of some entropy-coded data is a picture like any other; a decoder that is asked to complain does
    # so mostly, one that is not conceals nearly all of it
    whole = make_clip(picture=noisy)
    good = {still.frame_number: still.pixels for still in read(whole, "uniform:24")}
    flips = range(3000, len(whole) - 5000, 1777)
    n_painted_over = 0
    for at in flips:
        data = bytearray(whole)
        data[at] ^= 0xFF
        stills = read(bytes(data), "uniform:24")
        n_painted_over += any((still.pixels != good[still.frame_number]).any() for still in stills)
    assert n_painted_over <= len(flips) * 0.6  # 0.36 here; 0.94 of a decoder that was not asked


def test_shots_are_found_by_what_they_show() -> None:
    def scene(number: int) -> np.ndarray:
        blocks = np.random.default_rng((number >= 20) + (number >= 32)).integers(0, 256, (6, 8, 3))
        return np.kron(blocks, np.ones((16, 16, 1))).astype(np.uint8)

    stills = read(make_clip(n=48, picture=scene, gop=48), "shots", counts := KeyframeCounts())
    assert [(still.frame_number, still.shot) for still in stills] == [(10, 0), (26, 1), (40, 2)]
    for still in stills:
        assert np.abs(still.pixels.astype(int) - scene(still.frame_number)).mean() < 12
    assert counts.n_shots == 3


def test_the_cap_thins_evenly_and_the_counts_add_up() -> None:
    stills = read(clip("h264"), "uniform:20", counts := KeyframeCounts(), max_frames=5)
    assert (numbers(stills)[0], numbers(stills)[-1]) == (0, 23)
    assert (counts.n_chosen, counts.n_thinned, counts.n_kept) == (20, 15, 5)


def test_near_identical_pictures_are_left_out_and_a_small_change_is_not() -> None:
    def scene(number: int) -> np.ndarray:
        pixels = np.full((96, 128, 3), 90, np.uint8)
        if number >= 12:
            pixels[40:52, 60:72] = 140  # a mouth that opens, say: 1 % of the picture
        return pixels

    data = make_clip(picture=scene)
    stills = read(data, "uniform:24", counts := KeyframeCounts(), near_identical_levels=3)
    assert [still.frame_number for still in stills] == [0, 12]
    assert (counts.n_kept, counts.n_near_identical) == (2, 22)
    assert len(read(data, "uniform:24")) == 24


def test_the_same_file_gives_the_same_frames_with_the_same_names() -> None:
    def names(data: bytes) -> list[tuple[str, str]]:
        media = hashlib.sha256(data).hexdigest()
        return [
            (frame_id(media, still.pts_ns), hashlib.sha256(still.pixels).hexdigest())
            for still in read(data, "uniform:5")
        ]

    once = names(clip("open-h264"))
    assert once == names(clip("open-h264"))
    assert len(set(once)) == 5
    # a fixed name, so that no machine and no version can drift unnoticed
    assert frame_id("a" * 64, 41_666_667) == "71f6f795e9c315ec6a5398eef49c2baf"


FLAT = """
import sys
from pathlib import Path
from media_assets.media.video.keyframes import KeyframeRequest, keyframes
def peak(path):
    with open(path, "rb") as file:
        n = sum(1 for _ in keyframes(file, KeyframeRequest("codec", max_frames=150)))
    # not what getrusage says: that is never less than what the parent had when it started this process
    (peak,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return n, int(peak.split()[1])
print(*peak(sys.argv[1]), *peak(sys.argv[2]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc")
def test_memory_is_flat_over_two_hours(tmp_path: Path) -> None:
    def large(number: int) -> np.ndarray:
        return numbered(number, 640, 480)

    once = make_clip("mkv", n=8, rate=10, picture=large)
    for name, times_over in (("short", 4), ("long", 2 * 3600 * 10 // 8)):
        (tmp_path / name).write_bytes(remux(once, "mkv", times_over=times_over))
    told = subprocess.run(
        [sys.executable, "-c", FLAT, str(tmp_path / "short"), str(tmp_path / "long")],
        capture_output=True,
        check=True,
        text=True,
    )
    n_short, short_kib, n_long, long_kib = map(int, told.stdout.split())
    assert (n_short, n_long) == (4, 150)
    # 150 stills are 130 MiB; 72,000 pictures of index are 1.2 MiB, twice while they are packed
    assert long_kib - short_kib < 24 * 1024


@pytest.mark.parametrize("bad", [{"policy": "all"}, {"max_frames": 0}, {"near_identical_levels": 256}])
def test_a_request_that_makes_no_sense_is_refused(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected"):
        KeyframeRequest(**bad)
