"""A process that writes tensors in parts: `python -m media_assets_tests.lake.part_process LAKE COMMAND [NUMBER]`.

`grow N` commits N rows of 150 KB and prints its peak memory in KiB; `die open` and `die finished` kill themselves
before the commit, with a file open or with all files closed; `die "open and large"` with a part of it on disk.
"""

from __future__ import annotations

import os
import random
import re
import signal
import sys
from pathlib import Path

from media_assets.lake.parts import PartWriter
from media_assets.tables import TENSORS_IMAGES
from media_assets_tests.lake.lakes import US, lake_at, tensor

ROW_BYTES = 150_000


def grow(root: str, n_rows: int) -> None:
    """Write many large rows."""
    with PartWriter(lake_at(root), TENSORS_IMAGES, "a", "tensor") as writer:
        for number in range(n_rows):
            writer.append("small", tensor(number, random.randbytes(ROW_BYTES)))
        writer.commit(US)
    # Not getrusage: its peak is inherited from the process that started this one.
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    print(found[1])


def die(root: str, point: str) -> None:
    """Write other rows for batch `a`, then die as `kill -9` would have it."""
    with PartWriter(lake_at(root), TENSORS_IMAGES, "a", "tensor") as writer:
        for number in range(200):
            writer.append("small", tensor(number, random.randbytes(ROW_BYTES) if "large" in point else b"killed"))
        if point == "finished":
            writer.finish()
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    grow(sys.argv[1], int(sys.argv[3])) if sys.argv[2] == "grow" else die(sys.argv[1], sys.argv[3])
