"""Which affine map leads from stored numbers to the numbers that a model sees.

normalized = (stored * scale - mean) / std = stored * a + b, per channel. Not here: applying it
(`placing.py`), the presets and the reference implementation (`media/tensors.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from media_assets.errors import NotMaterialized
from media_assets.lake.delta import Lake
from media_assets.media.tensors import NORMALIZATIONS
from media_assets.serving.files import Form
from media_assets.tables import TENSORS_STATISTICS

Channels = npt.NDArray[np.float64]
Factors = npt.NDArray[np.float32]
MeanStd = tuple[tuple[float, ...], tuple[float, ...]]
Normalization = str | tuple[Sequence[float], Sequence[float]] | None
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
