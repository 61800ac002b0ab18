"""When assets run by themselves: one batch a run, the whole chain of a batch together.

`AutomationCondition.on_missing()` ignores batches older than its first tick, and nothing in it looks at
dependencies that are asked for in the same tick, so the condition is built from parts. A failed batch
stays as it is until it is rerun.
"""

from __future__ import annotations

import dagster as dg

_C = dg.AutomationCondition

CORES = "cores"
"""The concurrency pool of what keeps every core busy. `dagster.yaml` says how many runs of it may be under way."""

PER_BATCH = (
    _C.missing()
    & ~_C.in_progress()
    & ~_C.execution_failed()
    & ~_C.any_deps_in_progress()
    & (~_C.any_deps_missing() | _C.any_deps_match(_C.will_be_requested()))
).with_label("batch_is_missing_and_ready")

PER_BATCH_AND_CHANGE = (
    PER_BATCH
    | (
        # What it is made of was made anew, such as by a replay: it is behind then, whatever became of its last run.
        _C.any_deps_updated().since_last_handled()
        & ~_C.in_progress()
        & ~_C.any_deps_in_progress()
        & ~_C.any_deps_missing()
    )
).with_label("batch_is_missing_or_behind")
"""As `PER_BATCH`, for a table that another step makes than the one that reads the batch: one that was to be made in a
run whose pictures failed counts as failed itself, and what it is made from is news.
"""

OVER_ALL_BATCHES = (
    # Missing again after a failed run it would be asked for without end: that is the retry sensor's.
    (_C.any_deps_updated() | (_C.missing() & ~_C.execution_failed())).since_last_handled()
    & ~_C.in_progress()
    & ~_C.any_deps_in_progress()
).with_label("some_batch_was_updated")

SENSOR = dg.AutomationConditionSensorDefinition(
    "new_batches",
    target=dg.AssetSelection.all(),
    default_status=dg.DefaultSensorStatus.RUNNING,
    emit_backfills=False,  # grouped batches would share their fate
    minimum_interval_seconds=30,
    description="Requests one run for each batch that is planned and missing.",
)
