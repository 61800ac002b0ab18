"""Frames are decoded no further than needed, and proven whole at any scale."""

import io

import numpy as np
import pytest
from PIL import Image

from media_assets.errors import ErrorCode, ItemError
from media_assets.media.frames import FrameSource, decode_jpeg, make_tensors, make_thumbnail
from media_assets.media.tensors import TensorSpec
from media_assets_tests.media.pictures import make_jpeg, make_marked, make_photo, quarters


@pytest.mark.parametrize("divisor", [1, 2, 4, 8])
@pytest.mark.parametrize("size", [(256, 192), (641, 479), (9, 70)])
def test_a_scaled_decode_has_the_scaled_size(size: tuple[int, int], divisor: int) -> None:
    pixels = decode_jpeg(make_jpeg(0, size), *size, divisor)
    assert pixels.shape == (-(-size[1] // divisor), -(-size[0] // divisor), 3)


def test_full_decode_equals_pillows() -> None:
    jpeg = make_jpeg(3)
    assert (decode_jpeg(jpeg, 256, 192) == np.asarray(Image.open(io.BytesIO(jpeg)))).all()


@pytest.mark.parametrize("is_progressive", [False, True])
def test_damage_shows_at_the_coarsest_scale(is_progressive: bool) -> None:
    jpeg = make_jpeg(0, progressive=is_progressive)
    for cut in range(700, len(jpeg) - 2, len(jpeg) // 40):
        with pytest.raises(ItemError) as caught:
            FrameSource(256, 192, jpeg=jpeg[:cut]).prove()
        assert caught.value.code is ErrorCode.TRUNCATED


def test_specs_share_a_decode_without_changing_each_other() -> None:
    jpeg = make_jpeg(1, (1024, 768))
    specs = (TensorSpec(), TensorSpec(size=(64, 64), resize_shorter_px=64), TensorSpec(fit="pad"))
    source = FrameSource(1024, 768, jpeg=jpeg)
    together = make_tensors(source, specs)
    assert set(source.decoded) == {2, 8}
    alone = [make_tensors(FrameSource(1024, 768, jpeg=jpeg), (spec,))[0] for spec in specs]
    assert list(together) == alone


@pytest.mark.parametrize("size", [(1000, 400), (400, 1000), (640, 480), (97, 96), (20, 10), (1, 300), (1, 1)])
def test_a_thumbnail_shows_the_whole_picture_upright(size: tuple[int, int]) -> None:
    source = FrameSource(*size, jpeg=make_jpeg(pixels=make_marked(size), subsampling=0))
    thumbnail = Image.open(io.BytesIO(make_thumbnail(source)))
    assert thumbnail.format == "JPEG"
    longest = min(96, max(size))
    assert max(thumbnail.size) == longest
    assert thumbnail.width / thumbnail.height == pytest.approx(size[0] / size[1], rel=0.2) or min(thumbnail.size) == 1
    if min(size) >= 10:
        assert quarters(np.asarray(thumbnail)) == "RGBK"


def test_a_thumbnail_reuses_what_was_decoded() -> None:
    source = FrameSource(1024, 768, jpeg=make_jpeg(1, (1024, 768)))
    make_tensors(source, (TensorSpec(),))
    make_thumbnail(source)
    assert set(source.decoded) == {2}


def test_pixels_in_memory_are_used_as_they_are() -> None:
    pixels = make_photo(0)
    source = FrameSource(256, 192, pixels=pixels)
    assert source.at(8) == (pixels, 1)
    source.prove()
    assert not source.decoded
