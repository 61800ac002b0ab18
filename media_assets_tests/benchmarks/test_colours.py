"""The reference that the colours of stills are held against."""

from __future__ import annotations

import av
import numpy as np
import pytest

from benchmarks.colours import exact_rgb, psnr_db

# Y, Cb, Cr of limited range to R, G, B by ITU-R BT.709, worked out by hand
KNOWN = [
    ((16, 128, 128), (0, 0, 0)),
    ((235, 128, 128), (255, 255, 255)),
    ((63, 102, 240), (255, 0.8, -0.2)),
    ((32, 240, 118), (0.7, 0.1, 255)),
]


@pytest.mark.parametrize(("coded", "meant"), KNOWN)
def test_flat_colours_are_those_of_the_standard(coded: tuple[int, int, int], meant: tuple[float, float, float]) -> None:
    planes = np.concatenate([np.full(64, coded[0]), np.full(16, coded[1]), np.full(16, coded[2])]).astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(planes.reshape(12, 8), "yuv420p")
    assert np.allclose(exact_rgb(frame)[4, 4], meant, atol=1.5)


def test_a_level_of_error_is_48_db() -> None:
    exact = np.full((4, 4, 3), 100, np.float32)
    assert psnr_db(np.full((4, 4, 3), 101, np.uint8), exact) == pytest.approx(48.13, abs=0.01)
    assert psnr_db(np.full((4, 4, 3), 100, np.uint8), exact) == 99
