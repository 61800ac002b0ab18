"""Geometry is exact, and one resize of a box equals resizing and then cropping."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from media_assets.errors import ErrorCode, ItemError
from media_assets.media.resize import decode_divisor, fits_within, place, resized
from media_assets_tests.media.pictures import make_photo

SIDES = st.integers(1, 3000)


@pytest.mark.parametrize(
    ("size", "whole"),
    [((1024, 768), (341, 256)), ((768, 1024), (256, 341)), ((1024, 683), (383, 256)), ((1, 1), (256, 256))],
)
def test_the_longer_side_is_floored(size: tuple[int, int], whole: tuple[int, int]) -> None:
    assert place(*size, (224, 224), "crop", 256).whole_px == whole


@given(width=SIDES, height=SIDES, target=st.tuples(st.integers(1, 64), st.integers(1, 64)), more=st.integers(0, 32))
def test_a_crop_lies_inside_the_picture_and_is_centred(
    width: int, height: int, target: tuple[int, int], more: int
) -> None:
    placement = place(width, height, target, "crop", max(target) + more)
    left, top, right, bottom = placement.box
    assert -1e-6 <= left < right <= width + 1e-6
    assert -1e-6 <= top < bottom <= height + 1e-6
    one_x, one_y = width / placement.whole_px[0], height / placement.whole_px[1]
    assert -1e-6 <= (width - right) - left < one_x + 1e-6
    assert -1e-6 <= (height - bottom) - top < one_y + 1e-6


@given(width=SIDES, height=SIDES, target=st.tuples(st.integers(1, 300), st.integers(1, 300)))
def test_a_pad_shows_the_whole_picture(width: int, height: int, target: tuple[int, int]) -> None:
    placement = place(width, height, target, "pad", 256)
    assert placement.box == (0, 0, width, height)
    assert placement.width_px == target[1] or placement.height_px == target[0]
    assert 0 <= placement.left_px <= target[1] - placement.width_px
    assert 0 <= placement.top_px <= target[0] - placement.height_px


@pytest.mark.parametrize("filter_name", ["bicubic", "bilinear", "lanczos", "area"])
@pytest.mark.parametrize("size", [(301, 200), (200, 301), (257, 256), (120, 90)])
def test_resizing_a_box_equals_resizing_and_then_cropping(filter_name: str, size: tuple[int, int]) -> None:
    pixels = make_photo(1, size)
    placement = place(*size, (120, 112), "crop", 128)
    at_once = resized(pixels, 1, placement, filter_name, (0, 0, 0))  # type: ignore[arg-type]
    filters = {"bicubic": 3, "bilinear": 2, "lanczos": 1, "area": 4}
    whole = Image.fromarray(pixels).resize(placement.whole_px, Image.Resampling(filters[filter_name]))
    left, top = (whole.width - 112) // 2, (whole.height - 120) // 2
    in_two_steps = np.asarray(whole.crop((left, top, left + 112, top + 120)))
    difference = np.abs(at_once.astype(int) - in_two_steps)
    assert difference.max() <= 1  # Pillow rounds between its two passes, in the order that is cheaper
    assert difference.mean() < 0.3


def test_an_enormous_output_is_refused_before_it_is_made() -> None:
    with pytest.raises(ItemError) as caught:
        place(1, 1_000_000, (224, 224), "shorter_side", 256)
    assert caught.value.code is ErrorCode.TOO_MANY_PIXELS
    sliver = np.zeros((1000, 1, 3), np.uint8)
    placement = place(1, 1000, (224, 224), "crop", 256)
    assert resized(sliver, 1, placement, "bicubic", (0, 0, 0)).shape == (224, 224, 3)
    with pytest.raises(ItemError) as caught:
        resized(sliver, 1, placement, "area", (0, 0, 0))
    assert caught.value.code is ErrorCode.TOO_MANY_PIXELS


@pytest.mark.parametrize(
    ("size", "shorter", "divisor"),
    [
        ((1024, 768), 256, 2),
        ((1024, 767), 256, 1),
        ((4000, 3000), 256, 4),
        ((8000, 6000), 256, 8),
        ((300, 300), 256, 1),
    ],
)
def test_a_scaled_decode_leaves_headroom(size: tuple[int, int], shorter: int, divisor: int) -> None:
    placement = place(*size, (224, 224), "crop", shorter)
    assert decode_divisor(*size, placement, "bicubic") == divisor
    assert decode_divisor(*size, placement, "area") == 1


@given(width=SIDES, height=SIDES)
def test_a_thumbnail_is_never_enlarged_and_never_empty(width: int, height: int) -> None:
    small = fits_within(width, height, 96)
    assert min(small) >= 1
    assert max(small) == min(96, max(width, height))
    assert small[0] <= width
    assert small[1] <= height
