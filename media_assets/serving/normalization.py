"""The affine map from stored numbers to the numbers a model sees, applied in place and fast.

normalized = (stored * scale - mean) / std = stored * a + b, per channel. Not here: the presets and the
reference implementation (`media/tensors.py`), or where stored numbers come from (`files.py`, `mapped.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from media_assets.errors import NotMaterialized
from media_assets.lake.delta import Lake
from media_assets.media.tensors import NORMALIZATIONS
from media_assets.serving.files import Form
from media_assets.tables import TENSORS_STATISTICS

Layout = Literal["nchw", "nhwc"]
Output = Literal["float32", "float16", "uint8"]
Channels = npt.NDArray[np.float64]
Factors = npt.NDArray[np.float32]
MeanStd = tuple[tuple[float, ...], tuple[float, ...]]
Normalization = str | tuple[Sequence[float], Sequence[float]] | None
Place = Callable[[npt.NDArray[Any], npt.NDArray[Any]], None]
"""Fills one sample of a mini-batch (first) from one stored tensor (second)."""

MEASURED = "measured"


def resolved(normalization: Normalization, form: Form, lake: Lake) -> MeanStd:
    """Mean and standard deviation, per channel.

    Args:
        normalization: None for what the rows themselves say (in the range of stored * scale), the name of a
            preset, "measured" for the figures in `tensors/statistics`, or (mean, std) in 0..1.
        form: how the tensors are stored.
        lake: where the statistics are.

    Raises:
        NotMaterialized: the statistics of this spec have not been measured.
        ValueError: an unknown name, or not three means and three deviations above 0.
    """
    if normalization is None:
        return form.mean, form.std
    if isinstance(normalization, str):
        return measured(lake, form.spec) if normalization == MEASURED else _preset(normalization)
    return _checked(normalization)


def unit_range(form: Form, known: Mapping[str, MeanStd] | None = None) -> tuple[Channels, Channels]:
    """(gain, offset), each of shape (3,), with which stored * gain + offset is the picture in 0..1.

    Floats are stored normalized. The row does not say how, but the last word of the spec's name does, if it
    is a preset; otherwise `known` must hold (mean, std) under the spec's name.

    Raises:
        ValueError: floats whose normalization is not known.
    """
    if form.dtype == "uint8":
        return np.full(3, form.scale), np.zeros(3)
    preset = NORMALIZATIONS.get(form.spec.rpartition("-")[2])
    if (mean_std := (known or {}).get(form.spec, preset)) is None:
        raise ValueError(
            f"Spec {form.spec!r} stores {form.dtype} values that were normalized with numbers which neither "
            f"the row nor the spec's name tells: expected a uint8 spec, or one with a preset "
            f"({', '.join(sorted(NORMALIZATIONS))}). Read it with normalization=None, or pass its mean and "
            f"std where statistics are measured."
        )
    mean, std = _checked(mean_std)
    return np.array(std), np.array(mean)


def measured(lake: Lake, spec: str) -> MeanStd:
    """Mean and standard deviation of each channel over the whole dataset, in 0..1, from `tensors/statistics`.

    Raises:
        NotMaterialized: nothing has been measured for this spec.
        ValueError: a channel is constant, so that nothing can be divided by its deviation.
    """
    rows = lake.scan(TENSORS_STATISTICS).filter(pl.col("spec") == spec).sort("channel").collect()
    if rows["channel"].to_list() != [0, 1, 2]:
        raise NotMaterialized(
            f"Expected the statistics of spec {spec!r}, found channels {rows['channel'].to_list()}: "
            f"materialize tensors/statistics first, or name a preset ({', '.join(sorted(NORMALIZATIONS))})."
        )
    return _checked((rows["mean"].to_list(), rows["std"].to_list()))


def coefficients(form: Form, normalization: Normalization, mean_std: MeanStd) -> tuple[Factors, Factors]:
    """(a, b) of stored * a + b, each of shape (3,): rounded to float32 only at the end.

    Raises:
        ValueError: another normalization than the stored one, for floats whose own is not known.
    """
    mean, std = (np.array(values, np.float64) for values in mean_std)
    gain, offset = (np.full(3, form.scale), np.zeros(3)) if normalization is None else unit_range(form)
    return (gain / std).astype(np.float32), ((offset - mean) / std).astype(np.float32)


def placer(form: Form, factors: tuple[Factors, Factors], layout: Layout, output: Output) -> Place:
    """The function that fills one sample of a mini-batch with stored * a + b, or with stored for uint8.

    Raises:
        ValueError: raw uint8 values of a spec that stores floats.
    """
    to_output = _as_chw(form.layout) if layout == "nchw" else _as_hwc(form.layout)
    if output == "uint8":
        if form.dtype != "uint8":
            raise ValueError(
                f"Spec {form.spec!r} stores {form.dtype}: expected dtype='float32' or 'float16'."
            )
        return lambda sample, stored: np.copyto(sample, to_output(stored))
    a, b = factors
    is_identity = bool((a == 1).all() and (b == 0).all())
    if is_identity:
        return lambda sample, stored: np.copyto(sample, to_output(stored), casting="same_kind")
    fill = _fill_planes(a, b) if layout == "nchw" else _fill_pixels(a, b)
    if output == "float32":
        return lambda sample, stored: fill(sample, to_output(stored))

    def through_float32(sample: npt.NDArray[Any], stored: npt.NDArray[Any]) -> None:
        exact = np.empty(sample.shape, np.float32)
        fill(exact, to_output(stored))
        np.copyto(sample, exact, casting="same_kind")

    return through_float32


def _fill_planes(a: Factors, b: Factors) -> Place:
    """For (3, h, w): cast, then two passes in place over a plane that is still in the cache (measured: twice
    as fast as a multiplication of mixed types, which numpy does in small buffered pieces)."""

    def fill(sample: npt.NDArray[Any], stored: npt.NDArray[Any]) -> None:
        for plane, values, factor, offset in zip(sample, stored, a, b, strict=True):
            plane[...] = values
            plane *= factor
            plane += offset

    return fill


def _fill_pixels(a: Factors, b: Factors) -> Place:
    """For (h, w, 3): whole rows of pixels at once, because a last axis of three is too short for numpy's
    loops."""

    def fill(sample: npt.NDArray[Any], stored: npt.NDArray[Any]) -> None:
        height, width, _ = sample.shape
        lines = sample.reshape(height, width * 3)
        sample[...] = stored
        lines *= np.tile(a, width)
        lines += np.tile(b, width)

    return fill


def _as_chw(layout: str) -> Callable[[npt.NDArray[Any]], npt.NDArray[Any]]:
    return (lambda x: x) if layout == "chw" else (lambda x: x.transpose(2, 0, 1))


def _as_hwc(layout: str) -> Callable[[npt.NDArray[Any]], npt.NDArray[Any]]:
    return (lambda x: x) if layout == "hwc" else (lambda x: x.transpose(1, 2, 0))


def _preset(name: str) -> MeanStd:
    if name not in NORMALIZATIONS:
        known = ", ".join(sorted(NORMALIZATIONS))
        raise ValueError(f"Expected a normalization of {known}, {MEASURED}, or (mean, std); got {name!r}.")
    return _checked(NORMALIZATIONS[name])


def _checked(mean_std: tuple[Sequence[float], Sequence[float]]) -> MeanStd:
    mean, std = (tuple(map(float, values)) for values in mean_std)
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0 or not np.isfinite([*mean, *std]).all():
        raise ValueError(f"Expected three means and three deviations above 0, got mean {mean} and std {std}.")
    return mean, std
