"""Pictures are compared where their job cut them, against an unrounded reference."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.jobs.bare_loop import tensor
from benchmarks.quality import (
    centre_square,
    crop_of_224,
    crop_of_256,
    pillow_draft_bicubic,
    psnr_db,
    quality,
    reference,
)
from media_assets.demo.photos import encode_jpeg, photo
from media_assets.media.resize import place


def test_the_default_cut_is_that_of_the_product() -> None:
    for width, height in ((1024, 768), (768, 1024), (1001, 333), (640, 640)):
        assert crop_of_256(width, height) == pytest.approx(place(width, height, (224, 224), "crop", 256).box)


def test_the_other_cuts_are_centred() -> None:
    assert centre_square(1024, 768) == (128, 0, 896, 768)
    left, top, right, bottom = crop_of_224(1024, 768)
    assert (top, bottom) == (0, 768)
    assert 512 - left == pytest.approx(right - 512, abs=4)  # half a pixel of the small picture


def test_equal_pictures_are_as_good_as_can_be_and_one_level_off_is_48_db() -> None:
    flat = np.full((224, 224, 3), 100, np.float32)
    assert psnr_db(flat.astype(np.uint8), flat) == 100
    assert psnr_db(flat.astype(np.uint8) + np.uint8(1), flat) == pytest.approx(48.13, abs=0.01)


def test_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="expected pixels of shape"):
        psnr_db(np.zeros((2, 2, 3), np.uint8), np.zeros((224, 224, 3), np.float32))


def test_the_loop_is_as_good_as_the_yardstick_and_nearest_pixels_are_not() -> None:
    jpeg = encode_jpeg(photo(3))
    loop = np.frombuffer(tensor(jpeg), np.uint8).reshape(224, 224, 3)
    yardstick = quality({"a": pillow_draft_bicubic(jpeg)}, {"a": jpeg}, crop_of_256)
    assert quality({"a": loop}, {"a": jpeg}, crop_of_256).mean_db >= yardstick.mean_db - 0.1
    shifted = np.roll(reference(jpeg, crop_of_256).round().astype(np.uint8), 1, axis=1)
    assert quality({"a": shifted}, {"a": jpeg}, crop_of_256).mean_db < yardstick.mean_db - 3
