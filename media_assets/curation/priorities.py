"""Which frames people are asked about, and in what order: uncertain ones, unlike each other, and none for ever last.

```
priority = (U * uncertainty + D * diversity) / (U + D)                        0 to 1, kept in the queue
standing = (U + D) / (U + D + A) * priority + A / (U + D + A) * age           0 to 1, at the moment of asking
```

`uncertainty`: of the model's prediction, 0 to 1, the greatest of several; where there is none, 0.5, neither
sought nor avoided. `diversity`: frames are picked one after the other, each time the one whose priority is the
greatest then; its diversity is the least number of bits in which its perceptual hash differs from one picked before,
as a part of 32 (what two unlike pictures differ in), at most 1; 1 for the first, and 0.5 where there is no hash.
`age`: days since it was queued as a part of 30, at most 1.

Equal frames go by `frame_id`, so that the order of rows never matters. Picking `n` of `m` frames takes `n` passes over
`m` numbers: 200 of 100,000 some 0.2 s. Not here: hashing (`media/fingerprints.py`), or reading tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

NEUTRAL = 0.5
UNLIKE_BITS = 32
FULL_AGE = timedelta(days=30)

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Weights:
    """What counts how much: `U`, `D` and `A` of the formula above; only their proportions matter."""

    uncertainty: float = 0.6
    diversity: float = 0.3
    age: float = 0.1

    def __post_init__(self) -> None:
        """Refuse weights that order nothing."""
        if min(self.uncertainty, self.diversity, self.age) < 0 or self.uncertainty + self.diversity <= 0:
            raise ValueError(f"expected weights of 0 or more, uncertainty and diversity not both 0, got {self}")


def pick(frames: pl.DataFrame, n_wanted: int, weights: Weights) -> pl.DataFrame:
    """The frames worth asking about first, at most `n_wanted`, in their order, with `priority` (0 to 1) added.

    Args:
        frames: `frame_id`, `uncertainty` (Float64, nullable) and `perceptual_hash` (UInt64, nullable); other columns
            are kept. One row for each frame.
    """
    frames = frames.sort("frame_id")
    uncertainty = frames["uncertainty"].fill_null(NEUTRAL).fill_nan(NEUTRAL).clip(0, 1).to_numpy()
    hashes = frames["perceptual_hash"].fill_null(0).to_numpy()
    places, priorities = _greedy(
        uncertainty, hashes, frames["perceptual_hash"].is_not_null().to_numpy(), n_wanted, weights
    )
    return frames[places].with_columns(pl.Series("priority", priorities, pl.Float64))


def _greedy(
    uncertainty: _Floats,
    hashes: npt.NDArray[np.uint64],
    has_hash: npt.NDArray[np.bool_],
    n_wanted: int,
    weights: Weights,
) -> tuple[list[int], list[float]]:
    diversity = np.where(has_hash, 1.0, NEUTRAL)
    is_left = np.ones(len(uncertainty), np.bool_)
    whole = weights.uncertainty + weights.diversity
    places: list[int] = []
    priorities: list[float] = []
    for _ in range(min(n_wanted, len(uncertainty))):
        scores = (weights.uncertainty * uncertainty + weights.diversity * diversity) / whole
        best = int(np.argmax(np.where(is_left, scores, -1.0)))  # the first of equals
        places.append(best)
        priorities.append(min(max(float(scores[best]), 0.0), 1.0))
        is_left[best] = False
        if has_hash[best]:
            n_bits = np.bitwise_count(hashes ^ hashes[best])
            diversity = np.where(has_hash, np.minimum(diversity, n_bits / UNLIKE_BITS), diversity)
    return places, priorities


def due(queue: pl.DataFrame, at: datetime, per_day: int, weights: Weights) -> pl.DataFrame:
    """The tasks of one project to show people next, at most what is left of today's budget, the first one first.

    A day is a UTC day. What was pushed today counts, whatever became of it since.

    Args:
        queue: every row of `labels/queue` of one project.
        at: now, with a time zone.
        per_day: the project's budget: tasks that are pushed on one day.
        weights: what age counts for.
    """
    waiting = queue.filter(pl.col("state") == "queued")
    return in_order(waiting, at, weights).head(left_today(queue, at, per_day))


def left_today(queue: pl.DataFrame, at: datetime, per_day: int) -> int:
    """How many tasks may still be pushed on the UTC day of a moment; `queue`: every row of one project."""
    n_pushed = queue.filter(pl.col("pushed_at").dt.date() == at.date()).height
    return max(per_day - n_pushed, 0)


def in_order(waiting: pl.DataFrame, at: datetime, weights: Weights) -> pl.DataFrame:
    """Rows of the queue by their standing at a moment, the greatest first; equal ones by age, then by `task_key`."""
    whole = weights.uncertainty + weights.diversity + weights.age
    age = ((pl.lit(at) - pl.col("queued_at")).dt.total_seconds() / FULL_AGE.total_seconds()).clip(0, 1)
    standing = (pl.col("priority") * (whole - weights.age) + age * weights.age) / whole
    return (
        waiting.with_columns(standing.alias("_standing"))
        .sort("_standing", "queued_at", "task_key", descending=[True, False, False])
        .drop("_standing")
    )
