"""`make bench`: measure, print one JSON document, and leave it in `benchmarks/results/`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.batch_size import arguments, measure

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Measure and keep the result."""
    options = arguments()
    result = {"date": datetime.now(UTC).isoformat(timespec="seconds"), **measure(options.sizes, options.directory)}
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"batch-size-{datetime.now(UTC):%Y-%m-%d}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
