"""Channel statistics that stream: exact histograms, from which mean and deviation follow.

Everything is counted in integers, so that any split of the data, merged in any order, gives the same numbers
to the last bit. Not here: reading tensors (`serving/statistics.py`) or plotting (`plots.py`).
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

N_CHANNELS = 3
N_LEVELS = 256
_MAX_PIXELS_AT_ONCE = 1 << 24  # OpenCV returns counts as float32, which are exact up to here


class ChannelStatistics:
    """How often each of 256 levels occurs in the channels R, G, B.

    Args:
        scale: what one level is worth in 0..1.

    Attributes:
        counts: int64, shape (3, 256).
        n_tensors: tensors counted.
    """

    def __init__(self, scale: float = 1 / 255) -> None:
        self.scale = scale
        self.n_tensors = 0
        self.counts = np.zeros((N_CHANNELS, N_LEVELS), np.int64)

    def add(self, stored: npt.NDArray[Any], layout: str = "hwc") -> None:
        """Count one tensor (three axes) or a batch of them (four).

        Args:
            stored: uint8 levels, or floats in 0..1, which are rounded to the nearest level: exact for floats
                that were made from 8-bit pictures.
            layout: `hwc` or `chw`.

        Raises:
            ValueError: not three channels, a type other than uint8 or float, or floats outside 0..1.
        """
        axis = {"hwc": -1, "chw": -3}[layout]
        if stored.ndim not in (3, 4) or stored.shape[axis] != N_CHANNELS:
            raise ValueError(f"Expected {layout} tensors with three channels, got shape {stored.shape}.")
        levels = stored if stored.dtype == np.uint8 else _levels(stored)
        for tensor in levels if levels.ndim == 4 else levels[np.newaxis]:
            self._count(tensor if layout == "hwc" else tensor.transpose(1, 2, 0))

    def _count(self, pixels: npt.NDArray[np.uint8]) -> None:
        height, width, _ = pixels.shape
        n_lines = max(1, _MAX_PIXELS_AT_ONCE // max(width, 1))
        for first in range(0, height, n_lines):
            lines = np.ascontiguousarray(pixels[first : first + n_lines])
            for channel in range(N_CHANNELS):
                found = cv2.calcHist([lines], [channel], None, [N_LEVELS], [0, N_LEVELS])
                self.counts[channel] += found.ravel().astype(np.int64)
        self.n_tensors += 1

    @property
    def n_values(self) -> int:
        """Values counted in each channel."""
        return int(self.counts[0].sum())

    @property
    def mean(self) -> tuple[float, ...]:
        """Mean of each channel, in 0..1.

        Raises:
            ValueError: nothing has been counted.
        """
        return tuple(self.scale * first / n for n, first, _ in self._moments())

    @property
    def std(self) -> tuple[float, ...]:
        """Population standard deviation of each channel, in 0..1.

        Raises:
            ValueError: nothing has been counted.
        """
        return tuple(self.scale * math.sqrt(n * second - first * first) / n for n, first, second in self._moments())

    def _moments(self) -> list[tuple[int, int, int]]:
        """(count, sum, sum of squares) of each channel's levels, as exact integers."""
        if not self.n_values:
            raise ValueError("Expected at least one counted value, found none: add tensors first.")
        moments = []
        for histogram in self.counts.tolist():
            first = sum(level * count for level, count in enumerate(histogram))
            second = sum(level * level * count for level, count in enumerate(histogram))
            moments.append((sum(histogram), first, second))
        return moments

    def rows(self, spec: str) -> list[dict[str, object]]:
        """One `tensors/statistics` row per channel; none when nothing has been counted."""
        if not self.n_values:
            return []
        return [
            {
                "spec": spec,
                "channel": channel,
                "n_tensors": self.n_tensors,
                "n_values": self.n_values,
                "mean": mean,
                "std": std,
                "histogram": histogram,
            }
            for channel, (mean, std, histogram) in enumerate(
                zip(self.mean, self.std, self.counts.tolist(), strict=True)
            )
        ]


def merge(a: ChannelStatistics, b: ChannelStatistics) -> ChannelStatistics:
    """The statistics of both sets together; associative and commutative, exactly.

    Raises:
        ValueError: their levels mean different values.
    """
    if a.scale != b.scale:
        raise ValueError(f"Expected statistics of one scale, got {a.scale} and {b.scale}: they do not add up.")
    both = ChannelStatistics(a.scale)
    both.n_tensors = a.n_tensors + b.n_tensors
    np.add(a.counts, b.counts, out=both.counts)
    return both


def _levels(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    if not np.issubdtype(values.dtype, np.floating):
        raise ValueError(f"Expected uint8 levels or floats in 0..1, got {values.dtype}.")
    levels = np.rint(values.astype(np.float32) * np.float32(N_LEVELS - 1))
    if levels.size and not (levels.min() >= 0 and levels.max() < N_LEVELS):
        raise ValueError(
            f"Expected floats in 0..1, got {float(values.min())} to {float(values.max())}: undo their "
            f"normalization first (value * std + mean)."
        )
    rounded: npt.NDArray[np.uint8] = levels.astype(np.uint8)
    return rounded
