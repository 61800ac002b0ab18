"""Profiles of made-up batches: what a healthy source brings, by seed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from media_assets.curation.profile import (
    BatchProfile,
    FormatCount,
    aspect_counts,
    brightness_counts,
    side_counts,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def healthy(seed: int, n: int = 200, failing: float = 0.005) -> BatchProfile:
    """Four fifths JPEG, one fifth PNG; some fail, some repeat; two licences; small pictures of mixed brightness."""
    random = np.random.default_rng(seed)
    n_png = int(random.binomial(n, 0.2))
    counts = {"jpeg": n - n_png, "png": n_png}
    failed = {name: int(random.binomial(count, failing if name == "jpeg" else 0.0)) for name, count in counts.items()}
    n_good = n - sum(failed.values())
    n_free = int(random.binomial(n, 0.7))
    return BatchProfile(
        batch_id=f"test.{seed:04d}",
        source="test",
        planned_at=NOON + timedelta(hours=seed),
        n_items=n,
        n_failed=sum(failed.values()),
        n_duplicates=int(random.binomial(n, 0.01)),
        formats=tuple(
            FormatCount(name, counts[name], failed[name], "corrupt" if failed[name] else None) for name in counts
        ),
        mimes={f"image/{name}": counts[name] - failed[name] for name in counts},
        licences={"CC BY 4.0": n_free, "CC BY-SA 4.0": n - n_free},
        longer_sides=side_counts(2 ** random.normal(10, 0.5, n_good)),
        aspects=aspect_counts(2 ** random.normal(0.2, 0.4, n_good)),
        brightness=brightness_counts(random.beta(4, 5, min(n_good, 256))),
    )
