"""TIFF pages are counted without decoding, loops included."""

import struct

import pytest
from PIL import Image

from media_assets.errors import ErrorCode, ItemError
from media_assets.media.containers.tiff import examine_tiff
from media_assets_tests.media.pictures import awkward, make_animation, make_photo, save


@pytest.mark.parametrize("n_pages", [1, 2, 5])
@pytest.mark.parametrize("is_big", [False, True])
def test_pages_are_counted(n_pages: int, is_big: bool) -> None:
    assert examine_tiff(make_animation("TIFF", n_pages, big_tiff=is_big), 2000).n_frames == n_pages


def test_big_endian_files_are_read() -> None:
    page = struct.pack(">H", 1) + struct.pack(">HHII", 256, 3, 1, 9 << 16)
    data = b"MM\0*" + struct.pack(">I", 8) + page + struct.pack(">I", 26) + page + bytes(4)
    assert examine_tiff(data, 10).n_frames == 2


def test_a_loop_ends() -> None:
    page = struct.pack("<H", 0) + struct.pack("<I", 8)
    assert examine_tiff(b"II*\0" + struct.pack("<I", 8) + page, 2000).n_frames == 1


def test_counting_stops_one_beyond_the_cap() -> None:
    assert examine_tiff(awkward("tiff-pages"), 1).n_frames == 2


def test_credentials_are_seen() -> None:
    signed = save(Image.fromarray(make_photo(0)), "TIFF", tiffinfo={0xCD41: b"jumb"})
    assert examine_tiff(signed, 1).has_c2pa
    assert not examine_tiff(awkward("tiff"), 1).has_c2pa


def test_a_directory_beyond_the_end_is_a_truncation() -> None:
    with pytest.raises(ItemError) as caught:
        examine_tiff(b"II*\0\xff\xff\0\0" + bytes(40), 10)
    assert caught.value.code is ErrorCode.TRUNCATED
