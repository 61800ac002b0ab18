"""Scenes of open country: mountains, lakes, the sea, dunes, clouds from above; and the sky that others
borrow.

Not here: woods and fields (`woods`), the dark hours (`nights`), the list of kinds (`scenes`).
"""

from __future__ import annotations

import cv2
import numpy as np

from media_assets.demo.brushes import (
    Floats,
    add_disc,
    add_glow,
    colour,
    colours,
    enlarge,
    fill_below,
    fractal,
    gradient,
    lay,
    low_fractal,
    mix,
    ridge_line,
    smooth_step,
)

SKIES = [
    colours("2f5f9e 7fb0dc e9eef2"),  # noon
    colours("3b4a7a c97b84 f6c89f"),  # dusk
    colours("1d3557 7d8fb3 f3d9b1"),  # morning
    colours("5b7fa3 b9cbd6 f2efe6"),  # haze
    colours("52357b d96c75 ffcf7d"),  # afterglow
    colours("6f8794 aebcc2 d8dcd9"),  # overcast
]


LANDS = ["27402f", "3a3f2a", "2b3a4a", "40352f", "1f3b3a", "4a3b45"]


def pick(rng: np.random.Generator, options: list[list[Floats]]) -> list[Floats]:
    """One of several palettes."""
    return options[int(rng.integers(len(options)))]


def sky(rng: np.random.Generator, height: int, width: int, palette: list[Floats], horizon: float) -> Floats:
    """Gradient, clouds and the light of a low sun."""
    high, middle, low = palette
    canvas = gradient(height, width, [(0, high), (horizon * 0.6, middle), (horizon, low), (1, low)])
    noise = low_fractal(rng, height, width, rng.uniform(1.5, 3), 6, gain=0.5, stretch=rng.uniform(2, 4))
    cover = smooth_step(noise, rng.uniform(-0.2, 0.6), rng.uniform(1.9, 3.2)) * np.float32(rng.uniform(0.3, 0.85))
    lay(canvas, cover, mix(low, (1, 1, 1), 0.45))
    x = width * rng.uniform(0.15, 0.85)
    add_glow(
        canvas,
        x,
        height * horizon * rng.uniform(0.55, 0.95),
        height * 0.16,
        mix(low, (1, 0.9, 0.7), 0.5),
        0.38,
    )
    return canvas


def hills(
    canvas: Floats,
    rng: np.random.Generator,
    far: Floats,
    near: Floats,
    top: float,
    bottom: float,
    n_layers: int,
    relief: float = 0.12,
) -> None:
    """Ridges from `top` to `bottom` (shares of the height), each nearer, darker and rougher than the last."""
    height, width = canvas.shape[:2]
    rock = low_fractal(rng, height, width, 7, 6, gain=0.62)
    for i in range(n_layers):
        t = i / max(1, n_layers - 1)
        base = top + (bottom - top) * t
        line = ridge_line(rng, width, rng.uniform(2, 4) + 2 * t, 8, gain=0.52 + 0.05 * (1 - t))
        tint = mix(far, near, t**0.9)
        fog = mix(tint, far, 0.55 * (1 - t * 0.7))
        strength = np.float32(0.05 + 0.15 * t)
        y = (base + line * relief * (1 - 0.3 * t)) * height
        texture = (rock, rock[:, ::-1], rock[::-1], rock[::-1, ::-1])[i % 4]
        fill_below(canvas, y.astype(np.float32), tint, fog, texture * strength)


def mountains(rng: np.random.Generator, height: int, width: int) -> Floats:
    """Ridges in aerial perspective."""
    palette = pick(rng, SKIES)
    canvas = sky(rng, height, width, palette, 0.62)
    land = colour(LANDS[int(rng.integers(len(LANDS)))])
    far = mix(mix(palette[1], palette[2], 0.4), land, 0.22)
    hills(canvas, rng, far, land, rng.uniform(0.42, 0.5), 0.92, int(rng.integers(4, 7)), rng.uniform(0.12, 0.2))
    return canvas


