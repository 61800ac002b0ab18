"""Perceptual hashes: near for what looks alike, far for what does not."""

from __future__ import annotations

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from media_assets.errors import ErrorCode, ItemError
from media_assets.media.fingerprints import difference_hash, thumbnail_hash
from media_assets.media.frames import small_jpeg
from media_assets.media.resize import Pixels


def scene(seed: int, size: tuple[int, int] = (240, 320)) -> Pixels:
    """A smooth picture with structure of its own."""
    cells = np.random.default_rng(seed).integers(0, 256, (6, 7, 3), np.uint8)
    return np.asarray(Image.fromarray(cells).resize(size[::-1], Image.Resampling.BICUBIC))


def n_bits(first: int, second: int) -> int:
    return (first ^ second).bit_count()


def test_it_is_the_hash_that_was_written_down() -> None:
    """From left to right darker, brighter or as bright, in its rows: 1 bit for brighter, the first pixel first."""
    ramp = np.repeat(np.arange(9, dtype=np.uint8)[None, :] * 20, 8, axis=0)
    ramp[1] = ramp[1, ::-1]
    ramp[2] = 7
    assert difference_hash(np.repeat(ramp[:, :, None], 3, axis=2)) == 0xFF00_00FF_FFFF_FFFF


def test_scaling_recompression_and_brightness_change_little() -> None:
    for seed in range(5):
        pixels = scene(seed)
        scaled = np.asarray(Image.fromarray(pixels).resize((97, 71)))
        again = simplejpeg.decode_jpeg(simplejpeg.encode_jpeg(pixels, 40), "RGB")
        darker = (pixels * 0.7).astype(np.uint8)
        for other in (scaled, again, darker):
            assert n_bits(difference_hash(pixels), difference_hash(other)) <= 6


def test_unlike_pictures_are_far_apart() -> None:
    hashes = [difference_hash(scene(seed)) for seed in range(12)]
    apart = [n_bits(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(apart) >= 12
    assert 24 <= float(np.mean(apart)) <= 40


def test_a_thumbnail_hashes_as_its_picture_does() -> None:
    for seed in range(4):
        pixels = scene(seed)
        assert n_bits(thumbnail_hash(small_jpeg(pixels)), difference_hash(pixels)) <= 4


def test_what_is_no_thumbnail_is_an_item_error() -> None:
    with pytest.raises(ItemError) as caught:
        thumbnail_hash(b"no picture")
    assert caught.value.code in (ErrorCode.CORRUPT, ErrorCode.TRUNCATED)
