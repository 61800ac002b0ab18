"""Scenes of the dark hours: stars and auroras, lights out of focus, towers at dusk.

Not here: skies by day (`landscapes`), the list of kinds (`scenes`).
"""

from __future__ import annotations

import cv2
import numpy as np

from media_assets.demo.brushes import (
    Floats,
    add_disc,
    colour,
    colours,
    fill_below,
    gradient,
    low_fractal,
    mix,
    ridge_line,
    smooth_step,
)
from media_assets.demo.landscapes import SKIES, pick, sky
from media_assets.demo.woods import tree_line


def night(rng: np.random.Generator, height: int, width: int) -> Floats:
    """Stars, a band of milky light, sometimes an aurora, over a dark skyline."""
    top, low = pick(rng, [colours("050a1c 24365c"), colours("0a0618 3c2d57"), colours("03121a 1d4a52")])
    canvas = gradient(height, width, [(0, top), (0.8, low), (1, mix(low, (1, 0.6, 0.3), 0.12))])
    _stars(canvas, rng)
    if rng.random() < 0.5:
        _aurora(canvas, rng)
    else:
        _milky_way(canvas, rng)
    ink = mix(top, (0, 0, 0), 0.6)
    y = tree_line(rng, width, height * 0.13, (0.88 + ridge_line(rng, width, 2, 5) * 0.06) * height)
    fill_below(canvas, y, ink, ink * np.float32(0.5))
    return canvas


def _stars(canvas: Floats, rng: np.random.Generator) -> None:
    height, width = canvas.shape[:2]
    n_stars = height * width // 620
    sky = np.zeros((height, width), np.float32)
    sky[rng.integers(0, height, n_stars), rng.integers(0, width, n_stars)] = rng.pareto(1.6, n_stars).clip(0, 14)
    points = np.asarray(cv2.GaussianBlur(sky, (0, 0), 0.8), np.float32)
    canvas += points[:, :, None] * np.array([0.85, 0.92, 1.0], np.float32)


def _milky_way(canvas: Floats, rng: np.random.Generator) -> None:
    height, width = canvas.shape[:2]
    slope, offset = rng.uniform(-0.7, 0.7), rng.uniform(0.3, 0.6)
    rows = np.arange(height, dtype=np.float32)[:, None] / height
    columns = np.arange(width, dtype=np.float32)[None, :] / width - np.float32(0.5)
    dust = low_fractal(rng, height, width, 3, 6, gain=0.6)
    band = np.exp(-(((rows - offset - slope * columns + dust * 0.04) / 0.13) ** 2)) * (0.55 + 0.3 * dust)
    canvas += np.clip(band, 0, None)[:, :, None].astype(np.float32) * np.array([0.42, 0.36, 0.46], np.float32)


def _aurora(canvas: Floats, rng: np.random.Generator) -> None:
    height, width = canvas.shape[:2]
    curtain = ridge_line(rng, width, 2, 4, gain=0.4) * 0.16 + rng.uniform(0.45, 0.6)
    rays = 0.45 + 0.55 * np.abs(ridge_line(rng, width, 14, 4, gain=0.7))
    rows = np.arange(height, dtype=np.float32)[:, None] / height
    above = curtain[None, :] - rows
    light = np.exp(-np.clip(above, 0, None) * 5) * smooth_step(above, -0.03, 0.02) * rays[None, :]
    tint = mix(colour("3df29a"), colour("8a5cff"), rng.uniform(0, 0.35))
    canvas += light[:, :, None].astype(np.float32) * tint * np.float32(0.75)
    violet = np.clip(above * 2.2, 0, 1) * light
    canvas += violet[:, :, None].astype(np.float32) * colour("a04cff") * np.float32(0.4)


def bokeh(rng: np.random.Generator, height: int, width: int) -> Floats:
    """Lights out of focus."""
    dark = pick(
        rng,
        [
            colours("0d1326 2b1d3f"),
            colours("1a0f0c 40231a"),
            colours("07191a 10383a"),
            colours("151515 30303c"),
        ],
    )
    canvas = gradient(height, width, [(0, dark[0]), (0.6, dark[1]), (1, mix(dark[0], (0, 0, 0), 0.3))])
    haze = low_fractal(rng, height, width, 2, 3)
    canvas *= 1 + haze[:, :, None] * np.float32(0.25)
    lamps = pick(
        rng,
        [
            colours("ffd27a ff9e4f fff1cf ff6f59"),
            colours("7ac8ff e8f4ff ff8ad1 9d7bff"),
            colours("b6ff9e ffe08a 6fe3c1 ffffff"),
        ],
    )
    for depth, n_lamps in ((0.075, 14), (0.045, 22), (0.022, 40)):
        for _ in range(n_lamps):
            tint = lamps[int(rng.integers(len(lamps)))]
            x, y = rng.uniform(0, width), height * rng.triangular(0, 0.45, 1)
            radius = height * depth * rng.uniform(0.7, 1.2)
            opacity = rng.uniform(0.12, 0.42)
            add_disc(canvas, x, y, radius, tint, opacity, 2.5)
            add_disc(canvas, x, y, radius * 0.9, mix(tint, canvas[0, 0], 0.25), opacity * 0.4, 3)
    return canvas


def city(rng: np.random.Generator, height: int, width: int) -> Floats:
    """Towers at dusk, some windows lit."""
    palette = pick(rng, [SKIES[1], SKIES[4], colours("101935 3d4f86 d98f7a"), colours("22304a 6d87a8 d9d2c5")])
    canvas = sky(rng, height, width, palette, 0.75)
    for row in range(3):
        t = row / 2
        tint = mix(mix(palette[1], palette[2], 0.3), (0.04, 0.05, 0.09), 0.3 + 0.65 * t)
        x = -rng.uniform(0, 40)
        while x < width:
            broad = width * rng.uniform(0.035, 0.085) * (0.8 + 0.4 * t)
            tall = height * rng.uniform(0.16, 0.52 - 0.16 * t) * rng.uniform(0.6, 1)
            _tower(canvas, rng, x, height * (0.9 + 0.05 * t) - tall, broad, tint, t)
            x += broad * rng.uniform(0.85, 1.25)
    street = np.full(width, height * 0.95, np.float32)
    fill_below(canvas, street, mix(palette[2], (0.05, 0.05, 0.08), 0.85), colour("08090d"))
    return canvas


def _tower(
    canvas: Floats, rng: np.random.Generator, x: float, y: float, broad: float, tint: Floats, near: float
) -> None:
    height, width = canvas.shape[:2]
    left, right, top = max(0, int(x)), min(width, int(x + broad)), max(0, int(y))
    if right - left < 4 or top >= height:
        return
    face = canvas[top:, left:right]
    side = np.linspace(1.12, 0.82, right - left, dtype=np.float32)[None, :, None]
    face[:] = tint * side
    step = max(3, round(height * (0.009 + 0.007 * near)))
    lit = (rng.random((face.shape[0] // step + 1, face.shape[1] // step + 1)) < rng.uniform(0.08, 0.45)) * rng.uniform(
        0.3, 1.0
    )
    panes = np.kron(lit, np.ones((step, step)))[: face.shape[0], : face.shape[1]].astype(np.float32)
    for k in range(1 + step // 4):
        panes[k::step] = 0
        panes[:, k::step] = 0
    warm = mix(colour("ffd58a"), colour("cfe4ff"), float(rng.random() < 0.25))
    face += panes[:, :, None] * warm * np.float32(0.35 + 0.5 * near)
