"""Tensors: a frame at one shape and range, stored quantised with the affine map to normalized values.

One formula holds for every row, whatever it is stored as: ``normalized = (stored * scale - mean) / std``.

- uint8: `scale` is 1/255, `mean` and `std` those of the spec. The bytes are the resized picture itself; the
  map is exact.
- float32: the normalized values themselves, with the identity map (1, 0, 1); equal to the uint8 row's within
  1e-5.
- float16: the same, rounded: relative error at most 2**-11, so at most 0.001 for ImageNet's range of -2.2 to
  2.7.

Not here: geometry and resampling (`resize.py`), decoding (`frames.py`).
"""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from media_assets.media.resize import Fit, Pixels, Resampling, decode_divisor, place, resized

Layout = Literal["hwc", "chw"]
DType = Literal["uint8", "float16", "float32"]
Triple = tuple[float, float, float]

NORMALIZATIONS: dict[str, tuple[Triple, Triple]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "zero_one": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
"""Presets of (mean, std) per channel R, G, B in 0..1. The first are torchvision's for ImageNet weights."""

MAX_SIDE_PX = 4096
_MAX_FLOAT16 = 65504.0
_NUMPY_TYPES: dict[str, np.dtype[Any]] = {
    "uint8": np.dtype("u1"),
    "float16": np.dtype("<f2"),
    "float32": np.dtype("<f4"),
}
_DEFAULT_SIZE, _DEFAULT_SHORTER, _DEFAULT_PAD = (224, 224), 256, (0, 0, 0)


class Affine(msgspec.Struct, frozen=True):
    """``normalized = (stored * scale - mean) / std``, mean and std per channel R, G, B."""

    scale: float
    mean: Triple
    std: Triple


class TensorSpec(msgspec.Struct, frozen=True):
    """One shape and range. `size` is (height, width) in pixels.

    Fits: `crop` resizes the shorter side to `resize_shorter_px` (the longer is floored) and cuts `size` from
    the centre; `pad` fits the whole picture into `size` and fills the rest with `pad_colour`; `shorter_side`
    resizes the shorter side to `resize_shorter_px` and cuts nothing, so that shapes differ from picture to
    picture. Fields that a fit does not use are set to their defaults, so that equal work has one name.

    Raises:
        ValueError: a side outside 1..4096, a crop larger than what is cut from, or a std that is not above 0.
    """

    size: tuple[int, int] = _DEFAULT_SIZE
    fit: Fit = "crop"
    resize_shorter_px: int = _DEFAULT_SHORTER
    resampling: Resampling = "bicubic"
    layout: Layout = "hwc"
    dtype: DType = "uint8"
    mean: Triple = NORMALIZATIONS["imagenet"][0]
    std: Triple = NORMALIZATIONS["imagenet"][1]
    pad_colour: tuple[int, int, int] = _DEFAULT_PAD

    def __post_init__(self) -> None:
        """Refuse what cannot be computed, and set unused fields to their defaults."""
        self._check_choices()
        self._clear_unused()
        sides = (*self.size, self.resize_shorter_px)
        if len(sides) != 3 or not all(isinstance(s, int) and 1 <= s <= MAX_SIDE_PX for s in sides):
            raise ValueError(f"expected sides of 1 to {MAX_SIDE_PX} pixels, got size {self.size}, {sides[-1]}")
        if self.fit == "crop" and self.resize_shorter_px < max(self.size):
            raise ValueError(
                f"expected resize_shorter_px of at least the crop's longer side {max(self.size)}, "
                f"got {self.resize_shorter_px}; raise it, or crop less"
            )
        self._check_normalization()
        if len(self.pad_colour) != 3 or not all(0 <= c <= 255 for c in self.pad_colour):
            raise ValueError(f"expected a pad_colour of three levels 0 to 255, got {self.pad_colour}")

    def _check_choices(self) -> None:
        for field in ("fit", "resampling", "layout", "dtype"):
            if (value := getattr(self, field)) not in _CHOICES[field]:
                raise ValueError(f"expected {field} to be one of {', '.join(_CHOICES[field])}; got {value!r}")

    def _clear_unused(self) -> None:
        set_field = msgspec.structs.force_setattr
        if self.fit == "shorter_side":
            set_field(self, "size", _DEFAULT_SIZE)
        if self.fit == "pad":
            set_field(self, "resize_shorter_px", _DEFAULT_SHORTER)
        else:
            set_field(self, "pad_colour", _DEFAULT_PAD)

    def _check_normalization(self) -> None:
        numbers = np.asarray((*self.mean, *self.std), np.float64)
        if numbers.shape != (6,) or not np.isfinite(numbers).all() or min(self.std) <= 0:
            raise ValueError(f"expected finite means and stds above 0 for R, G, B; got {self.mean} and {self.std}")
        mean, std = numbers[:3], numbers[3:]
        largest = float((np.maximum(np.abs(mean), np.abs(1 - mean)) / std).max())
        if self.dtype == "float16" and largest > _MAX_FLOAT16:
            raise ValueError(f"expected normalized values that float16 can hold, got up to {largest:g}; use float32")

    @property
    def name(self) -> str:
        """Readable and unique among specs: lower-case letters, digits, `-` and `_` only.

        Such as ``crop224x224of256-bicubic-hwc-uint8-imagenet``; a normalization without a preset is a short
        hash.
        """
        height, width = self.size
        shape = {
            "crop": f"crop{height}x{width}of{self.resize_shorter_px}",
            "pad": f"pad{height}x{width}on{bytes(self.pad_colour).hex()}",
            "shorter_side": f"shorter{self.resize_shorter_px}",
        }[self.fit]
        return "-".join((shape, self.resampling, self.layout, self.dtype, _normalization_name(self.mean, self.std)))

    @property
    def shape(self) -> tuple[int, int, int] | None:
        """Shape of every array, in the order of `layout`; None where it differs from picture to picture."""
        return None if self.fit == "shorter_side" else self._ordered(*self.size)

    def shape_for(self, width_px: int, height_px: int) -> tuple[int, int, int]:
        """Shape of the array of a picture of this upright size, in the order of `layout`."""
        return self._ordered(*place(width_px, height_px, self.size, self.fit, self.resize_shorter_px).canvas_px)

    def _ordered(self, height: int, width: int) -> tuple[int, int, int]:
        return (height, width, 3) if self.layout == "hwc" else (3, height, width)

    @property
    def affine(self) -> Affine:
        """The map from stored to normalized values."""
        if self.dtype == "uint8":
            return Affine(1 / 255, self.mean, self.std)
        return Affine(1.0, *NORMALIZATIONS["zero_one"])


_CHOICES: dict[str, tuple[str, ...]] = {
    "fit": ("crop", "pad", "shorter_side"),
    "resampling": ("bicubic", "bilinear", "lanczos", "area"),
    "layout": ("hwc", "chw"),
    "dtype": ("uint8", "float16", "float32"),
}


def _normalization_name(mean: Triple, std: Triple) -> str:
    for name, preset in NORMALIZATIONS.items():
        if (tuple(mean), tuple(std)) == preset:
            return name
    text = repr([float(v) for v in (*mean, *std)])
    return "n" + hashlib.sha256(text.encode("ascii")).hexdigest()[:10]


def tensor_shape(spec: TensorSpec, width_px: int, height_px: int) -> tuple[int, int, int]:
    """Shape of the tensor of a picture of this upright size, in the order of the spec's layout."""
    return spec.shape_for(width_px, height_px)


def tensor_divisor(spec: TensorSpec, width_px: int, height_px: int) -> int:
    """1, 2, 4 or 8: at which fraction of its size a JPEG may be decoded for this spec."""
    placement = place(width_px, height_px, spec.size, spec.fit, spec.resize_shorter_px)
    return decode_divisor(width_px, height_px, placement, spec.resampling)


def make_tensor(pixels: Pixels, spec: TensorSpec) -> bytes:
    """The tensor of (height, width, 3) uint8 RGB pixels: C order, little-endian.

    Raises:
        ItemError: TOO_MANY_PIXELS when a `shorter_side` output would be too large.
    """
    height, width = pixels.shape[:2]
    return make_tensor_scaled(pixels, spec, width, height, 1)


def make_tensor_scaled(pixels: Pixels, spec: TensorSpec, width_px: int, height_px: int, divisor: int) -> bytes:
    """As `make_tensor`, from pixels decoded at 1/`divisor` of a picture of `width_px` x `height_px`."""
    placement = place(width_px, height_px, spec.size, spec.fit, spec.resize_shorter_px)
    picture = resized(pixels, divisor, placement, spec.resampling, spec.pad_colour)
    stored: npt.NDArray[Any] = picture
    if spec.dtype != "uint8":
        normalized = normalize(picture, 1 / 255, spec.mean, spec.std, "hwc")
        stored = normalized.astype(_NUMPY_TYPES[spec.dtype])
    return (stored if spec.layout == "hwc" else stored.transpose(2, 0, 1)).tobytes()


def stored_array(tensor: bytes, shape: tuple[int, ...], dtype: DType) -> npt.NDArray[Any]:
    """The stored numbers, without a copy, read-only."""
    return np.frombuffer(tensor, _NUMPY_TYPES[dtype]).reshape(shape)


def normalize(
    stored: npt.NDArray[Any], scale: float, mean: Triple, std: Triple, layout: Layout
) -> npt.NDArray[np.float32]:
    """``(stored * scale - mean) / std`` as float32, for one array or a batch of them.

    `stored` is (..., height, width, 3) in `hwc` and (..., 3, height, width) in `chw`.
    """
    deviations = np.asarray(std, np.float64)
    factor = (scale / deviations).astype(np.float32)
    offset = (np.asarray(mean, np.float64) / deviations).astype(np.float32)
    if layout == "hwc":
        # one long row of R, G, B, R, ...: numpy is six times as fast on it as on an innermost axis of three
        width = stored.shape[-2]
        rows = stored.reshape(*stored.shape[:-2], width * 3)
        factor, offset = np.tile(factor, width), np.tile(offset, width)
    else:
        rows, factor, offset = stored, factor.reshape(3, 1, 1), offset.reshape(3, 1, 1)
    normalized: npt.NDArray[np.float32] = np.multiply(rows, factor, dtype=np.float32)
    normalized -= offset
    return normalized.reshape(stored.shape)
