"""A run that kills itself: `python -m media_assets_tests.stages.dying_run LAKE POINT [NUMBER [REPLAYED-ITEM…]]`.

`POINT` is one of `lake/crash_points.py`; the run dies when it gets there for the NUMBER-th time. With items, the run is
a replay of these.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from media_assets.lake.crash_points import watch_crash_points
from media_assets_tests.stages.batches import Case, make_bench


def die() -> None:
    """As `kill -9` would have it: no clean-up, no flush."""
    os.kill(os.getpid(), signal.SIGKILL)


def main(root: str, point: str, number: int = 1, replayed: tuple[str, ...] = ()) -> None:
    """Run the batch until the point is reached for the NUMBER-th time."""
    reached: list[str] = []

    def die_there(name: str) -> None:
        reached.append(name)
        if name == point and reached.count(point) == number:
            die()

    watch_crash_points(die_there)
    Case(make_bench(Path(root))).run(retry=replayed or None)
    print("survived", reached)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1, tuple(sys.argv[4:]))
