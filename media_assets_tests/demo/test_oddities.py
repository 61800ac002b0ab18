"""Odd and broken files: each is what its name claims."""

from __future__ import annotations

import io
import struct

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageOps

from media_assets.demo.oddities import BROKEN, ERROR_CODES, FINE
from media_assets.demo.photos import Pixels, encode_jpeg, photo

pillow_heif.register_heif_opener()
ID = "00000000000000ff"


@pytest.fixture(scope="module")
def pixels() -> Pixels:
    return photo(0, 640, 480)


def opened(kind: str, pixels: Pixels) -> Image.Image:
    image = Image.open(io.BytesIO((FINE | BROKEN)[kind](pixels, ID)))
    image.load()
    return image


@pytest.mark.parametrize(
    ("kind", "file_format", "mode"),
    [
        ("cmyk", "JPEG", "CMYK"),
        ("exif_rotated", "JPEG", "RGB"),
        ("gray", "JPEG", "L"),
        ("progressive", "JPEG", "RGB"),
        ("png16", "PNG", "I;16"),
        ("png_rgba", "PNG", "RGBA"),
        ("png_palette", "PNG", "P"),
        ("webp", "WEBP", "RGB"),
        ("gif_animated", "GIF", "P"),
        ("heic", "HEIF", "RGB"),
        ("avif", "AVIF", "RGB"),
        ("list_rotation_90", "JPEG", "RGB"),
    ],
)
def test_fine_file_has_its_format_and_mode_when_opened(kind: str, file_format: str, mode: str, pixels: Pixels) -> None:
    image = opened(kind, pixels)

    assert (image.format, image.mode) == (file_format, mode)


def test_every_fine_kind_is_opened_by_a_test() -> None:
    marks = test_fine_file_has_its_format_and_mode_when_opened.pytestmark
    assert {case[0] for case in marks[0].args[1]} == set(FINE)


def test_exif_rotated_is_the_photo_when_turned_and_carries_a_position(pixels: Pixels) -> None:
    image = opened("exif_rotated", pixels)
    exif = image.getexif()
    upright = np.asarray(ImageOps.exif_transpose(image), np.int16)

    assert image.size == (480, 640)
    assert (exif[0x0112], exif[0x010F]) == (6, "Sample Optics")
    assert exif.get_ifd(0x8825)[1] == "N"
    assert np.abs(upright - pixels).mean() < 8


def test_list_rotated_is_the_photo_when_turned_90_counter_clockwise(pixels: Pixels) -> None:
    upright = np.rot90(np.asarray(opened("list_rotation_90", pixels), np.int16))

    assert np.abs(upright - pixels).mean() < 8


def test_png16_keeps_its_depth_when_opened(pixels: Pixels) -> None:
    values = np.asarray(opened("png16", pixels))

    assert values.dtype == np.uint16
    assert values.max() > 20_000


def test_png_rgba_hides_magenta_when_alpha_is_dropped(pixels: Pixels) -> None:
    rgba = np.asarray(opened("png_rgba", pixels))

    assert tuple(rgba[0, 0]) == (255, 0, 255, 0)
    assert rgba[rgba.shape[0] // 2, rgba.shape[1] // 2, 3] == 255


def test_gif_moves_when_played(pixels: Pixels) -> None:
    image = opened("gif_animated", pixels)

    assert image.n_frames == 6
    first = np.asarray(image.convert("RGB"))
    image.seek(5)
    assert not np.array_equal(first, np.asarray(image.convert("RGB")))


def test_progressive_is_progressive_when_inspected(pixels: Pixels) -> None:
    assert opened("progressive", pixels).info["progressive"]


def test_truncated_starts_like_the_whole_file_when_cut(pixels: Pixels) -> None:
    data = BROKEN["truncated"](pixels, ID)

    assert encode_jpeg(pixels).startswith(data)
    with pytest.raises(OSError, match="truncated"):
        Image.open(io.BytesIO(data)).load()


def test_bomb_is_tiny_when_sent_and_huge_when_believed(pixels: Pixels) -> None:
    data = BROKEN["bomb"](pixels, ID)

    assert len(data) < 1_000
    assert struct.unpack(">II", data[16:24]) == (60_000, 60_000)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(data))


@pytest.mark.parametrize("kind", ["empty", "html", "svg", "random"])
def test_broken_file_is_no_picture_when_opened(kind: str, pixels: Pixels) -> None:
    with pytest.raises(OSError, match="cannot identify"):
        opened(kind, pixels)


def test_html_and_svg_look_like_it_when_sniffed(pixels: Pixels) -> None:
    assert BROKEN["html"](pixels, ID).startswith(b"<!DOCTYPE html>")
    assert b"<svg" in BROKEN["svg"](pixels, ID)[:200]


def test_every_broken_kind_has_an_error_code() -> None:
    assert set(ERROR_CODES) == set(BROKEN)
    assert not set(BROKEN) & set(FINE)


@pytest.mark.parametrize("kind", sorted(set(FINE | BROKEN)))
def test_every_kind_is_repeatable_when_made_again(kind: str, pixels: Pixels) -> None:
    make = (FINE | BROKEN)[kind]

    assert make(pixels, ID) == make(pixels, ID)
