"""Ratios are taken round by round, and bars judge their medians."""

from __future__ import annotations

import pytest

from benchmarks.ratios import Run, bars, cpu_ratio, growth, rate_ratio, rows, spread


def run(job: str, n: int, turn: int, seconds: float, cpu_seconds: float, peak_mb: float = 500) -> Run:
    return Run(job, n, turn, seconds, cpu_seconds, int(peak_mb * 1e6), 0.1)


RUNS = [
    run("media-assets", 1000, 0, 10, 8, 600),
    run("daft", 1000, 0, 30, 16),
    run("media-assets", 1000, 1, 20, 10, 650),
    run("daft", 1000, 1, 40, 30),
    run("media-assets", 3000, 0, 25, 20, 660),
    run("daft", 3000, 0, 75, 60),
]


def test_a_row_holds_medians_and_the_highest_peak() -> None:
    first = rows(RUNS)[0]
    assert first["job"] == "media-assets"
    assert first["rounds"] == 2
    assert first["images_per_s"] == pytest.approx(75.0)
    assert first["images_per_s_range"] == [50.0, 100.0]
    assert first["cpu_s_per_1000"] == pytest.approx(9.0)
    assert first["peak_mb"] == 650


def test_ratios_pair_the_runs_of_one_round() -> None:
    assert cpu_ratio(RUNS, "daft", 1000) == {"median": 2.5, "least": 2.0, "most": 3.0, "n": 2}
    assert rate_ratio(RUNS, "daft", 1000) == {"median": 2.5, "least": 2.0, "most": 3.0, "n": 2}


def test_a_round_without_the_other_job_gives_no_ratio() -> None:
    assert cpu_ratio(RUNS[:3], "daft", 1000)["n"] == 1


def test_growth_tells_marginal_from_fixed_cost() -> None:
    assert growth(rows(RUNS)) == {
        "from_n": 1000,
        "to_n": 3000,
        "peak_ratio": 1.015,
        "marginal_cpu_s_per_1000": 5.5,
        "marginal_images_per_s": 200.0,
        "fixed_cpu_s": 3.5,
    }


def test_growth_of_one_size_is_empty() -> None:
    assert growth(rows(RUNS[:4])) == {}


def _measured(mean_db: float, worst_db: float, peak_mb: int) -> list[dict[str, object]]:
    ours = {"job": "media-assets", "n": 1, "peak_mb": peak_mb, "psnr_mean_db": mean_db, "psnr_worst_db": worst_db}
    yardstick = {"job": "pillow-draft-bicubic", "n": 1, "psnr_mean_db": 40.0, "psnr_worst_db": 35.0}
    return [ours, yardstick]


def test_every_bar_is_held_when_all_is_well() -> None:
    ratios = {
        "images_per_cpu_s_to_img2dataset": spread([2.0]),
        "images_per_cpu_s_to_daft": spread([2.5]),
        "images_per_s_to_bare-loop": spread([0.75]),
        "growth": {"peak_ratio": 1.15},
    }
    held = bars(_measured(39.9, 34.9, 999), ratios, 1.9)
    assert len(held) == 7
    assert all(held.values())


def test_every_bar_is_missed_when_nothing_is() -> None:
    ratios = {
        "images_per_cpu_s_to_img2dataset": spread([1.99]),
        "images_per_cpu_s_to_daft": spread([2.49]),
        "images_per_s_to_bare-loop": spread([0.74]),
        "growth": {"peak_ratio": 1.16},
    }
    held = bars(_measured(40.0, 34.8, 1000), ratios, 2.0)
    assert len(held) == 7
    assert not any(held.values())
