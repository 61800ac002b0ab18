"""Sample photos made in code: seeded scenes with camera grain, and JPEG files of realistic size.

Lives here: developing a painted scene into 8-bit pixels, JPEG coding, and fast distinct variants for large
sets. Not here: the scenes (`scenes`), odd and broken files (`oddities`), anything on disk (`corpus`). Pure:
everything depends on the arguments alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from media_assets.demo.brushes import Floats
from media_assets.demo.scenes import SCENES, Scene

Pixels = NDArray[np.uint8]
"""(height, width, 3) RGB."""


def scene_of(seed: int) -> Scene:
    """The kind of scene that `photo(seed)` shows: each kind once in any ten seeds 10 k to 10 k + 9, shuffled."""
    block, place = divmod(seed, len(SCENES))
    return SCENES[int(np.random.default_rng([block, 0x0DE]).permutation(len(SCENES))[place])]


def photo(seed: int, width_px: int = 1024, height_px: int = 768) -> Pixels:
    """A photographic-looking scene, (height_px, width_px, 3) uint8 RGB, upright; equal seeds give equal
    pixels.

    At the default size `encode_jpeg` makes 150-350 KB of it, as Open Images' photos are (mean about 300 KB).

    Raises:
        ValueError: a side under 64 px, in which the brushes have no room.
    """
    if min(width_px, height_px) < 64:
        raise ValueError(f"a sample photo has sides of at least 64 px, asked for {width_px}x{height_px}")
    rng = np.random.default_rng([seed, 0x5CE9E])
    canvas = scene_of(seed).paint(rng, height_px // 2, width_px // 2)
    return _develop(canvas, rng, height_px, width_px)


def encode_jpeg(pixels: Pixels, quality: int = 90) -> bytes:
    """Baseline JPEG, 4:2:0, without metadata; quality 1..100."""
    return bytes(
        simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=quality, colorspace="RGB", colorsubsampling="420")
    )


def _develop(canvas: Floats, rng: np.random.Generator, height: int, width: int) -> Pixels:
    """Vignette, enlargement of the half-size canvas, correlated grain, 8 bits.

    Scenes are painted at half size, as a camera's colour filter sees them; sharpness comes from the resizer
    and grain.
    """
    rows = np.linspace(-1, 1, canvas.shape[0], dtype=np.float32)[:, None]
    columns = np.linspace(-1, 1, canvas.shape[1], dtype=np.float32)[None, :]
    canvas *= (255 - np.float32(40 * rng.random()) * (rows**2 + columns**2) / 2)[:, :, None]
    small = np.clip(canvas, 0, 255).astype(np.uint8)
    sharp = cv2.addWeighted(small, 1.5, cv2.GaussianBlur(small, (3, 3), 0.9), -0.5, 0)
    full = cv2.resize(sharp, (width, height), interpolation=cv2.INTER_CUBIC)
    grain = _grain(rng, height, width, rng.uniform(4.6, 7.2))
    return np.asarray(cv2.add(full, cv2.merge([grain, grain, grain]), dtype=cv2.CV_8U), np.uint8)


def _grain(rng: np.random.Generator, height: int, width: int, sigma: float) -> NDArray[np.int8]:
    """Sensor noise in 8-bit steps, correlated over about 2 px as after demosaicing, (height, width)."""
    raw = np.frombuffer(rng.bytes(height * width), np.uint8).reshape(height, width)
    smooth = cv2.GaussianBlur(raw, (3, 3), 0.6)
    table = ((np.arange(256) - 127.5) * (sigma / 41.0)).round().astype(np.int8)
    return np.asarray(cv2.LUT(smooth, table.view(np.uint8)).view(np.int8), np.int8)


def variant(
    bases: Sequence[Pixels],
    index: int,
    *,
    seed: int,
    width_px: int = 512,
    height_px: int = 384,
    quality: int = 90,
) -> bytes:
    """The `index`-th distinct JPEG cut from `bases`: another crop, flip, gain and grain each time.

    Depends on the bases, seed, index and sizes alone, so any worker can make any one of them.
    """
    rng = np.random.default_rng([seed, index, 0xFA57])
    base = bases[int(rng.integers(len(bases)))]
    height, width = base.shape[:2]
    if height < height_px or width < width_px:
        raise ValueError(f"bases of {width}x{height} px are too small for crops of {width_px}x{height_px}")
    top, left = int(rng.integers(height - height_px + 1)), int(rng.integers(width - width_px + 1))
    crop = base[top : top + height_px, left : left + width_px]
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    gains = rng.uniform(0.86, 1.14, 3)
    table = np.clip(np.arange(256)[:, None] * gains, 0, 255).astype(np.uint8)[None]
    toned = cv2.LUT(np.ascontiguousarray(crop), table)
    speckle = np.frombuffer(rng.bytes(height_px * width_px // 4), np.uint8).reshape(height_px // 2, width_px // 2)
    fine = cv2.resize(speckle >> 4, (width_px, height_px), interpolation=cv2.INTER_NEAREST)
    return encode_jpeg(np.asarray(cv2.add(toned, cv2.merge([fine, fine, fine])), np.uint8), quality)


def cheap_variants(
    bases: Sequence[Pixels],
    n: int,
    *,
    seed: int = 0,
    width_px: int = 512,
    height_px: int = 384,
    quality: int = 90,
) -> Iterator[bytes]:
    """`variant` 0 to n - 1, one after another."""
    for index in range(n):
        yield variant(bases, index, seed=seed, width_px=width_px, height_px=height_px, quality=quality)
