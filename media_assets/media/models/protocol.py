"""What a model plug-in is: frames in, answers out. And what the answers become: predictions.

A plug-in is shown what its description's `input` asks for, and answers in terms of what it was shown. Everything
after that (labels, thresholds, overlaps, mapping boxes back onto the picture) is the same for every plug-in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from media_assets.media.resize import Pixels

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ClassScores:
    """What a classifier says of one frame: one number for each label, in the labels' order. Of two labels a single
    number will do: the second one's.
    """

    scores: Floats  # (labels,) or, of two labels, (1,): logits or probabilities, as described


@dataclass(frozen=True)
class Boxes:
    """What a detector says of one frame: any number of boxes, best or not, overlapping or not.

    Attributes:
        corners: (boxes, 4): left, top, right, bottom in pixels of the shown frame, which they may leave.
        scores: (boxes,), 0..1.
        labels: (boxes,), places in the description's labels.
    """

    corners: Floats
    scores: Floats
    labels: npt.NDArray[np.int64]


Answer = ClassScores | Boxes


class ModelRunFailed(Exception):
    """The model's runtime gave an error for a mini-batch: one of its frames may be to blame, or the model."""


class FrameModel(Protocol):
    """A model that is ready to be asked. It is used by one thread, and any number of times."""

    def predict(self, frames: Pixels) -> Sequence[Answer]:
        """One answer for each of these frames, in their order.

        Args:
            frames: (frames, height, width, 3) uint8 RGB, at least one, as the description's `input` asks for.

        Raises:
            ModelUnfit: the model takes or gives something else than is described, whatever the frames hold.
            ModelRunFailed: its runtime gave an error for these frames.
        """
        ...


class Region(msgspec.Struct, frozen=True):
    """One label that was found. Fractions 0..1 of the upright picture, (0, 0) its upper left; of all of it: null."""

    label: str
    score: float
    x: float | None = None
    y: float | None = None
    width: float | None = None
    height: float | None = None


class Prediction(msgspec.Struct, frozen=True):
    """What one model says of one frame: its regions, best first, and how unsure it is, 0..1."""

    regions: tuple[Region, ...]
    uncertainty: float | None

    @property
    def best(self) -> Region | None:
        """The region with the greatest score; None where nothing was found."""
        return self.regions[0] if self.regions else None


DECIMALS = 6
"""Scores are kept to a millionth: beyond it they depend on which frames share a mini-batch."""


def kept(value: float) -> float:
    """A share 0..1 as it is kept."""
    return round(min(max(float(value), 0.0), 1.0), DECIMALS) + 0.0  # -0.0 is kept as 0.0
