"""Where measured numbers are kept: `results/NAME-DATE.json`, one document a run, committed beside the code."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def keep(name: str, result: dict[str, Any], folder: Path = RESULTS) -> Path:
    """Write a result of today, dated; print where it lies."""
    now = datetime.now(UTC)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{now:%Y-%m-%d}.json"
    dated = {"date": now.isoformat(timespec="seconds"), **result}
    path.write_text(json.dumps(dated, indent=2) + "\n", "utf-8")
    print(f"wrote {path}")
    return path


def newest(name: str, folder: Path = RESULTS) -> dict[str, Any] | None:
    """The newest result of a benchmark by the date in its name, or None."""
    pattern = re.compile(rf"{re.escape(name)}-\d{{4}}-\d\d-\d\d\.json")
    paths = sorted(path for path in folder.glob(f"{name}-*.json") if pattern.fullmatch(path.name))
    return json.loads(paths[-1].read_text("utf-8")) if paths else None


def judge_and_keep(name: str, result: dict[str, Any], folder: Path = RESULTS) -> None:
    """Say of each bar whether it is held, then keep the result."""
    for bar, is_held in result["bars"].items():
        print(f"{'held' if is_held else 'NOT HELD'}: {bar}")
    keep(name, result, folder)
