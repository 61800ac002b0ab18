"""`media-assets` that kills itself: `python -m media_assets_tests.chaos.dying_cli POINT NUMBER run|group ARGUMENT…`."""

from __future__ import annotations

import os
import signal
import sys
import time

from media_assets.cli import main
from media_assets.lake.crash_points import watch_crash_points


def arm(point: str, number: int, what: str) -> None:
    """Die at the NUMBER-th time that the point is reached."""
    n_reached = 0

    def die(reached: str) -> None:
        nonlocal n_reached
        n_reached += reached == point
        if reached == point and n_reached == number:
            (os.killpg if what == "group" else os.kill)(os.getpid(), signal.SIGKILL)
            time.sleep(60)  # the signal is on its way

    watch_crash_points(die)


if __name__ == "__main__":
    arm(sys.argv[1], int(sys.argv[2]), sys.argv[3])
    main(sys.argv[4:], prog_name="media-assets")
