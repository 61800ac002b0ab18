"""`python -m media_assets_tests.hostile`: all hostile files, all hostile servers, and fuzzing for as long as asked.

Prints one JSON document and leaves it in `benchmarks/results/hostile-DATE.json`; 0 when nothing was wrong, silent,
leaked, touched or outside of the closed set. Everything runs on loopback below one temporary folder.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from media_assets_tests.hostile.corpus import corpus
from media_assets_tests.hostile.folder_run import run_folder
from media_assets_tests.hostile.fuzz import fuzz
from media_assets_tests.hostile.http_run import run_http

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
MAX_SECONDS = 900


def main() -> int:
    """Run it all."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="media-assets-hostile-", dir=options.directory) as folder:
        result = run(Path(folder), options.seconds, options.seed)
    path = RESULTS / f"hostile-{datetime.now(UTC):%Y-%m-%d}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    return 0 if all(result["held"].values()) else 1


def run(folder: Path, fuzz_seconds: float, seed: int) -> dict[str, Any]:
    """Files, servers, fuzzing, one after another."""
    files = run_folder(corpus(), folder / "files", MAX_SECONDS)
    servers = run_http(folder / "servers")
    # what a fuzzer found outlives the run
    found = fuzz(fuzz_seconds, seed, Path(tempfile.mkdtemp(prefix="media-assets-fuzz-"))) if fuzz_seconds else {}
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": f"python -m media_assets_tests.hostile --seconds {fuzz_seconds:g} --seed {seed}",
        "machine": machine(),
        "files": files.summary(),
        "servers": servers.summary(),
        "fuzzing": found,
        "held": files.held
        | servers.held
        | {"no outcome of fuzzing was outside of the closed set": not found.get("outside")},
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m media_assets_tests.hostile", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120, help="for fuzzing; 0 for none")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--directory", type=Path, help="where the working folder is made; default: the system's")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
