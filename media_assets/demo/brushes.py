"""Brushes of the sample photos: fractal noise, ridge lines, gradients, glows and layers on a float canvas.

A canvas is (height, width, 3) float32 of display-referred sRGB, about 0..1 (clipped only when developed).
Smooth things are made at low resolution and enlarged, because a full-size pass over a canvas costs about 3
ms. Not here: whole pictures (`scenes`), grain and JPEG (`photos`). No disk, no clock; randomness comes from
the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Colour = Sequence[float] | Floats
"""Red, green, blue, 0..1."""


def colour(code: str) -> Floats:
    """`rrggbb` to three floats 0..1."""
    return np.array([int(code[i : i + 2], 16) for i in (0, 2, 4)], np.float32) / 255


def colours(codes: str) -> list[Floats]:
    """Several `rrggbb`, separated by blanks."""
    return [colour(code) for code in codes.split()]


def mix(a: Any, b: Any, t: float) -> Floats:
    """Linear blend: `a` at 0, `b` at 1."""
    return np.asarray(np.asarray(a) * (1 - t) + np.asarray(b) * t, np.float32)


def enlarge(small: Floats, height: int, width: int) -> Floats:
    """Smoothly resized to (height, width)."""
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def fractal(
    rng: np.random.Generator,
    height: int,
    width: int,
    n_cells: float,
    octaves: int = 5,
    gain: float = 0.5,
    stretch: float = 1.0,
) -> Floats:
    """Fractal value noise, (height, width) float32, mean about 0, spread about 1.

    `n_cells` is the number of bumps over the height in the coarsest octave; `stretch` > 1 draws them out
    sideways.
    """
    total = np.zeros((height, width), np.float32)
    weight = 1.0
    norm = 0.0
    for octave in range(octaves):
        rows = int(max(2, n_cells * 2**octave)) + 3
        columns = int(max(2, n_cells * 2**octave * width / height / stretch)) + 3
        if octave and (rows > height or columns > width):
            break
        total += weight * enlarge(rng.standard_normal((rows, columns), np.float32), height, width)
        norm += weight**2
        weight *= gain
    return total / np.float32(np.sqrt(norm) * 0.75)


def low_fractal(
    rng: np.random.Generator, height: int, width: int, n_cells: float, octaves: int = 5, **options: float
) -> Floats:
    """`fractal` made at half size and enlarged."""
    return enlarge(fractal(rng, height // 2, width // 2, n_cells, octaves, **options), height, width)


def ridge_line(rng: np.random.Generator, width: int, n_peaks: float, octaves: int = 7, gain: float = 0.5) -> Floats:
    """A skyline: (width,) float32 within about -1..1."""
    x = np.arange(width, dtype=np.float32)
    line = np.zeros(width, np.float32)
    weight = 1.0
    for octave in range(octaves):
        n_knots = int(max(2, n_peaks * 2**octave)) + 2
        knots = np.linspace(-width * rng.random() / n_knots, width, n_knots)
        line += weight * np.interp(x, knots, rng.uniform(-1, 1, n_knots)).astype(np.float32)
        weight *= gain
    return line * np.float32(1 - gain)


def gradient(height: int, width: int, stops: Sequence[tuple[float, Colour]]) -> Floats:
    """Sky-like canvas; stops are (share of the height from the top, colour), ascending."""
    at = np.array([s[0] for s in stops]) * (height - 1)
    rows = np.stack([np.interp(np.arange(height), at, [s[1][c] for s in stops]) for c in range(3)], axis=1).astype(
        np.float32
    )
    return np.ascontiguousarray(np.broadcast_to(rows[:, None, :], (height, width, 3)))


def add_glow(canvas: Floats, x: float, y: float, radius_px: float, tint: Colour, strength: float) -> None:
    """Adds a soft light around (x, y) px, falling off as 1 / (1 + (d / radius)²)."""
    height, width = canvas.shape[:2]
    rows = ((np.arange(0, height, 4, dtype=np.float32) - y) / radius_px)[:, None]
    columns = ((np.arange(0, width, 4, dtype=np.float32) - x) / radius_px)[None, :]
    light = enlarge(strength / (1 + rows**2 + columns**2), height, width)
    canvas += light[:, :, None] * np.asarray(tint, np.float32)


def add_disc(
    canvas: Floats, x: float, y: float, radius_px: float, tint: Colour, opacity: float, soft_px: float
) -> None:
    """Lays a soft-edged disc over the canvas; whatever is outside is cut off."""
    height, width = canvas.shape[:2]
    reach = radius_px + soft_px + 1
    top, bottom = max(0, int(y - reach)), min(height, int(y + reach) + 2)
    left, right = max(0, int(x - reach)), min(width, int(x + reach) + 2)
    if top >= bottom or left >= right:
        return
    rows = (np.arange(top, bottom, dtype=np.float32) - y)[:, None]
    columns = (np.arange(left, right, dtype=np.float32) - x)[None, :]
    cover = np.clip((radius_px - np.sqrt(rows**2 + columns**2)) / soft_px + 0.5, 0, 1) * opacity
    patch = canvas[top:bottom, left:right]
    patch += (np.asarray(tint, np.float32) - patch) * cover[:, :, None].astype(np.float32)


def lay(canvas: Floats, mask: Floats, tint: Any) -> None:
    """Blends a colour or a canvas over `canvas` where `mask` (height, width), 0..1, says so."""
    canvas += (np.asarray(tint, np.float32) - canvas) * mask[:, :, None]


def fill_below(
    canvas: Floats,
    line_y: Floats,
    top_tint: Colour,
    bottom_tint: Colour,
    texture: Floats | None = None,
    soft_px: float = 1.5,
) -> None:
    """Paints everything below a skyline, shading from `top_tint` at the line to `bottom_tint` at the lower
    edge.

    `line_y` is (width,) px from the top; `texture` (height, width) is a relative brightness change around 0.
    """
    height = canvas.shape[0]
    start = int(np.clip(line_y.min() - 2, 0, height - 1))
    rows = np.arange(start, height, dtype=np.float32)
    depth = ((rows - start) / max(1.0, height - start))[:, None, None]
    body = np.asarray(top_tint, np.float32) * (1 - depth) + np.asarray(bottom_tint, np.float32) * depth
    layer = np.broadcast_to(body, (height - start, *canvas.shape[1:])).astype(np.float32)
    if texture is not None:
        layer *= 1 + texture[start:, :, None]
    cover = np.clip((rows[:, None] - line_y[None, :]) / np.float32(soft_px) + 0.5, 0, 1)
    part = canvas[start:]
    part += (layer - part) * cover[:, :, None]


def smooth_step(values: Floats, low: float, high: float) -> Floats:
    """0 below `low`, 1 above `high`, an S between."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)
