"""What two processes do to one lake at the same time. Runs in spawned processes, in step by a barrier."""

from __future__ import annotations

from multiprocessing.synchronize import Barrier

from media_assets.lake.parts import PartWriter
from media_assets.tables import TENSORS_IMAGES
from media_assets_tests.lake.lakes import US, lake_at, plan, tensor

_barrier: Barrier | None = None


def join(barrier: Barrier) -> None:
    """Called once in each process."""
    global _barrier
    _barrier = barrier


def _wait() -> None:
    assert _barrier is not None
    _barrier.wait(timeout=60)


def plan_batches(root: str, batches: list[str], keys: list[str], n_lakes: int = 1) -> int:
    """Write each batch in step with the rival, first in new lakes; the number of commits that were acknowledged."""
    n_done = 0
    for number in range(n_lakes):
        lake = lake_at(f"{root}/{number}")
        for batch in batches:
            _wait()
            plan(lake, batch, keys)
            n_done += 1
    return n_done


def write_parts(root: str, first_number: int, n_lakes: int) -> int:
    """Commit batch `a` of the tensors in step with the rival, each time in a new lake."""
    for number in range(n_lakes):
        lake = lake_at(f"{root}/{number}")
        _wait()
        with PartWriter(lake, TENSORS_IMAGES, "a", "tensor") as writer:
            for i in range(first_number, first_number + 3):
                writer.append("small", tensor(i))
            writer.finish()
            _wait()
            writer.commit(US)
    return n_lakes


def overwrite_tensors(root: str, first_number: int, n_lakes: int) -> int:
    """The same as `write_parts`, by a plain overwrite."""
    frame = TENSORS_IMAGES.frame([tensor(i) for i in range(first_number, first_number + 3)])
    for number in range(n_lakes):
        lake = lake_at(f"{root}/{number}")
        _wait()
        lake.ensure(TENSORS_IMAGES)
        _wait()
        lake.overwrite(TENSORS_IMAGES, frame, {"batch_id": ["a"]}, US)
    return n_lakes
