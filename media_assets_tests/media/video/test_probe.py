"""What a video says of itself is held against what it holds; a file that was cut off is found."""

import io
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from media_assets.errors import ErrorCode, ItemError
from media_assets.media.video.opening import VideoLimits
from media_assets.media.video.probe import PictureTrack, VideoProbe, probe_video, require_whole
from media_assets_tests.media.video.clips import clip, make_clip, numbered, remux


def probed(data: bytes, **more: Any) -> VideoProbe:
    return probe_video(io.BytesIO(data), **more)


def pictures(data: bytes, **more: Any) -> PictureTrack:
    track = probed(data, **more).pictures
    assert track is not None
    return track


@pytest.mark.parametrize(
    ("name", "mime", "codec"),
    [
        ("h264", "video/mp4", "h264"),
        ("h264-ts", "video/mp2t", "h264"),
        ("h264-flv", "video/x-flv", "h264"),
        ("h264-mkv", "video/x-matroska", "h264"),
        ("open-hevc", "video/mp4", "hevc"),
        ("vp9", "video/webm", "vp9"),
        ("av1", "video/mp4", "av1"),
        ("mpeg4-avi", "video/x-msvideo", "mpeg4"),
    ],
)
def test_container_codec_and_what_it_holds(name: str, mime: str, codec: str) -> None:
    probe = probed(clip(name), decode_all=True)
    track = probe.pictures
    assert track is not None
    assert (probe.mime, track.codec, probe.cut_off, probe.n_complaints) == (mime, codec, None, 0)
    assert (track.width_px, track.height_px, track.bit_depth, track.hdr) == (128, 96, 8, None)
    assert (track.n_frames, track.n_frames_decoded, track.n_keyframes) == (24, 24, 3)
    assert track.begins_with_keyframe
    assert not track.has_variable_rate
    assert abs(track.duration_ns - 1_000_000_000) <= 1_000_000
    assert track.frame_rate_hz == pytest.approx(24, rel=0.002)


def test_the_container_is_not_asked_how_many_pictures_decode() -> None:
    late = pictures(remux(clip("h264"), "mp4", keep=lambda number: number >= 3), decode_all=True)
    assert (late.n_frames_declared, late.n_frames, late.n_frames_decoded) == (21, 21, 16)
    assert not late.begins_with_keyframe


def test_a_variable_rate_is_seen() -> None:
    uneven = make_clip(n=8, times=[0, 40, 80, 120, 400, 440, 480, 520], time_base=Fraction(1, 1000), rate=25)
    assert pictures(uneven).has_variable_rate
    assert not pictures(make_clip("mkv", n=60, rate=Fraction(30000, 1001))).has_variable_rate  # milliseconds sway


def test_tracks_of_sound() -> None:
    probe = probed(make_clip("mp4", sound_seconds=2))
    (sound,) = probe.sounds
    assert (sound.codec, sound.sample_rate_hz, sound.n_channels) == ("aac", 16000, 2)
    assert sound.duration_ns == pytest.approx(2e9, rel=0.05)


def test_sound_alone_has_no_pictures() -> None:
    probe = probed(clip("sound"))
    assert (probe.pictures, len(probe.sounds), probe.cut_off) == (None, 1, None)


def test_the_picture_of_a_cover_is_no_video() -> None:
    out = io.BytesIO()
    with av.open(io.BytesIO(clip("sound"))) as source, av.open(out, "w", format="mp4") as container:
        sound = container.add_stream_from_template(source.streams.audio[0])
        cover: Any = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        for packet in source.demux(audio=0):
            if packet.size:
                packet.stream = sound
                container.mux(packet)
        container.mux(cover.encode(av.VideoFrame.from_ndarray(numbered(1, 64, 48), "rgb24")))
        container.mux(cover.encode(None))
    probe = probed(out.getvalue())
    assert probe.n_picture_tracks == 1
    assert probe.pictures is None


def test_size_turn_and_pixels_are_told() -> None:
    def prepare(stream: Any) -> None:
        stream.set_display_rotation(-90)
        stream.codec_context.sample_aspect_ratio = Fraction(3, 2)

    track = pictures(make_clip(prepare=prepare))
    assert (track.width_px, track.height_px, track.sample_aspect) == (128, 96, "3:2")
    assert (track.turned_clockwise_degrees, track.is_mirrored) == (90, False)
    assert (track.upright_width_px, track.upright_height_px) == (96, 192)


