"""Sample photos: repeatable, all different, sized like real ones."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from media_assets.demo.photos import cheap_variants, encode_jpeg, photo, scene_of, variant
from media_assets.demo.scenes import SCENES


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("seed", range(len(SCENES)))
def test_photo_of_every_scene_is_repeatable_and_real_sized_when_encoded(seed: int) -> None:
    pixels = photo(seed)

    assert pixels.shape == (768, 1024, 3)
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, photo(seed))
    assert 150_000 < len(encode_jpeg(pixels)) < 350_000
    assert pixels.std() > 12, "a picture, not a flat field"


def test_photos_differ_when_seeds_do() -> None:
    seeds = range(3 * len(SCENES))

    assert len({digest(photo(seed, 256, 192).tobytes()) for seed in seeds}) == len(seeds)
    assert {scene_of(seed).name for seed in seeds} == {scene.name for scene in SCENES}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seed", range(len(SCENES)))
def test_photo_is_a_picture_when_small(seed: int) -> None:
    assert photo(seed, 64, 64).std() > 8


def test_photos_of_one_scene_differ_visibly_when_seeds_do() -> None:
    same = [seed for seed in range(2 * len(SCENES)) if scene_of(seed) == scene_of(0)]
    first, second = (photo(seed, 256, 192).astype(float) for seed in same)

    assert np.abs(first - second).mean() > 5


def test_photo_refuses_when_too_small() -> None:
    with pytest.raises(ValueError, match="at least 64 px"):
        photo(1, 63, 64)


def test_encode_jpeg_writes_a_subsampled_baseline_jpeg_when_given_pixels() -> None:
    image = Image.open(io.BytesIO(encode_jpeg(photo(3, 128, 96))))

    assert (image.format, image.size, image.mode) == ("JPEG", (128, 96), "RGB")
    assert image.layer[0][1:3] == (2, 2)
    assert not image.getexif()


def test_cheap_variants_are_distinct_and_repeatable_when_seeded() -> None:
    bases = [photo(seed, 192, 144) for seed in range(3)]
    files = list(cheap_variants(bases, 200, seed=5, width_px=128, height_px=96))

    assert len({digest(data) for data in files}) == 200
    assert files[137] == variant(bases, 137, seed=5, width_px=128, height_px=96), "any one can be made alone"
    assert files[137] != variant(bases, 137, seed=6, width_px=128, height_px=96)


def test_variant_refuses_when_bases_are_smaller_than_the_crop() -> None:
    with pytest.raises(ValueError, match="too small"):
        variant([photo(0, 100, 100)], 0, seed=0, width_px=128, height_px=96)
