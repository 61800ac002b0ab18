"""How batches whose last run failed are shown: why, when they are tried again, and what does so now.

Not here: which they are (`defs/failed_batches.py`), and running them (`materialize --failed`).
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from media_assets.defs.resources import Settings


def rows_of_failed(settings: Settings, batch_glob: str) -> list[dict[str, Any]]:
    """One row per batch; none where nothing was ever run, and then no Dagster home is made."""
    from media_assets.defs.home import home_of

    if not (home_of(settings.location()) / "dagster.yaml").exists():
        return []
    from media_assets.defs.backoff import Budget
    from media_assets.defs.failed_batches import failed_batches
    from media_assets.defs.resources import open_instance

    budget = Budget(settings.batch_retries, settings.batch_retry_seconds)
    rows = []
    for batch in failed_batches(open_instance(settings)):
        if not fnmatchcase(batch.batch_id, batch_glob):
            continue
        next_at = budget.next_at(batch.failed_at, batch.n_retries) if batch.may_pass else None
        rows.append(
            {
                "batch_id": batch.batch_id,
                "failed_at": batch.failed_at,
                "retries": batch.n_retries,
                "next": "waits for a person" if next_at is None else f"by itself, {next_at:%Y-%m-%d %H:%M} UTC",
                "error": batch.told,
                "command": batch.command,
                "run_id": batch.run.run_id,
            }
        )
    return rows
