"""The README's numbers come from result files and from nowhere else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.readme_table import BEGIN, END, section, with_section

MACHINE = {"cores": 2, "processor": "Sample", "load_1min": 0.1}
IMAGES: dict[str, Any] = {
    "date": "2026-01-02T03:04:05+00:00",
    "machine": MACHINE,
    "command": "python -m benchmarks.images",
    "images": "some JPEG",
    "jobs": {"media-assets": {"keeps": "everything"}},
    "rows": [
        {"job": "media-assets", "n": n, "rounds": 3, "images_per_s": n / 10, "cpu_s_per_1000": 7.5, "peak_mb": 1234,
         "psnr_mean_db": 46.0, "psnr_worst_db": 42.0}
        for n in (200, 1000)
    ],
    "ratios": {"at_n": 1000, "images_per_cpu_s_to_daft": {"median": 2.345}},
    "dagster": {"percent": {"median": 1.04}},
    "bars": {"peak_below_1_gb": False, "peak_ratio_at_most_1.15": True},
}  # fmt: skip


def test_without_results_the_section_says_so(tmp_path: Path) -> None:
    assert section(tmp_path).startswith("Nothing has been measured yet")


def test_the_newest_result_is_shown_at_its_largest_size(tmp_path: Path) -> None:
    (tmp_path / "images-2026-01-01.json").write_text("{}")
    (tmp_path / "images-2026-01-02.json").write_text(json.dumps(IMAGES))
    shown = section(tmp_path)
    assert "| media-assets | everything | 100 | 7.5 | 1,234 | 46 / 42 |" in shown
    assert "| 20 |" not in shown
    assert "2.35 × daft" in shown
    assert "1.0 % of a run" in shown
    assert "Bars that are not reached: peak below 1 gb." in shown
    assert "(benchmarks/results/images-2026-01-02.json)" in shown


def test_an_uploads_result_says_how_long_an_acknowledgement_takes(tmp_path: Path) -> None:
    row = {"rate_per_s": 100.0, "seconds": 120.1, "p50_ms": 5.5, "p99_ms": 40.1, "lost": 0, "memory_mib_last": 90.5}
    result = IMAGES | {"rows": [row], "disk": "fsync: 1 ms", "bars": {"none_lost": True, "p99_below_1_s": False}}
    (tmp_path / "uploads-2026-01-02.json").write_text(json.dumps(result))
    shown = section(tmp_path)
    assert "100 a second for 120.1 s (some JPEG)" in shown
    assert "99th percentile 40.1 ms, 0 lost, 90.5 MiB" in shown
    assert "Not reached: p99 below 1 s." in shown


def test_a_result_of_keyframes_shows_who_is_right_and_which_bar_is_missed(tmp_path: Path) -> None:
    row = {"job": "ffmpeg", "rounds": 5, "stills_per_s": 30.5, "cpu_ms_per_still": 41.2, "times_are_right": False}
    result = IMAGES | {
        "videos": "some H.264",
        "corpus": {"n": 2, "seconds": 150, "n_keys": 150},
        "rows": [row | {"psnr_mean_db": 46.02}],
        "bars": {"cpu_s_to_bare_at_most_1.2": True, "stills_per_s_to_ffmpeg_at_least_1.8": False},
    }
    (tmp_path / "keyframes-2026-01-02.json").write_text(json.dumps(result))
    shown = section(tmp_path)
    assert "150 of 2 x 150 s (some H.264)" in shown
    assert "| ffmpeg | 30.5 | 41.2 | no | 46.02 |" in shown
    assert "Bars that are not reached: stills per s to ffmpeg at least 1.8." in shown


def test_a_reader_result_shows_the_ratio_of_each_variant(tmp_path: Path) -> None:
    rows = [
        {"reader": reader, "variant": "uint8 nhwc", "n": 5, "samples_per_s": 40000, "cpu_us_per_sample": 20.5}
        for reader in ("TensorReader", "raw.npy")
    ]
    result = IMAGES | {
        "rows": rows,
        "tensors": {"n": 5, "shape": [2, 2, 3], "mini_batch": 64},
        "ratios_to_raw": {"uint8 nhwc": {"samples_per_s": {"median": 0.951}}},
    }
    (tmp_path / "reader-2026-01-02.json").write_text(json.dumps(result))
    assert "| TensorReader | uint8 nhwc | 40,000 | 20.5 | 0.95 |" in section(tmp_path)
    assert "| raw.npy | uint8 nhwc | 40,000 | 20.5 |  |" in section(tmp_path)


def test_only_the_marked_section_of_a_page_changes() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert with_section(page, "new\n") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    assert with_section(with_section(page, "new\n"), "new\n") == with_section(page, "new\n")


@pytest.mark.parametrize("page", ["nothing", f"{BEGIN} only", f"{BEGIN}{END}{BEGIN}{END}"])
def test_a_page_without_one_section_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="once each"):
        with_section(page, "")
