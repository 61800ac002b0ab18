"""Every mode becomes 8-bit sRGB, rightly, and every loss is named."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from media_assets.errors import ErrorCode, ItemError
from media_assets.media.colour import is_broken, is_srgb, to_srgb
from media_assets.media.still import StillRequest, frame_pixels, read_still
from media_assets_tests.media import pictures
from media_assets_tests.media.pictures import Pixels, make_photo, save

WHITE = (255, 255, 255)


def converted(data: bytes, **request: object) -> tuple[Pixels, tuple[str, ...]]:
    read = read_still(data, StillRequest(**request))  # type: ignore[arg-type]
    assert read.frame is not None
    return frame_pixels(read.frame.data or data), read.frame.conversions


def psnr(a: Pixels, b: Pixels) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


def test_the_hand_built_profiles_are_what_they_claim() -> None:
    assert not is_broken(pictures.matrix_profile(), "RGB")
    assert not is_srgb(pictures.matrix_profile(), "RGB")
    assert not is_broken(pictures.gray_profile(), "L")


def test_srgb_is_recognised_by_what_it_does_and_not_by_its_name() -> None:
    assert is_srgb(pictures.srgb_profile(), "RGB")
    lying = pictures.matrix_profile().replace(b"Test Wide Gamut", b"sRGB IEC61966-2")
    assert not is_srgb(lying, "RGB")
    assert is_broken(b"not a profile", "RGB")
    assert is_broken(pictures.srgb_profile(), "CMYK")
    assert is_broken(pictures.srgb_profile() + bytes(5 * 1024 * 1024), "RGB")


def test_a_wide_gamut_is_brought_to_srgb() -> None:
    """The same sRGB colours, stored in Display P3 and read back; the transform there is computed by hand."""
    colours = np.array([[200, 60, 60], [60, 200, 60], [60, 60, 200], [128, 128, 128], [90, 140, 180]], np.uint8)
    to_xyz = np.array([[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])
    from_srgb = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
    srgb = colours / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    stored = np.clip(linear @ from_srgb.T @ np.linalg.inv(to_xyz).T, 0, 1) ** (1 / 2.2)
    wide = np.rint(stored * 255).astype(np.uint8)[:, None].repeat(4, 1)
    pixels, conversions = converted(save(Image.fromarray(wide), "PNG", icc_profile=pictures.matrix_profile()))
    assert conversions == ("icc_to_srgb",)
    assert np.abs(pixels[:, 0].astype(int) - colours).max() <= 3
    assert np.abs(wide[:, 0].astype(int) - colours).max() > 12


def test_white_stays_white_whatever_white_the_profile_was_measured_at() -> None:
    """Relative intent: a scanner that states its paper's yellow would else tint every picture."""
    profile = pictures.matrix_profile(white=(0.85, 0.88, 0.65), device=b"scnr")
    white = save(Image.fromarray(np.full((4, 4, 3), 255, np.uint8)), "PNG", icc_profile=profile)
    assert converted(white)[0].min() >= 254


def test_an_srgb_profile_changes_nothing() -> None:
    pixels, conversions = converted(pictures.make_png(1, icc_profile=pictures.srgb_profile()))
    assert conversions == ()
    assert (pixels == make_photo(1)).all()


@pytest.mark.parametrize("profile", [b"broken", pictures.matrix_profile()[:200], pictures.gray_profile()])
def test_a_profile_that_cannot_be_applied_is_ignored_and_named(profile: bytes) -> None:
    pixels, conversions = converted(pictures.make_png(1, icc_profile=profile))
    assert conversions == ("icc_ignored",)
    assert (pixels == make_photo(1)).all()


def test_a_gray_profile_applies_to_gray() -> None:
    gray = Image.fromarray(make_photo(1)).convert("L")
    pixels, conversions = converted(save(gray, "PNG", icc_profile=pictures.gray_profile(1.8)))
    assert conversions == ("icc_to_srgb",)
    assert (pixels[:, :, 0] == pixels[:, :, 2]).all()
    values = (np.asarray(gray) / 255) ** 1.8
    expected = np.where(values <= 0.0031308, 12.92 * values, 1.055 * values ** (1 / 2.4) - 0.055) * 255
    assert np.abs(pixels[:, :, 1] - expected).max() <= 2
    assert np.abs(np.asarray(gray) - expected).max() > 8


