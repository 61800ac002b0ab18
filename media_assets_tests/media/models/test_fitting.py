"""What a model points at lies on the picture where it was shown, for every fit and size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from media_assets.media.frames import FrameSource
from media_assets.media.models.description import Input
from media_assets.media.models.fitting import placement_of, shown, to_picture, to_shown

SIDES = st.integers(1, 4096)
FITS = st.sampled_from(["letterbox", "stretch", "crop"])
SHARES = st.lists(st.floats(0, 1), min_size=4, max_size=4)


@settings(max_examples=100, deadline=None)
@given(size=st.tuples(SIDES, SIDES), seen=st.tuples(st.integers(1, 640), st.integers(1, 640)), fit=FITS, shares=SHARES)
@example(size=(1920, 1080), seen=(640, 640), fit="letterbox", shares=[0.1, 0.2, 0.3, 0.4])
def test_there_and_back_is_the_same_place(
    size: tuple[int, int], seen: tuple[int, int], fit: str, shares: list[float]
) -> None:
    spec = Input(*seen, fit=fit)  # type: ignore[arg-type]
    placement = placement_of(spec, *size)
    place = np.array([shares])
    assert to_picture(to_shown(place, placement, *size), placement, *size) == pytest.approx(place, abs=1e-9)


@pytest.mark.parametrize("fit", ["letterbox", "stretch", "crop"])
@pytest.mark.parametrize("size", [(300, 200), (200, 300), (256, 256), (97, 31)])
def test_what_is_seen_is_found_where_it_is_on_the_picture(fit: str, size: tuple[int, int]) -> None:
    """A white square in the middle of a black picture: found among the shown pixels, it maps back onto itself."""
    width, height = size
    side = min(size) // 3
    left, top = (width - side) // 2, (height - side) // 2
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[top : top + side, left : left + side] = 255
    spec = Input(128, 96, fit=fit, pad_level=0)  # type: ignore[arg-type]
    seen = shown(FrameSource(width, height, pixels=pixels), spec)
    assert seen.shape == (96, 128, 3)
    rows, columns = np.nonzero(seen[..., 0] > 127)
    found = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], np.float64)
    placement = placement_of(spec, width, height)
    got = to_picture(found, placement, width, height)[0] * [width, height, width, height]
    step = max((placement.box[2] - placement.box[0]) / placement.width_px, 1.0) * 1.1
    assert got == pytest.approx([left, top, left + side, top + side], abs=step)


@pytest.mark.parametrize(
    ("size", "seen", "shorter", "share"),
    [
        ((1280, 720), (640, 360), 0, 1.0),
        ((1280, 720), (640, 360), 360, 1.0),
        ((720, 1280), (360, 640), 0, 1.0),
        ((1280, 720), (360, 360), 0, 0.5625),
        ((360, 360), (640, 360), 360, 0.5625),
        ((256, 256), (224, 224), 256, 0.765625),
    ],
)
def test_a_crop_shows_as_much_as_its_shape_can(
    size: tuple[int, int], seen: tuple[int, int], shorter: int, share: float
) -> None:
    placement = placement_of(Input(*seen, fit="crop", resize_shorter_px=shorter), *size)
    left, top, right, bottom = placement.box
    assert (right - left) * (bottom - top) / (size[0] * size[1]) == pytest.approx(share, abs=0.01)
    assert (placement.width_px, placement.height_px) == seen


def test_the_bars_are_as_described() -> None:
    seen = shown(FrameSource(20, 10, pixels=np.zeros((10, 20, 3), np.uint8)), Input(16, 16))
    assert (seen[:4] == 114).all()
    assert (seen[4:12] == 0).all()
    assert (seen[12:] == 114).all()
