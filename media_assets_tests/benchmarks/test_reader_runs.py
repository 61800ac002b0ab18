"""The reader benchmark, from its command line to its result file, on very few tensors."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks import reader


def test_the_benchmark_of_the_reader_runs_and_keeps_its_result(tmp_path: Path) -> None:
    folder, results = tmp_path / "work", tmp_path / "results"
    words = f"--directory {folder} --results {results} --tensors 192 --pairs 2 --without-webdataset"
    reader.main(words.split())
    (result,) = results.glob("reader-*.json")
    told = json.loads(result.read_text())
    assert set(told["ratios_to_raw"]) == {"uint8 nhwc", "float32 nhwc", "float32 nchw"}
    assert all(row["samples_per_s"] > 0 for row in told["rows"])