def test_a_high_dynamic_range_is_told() -> None:
    def prepare(stream: Any) -> None:
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace = 9, 16, 9

    track = pictures(
        make_clip(
            codec="libx265",
            options={"x265-params": "log-level=error:pools=1"},
            prepare=prepare,
            pixel_format="yuv420p10le",
        )
    )
    assert (track.hdr, track.bit_depth, track.colour_primaries) == ("pq", 10, 9)


def noise(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (96, 128, 3), np.uint8)


SHARES = (0.35, 0.6, 0.85, 0.97, 0.999)


@pytest.mark.parametrize(
    ("kind", "codec", "options"),
    [
        ("mp4", "libx264", {"movflags": "faststart"}),
        ("mp4", "libx264", {"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
        ("mov", "libx264", {"movflags": "faststart"}),
        ("mp4", "libx264", {}),
        ("mkv", "libx264", {}),
        ("webm", "libvpx-vp9", {}),
        ("avi", "mpeg4", {}),
        ("flv", "libx264", {}),
        ("ts", "libx264", {}),
    ],
)
@pytest.mark.parametrize("has_sound", [False, True])
def test_a_file_that_was_cut_off_is_found(kind: str, codec: str, options: dict[str, str], has_sound: bool) -> None:
    whole = make_clip(
        kind,
        codec,
        options={} if codec != "libx264" else None,
        picture=noise,
        container_options=options,
        sound_seconds=1.5 if has_sound and kind != "webm" else 0,
    )
    assert probed(whole).cut_off is None
    for share in SHARES:
        cut = whole[: int(len(whole) * share)]
        if kind == "ts" and len(cut) % 188 == 0:
            continue
        if "frag" in options.get("movflags", "") and b"mfra" not in cut and share > 0.99:
            continue  # everything but the index at the end is there
        with pytest.raises(ItemError, match="cut off") as caught:
            require_whole(probed(cut))  # where the tables were at the end, probing fails already
        assert caught.value.code is ErrorCode.TRUNCATED


def test_tables_that_point_beyond_the_end_are_noticed() -> None:
    # a box that reaches "to the end" fits any length
    whole = bytearray(make_clip(picture=noise, container_options={"movflags": "faststart"}))
    at = whole.index(b"mdat")
    whole[at - 4 : at] = bytes(4)
    assert probed(bytes(whole)).cut_off is None
    assert probed(bytes(whole[: len(whole) * 2 // 3])).cut_off
    with av.open(io.BytesIO(whole)) as container:  # a cut between two pictures leaves no half one behind
        between = [packet.pos for packet in container.demux(video=0) if packet.pos][-3]
    assert probed(bytes(whole[:between])).cut_off


def test_a_live_recording_in_matroska_is_held_against_its_length() -> None:
    # a segment of unknown size (all ones) fits any length, too
    whole = bytearray(make_clip("mkv", n=72, picture=noise))
    at = whole.index(b"\x18\x53\x80\x67") + 4
    whole[at : at + 8] = b"\x01" + b"\xff" * 7
    assert probed(bytes(whole)).cut_off is None
    found = probed(bytes(whole[: len(whole) // 2])).cut_off
    assert found is not None
    assert "expected 3.0" in found


def test_a_live_recording_that_begins_late_is_whole() -> None:
    times = [100 * 24 + number for number in range(48)]
    whole = bytearray(make_clip("mkv", n=48, times=times))
    at = whole.index(b"\x18\x53\x80\x67") + 4
    whole[at : at + 8] = b"\x01" + b"\xff" * 7
    assert probed(bytes(whole)).cut_off is None
    assert probed(bytes(whole[: len(whole) // 2])).cut_off is not None


def test_bytes_behind_the_end_do_no_harm() -> None:
    for name in ("h264", "vp9", "mpeg4-avi"):
        assert probed(clip(name) + bytes(1000)).cut_off is None


def test_caps_are_held() -> None:
    for limits, code in (
        (VideoLimits(max_pixels=128 * 96 - 1), ErrorCode.TOO_MANY_PIXELS),
        (VideoLimits(max_packets=23), ErrorCode.TOO_MANY_FRAMES),
        (VideoLimits(max_seconds=0), ErrorCode.CORRUPT),
    ):
        with pytest.raises(ItemError) as caught:
            probed(clip("h264"), limits=limits)
        assert caught.value.code is code
    probed(clip("h264"), limits=VideoLimits(max_pixels=128 * 96, max_packets=24, max_seconds=1))
