"""WebPs are walked: canvas, frames, what is bare, what is cut off."""

import struct

import pytest
from PIL import Image

from media_assets.errors import ErrorCode, ItemError
from media_assets.media.containers.webp import examine_webp
from media_assets_tests.media.pictures import awkward, make_photo, save


def with_chunk(webp: bytes, kind: bytes, content: bytes) -> bytes:
    made = kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
    return b"RIFF" + struct.pack("<I", len(webp) - 8 + len(made)) + webp[8:] + made


@pytest.mark.parametrize("name", ["webp", "webp-lossless", "webp-rgba"])
def test_the_canvas_is_read_from_every_kind_of_chunk(name: str) -> None:
    structure = examine_webp(awkward(name))
    assert (structure.width_px, structure.height_px, structure.n_frames) == (256, 192, 1)
    assert structure.is_bare


def test_frames_are_counted() -> None:
    assert examine_webp(awkward("webp-animation")).n_frames == 3


def test_metadata_credentials_and_trailing_bytes_are_seen() -> None:
    webp = awkward("webp")
    assert not examine_webp(save(Image.fromarray(make_photo(0)), "WEBP", exif=b"Exif\0\0II*\0")).is_bare
    assert not examine_webp(webp + b"\0").is_bare
    signed = examine_webp(with_chunk(webp, b"C2PA", b"jumb"))
    assert signed.has_c2pa
    assert not signed.is_bare


def test_damage_is_told_apart() -> None:
    webp = awkward("webp")
    for data, code in (
        (webp[:-1], ErrorCode.TRUNCATED),
        (webp[:12], ErrorCode.TRUNCATED),
        (b"RIFF\x04\0\0\0WEBP", ErrorCode.CORRUPT),
        (with_chunk(webp, b"EXIF", b"")[:-4] + b"\xff\xff\0\0", ErrorCode.TRUNCATED),
    ):
        with pytest.raises(ItemError) as caught:
            examine_webp(data)
        assert caught.value.code is code
