"""How bright the pictures of a batch are, from a sample of its tensors while they pass by. No tensor is read for it.

Not here: what becomes of the figures (`profiles.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from media_assets.curation.profile import brightness_counts
from media_assets.media.tensors import TensorSpec

N_SAMPLED = 256
_TYPES: dict[str, np.dtype[Any]] = {"uint8": np.dtype("u1"), "float16": np.dtype("<f2"), "float32": np.dtype("<f4")}


@dataclass
class BrightnessSample:
    """Mean levels of every so manieth item of a batch, at most some 256 of them: 20 microseconds each."""

    n_items: int
    levels: list[float] = field(default_factory=list)

    def add(self, position: int, spec: TensorSpec, tensor: bytes) -> None:
        """Look at an item's tensor, if its place in the batch is one of the sample's."""
        if position % (1 + self.n_items // N_SAMPLED) == 0:
            self.levels.append(mean_level(spec, tensor))

    def counts(self) -> tuple[int, ...]:
        """The levels in bins; empty where there are none."""
        return brightness_counts(self.levels) if self.levels else ()


def mean_level(spec: TensorSpec, tensor: bytes) -> float:
    """Mean of all pixels and channels, 0 black to 1 white, of a tensor stored at this spec."""
    stored = np.frombuffer(tensor, _TYPES[spec.dtype])
    if spec.dtype == "uint8":
        return float(stored.mean()) / 255
    # As many values of each channel: the mean of the channels' means is that of all pixels.
    pixels = stored.reshape(-1, 3) if spec.layout == "hwc" else stored.reshape(3, -1).T
    means = pixels.mean(axis=0, dtype=np.float64) * np.array(spec.std) + np.array(spec.mean)
    return float(means.mean())
