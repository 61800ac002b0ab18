"""The kinds of sample scene, and which labels are true of each.

A scene draws its palette, light and shapes from the generator alone, so the same generator state gives the
same picture. Not here: the painting (`landscapes`, `woods`, `nights`); grain and JPEG (`photos`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from media_assets.demo.brushes import Floats
from media_assets.demo.landscapes import clouds, dunes, lake, mountains, sea
from media_assets.demo.nights import bokeh, city, night
from media_assets.demo.woods import forest, meadow

Painter = Callable[[np.random.Generator, int, int], Floats]
"""(generator, height, width) to a canvas (height, width, 3)."""


@dataclass(frozen=True)
class Scene:
    """One kind of picture, and what holds for every picture of the kind.

    `labels` are Open Images display names; `boxes` are (name, x_min, x_max, y_min, y_max), sides as shares
    0..1, each around a whole group.
    """

    name: str
    paint: Painter
    labels: tuple[str, ...]
    boxes: tuple[tuple[str, float, float, float, float], ...] = ()


SCENES = (
    Scene("mountains", mountains, ("Mountain", "Sky", "Nature")),
    Scene("sea", sea, ("Sea", "Sky", "Water")),
    Scene("forest", forest, ("Tree", "Forest", "Nature"), (("Tree", 0.0, 1.0, 0.3, 1.0),)),
    Scene("bokeh", bokeh, ("Night",)),
    Scene("lake", lake, ("Lake", "Water", "Mountain", "Sky")),
    Scene("city", city, ("Skyscraper", "Building", "Sky"), (("Skyscraper", 0.0, 1.0, 0.4, 0.95),)),
    Scene("dunes", dunes, ("Landscape", "Sky", "Nature")),
    Scene("meadow", meadow, ("Flower", "Plant", "Sky"), (("Flower", 0.0, 1.0, 0.35, 1.0),)),
    Scene("night", night, ("Night", "Sky", "Tree")),
    Scene("clouds", clouds, ("Cloud", "Sky", "Nature")),
)
