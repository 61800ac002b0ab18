"""The sensor that replays dead letters whose cause may pass: later and later, so often; the rest waits for a person.

Which letters there are is read from the lake, how often each was tried from its history. A request's key is the batch
and how often its statuses were replaced: a repeated tick, or a second daemon, asks once. Not here: batches whose run
failed (`retry_batches.py`), and what a replay does (`stages/`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import msgspec
import polars as pl

from media_assets.defs.backoff import Budget
from media_assets.defs.cursors import cursor_of, read_cursor
from media_assets.defs.descriptions import asset_key
from media_assets.defs.live_runs import RUN_KEY, batches_in_progress
from media_assets.defs.resources import WorkbenchResource
from media_assets.defs.steps import needs_reading, step_of
from media_assets.lake.delta import Lake
from media_assets.lake.failure_history import LETTER, batches_with_retryable_letters, failure_history, open_letters
from media_assets.stages.stage import IMAGE_STAGES, PREDICTIONS, STAGES, Stage
from media_assets.tables import ITEM_STATUS

INTERVAL_SECONDS = 60
LETTERS_TAG = "media_assets/dead_letters"
_MOST_ITEMS = 1000  # a run; the others follow when it is done
_MOST_REQUESTED = 20  # runs, a tick
_MOST_CANCELED = 5  # replays of the same letters, before they are left to whoever cancels them
_SOON_SECONDS = 60.0
_NEVER = 1e12


class Memory(msgspec.Struct):
    """What the cursor holds: for which version of the statuses and by which budget the letters were looked through, and
    when one is due.
    """

    version: int = -1
    due: float = 0.0
    budget: tuple[int, int] = (0, 0)


@dg.sensor(
    name="retry_dead_letters",
    target=dg.AssetSelection.assets(*(asset_key(stage.contract) for stage in STAGES)),
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=INTERVAL_SECONDS,
    description="Replays dead letters whose cause may pass, MEDIA_ASSETS_ITEM_RETRIES times. The others wait for "
    "`media-assets dead-letters replay`.",
)
def retry_dead_letters(
    context: dg.SensorEvaluationContext, workbench: WorkbenchResource
) -> dg.SensorResult | dg.SkipReason:
    """One tick."""
    settings = workbench.settings()
    lake, budget = settings.open_lake(), Budget(settings.item_retries, settings.item_retry_seconds)
    memory, now = read_cursor(context.cursor, Memory), datetime.now(UTC)
    version = _version(lake)
    asked = (budget.n_retries, budget.first_seconds)
    if not budget.n_retries or ((version, asked) == (memory.version, memory.budget) and now.timestamp() < memory.due):
        return dg.SkipReason("No dead letter is due.")
    letters = list(waiting_letters(lake, budget))
    requests, is_all = _requests(context.instance, lake, letters, now)
    later = [letter.due for letter in letters if letter.due > now]
    next_due = min(later).timestamp() if later else _NEVER
    cursor = Memory(version, next_due if is_all else now.timestamp() + _SOON_SECONDS, asked)
    context.update_cursor(cursor_of(cursor))
    if not requests:
        return dg.SkipReason(f"{len(letters)} dead letters wait for their next replay.")
    return dg.SensorResult(run_requests=requests)


@dataclass(frozen=True)
class WaitingLetter:
    """A dead letter that will be replayed by itself."""

    batch_id: str
    item_key: str
    failed_at: datetime
    due: datetime
    needs_reading: bool = True


def waiting_letters(lake: Lake, budget: Budget) -> Iterator[WaitingLetter]:
    """Dead letters whose cause may pass and whose budget is not spent; an item that failed at two stages twice."""
    if not (batch_ids := batches_with_retryable_letters(lake)):
        return
    told = failure_history(lake, batch_ids).select(*LETTER, "n_failures")
    letters = open_letters(lake, {"batch_id": sorted(batch_ids)}).filter(pl.col("is_retryable"))
    for row in letters.join(told, on=LETTER, how="left").iter_rows(named=True):
        n_failures = row["n_failures"] or row["attempts"]  # written before there was a history
        due = budget.next_at(row["last_failed_at"], n_failures - 1)
        if due is not None:
            reads = needs_reading(row["stage"], row["error_code"])
            yield WaitingLetter(row["batch_id"], row["item_key"], row["last_failed_at"], due, reads)


def _requests(
    instance: dg.DagsterInstance, lake: Lake, letters: Sequence[WaitingLetter], now: datetime
) -> tuple[list[dg.RunRequest], bool]:
    """Runs for what is due, and whether that is all of it."""
    due: dict[str, list[WaitingLetter]] = {}
    for letter in letters:
        if letter.due <= now:
            due.setdefault(letter.batch_id, []).append(letter)
    if not due:
        return [], True
    taken, known = batches_in_progress(instance), set(instance.get_dynamic_partitions("batches"))
    requests: list[dg.RunRequest] = []
    is_all = not due.keys() & taken.keys()
    for batch_id in sorted(due.keys() & known - taken.keys()):
        if len(requests) == _MOST_REQUESTED:
            return requests, False
        newest = max(letter.failed_at for letter in due[batch_id])  # a table that was made anew counts its turns anew
        key = _free_key(instance, f"letters/{batch_id}/{lake.turn(ITEM_STATUS, batch_id)}/{newest:%Y%m%dT%H%M%S}")
        if key is not None:
            stages = IMAGE_STAGES if any(letter.needs_reading for letter in due[batch_id]) else (PREDICTIONS,)
            items = sorted({letter.item_key for letter in due[batch_id]})
            requests.append(_request(key, batch_id, items, stages))
    return requests, is_all


def _free_key(instance: dg.DagsterInstance, wanted: str) -> str | None:
    """The key of the next replay; None where the last one was made, or failed as a whole: that is the other sensor's.
    One that somebody canceled is asked for again, under another key: Dagster makes one run of a key.
    """
    for number in range(_MOST_CANCELED):
        key = f"{wanted}/{number}" if number else wanted
        runs = instance.get_runs(dg.RunsFilter(tags={RUN_KEY: key}), limit=1)
        if not runs:
            return key
        if runs[0].status is not dg.DagsterRunStatus.CANCELED:
            return None
    return None


def _request(key: str, batch_id: str, items: list[str], stages: Sequence[Stage]) -> dg.RunRequest:
    """A replay. What is read anew is asked about anew by automation."""
    config: dict[str, Any] = {"retry_items": {batch_id: items[:_MOST_ITEMS]}}
    return dg.RunRequest(
        run_key=key,
        partition_key=batch_id,
        asset_selection=[asset_key(stage.contract) for stage in stages],
        run_config={"ops": {step_of(stages[0]): {"config": config}}},
        tags={LETTERS_TAG: str(len(items[:_MOST_ITEMS]))},
    )


def _version(lake: Lake) -> int:
    table = lake.table(ITEM_STATUS)
    return -1 if table is None else table.version()
