"""Small pictures of numbers, for the places where a table's statistics are looked at.

Drawn by matplotlib's figure objects on the Agg canvas: no pyplot, no shared state. Not here: computing statistics.
"""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt

_COLOURS = ("#d1453b", "#3a9150", "#3b6fd1")
_CHANNELS = ("red", "green", "blue")
_N_LEVELS = 256


def channel_histograms_png(
    histograms: npt.NDArray[np.int64],
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    title: str,
) -> bytes:
    """PNG of three overlaid channel histograms with each mean as a line; below 60 kB.

    Args:
        histograms: (3, 256) counts of the levels 0..255 of R, G, B.
        mean: per channel, 0..1.
        std: per channel, same unit.
        title: one line above the plot.

    Raises:
        ValueError: another shape, negative counts, or no counts at all.
    """
    counts = np.asarray(histograms, np.float64)
    if counts.shape != (3, _N_LEVELS) or counts.min() < 0 or counts.sum() <= 0:
        raise ValueError(
            f"expected (3, {_N_LEVELS}) counts that are not all zero, got shape {counts.shape}; "
            "compute the statistics first"
        )
    # only this function needs matplotlib, and importing it costs more than drawing
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 2.8), dpi=100, layout="constrained")
    axes = figure.subplots()
    shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    levels = np.arange(_N_LEVELS)
    for share, colour, name, centre, spread in zip(shares, _COLOURS, _CHANNELS, mean, std, strict=True):
        axes.fill_between(levels, share, step="mid", color=colour, alpha=0.18, linewidth=0)
        label = f"{name}  {centre:.3f} ± {spread:.3f}"
        axes.step(levels, share, where="mid", color=colour, linewidth=1.1, label=label)
        axes.axvline(centre * (_N_LEVELS - 1), color=colour, linewidth=1, linestyle=(0, (4, 3)))
    axes.set(xlim=(0, _N_LEVELS - 1), ylim=(0, _top(shares)), xlabel="level", ylabel="values, %")
    axes.set_title(title, fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.legend(fontsize=8, edgecolor="none", framealpha=0.9, title="mean ± std, 0 to 1", title_fontsize=8)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _top(shares: npt.NDArray[np.float64]) -> float:
    """Upper end of the axis: a clipped black or white level may not flatten everything else."""
    inner = float(shares[:, 1:-1].max())
    return 1.1 * (inner if inner > 0 else float(shares.max()))