def test_a_gray_profile_applies_where_the_container_knows_no_gray() -> None:
    gray = Image.fromarray(make_photo(1)).convert("L")
    data = save(gray, "WEBP", lossless=True, method=0, icc_profile=pictures.gray_profile(1.0))
    assert converted(data)[1] == ("icc_to_srgb",)


def test_cmyk_in_adobes_inverted_convention_is_read_rightly() -> None:
    pixels, conversions = converted(pictures.make_cmyk_jpeg(1))
    assert conversions == ("cmyk_to_rgb",)
    assert psnr(pixels, make_photo(1)) > 30


def test_cmyk_uses_its_profile() -> None:
    """A profile of the wrong kind is ignored; that it is looked at at all shows in the note."""
    data = pictures.make_cmyk_jpeg(1, icc_profile=pictures.srgb_profile())
    assert converted(data)[1] == ("cmyk_to_rgb", "icc_ignored")


def test_lab_is_converted() -> None:
    pixels, conversions = converted(pictures.awkward("tiff-lab"))
    assert conversions == ("lab_to_rgb",)
    assert psnr(pixels, make_photo(3)) > 35


@pytest.mark.parametrize("name", ["png-gray16", "tiff-gray16"])
def test_16_bit_gray_is_scaled_and_not_clipped(name: str) -> None:
    pixels, conversions = converted(pictures.awkward(name))
    assert conversions == ("depth_scaled",)
    assert (pixels[:, :, 0] == make_photo(4)[:, :, 0]).all()


def test_16_bit_gray_is_rounded() -> None:
    values = np.array([[0, 128, 129, 65535 - 128, 65535 - 129, 32768]], np.uint16)
    pixels, _ = converted(pictures.make_png16(values))
    assert pixels[0, :, 0].tolist() == [0, 0, 1, 255, 254, 128]


def test_16_bit_colour_is_within_a_level_of_its_rounded_value() -> None:
    values = np.random.default_rng(0).integers(0, 65536, (40, 50, 3)).astype(np.uint16)
    pixels, conversions = converted(pictures.make_png16(values))
    assert conversions == ("depth_scaled",)
    assert np.abs(np.rint(values / 257) - pixels).max() <= 1


def test_a_declared_range_of_12_bits_is_white_at_4095() -> None:
    values = np.linspace(0, 4095, 256).astype(np.uint16)[None].repeat(4, 0)
    data = save(Image.fromarray(values), "TIFF", tiffinfo={281: 4095})
    pixels, _ = converted(data)
    assert pixels[0, 0, 0] == 0
    assert pixels[0, -1, 0] == 255
    assert np.abs(pixels[0, :, 0] - np.arange(256)).max() <= 1


def test_an_undeclared_range_is_not_guessed() -> None:
    values = np.full((4, 4), 4095, np.uint16)
    assert converted(pictures.make_png16(values))[0][0, 0, 0] == 16


def test_a_negative_16_bit_tiff_is_turned_positive() -> None:
    values = np.array([[0, 65535]], np.uint16)
    data = bytearray(save(Image.fromarray(values), "TIFF"))
    at = data.index(b"\x06\x01\x03\0\1\0\0\0") + 8
    data[at : at + 2] = b"\0\0"
    assert converted(bytes(data))[0][0, :, 0].tolist() == [255, 0]


def test_32_bit_integers_are_read_where_they_fit_16_bits_and_refused_else() -> None:
    fits = save(Image.fromarray(np.array([[0, 65535]], np.int32)), "TIFF")
    assert converted(fits)[0][0, :, 0].tolist() == [0, 255]
    for value in (-1, 70_000):
        with pytest.raises(ItemError) as caught:
            converted(save(Image.fromarray(np.array([[0, value]], np.int32)), "TIFF"))
        assert caught.value.code is ErrorCode.UNSUPPORTED_FORMAT