def lake(rng: np.random.Generator, height: int, width: int) -> Floats:
    """Mountains over still water that mirrors them."""
    shore = rng.uniform(0.52, 0.62)
    upper = int(height * shore)
    palette = pick(rng, SKIES)
    land = colour(LANDS[int(rng.integers(len(LANDS)))])
    canvas = sky(rng, height, width, palette, shore)
    far = mix(mix(palette[1], palette[2], 0.4), land, 0.3)
    hills(canvas, rng, far, land, shore - 0.2, shore - 0.01, 3, 0.13)
    water = height - upper
    rows = np.arange(water, dtype=np.float32)
    ripple = fractal(rng, water, width // 4, 24, 3, stretch=6)
    shift = enlarge(ripple, water, width) * (1 + rows[:, None] * 0.035)
    map_x = np.arange(width, dtype=np.float32)[None, :] + shift * np.float32(0.5)
    map_y = upper - 1 - rows[:, None] * np.float32(0.92) + shift * np.float32(1.6)
    mirror = cv2.remap(canvas, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    depth = (rows / water)[:, None, None]
    canvas[upper:] = mirror * (0.9 - 0.25 * depth) + mix(palette[0], land, 0.4) * (0.06 + 0.22 * depth)
    canvas[upper : upper + 2] *= np.float32(0.6)
    return canvas


def sea(rng: np.random.Generator, height: int, width: int) -> Floats:
    """Open water under a low sun, with its glitter path."""
    horizon = rng.uniform(0.42, 0.56)
    palette = pick(rng, [SKIES[i] for i in (1, 2, 4, 0)])
    canvas = sky(rng, height, width, palette, horizon)
    top = int(height * horizon)
    sun_x, sun_y = width * rng.uniform(0.25, 0.75), height * (horizon - rng.uniform(0.03, 0.14))
    warm = mix(palette[2], (1, 0.93, 0.75), 0.6)
    add_glow(canvas, sun_x, sun_y, height * 0.05, warm, 0.8)
    add_disc(canvas, sun_x, sun_y, height * 0.035, (1, 0.97, 0.88), 1, 4)
    rows = np.arange(height - top, dtype=np.float32)
    depth = rows / (height - top)
    deep = mix(palette[0], (0.02, 0.08, 0.12), 0.55)
    body = gradient(
        height - top, width, [(0, mix(palette[2], deep, 0.35)), (0.25, mix(palette[1], deep, 0.6)), (1, deep)]
    )
    waves = _waves(rng, height - top, width)
    body *= 1 + waves[:, :, None] * np.float32(0.22)
    spread = (0.03 + 0.2 * depth)[:, None] * width
    column = np.exp(-(((np.arange(width, dtype=np.float32)[None, :] - sun_x) / spread) ** 2))
    glitter = smooth_step(waves, 0.35, 1.6) * column * (1 - 0.45 * depth)[:, None]
    canvas[top:] = body + glitter[:, :, None].astype(np.float32) * warm * np.float32(1.1)
    return canvas


def _waves(rng: np.random.Generator, height: int, width: int) -> Floats:
    """Wave crests in perspective: fine at the horizon (row 0), broad at the lower edge; spread about 1."""
    flat = fractal(rng, 512, 512, 40, 3, gain=0.7, stretch=3)
    depth = np.arange(height, dtype=np.float32)[:, None] / height
    distance = 1 / (depth + np.float32(0.08))
    across = (np.arange(width, dtype=np.float32)[None, :] / width - np.float32(0.5)) * distance
    map_y = np.broadcast_to(distance * 95, (height, width)).astype(np.float32)
    return np.asarray(
        cv2.remap(flat, (across * 240 + 256).astype(np.float32) % 511, map_y % 511, cv2.INTER_LINEAR),
        np.float32,
    )


def dunes(rng: np.random.Generator, height: int, width: int) -> Floats:
    """Sand in the sun: each crest bright on one side, in shade on the other."""
    sand, shade = pick(
        rng,
        [
            colours("d9a066 7a4a2b"),
            colours("e3b98a 8a5a44"),
            colours("c97c4a 5c2f24"),
            colours("ead7b0 9a8468"),
        ],
    )
    palette = pick(rng, [SKIES[i] for i in (0, 1, 3, 4)])
    canvas = sky(rng, height, width, palette, 0.5)
    ripples = fractal(rng, height, width, 60, 2, stretch=rng.uniform(3, 7)) * np.float32(0.045)
    n_layers = int(rng.integers(4, 6))
    for i in range(n_layers):
        t = i / (n_layers - 1)
        line = ridge_line(rng, width, 1.2 + rng.random(), 4, gain=0.28) * (0.08 + 0.07 * t) + 0.44 + 0.42 * t
        light, dark = (
            mix(mix(palette[2], sand, 0.45 + 0.55 * t), sand, 0.3),
            mix(mix(palette[2], shade, 0.6), shade, t),
        )
        y = (line * height).astype(np.float32)
        fill_below(canvas, y, light, mix(light, dark, 0.45), ripples)
        slip = ridge_line(rng, width, 2, 3, gain=0.3) * 0.04 + rng.uniform(0.02, 0.08)
        lee = y + np.maximum(0, slip + np.gradient(y).astype(np.float32) * 0.09) * height * (0.5 + t)
        _shade_between(canvas, y, lee.astype(np.float32), dark)
    return canvas


def _shade_between(canvas: Floats, upper_y: Floats, lower_y: Floats, tint: Floats) -> None:
    """Darkens the band under a crest, fading out towards its lower line."""
    height = canvas.shape[0]
    start, stop = int(max(0, upper_y.min() - 1)), int(min(height, lower_y.max() + 2))
    if stop <= start:
        return
    rows = np.arange(start, stop, dtype=np.float32)[:, None]
    inside = np.clip(rows - upper_y[None, :], 0, 1) * np.clip((lower_y[None, :] - rows) / 6, 0, 1)
    lay(canvas[start:stop], (inside * 0.72).astype(np.float32), tint)


def clouds(rng: np.random.Generator, height: int, width: int) -> Floats:
    """A sea of clouds, lit from one side."""
    high, middle, low = pick(rng, SKIES[:5])
    canvas = gradient(height, width, [(0, high), (0.45, middle), (0.7, low), (1, low)])
    relief = low_fractal(rng, height, width, rng.uniform(2.5, 4), 6, gain=0.47, stretch=1.8)
    light = relief - np.roll(relief, (int(height * 0.02), int(width * rng.uniform(-0.02, 0.02))), (0, 1))
    rows = np.arange(height, dtype=np.float32)[:, None] / height
    cover = smooth_step(relief + (rows - np.float32(rng.uniform(0.35, 0.55))) * np.float32(4), -0.5, 1.3)
    puffs = mix(low, (1, 1, 1), 0.7) * (np.float32(0.86) - np.clip(light, -0.6, 0.6)[:, :, None] * np.float32(0.3))
    lay(canvas, cover, puffs * mix(middle, (1, 1, 1), 0.72))
    add_glow(
        canvas,
        width * rng.uniform(0.1, 0.9),
        height * rng.uniform(0.08, 0.3),
        height * 0.14,
        (1, 0.92, 0.75),
        0.35,
    )
    return canvas
