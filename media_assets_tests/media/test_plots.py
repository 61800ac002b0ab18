"""The plot is small, complete and stateless."""

import io

import numpy as np
import pytest
from PIL import Image

from media_assets.media.plots import channel_histograms_png
from media_assets_tests.media.pictures import make_photo

PIXELS = make_photo(0, (320, 240))
COUNTS = np.stack([np.bincount(PIXELS[:, :, c].ravel(), minlength=256) for c in range(3)])
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.2, 0.2)


def test_the_plot_is_a_small_png_that_shows_three_colours() -> None:
    png = channel_histograms_png(COUNTS, MEAN, STD, "a title")
    assert len(png) < 60_000
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    for channel in range(3):
        others = np.delete(pixels, channel, axis=2).max(axis=2)
        assert (pixels[:, :, channel] - others > 50).sum() > 200


def test_the_same_numbers_give_the_same_bytes_and_others_do_not() -> None:
    first = channel_histograms_png(COUNTS, MEAN, STD, "a title")
    assert channel_histograms_png(COUNTS, MEAN, STD, "a title") == first
    assert channel_histograms_png(COUNTS[::-1], MEAN, STD, "a title") != first
    assert channel_histograms_png(COUNTS, (0.1, 0.2, 0.9), STD, "a title") != first


def test_one_single_level_is_drawn() -> None:
    counts = np.zeros((3, 256), np.int64)
    counts[:, 0] = 9
    assert channel_histograms_png(counts, MEAN, STD, "black").startswith(b"\x89PNG")


@pytest.mark.parametrize("wrong", [np.zeros((3, 256)), np.ones((3, 255)), np.ones((256, 3)), -np.ones((3, 256))])
def test_what_is_no_histogram_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="counts"):
        channel_histograms_png(wrong, MEAN, STD, "x")
