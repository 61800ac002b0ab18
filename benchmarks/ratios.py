"""What measured rows say: ratios between jobs, and whether each bar is held. Pure.

Single runs differ by some 10 to 15 %, and machines by far more, so only ratios of jobs that ran in turn on the same
machine are judged: each round gives one ratio, and their median counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

Row = dict[str, Any]

PRODUCT, BARE, DAFT, YARDSTICK = "media-assets", "bare-loop", "daft", "pillow-draft-bicubic"
IMG2DATASET, LOSSLESS = "img2dataset", "img2dataset-png"

IMG2DATASET_BAR, DAFT_BAR, BARE_BAR = 2.0, 2.5, 0.75
PEAK_BAR_MB, GROWTH_BAR, DAGSTER_BAR_PERCENT, QUALITY_SLACK_DB = 1000, 1.15, 2.0, 0.1
READER_BAR = 0.9


@dataclass(frozen=True)
class Run:
    """One measured run of one job."""

    job: str
    n: int
    turn: int  # the round it belongs to
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    server_cpu_seconds: float


def row(runs: Sequence[Run]) -> Row:
    """One row for all rounds of one job and size: medians, and the range of the rates."""
    n = runs[0].n
    rates = [run.n / run.seconds for run in runs]
    return {
        "job": runs[0].job,
        "n": n,
        "rounds": len(runs),
        "images_per_s": round(median(rates), 1),
        "images_per_s_range": [round(min(rates), 1), round(max(rates), 1)],
        "cpu_s": round(median(run.cpu_seconds for run in runs), 2),
        "cpu_s_per_1000": round(median(run.cpu_seconds for run in runs) / n * 1000, 2),
        "server_cpu_s_per_1000": round(median(run.server_cpu_seconds for run in runs) / n * 1000, 2),
        "peak_mb": round(max(run.peak_bytes for run in runs) / 1e6),
        "seconds": round(median(run.seconds for run in runs), 1),
    }


def rows(runs: Iterable[Run]) -> list[Row]:
    """A row for every job and size, in the order of their first runs."""
    grouped: dict[tuple[int, str], list[Run]] = {}
    for run in runs:
        grouped.setdefault((run.n, run.job), []).append(run)
    return [row(group) for group in grouped.values()]


def spread(values: Sequence[float]) -> Row:
    """Median and range."""
    return {
        "median": round(median(values), 3),
        "least": round(min(values), 3),
        "most": round(max(values), 3),
        "n": len(values),
    }


def cpu_ratio(runs: Sequence[Run], job: str, n: int) -> Row:
    """Images per CPU second of the product over those of a job, round by round."""
    return spread([other.cpu_seconds / ours.cpu_seconds for ours, other in _paired(runs, job, n)])


def rate_ratio(runs: Sequence[Run], job: str, n: int) -> Row:
    """Images per second of the product over those of a job, round by round."""
    return spread([other.seconds / ours.seconds for ours, other in _paired(runs, job, n)])


def _paired(runs: Sequence[Run], job: str, n: int) -> list[tuple[Run, Run]]:
    found = {(run.job, run.turn): run for run in runs if run.n == n}
    turns = sorted({run.turn for run in runs if run.n == n})
    pairs = [(found.get((PRODUCT, turn)), found.get((job, turn))) for turn in turns]
    return [(ours, other) for ours, other in pairs if ours is not None and other is not None]


def growth(measured: Sequence[Row], job: str = PRODUCT) -> Row:
    """How one job changes from its smallest size to its largest; empty for one size."""
    mine = sorted((r for r in measured if r["job"] == job), key=lambda r: int(r["n"]))
    if len(mine) < 2:
        return {}
    small, large = mine[0], mine[-1]
    more = (large["n"] - small["n"]) / 1000
    marginal = (large["cpu_s"] - small["cpu_s"]) / more
    return {
        "from_n": small["n"],
        "to_n": large["n"],
        "peak_ratio": round(large["peak_mb"] / small["peak_mb"], 3),
        "marginal_cpu_s_per_1000": round(marginal, 2),
        "marginal_images_per_s": round(more * 1000 / (large["seconds"] - small["seconds"]), 1),
        "fixed_cpu_s": round(small["cpu_s"] - marginal * small["n"] / 1000, 2),
    }


def bars(measured: Sequence[Row], ratios: Mapping[str, Any], dagster_percent: float | None) -> dict[str, bool]:
    """Each bar and whether it is held, as far as it was measured."""
    held: dict[str, bool] = {}
    for job, least in ((IMG2DATASET, IMG2DATASET_BAR), (DAFT, DAFT_BAR)):
        if found := ratios.get(f"images_per_cpu_s_to_{job}"):
            held[f"images_per_cpu_s_to_{job}_at_least_{least}"] = found["median"] >= least
    if found := ratios.get(f"images_per_s_to_{BARE}"):
        held[f"images_per_s_to_{BARE}_at_least_{BARE_BAR}"] = found["median"] >= BARE_BAR
    ours = [r for r in measured if r["job"] == PRODUCT]
    yardstick = next((r for r in measured if r["job"] == YARDSTICK), None)
    if yardstick is not None:
        held["psnr_of_pillow_draft_bicubic"] = all(
            r[kind] >= yardstick[kind] - QUALITY_SLACK_DB for r in ours for kind in ("psnr_mean_db", "psnr_worst_db")
        )
    held["peak_below_1_gb"] = all(r["peak_mb"] < PEAK_BAR_MB for r in ours)
    if grown := ratios.get("growth"):
        held[f"peak_ratio_at_most_{GROWTH_BAR}"] = grown["peak_ratio"] <= GROWTH_BAR
    if dagster_percent is not None:
        held[f"dagster_below_{DAGSTER_BAR_PERCENT}_percent"] = dagster_percent < DAGSTER_BAR_PERCENT
    return held
