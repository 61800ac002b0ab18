"""Pictures of a batch against its past: small PNGs in which the batch stands out."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from media_assets.media.drift_plots import Bar, bars_png, share_png

RED = (205, 55, 50)


def redness(png: bytes) -> int:
    """Pixels in the colour of what is unusual."""
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        pixels = np.asarray(image.convert("RGB"), np.int64)
    return int((np.abs(pixels - RED).sum(axis=2) < 60).sum())


def test_a_share_above_the_limit_is_red_and_one_below_is_not() -> None:
    past = [0.01, 0.02, 0.0, 0.01]
    assert redness(share_png(0.3, past, 0.05, "failures")) > 50
    assert redness(share_png(0.01, past, 0.05, "failures")) == 0
    assert redness(share_png(0.3, past, None, "learning")) == 0


def test_only_categories_outside_of_their_band_are_red() -> None:
    usual, odd = Bar("jpeg", 0.5, 0.5, 0.4, 0.6), Bar("heic", 0.4, 0.0, 0.0, 0.0)
    assert redness(bars_png([usual, odd], True, "mix")) > redness(bars_png([usual, usual], True, "mix"))
    assert redness(bars_png([usual, odd], False, "mix")) == 0


def test_pictures_stay_small_whatever_they_show() -> None:
    bars = [Bar("x" * 500 + "\x00\u202e", i / 100, 0.5, 0.1, 0.9) for i in range(100)]
    assert len(bars_png(bars, True, "t" * 1000)) < 20_000
    assert len(share_png(1.0, [0.5] * 1000, 1.0, "t")) < 20_000


def test_what_is_no_share_is_refused() -> None:
    with pytest.raises(ValueError, match="0 to 1"):
        share_png(1.5, [], None, "t")
    with pytest.raises(ValueError, match="0 to 1"):
        bars_png([Bar("a", float("nan"), 0, 0, 0)], False, "t")
    with pytest.raises(ValueError, match="at least one"):
        bars_png([], False, "t")
