"""The sensor that asks again for a batch whose run failed: later and later, so many times, then it waits for a person.

How often is counted on the runs themselves, and a request's key is the run that failed: a tick may be repeated, cut
short, or made by two daemons, and each failure is answered once. The cursor only says how far the failed runs were
looked through and which of them wait; without it all are looked through again. Not here: items that failed in a run
that did not (`retry_letters.py`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

import dagster as dg
import msgspec

from media_assets.defs.automation import CORES
from media_assets.defs.backoff import Budget
from media_assets.defs.cursors import cursor_of, read_cursor
from media_assets.defs.dead_runs import fail_dead_runs
from media_assets.defs.descriptions import asset_key
from media_assets.defs.failed_batches import RETRY_TAG, FailedBatch, batches_failed_by, is_superseded
from media_assets.defs.live_runs import batches_in_progress
from media_assets.defs.resources import WorkbenchResource
from media_assets.defs.steps import run_config
from media_assets.lake.crash_points import crash_point
from media_assets.stages.stage import STAGES
from media_assets.tables import TENSORS_HISTOGRAMS, TENSORS_STATISTICS

INTERVAL_SECONDS = 30
RETRY_OF = "media_assets/retry_of"
_MEASURED = (asset_key(TENSORS_HISTOGRAMS), asset_key(TENSORS_STATISTICS))
_MOST_RUNS_READ = 500  # newly failed ones, a tick
_MOST_BATCHES_WAITING = 20_000
_MOST_LOOKED_AT = 200  # of those that are due, a tick
_MOST_REQUESTED = 50  # runs, a tick
_OVERLAP_SECONDS = 60.0  # runs that end at the same time may be written in another order
_MOMENT_SECONDS = 1e-6
_LOOK_AGAIN_SECONDS = 60.0


class Memory(msgspec.Struct):
    """What the cursor holds: until when failed runs were read, by which budget, and which batches wait until when for
    what run.
    """

    read_until: float = 0.0
    budget: tuple[int, int] = (0, 0)
    waiting: dict[str, tuple[str, float]] = msgspec.field(default_factory=dict)


@dg.sensor(
    name="retry_failed_batches",
    target=dg.AssetSelection.assets(*(asset_key(stage.contract) for stage in STAGES), *_MEASURED),
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=INTERVAL_SECONDS,
    description="Fails runs whose process was killed, and requests batches again whose run failed for a cause that may "
    "pass: MEDIA_ASSETS_BATCH_RETRIES times. `media-assets status` lists those that wait for a person.",
)
def retry_failed_batches(
    context: dg.SensorEvaluationContext, workbench: WorkbenchResource
) -> dg.SensorResult | dg.SkipReason:
    """One tick."""
    settings, instance = workbench.settings(), context.instance
    bound_cores(instance)
    dead = fail_dead_runs(instance)
    budget = Budget(settings.batch_retries, settings.batch_retry_seconds)
    memory = read_cursor(context.cursor, Memory)
    asked = (budget.n_retries, budget.first_seconds)
    if memory.budget != asked:  # another budget is meant for what waits already, too
        memory = Memory(budget=asked)
    tick = _Tick(instance, budget, memory)
    requests = tick.requests()
    requests += statistics_again(instance, budget)
    crash_point("before retry cursor")
    context.update_cursor(cursor_of(tick.memory))
    if requests:
        return dg.SensorResult(run_requests=requests)
    told = f"{len(dead)} runs were killed. " if dead else ""
    return dg.SkipReason(f"{told}{len(tick.memory.waiting)} failed batches wait for their next run.")


def statistics_again(instance: dg.DagsterInstance, budget: Budget) -> list[dg.RunRequest]:
    """The run that measures all batches once more, where the last one failed, is due again and within its budget."""
    entries = instance.get_asset_records([_MEASURED[-1]])
    run_id = entries[0].asset_entry.last_run_id if entries else None
    record = instance.get_run_record_by_id(run_id) if run_id else None
    if record is None or record.dagster_run.status is not dg.DagsterRunStatus.FAILURE:
        return []
    failed_at = datetime.fromtimestamp(record.end_time or record.update_timestamp.timestamp(), UTC)
    told = record.dagster_run.tags.get(RETRY_TAG, "0")
    n_retries = int(told) if told.isdigit() else 0
    due = budget.next_at(failed_at, n_retries)
    if due is None or due.timestamp() > time.time():
        return []
    tags = {RETRY_TAG: str(n_retries + 1), RETRY_OF: record.dagster_run.run_id}
    return [dg.RunRequest(run_key=f"statistics/{run_id}", asset_selection=list(_MEASURED), tags=tags)]


def bound_cores(instance: dg.DagsterInstance) -> None:
    """Give the pool its limit: Dagster does so after it has launched the first runs of a new home."""
    storage = instance.event_log_storage
    if instance.global_op_concurrency_default_limit and CORES not in {pool.name for pool in storage.get_pool_limits()}:
        storage.initialize_concurrency_limit_to_default(CORES)


@dataclass
class _Tick:
    instance: dg.DagsterInstance
    budget: Budget
    memory: Memory
    ordered: list[str] = field(default_factory=list)
    known: set[str] = field(default_factory=set)

    def requests(self) -> list[dg.RunRequest]:
        """What is due, of those that had failed before and since."""
        self.ordered = list(self.instance.get_dynamic_partitions("batches"))
        self.known = set(self.ordered)
        self._read_failures()
        now, in_progress = time.time(), batches_in_progress(self.instance)
        due = [key for key, (_, at) in self.memory.waiting.items() if at <= now and key not in in_progress]
        found: list[dg.RunRequest] = []
        for batch_id in due[:_MOST_LOOKED_AT]:
            if len(found) == _MOST_REQUESTED:
                break
            run_id, _ = self.memory.waiting.pop(batch_id)
            if (request := self._judged(run_id, batch_id)) is not None:
                found.append(request)
                self.memory.waiting[batch_id] = (run_id, now + _LOOK_AGAIN_SECONDS)  # should the request get lost
        return found

    def _read_failures(self) -> None:
        """Take in the runs that failed since the last tick, oldest first."""
        if len(self.memory.waiting) >= _MOST_BATCHES_WAITING:
            return
        since = datetime.fromtimestamp(self.memory.read_until, UTC)
        records = self.instance.get_run_records(
            dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=since),
            limit=_MOST_RUNS_READ,
            order_by="update_timestamp",
            ascending=True,
        )
        for record in records:
            for batch in batches_failed_by(self.instance, record, self.ordered):
                if self.memory.waiting.get(batch.batch_id, ("", 0.0))[0] != batch.run.run_id:
                    self.memory.waiting[batch.batch_id] = (batch.run.run_id, self._due(batch))
        if records:
            until = records[-1].update_timestamp.replace(tzinfo=UTC).timestamp() - _MOMENT_SECONDS
            if len(records) < _MOST_RUNS_READ:
                until = min(until, time.time() - _OVERLAP_SECONDS)  # read twice, a run brings the same
            self.memory.read_until = max(self.memory.read_until, until)

    def _due(self, batch: FailedBatch) -> float:
        """When a batch is to be looked at again."""
        if batch.was_killed and batch.n_retries == 0:
            return 0.0  # its work is not to blame
        at = self.budget.next_at(batch.failed_at, batch.n_retries)
        return 0.0 if at is None else at.timestamp()

    def _judged(self, run_id: str, batch_id: str) -> dg.RunRequest | None:
        record = self.instance.get_run_record_by_id(run_id)
        if record is None or batch_id not in self.known:
            return None
        for batch in batches_failed_by(self.instance, record, self.ordered):
            if batch.batch_id != batch_id or is_superseded(self.instance, record, batch):
                continue
            if batch.may_pass and batch.n_retries < self.budget.n_retries:
                return _request(batch)
        return None  # somebody has run it since, or it waits for a person


def _request(batch: FailedBatch) -> dg.RunRequest:
    """The same run again, of this batch alone."""
    return dg.RunRequest(
        run_key=f"{batch.batch_id}/{batch.run.run_id}",
        partition_key=batch.batch_id,
        asset_selection=batch.selection,
        run_config=run_config(batch.config, batch.config),
        tags={RETRY_TAG: str(batch.n_retries + 1), RETRY_OF: batch.run.run_id},
    )