def test_floats_are_read_within_0_to_1_and_refused_else() -> None:
    fits = save(Image.fromarray(np.array([[0, 0.5, 1]], np.float32)), "TIFF")
    assert converted(fits)[0][0, :, 0].tolist() == [0, 128, 255]
    for value in (1.5, -0.1, float("nan"), float("inf")):
        with pytest.raises(ItemError) as caught:
            converted(save(Image.fromarray(np.array([[0, value]], np.float32)), "TIFF"))
        assert caught.value.code is ErrorCode.UNSUPPORTED_FORMAT
        assert "0 to 1" in caught.value.message


@pytest.mark.parametrize("background", [(255, 255, 255), (0, 128, 64)])
@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
def test_alpha_is_composited_and_hidden_colours_stay_hidden(form: str, background: tuple[int, int, int]) -> None:
    image = pictures.make_rgba()
    options = {"lossless": True, "exact": True, "method": 0} if form == "WEBP" else {}
    pixels, conversions = converted(save(image, form, **options), background=background)
    assert conversions == ("alpha_composited",)
    assert (pixels[:, :128] == background).all()
    assert (pixels[:, 136:] == make_photo(0)[:, 136:]).all()
    soft = (np.asarray(image)[:, 128:136, :3].astype(float) * 128 + np.array(background) * 127) / 255
    assert np.abs(pixels[:, 128:136] - soft).max() <= 1


def test_alpha_that_is_opaque_everywhere_is_no_conversion() -> None:
    pixels, conversions = converted(pictures.awkward("png-opaque-rgba"))
    assert conversions == ()
    assert (pixels == make_photo(3)).all()


def test_a_transparent_palette_entry_and_a_transparent_16_bit_level_are_composited() -> None:
    palette = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8), "P")
    palette.putpalette([255, 0, 255, 10, 20, 30])
    pixels, conversions = converted(save(palette, "PNG", transparency=0))
    assert conversions == ("alpha_composited",)
    assert pixels.tolist() == [[[255] * 3, [10, 20, 30]], [[10, 20, 30], [255] * 3]]
    deep = pictures.make_png16(np.array([[1000, 0]], np.uint16), (b"tRNS", b"\x03\xe8"))
    pixels, conversions = converted(deep)
    assert conversions == ("depth_scaled", "alpha_composited")
    assert pixels[0, :, 0].tolist() == [255, 0]


def test_a_foreign_gamma_is_named() -> None:
    png = pictures.make_png(1)
    linear = png[:33] + pictures.png_chunk(b"gAMA", (100_000).to_bytes(4, "big")) + png[33:]
    usual = png[:33] + pictures.png_chunk(b"gAMA", (45_455).to_bytes(4, "big")) + png[33:]
    assert converted(linear)[1] == ("gamma_ignored",)
    assert converted(usual)[1] == ()


def test_foreign_primaries_without_a_profile_are_named() -> None:
    avif = pictures.make_avif()
    at = avif.index(b"colrnclx") + 8
    hdr = avif[:at] + b"\0\x09\0\x10" + avif[at + 4 :]
    assert converted(hdr)[1] == ("nclx_ignored",)
    assert converted(avif)[1] == ()


def test_profiles_of_transparent_pictures_apply_before_compositing() -> None:
    data = save(pictures.make_rgba(), "PNG", icc_profile=pictures.matrix_profile())
    pixels, conversions = converted(data)
    assert conversions == ("icc_to_srgb", "alpha_composited")
    assert (pixels[:, :128] == 255).all()


def test_every_conversion_ends_in_rgb() -> None:
    for mode in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "La"):
        image = pictures.make_rgba().convert({"La": "LA", "RGBa": "RGBA", "PA": "P"}.get(mode, mode)).convert(mode)
        picture, _ = to_srgb(image, 8, None, WHITE)
        assert picture.mode == "RGB", mode
        assert picture.size == (256, 192)


def test_profiles_are_made_by_little_cms_too() -> None:
    """Guards the hand-built bytes: LittleCMS reads back the colorants that were written."""
    profile = ImageCms.ImageCmsProfile(io.BytesIO(pictures.matrix_profile())).profile
    assert profile.xcolor_space.strip() == "RGB"
    assert profile.red_colorant[0] == pytest.approx((0.51512, 0.24120, -0.00105), abs=1e-4)
