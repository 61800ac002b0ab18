"""Fills the samples of a mini-batch from stored bytes: layout, type and affine map in one go, in place.

Each way was chosen by measuring 224 x 224 x 3: numpy casts, scales and shifts a plane in the cache twice as
fast as it multiplies mixed types; OpenCV separates channels 3 times, and converts half floats 15 times as
fast as numpy. Not here: which numbers are applied (`normalization.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from media_assets.serving.files import Form
from media_assets.serving.normalization import Factors

Layout = Literal["nchw", "nhwc"]
Output = Literal["float32", "float16", "uint8"]
Array = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]
Place = Callable[[Array, Bytes], None]
"""Fills one sample (first) from the bytes of one stored tensor (second), which may lie at any address."""


_NO_BITS = np.zeros((), np.uint8)


def copy_bytes(line: Bytes, value: Bytes) -> None:
    """The bytes as they are, into a line of the same length.

    By numpy's vector loop: values in Parquet files lie at odd addresses, where processors copy a block (`memmove`, what
    an assignment is) a tenth slower.
    """
    np.bitwise_or(value, _NO_BITS, line)


def placer(form: Form, factors: tuple[Factors, Factors], layout: Layout, output: Output) -> Place | None:
    """How samples are filled with stored * a + b (stored itself for uint8); None where that is copying the
    bytes.

    Raises:
        ValueError: raw uint8 values of a spec that stores floats.
    """
    is_same_layout = form.layout == layout.removeprefix("n")
    a, b = factors
    if output == "uint8":
        if form.dtype != "uint8":
            raise ValueError(
                f"Spec {form.spec!r} stores {form.dtype}: expected dtype='float32' or 'float16', got 'uint8'."
            )
        return None if is_same_layout else _moved_bytes(form)
    is_identity = bool((a == 1).all() and (b == 0).all())
    if is_identity and is_same_layout and form.dtype == output:
        return None
    fill = _filled_planes(form, a, b) if layout == "nchw" else _filled_pixels(form, a, b)
    return fill if output == "float32" else _narrowed(fill)


def laid_out(shape: tuple[int, ...], stored: str, layout: Layout) -> tuple[int, ...]:
    """A stored shape in the order of the samples."""
    if stored == layout.removeprefix("n"):
        return shape
    return (shape[2], *shape[:2]) if stored == "hwc" else (*shape[1:], shape[0])


def _moved_bytes(form: Form) -> Place:
    def separate(sample: Array, value: Bytes) -> None:
        cv2.split(value.reshape(form.shape), list(sample))

    def join(sample: Array, value: Bytes) -> None:
        np.copyto(sample, value.reshape(form.shape).transpose(1, 2, 0))

    return separate if form.layout == "hwc" else join


def _filled_planes(form: Form, a: Factors, b: Factors) -> Place:
    read = _reader(form)
    axes = (2, 0, 1) if form.layout == "hwc" else (0, 1, 2)

    def fill(sample: Array, value: Bytes) -> None:
        for plane, stored, factor, offset in zip(sample, read(value).transpose(axes), a, b, strict=True):
            plane[...] = stored
            plane *= factor
            plane += offset

    return fill


def _filled_pixels(form: Form, a: Factors, b: Factors) -> Place:
    """Whole lines of pixels at once, because a last axis of three is too short for numpy's loops."""
    read = _reader(form)
    height, width, _ = laid_out(form.shape, form.layout, "nhwc")
    axes = (0, 1, 2) if form.layout == "hwc" else (1, 2, 0)
    factor, offset = np.tile(a, width), np.tile(b, width)

    def fill(sample: Array, value: Bytes) -> None:
        sample[...] = read(value).transpose(axes)
        lines = sample.reshape(height, width * 3)
        lines *= factor
        lines += offset

    return fill


def _narrowed(fill: Place) -> Place:
    def place(sample: Array, value: Bytes) -> None:
        exact = np.empty(sample.shape, np.float32)
        fill(exact, value)
        sample.view(np.int16)[...] = cv2.convertFp16(exact.reshape(len(exact), -1)).reshape(sample.shape)

    return place


def _reader(form: Form) -> Callable[[Bytes], Array]:
    """The stored numbers as uint8 or float32."""

    def as_stored(value: Bytes) -> Array:
        return value.view(form.stored_type).reshape(form.shape)

    def widened(value: Bytes) -> Array:
        aligned = value.copy().view(np.int16).reshape(form.shape[0], -1)
        wide: Array = cv2.convertFp16(aligned).reshape(form.shape)
        return wide

    return widened if form.dtype == "float16" else as_stored
