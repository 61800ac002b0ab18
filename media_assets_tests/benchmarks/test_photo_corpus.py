"""A picture of the corpus depends on the seed, its place and the sources alone, and has about the drawn size."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from benchmarks.photo_corpus import HEIGHT_PX, WIDTH_PX, picture
from benchmarks.photographs import Pixels
from media_assets.demo.photos import photo


@pytest.fixture(scope="module")
def sources() -> list[Pixels]:
    return [photo(seed, 1536, 1152) for seed in (1, 2)]


def test_the_same_place_gives_the_same_bytes_in_any_order(sources: list[Pixels]) -> None:
    forwards = [picture(sources, 7, index) for index in range(3)]
    backwards = [picture(sources, 7, index) for index in reversed(range(3))]
    assert forwards == backwards[::-1]
    assert len(set(forwards)) == 3
    assert picture(sources, 8, 0) != forwards[0]


def test_sizes_are_those_of_photographs(sources: list[Pixels]) -> None:
    sizes_kb = np.array([len(picture(sources, 7, index)) / 1000 for index in range(12)])
    assert sizes_kb.min() > 150
    assert sizes_kb.max() < 420
    assert 230 < sizes_kb.mean() < 340


def test_a_picture_is_a_whole_jpeg_with_halved_colour(sources: list[Pixels]) -> None:
    with Image.open(io.BytesIO(picture(sources, 7, 0))) as opened:
        opened.load()
        assert opened.size == (WIDTH_PX, HEIGHT_PX)
        assert opened.layer[0][1:3] == (2, 2)  # type: ignore[attr-defined]  # sampling factors of the lightness
