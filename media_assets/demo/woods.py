"""Scenes of growing things: conifers in fog, flowers in a field.

Not here: skies and hills (`landscapes`), the list of kinds (`scenes`).
"""

from __future__ import annotations

import numpy as np

from media_assets.demo.brushes import (
    Floats,
    add_disc,
    add_glow,
    colour,
    colours,
    fill_below,
    fractal,
    gradient,
    mix,
    ridge_line,
)
from media_assets.demo.landscapes import SKIES, hills, pick, sky


def forest(rng: np.random.Generator, height: int, width: int) -> Floats:
    """Conifers in fog, row behind row."""
    fog, near = pick(
        rng,
        [
            colours("d5dedd 10211c"),
            colours("c9d3df 141c2b"),
            colours("ead9c0 241a14"),
            colours("dfe6cf 15240f"),
        ],
    )
    canvas = gradient(height, width, [(0, mix(fog, (1, 1, 1), 0.35)), (0.55, fog), (1, mix(fog, near, 0.25))])
    add_glow(
        canvas,
        width * rng.uniform(0.2, 0.8),
        height * 0.22,
        height * 0.22,
        mix(fog, (1, 0.95, 0.8), 0.6),
        0.35,
    )
    needles = fractal(rng, height, width, 30, 3, gain=0.8, stretch=0.6) * np.float32(0.07)
    n_rows = 6
    for i in range(n_rows):
        t = (i + 1) / n_rows
        ground = (0.36 + 0.62 * t + ridge_line(rng, width, 2, 4) * 0.09) * height
        y = tree_line(rng, width, height * (0.09 + 0.3 * t**1.5), ground)
        tint = mix(fog, near, 0.1 + 0.88 * t**1.35)
        fill_below(canvas, y, tint, mix(tint, fog, 0.95 * (1 - t) + 0.1), needles * np.float32(t))
    return canvas


def tree_line(rng: np.random.Generator, width: int, tall_px: float, ground_y: Floats) -> Floats:
    """Upper outline of a row of conifers, (width,) px from the top."""
    x = np.arange(width, dtype=np.float32)
    outline = ground_y.astype(np.float32).copy()
    n_trees = int(width / tall_px * 3.4) + 5
    for centre in rng.uniform(0, width, n_trees):
        size = tall_px * rng.uniform(0.45, 1)
        lo, hi = int(max(0, centre - size / 5)), int(min(width, centre + size / 5))
        if hi - lo < 2:
            continue
        away = np.abs(x[lo:hi] - centre) / (size / 5.6)
        branches = 0.06 * np.abs(np.sin(away * rng.uniform(12, 18) + rng.random() * 3))
        crown = ground_y[lo:hi] - size * np.clip(1 - away - branches * (away > 0.04), 0, 1)
        outline[lo:hi] = np.minimum(outline[lo:hi], crown)
    return outline


def meadow(rng: np.random.Generator, height: int, width: int) -> Floats:
    """Flowers in a field: sharp in the middle, blurred behind and in front."""
    grass = pick(rng, [colours("9fbf6a 2f4d1c"), colours("c3b36b 4d4420"), colours("8fb39a 23463a")])
    palette = pick(rng, [SKIES[i] for i in (0, 2, 3, 1)])
    horizon = rng.uniform(0.22, 0.38)
    canvas = sky(rng, height, width, palette, horizon)
    hills(
        canvas,
        rng,
        mix(palette[2], grass[1], 0.3),
        mix(grass[0], grass[1], 0.4),
        horizon - 0.03,
        horizon + 0.04,
        2,
        0.05,
    )
    line = ((horizon + 0.06) + ridge_line(rng, width, 2, 3) * 0.01) * height
    blades = fractal(rng, height, width, 26, 3, gain=0.75, stretch=0.25) * np.float32(0.17)
    fill_below(canvas, line.astype(np.float32), mix(grass[0], palette[2], 0.25), grass[1], blades, soft_px=8)
    petals = pick(
        rng,
        [
            colours("e8455a f7d6dd d92b3a"),
            colours("7e6bd6 b9a7f2 e9e2ff"),
            colours("ffd23f fff3c4 ff9f1c"),
            colours("ffffff ffe3f1 f7a8c4"),
        ],
    )
    for depth in np.sort(rng.random(150)):
        y = (horizon + 0.09 + (1.0 - horizon - 0.08) * depth**1.4) * height
        radius = height * (0.0025 + 0.03 * depth**2.2) * rng.uniform(0.7, 1.2)
        blur = 1 + abs(depth - 0.62) * radius * 2.2
        tint = mix(petals[int(rng.integers(len(petals)))], palette[2], 0.3 * (1 - depth))
        _flower(canvas, rng, rng.uniform(0, width), y, radius, tint, blur)
    return canvas


def _flower(
    canvas: Floats, rng: np.random.Generator, x: float, y: float, radius: float, tint: Floats, soft: float
) -> None:
    if radius > 6:
        turn = rng.uniform(0, 1.2)
        for k in range(5):
            angle = turn + k * 2 * np.pi / 5
            add_disc(
                canvas,
                x + np.cos(angle) * radius * 0.55,
                y + np.sin(angle) * radius * 0.45,
                radius * 0.5,
                tint * np.float32(0.82 + 0.06 * k),
                0.9,
                soft,
            )
        add_disc(canvas, x, y, radius * 0.26, colour("f2c14e"), 0.95, soft)
    else:
        add_disc(canvas, x, y, radius, tint, 0.9, soft)
