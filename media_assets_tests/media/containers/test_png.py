"""PNGs are walked and summed; our own are lossless, bare and the same every time."""

import io
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from media_assets.errors import ErrorCode, ItemError
from media_assets.media.containers.png import encode_png, examine_png, prove_png
from media_assets_tests.hostile import pngs
from media_assets_tests.media import pictures
from media_assets_tests.media.pictures import make_photo, make_png, png_chunk


def refused(data: bytes) -> ErrorCode:
    with pytest.raises(ItemError) as caught:
        examine_png(data)
    return caught.value.code


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (256, 192), (333, 7)])
def test_encoding_is_lossless_bare_and_repeatable(size: tuple[int, int]) -> None:
    pixels = make_photo(0, size)
    png = encode_png(pixels)
    assert (np.asarray(Image.open(io.BytesIO(png))) == pixels).all()
    assert examine_png(png).is_bare
    assert encode_png(pixels.copy()) == png


def test_encoding_is_smaller_than_the_pixels_and_flat_pictures_shrink() -> None:
    photo = make_photo(0)
    assert len(encode_png(photo)) < photo.nbytes
    flat = np.full((500, 500, 3), 200, np.uint8)
    assert len(encode_png(flat)) < flat.nbytes / 100


@pytest.mark.parametrize("kind", [b"tEXt", b"eXIf", b"iCCP", b"gAMA", b"caBX", b"prVt"])
def test_any_further_chunk_is_seen(kind: bytes) -> None:
    png = make_png()
    more = png[:33] + png_chunk(kind, b"content") + png[33:]
    assert examine_png(png).is_bare
    assert not examine_png(more).is_bare
    assert examine_png(more).has_c2pa is (kind == b"caBX")


def test_an_srgb_chunk_and_several_data_chunks_are_bare() -> None:
    png = make_png()
    assert examine_png(png[:33] + png_chunk(b"sRGB", b"\0") + png[33:]).is_bare


def test_bytes_behind_the_end_are_seen() -> None:
    assert not examine_png(make_png() + b"\0").is_bare


def test_frames_are_those_that_the_header_declares() -> None:
    assert examine_png(pictures.awkward("png-apng")).n_frames == 3
    assert examine_png(make_png()).n_frames == 1


def test_damage_is_told_apart() -> None:
    png = make_png()
    assert refused(png[:-12]) is ErrorCode.TRUNCATED
    assert refused(png[:40]) is ErrorCode.TRUNCATED
    assert refused(png[:8]) is ErrorCode.TRUNCATED
    flipped = bytearray(png)
    flipped[len(png) // 2] ^= 1
    assert refused(bytes(flipped)) is ErrorCode.CORRUPT
    assert refused(png[:8] + png_chunk(b"IDAT", b"") + png[8:]) is ErrorCode.CORRUPT


def test_chunks_without_end_are_refused() -> None:
    png = make_png()
    assert refused(png[:33] + png_chunk(b"tEXt", b"") * 100_001 + png[33:]) is ErrorCode.CORRUPT


@pytest.mark.parametrize("is_interlaced", [False, True])
@pytest.mark.parametrize("size", [(24, 17), (1, 1), (3, 2), (1, 40), (40, 1)])
def test_pixels_are_whole_in_every_kind_of_png(size: tuple[int, int], is_interlaced: bool) -> None:
    for colour_type, depths in pngs.DEPTHS.items():
        for depth in depths:
            prove_png(pngs.made(colour_type, depth, size, is_interlaced=is_interlaced))


@pytest.mark.parametrize("is_interlaced", [False, True])
def test_a_row_that_is_not_there_is_missed(is_interlaced: bool) -> None:
    good = pngs.made(2, 8, (24, 17), is_interlaced=is_interlaced)
    taller = pngs.png(pngs.header(24, 18, interlace=int(is_interlaced)), good[33:])
    with pytest.raises(ItemError) as caught:
        prove_png(taller)
    assert caught.value.code is ErrorCode.TRUNCATED


def test_pixels_that_are_not_compressed_are_refused() -> None:
    with pytest.raises(ItemError) as caught:
        prove_png(pngs.png(pngs.header(24, 17), png_chunk(b"IDAT", b"nonsense" * 9), pngs.END))
    assert caught.value.code is ErrorCode.CORRUPT


def test_no_more_is_unpacked_than_the_picture_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked = []

    class Counting:
        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def decompress(self, data: bytes, max_length: int) -> bytes:
            unpacked.append(len(made := self._inner.decompress(data, max_length)))
            return made

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

    bomb = pngs.png(pngs.header(24, 17), png_chunk(b"IDAT", zlib.compress(bytes(30_000_000), 9)), pngs.END)
    made = zlib.decompressobj
    monkeypatch.setattr(zlib, "decompressobj", lambda: Counting(made()))
    prove_png(bomb)
    assert sum(unpacked) <= 2**22


def test_exif_is_found_on_either_side_of_the_pixels() -> None:
    png, chunk = make_png(), png_chunk(b"eXIf", b"block")
    assert examine_png(png[:33] + chunk + png[33:]).exif == b"block"
    assert examine_png(png[:-12] + chunk + png[-12:]).exif == b"block"
    assert examine_png(png).exif is None
