"""A run that kills itself: `python -m media_assets_tests.stages.dying_run LAKE POINT [NUMBER [REPLAYED-ITEM…]]`.

`POINT` is a crash point of `stages/commit.py`, or `journal` to die after the NUMBER-th stored item. With items, the run
is a replay of these.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from media_assets.lake.journal import FetchJournal, JournalEntry
from media_assets.stages import commit
from media_assets_tests.stages.batches import Case, make_bench


def die() -> None:
    """As `kill -9` would have it: no clean-up, no flush."""
    os.kill(os.getpid(), signal.SIGKILL)


def main(root: str, point: str, number: int = 0, replayed: tuple[str, ...] = ()) -> None:
    """Run the batch until the point is reached."""
    reached: list[str] = []

    def crash_point(name: str) -> None:
        reached.append(name)
        if name == point:
            die()

    append = FetchJournal.append

    def dying_append(self: FetchJournal, entry: JournalEntry) -> None:
        append(self, entry)
        reached.append("journal")
        if point == "journal" and reached.count("journal") == number:
            die()

    commit.crash_point = crash_point
    FetchJournal.append = dying_append  # type: ignore[method-assign]
    Case(make_bench(Path(root))).run(retry=replayed or None)
    print("survived", reached)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 0, tuple(sys.argv[4:]))
