"""One person's answer to one question, whatever tool it was given in. Pure.

Not here: Label Studio's way of writing it (`labeling/results.py`).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Extent = tuple[tuple[float, float], ...]
"""From and to (exclusive) on each axis: x and y of a box, as parts of the picture; frames of a stretch of a video."""


class QuestionKind(StrEnum):
    """What people are asked."""

    CHOICE = "choice"  # one label for the whole
    BOXES = "boxes"  # where in the picture, and what
    TIMELINE = "timeline"  # when in the video, and what
    REAL_FAKE = "real_fake"  # one label, and for a fake how and where


@dataclass(frozen=True, order=True)
class Region:
    """A labelled box or stretch of time."""

    label: str
    extent: Extent

    def __post_init__(self) -> None:
        """Refuse what is not one."""
        if not self.extent or not all(math.isfinite(a) and math.isfinite(b) and a <= b for a, b in self.extent):
            raise ValueError(f"expected ends that are not before their beginnings, got {self.extent}")

    @property
    def size(self) -> float:
        """Area or length."""
        return math.prod(end - begin for begin, end in self.extent)

    def fields(self) -> dict[str, Any]:
        """As it is stored: `x, y, width, height` of a box, `start, end` of a stretch."""
        if len(self.extent) == 1:
            ((start, end),) = self.extent
            return {"label": self.label, "start": start, "end": end}
        (left, right), (top, bottom) = self.extent
        return {"label": self.label, "x": left, "y": top, "width": right - left, "height": bottom - top}


@dataclass(frozen=True)
class Answer:
    """What somebody says. `label` is None where regions are all that was asked for."""

    label: str | None = None
    method: str | None = None
    regions: tuple[Region, ...] = ()

    def text(self) -> str:
        """Canonical JSON: equal answers have equal text, in whatever order their regions were drawn."""
        told: dict[str, Any] = {}
        if self.label is not None:
            told["label"] = self.label
        if self.method is not None:
            told["method"] = self.method
        told["regions"] = [region.fields() for region in sorted(self.regions)]
        return json.dumps(told, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
