"""How close small pictures come to what they should be: PSNR against one reference, each job's own geometry kept.

The reference is the whole picture decoded at full size and resized by Pillow's antialiased bicubic in float, never
rounded. A reference flatters its own kernel, so all jobs are held against this one. Where a job cuts its square is its
own choice: the reference cuts where the job did.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Box = tuple[float, float, float, float]
SIDE_PX = 224


@dataclass(frozen=True)
class Psnr:
    """Decibels over some pictures."""

    n_pictures: int
    mean_db: float
    worst_db: float


def crop_of_256(width: int, height: int) -> Box:
    """The part of a picture that becomes the square: shorter side 256 (longer floored), 224 cut from the centre."""
    return _centre_of(width, height, 256, math.floor)


def crop_of_224(width: int, height: int) -> Box:
    """The same with a shorter side of 224, the longer rounded."""
    return _centre_of(width, height, 224, round)


def centre_square(width: int, height: int) -> Box:
    """The largest square in the centre."""
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def _centre_of(width: int, height: int, shorter: int, whole: Callable[[float], int]) -> Box:
    scale = shorter / min(width, height)
    whole_w, whole_h = whole(width * scale), whole(height * scale)
    left, top = (whole_w - SIDE_PX) // 2, (whole_h - SIDE_PX) // 2
    x, y = width / whole_w, height / whole_h
    return left * x, top * y, (left + SIDE_PX) * x, (top + SIDE_PX) * y


def reference(jpeg: bytes, cut: Callable[[int, int], Box]) -> NDArray[np.float32]:
    """(224, 224, 3) in 0..255."""
    picture = Image.open(io.BytesIO(jpeg)).convert("RGB")
    box = cut(*picture.size)
    planes = [
        np.asarray(plane.convert("F").resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC, box=box))
        for plane in picture.split()
    ]
    return np.clip(np.stack(planes, axis=-1), 0, 255)


def pillow_draft_bicubic(jpeg: bytes) -> Pixels:
    """The yardstick: what a careful Pillow user does, a scaled-down decode and an antialiased bicubic resize."""
    picture = Image.open(io.BytesIO(jpeg))
    width, height = picture.size
    box = crop_of_256(width, height)
    picture.draft("RGB", (width * 256 // min(width, height), height * 256 // min(width, height)))
    divisor = width / picture.size[0]
    scaled = (box[0] / divisor, box[1] / divisor, box[2] / divisor, box[3] / divisor)
    return np.asarray(picture.convert("RGB").resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC, box=scaled), np.uint8)


def psnr_db(pixels: Pixels, wanted: NDArray[np.float32]) -> float:
    """Peak signal to noise ratio of 8-bit pixels; 100 for equal ones.

    Raises:
        ValueError: the pixels have another shape.
    """
    if pixels.shape != wanted.shape:
        raise ValueError(f"expected pixels of shape {wanted.shape}, got {pixels.shape}")
    error = float(np.mean((pixels.astype(np.float64) - wanted) ** 2))
    return 100.0 if error == 0 else min(100.0, 10 * math.log10(255**2 / error))


def quality(pictures: Mapping[str, Pixels], originals: Mapping[str, bytes], cut: Callable[[int, int], Box]) -> Psnr:
    """Mean and worst over every sampled original; a picture that a job does not have is an error of the job."""
    values = [psnr_db(pictures[name], reference(data, cut)) for name, data in originals.items()]
    return Psnr(len(values), round(sum(values) / len(values), 2), round(min(values), 2))
