"""A still is what a player shows: upright, square pixels, the right colours."""

import io
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from media_assets.errors import ErrorCode, ItemError
from media_assets.media.video.hdr import tone_mapped
from media_assets.media.video.keyframes import Keyframe, KeyframeRequest, keyframes
from media_assets.media.video.opening import VideoLimits
from media_assets.media.video.probe import probe_video
from media_assets_tests.media.video.clips import LOSSLESS, make_clip

ONE, TURN = 1 << 16, 1 << 30
RED, GREEN, BLUE, GRAY = (220, 30, 30), (30, 200, 30), (30, 30, 220), (128, 128, 128)


def corners(number: int) -> np.ndarray:
    """Red top left, green top right, blue bottom left, gray bottom right."""
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[:32, :48], pixels[:32, 48:], pixels[32:, :48], pixels[32:, 48:] = RED, GREEN, BLUE, GRAY
    return pixels


def still(data: bytes, **more: Any) -> Keyframe:
    return next(iter(keyframes(io.BytesIO(data), KeyframeRequest(**more))))


def names_of(pixels: np.ndarray) -> str:
    """The colours of the corners, row by row: `rgb-` as it was made."""
    height, width = pixels.shape[:2]
    spots = [pixels[y * height // 4, x * width // 4].astype(int) for y in (1, 3) for x in (1, 3)]
    return "".join("-" if np.ptp(spot) < 40 else "rgb"[int(spot.argmax())] for spot in spots)


@pytest.mark.parametrize(
    ("matrix", "wanted", "degrees", "is_mirrored"),
    [
        ((1, 0, 0, 1), "rgb-", 0, False),
        ((0, 1, -1, 0), "br-g", 90, False),
        ((-1, 0, 0, -1), "-bgr", 180, False),
        ((0, -1, 1, 0), "g-rb", 270, False),
        ((-1, 0, 0, 1), "gr-b", 0, True),
        ((1, 0, 0, -1), "b-rg", 180, True),
        ((0, 1, 1, 0), "rbg-", 270, True),
        ((0, -1, -1, 0), "-gbr", 90, True),
    ],
)
def test_every_turn_is_made_once(
    matrix: tuple[int, int, int, int], wanted: str, degrees: int, is_mirrored: bool
) -> None:
    a, b, c, d = (ONE * sign for sign in matrix)
    data = make_clip(
        n=2, picture=corners, prepare=lambda stream: stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, TURN])
    )
    shown = still(data)
    assert names_of(shown.pixels) == wanted
    assert shown.conversions == ()
    track = probe_video(io.BytesIO(data)).pictures
    assert track is not None
    assert (track.upright_width_px, track.upright_height_px) == shown.pixels.shape[1::-1]
    assert (track.turned_clockwise_degrees, track.is_mirrored) == (degrees, is_mirrored)
    # what the two numbers say is how to get there
    mirrored = corners(0)[:, ::-1] if is_mirrored else corners(0)
    assert names_of(np.rot90(mirrored, -degrees // 90)) == wanted


def test_a_turn_that_is_no_quarter_is_left_and_told() -> None:
    data = make_clip(n=2, picture=corners, prepare=lambda stream: stream.set_display_rotation(30))
    shown = still(data)
    assert names_of(shown.pixels) == "rgb-"
    assert shown.conversions == ("turn_ignored",)


@pytest.mark.parametrize(
    ("aspect", "size"), [(Fraction(16, 11), (140, 64)), (Fraction(8, 9), (96, 72)), (Fraction(1), (96, 64))]
)
@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts"])
def test_pixels_become_square_and_none_is_lost(kind: str, aspect: Fraction, size: tuple[int, int]) -> None:
    def prepare(stream: Any) -> None:
        stream.codec_context.sample_aspect_ratio = aspect

    shown = still(make_clip(kind, n=2, picture=corners, prepare=prepare))
    assert shown.pixels.shape[1::-1] == size
    assert names_of(shown.pixels) == "rgb-"
    assert shown.conversions == (() if aspect == 1 else ("pixels_squared",))


def test_pixels_that_would_be_stretched_beyond_the_cap_are_refused() -> None:
    def prepare(stream: Any) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(10, 1)

    with pytest.raises(ItemError) as caught:
        still(make_clip(n=2, picture=corners, prepare=prepare), limits=VideoLimits(max_pixels=20_000))
    assert caught.value.code is ErrorCode.TOO_MANY_PIXELS


def coloured(size: tuple[int, int], matrix: int | None, told: bool, *, is_full: bool = False) -> bytes:
    """A clip of one colour, coded by BT.709 (1) or BT.601 (5), which it tells or not."""

    def convert(frame: av.VideoFrame) -> av.VideoFrame:
        return frame.reformat(format="yuv444p", dst_colorspace=matrix, dst_color_range="JPEG" if is_full else "MPEG")

    def prepare(stream: Any) -> None:
        stream.codec_context.color_range = 2 if is_full else 1
        if told:
            stream.codec_context.colorspace = {1: 1, 5: 6}[matrix or 1]

    return make_clip(
        n=1,
        picture=lambda number: np.full((*size[::-1], 3), (200, 60, 30), np.uint8),
        convert=convert,
        prepare=prepare,
        pixel_format="yuv444p",
        options=LOSSLESS,
    )


@pytest.mark.parametrize(
    ("size", "matrix", "told"),
    [
        ((96, 64), 1, True),
        ((96, 64), 5, True),
        ((96, 64), 5, False),
        ((1280, 64), 1, False),
        ((64, 578), 1, False),
    ],
)
@pytest.mark.parametrize("is_full", [False, True])
def test_colours_are_those_that_were_coded(size: tuple[int, int], matrix: int, told: bool, is_full: bool) -> None:
    shown = still(coloured(size, matrix, told, is_full=is_full))
    assert np.abs(shown.pixels.astype(int) - (200, 60, 30)).max() <= 2


def hdr_clip(transfer: int, level: int) -> bytes:
    def prepare(stream: Any) -> None:
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = 9, transfer, 9, 1

    def convert(frame: av.VideoFrame) -> av.VideoFrame:
        return frame.reformat(format="yuv420p10le", dst_colorspace="BT2020", dst_color_range="MPEG")

    return make_clip(
        n=1,
        options=LOSSLESS,
        picture=lambda number: np.full((64, 64, 3), level, np.uint8),
        prepare=prepare,
        convert=convert,
        pixel_format="yuv420p10le",
    )


@pytest.mark.parametrize("transfer", [16, 18])
def test_a_high_dynamic_range_is_mapped_and_told(transfer: int) -> None:
    levels = [still(hdr_clip(transfer, level)) for level in (0, 90, 148, 180, 255)]
    assert all(shown.conversions == ("hdr_tone_mapped",) for shown in levels)
    grays = [int(shown.pixels[32, 32, 1]) for shown in levels]
    assert grays == sorted(set(grays))
    assert grays[0] == 0
    assert grays[-1] == 255
    assert all(np.ptp(shown.pixels[32, 32]) <= 1 for shown in levels)  # gray stays gray


def test_the_curve_of_light_is_the_one_that_is_written_down() -> None:
    def shown(nits: float) -> int:
        y = (nits / 10000) ** (2610 / 16384)
        coded = ((3424 / 4096 + 2413 / 128 * y) / (1 + 2392 / 128 * y)) ** (2523 / 32)
        return int(tone_mapped(np.full((1, 1, 3), round(coded * 65535), np.uint16), "pq")[0, 0, 0])

    assert shown(0) == 0
    assert abs(shown(101.5) - 188) <= 1  # half of the reference white: as in sRGB
    assert abs(shown(203) - 225) <= 1
    assert shown(1000) == shown(4000) == 255


def test_more_than_eight_bits_are_told() -> None:
    shown = still(
        make_clip(
            n=1,
            options=LOSSLESS,
            picture=corners,
            pixel_format="yuv420p10le",
        )
    )
    assert names_of(shown.pixels) == "rgb-"
    assert shown.conversions == ("depth_scaled",)
