"""From what a decoder gives to 8-bit sRGB: depth, profiles, CMYK, alpha; every loss is named.

Conversions (the closed vocabulary of this module): `depth_scaled`, `cmyk_to_rgb`, `lab_to_rgb`,
`icc_to_srgb`, `icc_ignored`, `gamma_ignored`, `nclx_ignored`, `alpha_composited`. Not here: orientation and
frames (`still.py`).
"""

from __future__ import annotations

import io
from functools import lru_cache

import msgspec
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from media_assets.errors import ErrorCode, ItemError
from media_assets.media.boundary import decoding

_MAX_PROFILE_BYTES = 4 * 1024 * 1024
_SRGB_GAMMA = 0.45455
_DEEP_MODES = frozenset({"I;16", "I;16B", "I;16L", "I;16N", "I"})
_PHOTOMETRIC, _MAX_SAMPLE_VALUE = 262, 281
_WHITE_IS_ZERO = 0


class Profile(msgspec.Struct, frozen=True):
    """What an ICC profile asks for. `transform` is None where it asks for nothing: it is sRGB, or it is
    broken.
    """

    is_broken: bool
    transform: ImageCms.ImageCmsTransform | None


def to_srgb(
    image: Image.Image, bit_depth: int, icc_profile: bytes | None, background: tuple[int, int, int]
) -> tuple[Image.Image, list[str]]:
    """A decoded picture of any mode as 8-bit sRGB (`RGB`), and what was converted on the way.

    Profiles are applied with relative colorimetric intent and black point compensation, as photo editors do.
    Transparent pixels are composited on `background`, after the colours were converted.

    Raises:
        ItemError: UNSUPPORTED_FORMAT for numbers without a known white (floats outside 0..1, wide integers).
    """
    conversions: list[str] = []
    if bit_depth > 8 or image.mode in _DEEP_MODES or image.mode == "F":
        conversions.append("depth_scaled")
    if image.mode == "La":  # premultiplied; Pillow converts it to nothing but this
        image = image.convert("LA")
    alpha = _alpha(image)
    base = _opaque(image, bit_depth)
    if base.mode == "CMYK":
        conversions.append("cmyk_to_rgb")
    if base.mode == "LAB":
        base = _from_lab(base)
        conversions.append("lab_to_rgb")
    elif icc_profile:
        base, note = _apply_profile(base, icc_profile)
        conversions += [note] if note else []
    elif _has_foreign_gamma(image):
        conversions.append("gamma_ignored")
    with decoding("the colour conversion"):
        picture = base if base.mode == "RGB" else base.convert("RGB")  # it would copy what is RGB already
    if alpha is not None and alpha.getextrema() != (255, 255):
        canvas = Image.new("RGB", picture.size, background)
        canvas.paste(picture, None, alpha)
        picture = canvas
        conversions.append("alpha_composited")
    return picture, conversions


def is_srgb(icc_profile: bytes, mode: str) -> bool:
    """Whether a profile changes no 8-bit colour of pictures of this mode by more than rounding."""
    profile = _profile(icc_profile, mode)
    return not profile.is_broken and profile.transform is None


def is_broken(icc_profile: bytes, mode: str) -> bool:
    """Whether a profile cannot be applied to pictures of this mode."""
    return _profile(icc_profile, mode).is_broken


def _alpha(image: Image.Image) -> Image.Image | None:
    with decoding("the transparency"):  # a palette picture without a palette cannot even be asked
        is_opaque = not image.has_transparency_data
    if is_opaque:
        return None
    if image.mode in _DEEP_MODES:
        is_clear = np.asarray(image) == image.info["transparency"]
        return Image.fromarray(np.where(is_clear, 0, 255).astype(np.uint8))
    with decoding("the transparency"):
        return _rgba(image).getchannel("A")


def _opaque(image: Image.Image, bit_depth: int) -> Image.Image:
    """The colours without transparency, 8 bits a channel, in mode L, RGB, CMYK or LAB."""
    if image.mode == "F":
        return _from_float(image)
    if image.mode in _DEEP_MODES:
        return _from_integers(image, bit_depth)
    with decoding("the colours"):
        if image.mode in ("L", "LA"):
            return image.getchannel(0)
        if image.mode == "1":
            return image.convert("L")
        if image.mode in ("CMYK", "LAB") or (image.mode == "RGB" and not image.has_transparency_data):
            return image
        # by way of RGBA: palettes with transparency lose it there, not their colours; RGBa is un-multiplied
        return (_rgba(image) if image.has_transparency_data else image).convert("RGB")


