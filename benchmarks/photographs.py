"""Photographs to cut a corpus from: real ones that ship with installed packages, and scenes made in code.

Every real one may be used freely: public domain, CC0 or, where said, CC BY 2.0. Not here: the corpus (`photo_corpus`).
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.environments import package_files
from media_assets.demo.corpus_images import portrait_path
from media_assets.demo.photos import photo

Pixels = NDArray[np.uint8]
"""(height, width, 3) RGB."""

SHIPPED = {
    "skimage/data/astronaut.png": "NASA, public domain",
    "skimage/data/chelsea.png": "Stefan van der Walt, CC0",
    "skimage/data/coffee.png": "Rachel Michetti, CC0",
    "skimage/data/hubble_deep_field.jpg": "NASA, public domain",
    "skimage/data/rocket.jpg": "SpaceX, public domain",
    "sklearn/datasets/images/china.jpg": "danielbuechele, CC BY 2.0",
    "sklearn/datasets/images/flower.jpg": "vultilion, CC BY 2.0",
}
"""File in scikit-image's or scikit-learn's wheel → author, licence. The portrait in matplotlib's is public domain."""

N_SCENES = 30
SCENE_WIDTH_PX, SCENE_HEIGHT_PX = 1536, 1152


def photographs(folder: Path, seed: int) -> list[Pixels]:
    """All sources, real ones first, each at least 1536 pixels wide or 1152 high."""
    files = package_files(folder, "photographs")
    real = [_large(_read(files / name)) for name in SHIPPED]
    real.append(_large(_read(portrait_path())))
    return real + [photo(seed * 1000 + i, SCENE_WIDTH_PX, SCENE_HEIGHT_PX) for i in range(N_SCENES)]


def _read(path: Path) -> Pixels:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"), np.uint8)


def _large(pixels: Pixels) -> Pixels:
    """Enlarged until a crop of 1024x768 has room to move in it."""
    height, width = pixels.shape[:2]
    scale = max(SCENE_WIDTH_PX / width, SCENE_HEIGHT_PX / height, 1.0)
    size = (round(width * scale), round(height * scale))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_CUBIC), np.uint8)