def _rgba(image: Image.Image) -> Image.Image:
    """The picture as RGBA; itself where it is, since converting copies."""
    return image if image.mode == "RGBA" else image.convert("RGBA")


def _from_integers(image: Image.Image, bit_depth: int) -> Image.Image:
    """Gray of 9 to 16 bits, scaled by its declared range (257 levels in 16 bits make one in 8) and
    rounded.
    """
    values = np.asarray(image)
    tags = getattr(image, "tag_v2", {})
    white = (1 << min(bit_depth, 16)) - 1 if "I;16" in image.mode and bit_depth > 8 else 65535
    white = _declared_white(tags, white)
    if values.min() < 0 or values.max() > white:
        raise ItemError(
            ErrorCode.UNSUPPORTED_FORMAT,
            f"expected gray levels of 0 to {white}, got {values.min()} to {values.max()}, "
            "whose white is unknown; convert it to 16 bits.",
        )
    levels = np.rint(values * (255.0 / white)).astype(np.uint8)
    is_negative = "I;16" in image.mode and tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    return Image.fromarray(255 - levels if is_negative else levels)


def _declared_white(tags: object, white: int) -> int:
    declared = tags.get(_MAX_SAMPLE_VALUE) if hasattr(tags, "get") else None
    value = declared[0] if isinstance(declared, tuple) and declared else declared
    return value if isinstance(value, int) and 255 < value < white else white


def _from_float(image: Image.Image) -> Image.Image:
    """Floating-point gray, where every value lies in 0..1; nothing says what white is in any other range."""
    values = np.asarray(image)
    if not bool(np.isfinite(values).all()) or values.min() < 0 or values.max() > 1:
        raise ItemError(
            ErrorCode.UNSUPPORTED_FORMAT,
            "expected floating-point gray within 0 to 1, got values outside, whose white is unknown; "
            "convert it to 16-bit integers.",
        )
    return Image.fromarray(np.rint(values * 255).astype(np.uint8))


def _from_lab(image: Image.Image) -> Image.Image:
    with decoding("the Lab colours"):
        transform = _build(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), "LAB")
        return _transformed(image, transform)


def _apply_profile(base: Image.Image, icc_profile: bytes) -> tuple[Image.Image, str | None]:
    if icc_profile[16:20] == b"GRAY" and base.mode == "RGB" and _is_gray(base):
        base = base.getchannel(0)
    profile = _profile(icc_profile, base.mode)
    if profile.is_broken:
        return base, "icc_ignored"
    if profile.transform is None:
        return base, None
    with decoding("the colour profile"):
        return _transformed(base, profile.transform), "icc_to_srgb"


def _is_gray(image: Image.Image) -> bool:
    red, green, blue = (np.asarray(channel) for channel in image.split())
    return bool((red == green).all() and (green == blue).all())


def _transformed(image: Image.Image, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    converted = ImageCms.applyTransform(image, transform)
    if converted is None:
        raise ValueError("the colour transform gave no picture")
    return converted


@lru_cache(maxsize=16)
def _profile(icc_profile: bytes, mode: str) -> Profile:
    """Judge a profile by what it does to a cube of colours; cached, since a camera's pictures share
    theirs.
    """
    if len(icc_profile) > _MAX_PROFILE_BYTES:
        return Profile(is_broken=True, transform=None)
    try:
        with decoding("the colour profile"):
            transform = _build(ImageCms.ImageCmsProfile(io.BytesIO(icc_profile)), mode)
            changes = mode == "CMYK" or _largest_change(transform, mode) > 1
    except ItemError:
        return Profile(is_broken=True, transform=None)
    return Profile(is_broken=False, transform=transform if changes else None)


def _build(profile: ImageCms.ImageCmsProfile, mode: str) -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(
        profile,
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )


def _largest_change(transform: ImageCms.ImageCmsTransform, mode: str) -> int:
    levels = np.arange(0, 256, 15 if mode == "RGB" else 1, dtype=np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1) if mode == "RGB" else levels
    colours: npt.NDArray[np.uint8] = cube.reshape(1, -1, 3) if mode == "RGB" else cube.reshape(1, -1)
    changed = np.asarray(_transformed(Image.fromarray(colours), transform)).astype(np.int16)
    before = colours if mode == "RGB" else np.repeat(colours[:, :, None], 3, axis=2)
    return int(np.abs(changed - before).max())


def _has_foreign_gamma(image: Image.Image) -> bool:
    """A PNG that states a transfer curve other than sRGB's, and no profile; decoders for training ignore
    it.
    """
    gamma = image.info.get("gamma")
    return isinstance(gamma, float) and "srgb" not in image.info and abs(gamma - _SRGB_GAMMA) > 0.01
