"""Batches whose newest run failed: which they are, why, and whether a retry can help. Read from runs and their events.

Not here: asking for a retry (`retry_batches.py`), and items that failed in a run that did not (dead letters).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from media_assets.defs.dead_runs import KILLED
from media_assets.defs.descriptions import asset_key
from media_assets.defs.live_runs import PARTITION, batches_of
from media_assets.defs.retries import NEEDS_A_PERSON
from media_assets.defs.steps import PREDICT_STEP, READ_STEP, step_of
from media_assets.stages.stage import IMAGE_STAGES, PREDICTIONS, STAGES, Stage

RETRY_TAG = "media_assets/retry"
"""How many automated retries a run is: 1 for the first one after a run of somebody else."""

_STEPS = (READ_STEP, PREDICT_STEP)
_KEYS = frozenset(asset_key(stage.contract) for stage in STAGES)
_IMAGE_KEYS = frozenset(asset_key(stage.contract) for stage in IMAGE_STAGES)
_MOST_RUNS_SHOWN = 2000
_MOST_NEWER = 20  # runs of one batch that are looked at, from the newest


@dataclass(frozen=True)
class RunFailure:
    """What a failed run says: of all of it, and of single batches."""

    told: str
    errors: Mapping[str, str] = field(default_factory=dict)
    hopeless: frozenset[str] = frozenset()
    step: str = READ_STEP

    def names(self, batch_id: str) -> bool:
        """Whether a batch failed in it: those of its errors, or all where it says nothing of single ones."""
        return not self.errors or batch_id in self.errors


@dataclass(frozen=True)
class FailedBatch:
    """One batch whose newest run failed."""

    batch_id: str
    run: dg.DagsterRun
    failed_at: datetime
    told: str
    may_pass: bool
    failed_step: str = READ_STEP

    @property
    def n_retries(self) -> int:
        """Automated retries in a row, up to and with this failure."""
        told = self.run.tags.get(RETRY_TAG, "0")
        return int(told) if told.isdigit() else 0

    @property
    def was_killed(self) -> bool:
        """Whether the run's process was killed, rather than its work having failed."""
        return self.run.tags.get(KILLED) == "true"

    @property
    def selection(self) -> list[dg.AssetKey]:
        """The tables that the run was to make."""
        return [asset_key(stage.contract) for stage in self.stages]

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that the run was to make and did not: what was read is not read again for the models' sake."""
        chosen = set(self.run.asset_selection or _IMAGE_KEYS)
        wanted = (PREDICTIONS,) if self.failed_step == PREDICT_STEP else STAGES
        return tuple(stage for stage in wanted if asset_key(stage.contract) in chosen)

    @property
    def config(self) -> dict[str, dict[str, Any]]:
        """The choices of the run for this batch alone, by step."""
        ops: Any = self.run.run_config.get("ops", {})
        steps = {step_of(stage) for stage in self.stages}
        configs = {step: dict(ops.get(step, {}).get("config") or {}) for step in _STEPS if step in steps}
        for config in configs.values():
            if (items := config.get("retry_items")) is not None:
                config["retry_items"] = {self.batch_id: items.get(self.batch_id, [])}
        return configs

    @property
    def is_replay(self) -> bool:
        """Whether the run was to replay dead letters of the batch, which is done apart from them."""
        return any(config.get("retry_items") for config in self.config.values())

    @property
    def command(self) -> str:
        """What runs it again."""
        what = "dead-letters replay" if self.is_replay else "materialize --failed"
        return f"media-assets {what} --batch {shlex.quote(self.batch_id)}"


def failed_batches(instance: dg.DagsterInstance) -> list[FailedBatch]:
    """Every batch whose newest run failed, newest failure first; of the latest 2,000 failed runs."""
    failures = instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]), limit=_MOST_RUNS_SHOWN)
    ordered, found, seen = list(instance.get_dynamic_partitions("batches")), list[FailedBatch](), set[str]()
    known = set(ordered)
    for record in failures:
        for batch in batches_failed_by(instance, record, ordered):
            if batch.batch_id in known and batch.batch_id not in seen and not is_superseded(instance, record, batch):
                found.append(batch)
            seen.add(batch.batch_id)
    return found


def batches_failed_by(
    instance: dg.DagsterInstance, record: dg.RunRecord, ordered: Sequence[str]
) -> Iterator[FailedBatch]:
    """The batches that failed in a failed run; none for a run that makes nothing of single batches."""
    run = record.dagster_run
    if run.asset_selection and not _KEYS & set(run.asset_selection):
        return
    if not (meant := batches_of(run, list(ordered))):
        return
    failure = _failure_of(instance, run.run_id)
    failed_at = datetime.fromtimestamp(record.end_time or record.update_timestamp.timestamp(), UTC)
    for batch_id in meant:
        if failure.names(batch_id):
            told = failure.errors.get(batch_id, failure.told)
            yield FailedBatch(batch_id, run, failed_at, told, batch_id not in failure.hopeless, failure.step)


def is_superseded(instance: dg.DagsterInstance, record: dg.RunRecord, batch: FailedBatch) -> bool:
    """Whether something else has the last word on a batch: a later run of it alone that was to make the same tables,
    or tables made since this began, be it by another run or by this one before it failed over another batch.
    """
    wanted = set(batch.selection)
    for newer in instance.get_run_records(dg.RunsFilter(tags={PARTITION: batch.batch_id}), limit=_MOST_NEWER):
        if newer.storage_id <= record.storage_id:
            break
        if wanted <= set(newer.dagster_run.asset_selection or wanted):
            return True
    began = record.start_time or record.create_timestamp.timestamp()
    for key in batch.selection:
        made = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=key, asset_partitions=[batch.batch_id]), limit=1
        ).records
        if not made or made[0].timestamp < began:
            return False
    return True


def _failure_of(instance: dg.DagsterInstance, run_id: str) -> RunFailure:
    events = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.STEP_FAILURE, limit=10).records
    for event in (record.event_log_entry.dagster_event for record in events):
        if event is None or event.step_key not in _STEPS or not event.is_step_failure:
            continue
        data = event.step_failure_data
        if (told := data.user_failure_data) is None:
            cause = data.error and (data.error.cause or data.error)
            what = str(cause.message).strip() if cause else "The step failed; the run's log says why."
            return RunFailure(what, step=event.step_key)
        hopeless = told.metadata.get(NEEDS_A_PERSON)
        errors = {key: str(value.value) for key, value in told.metadata.items() if key != NEEDS_A_PERSON}
        named = frozenset(hopeless.value) if isinstance(hopeless, dg.JsonMetadataValue) else frozenset[str]()  # type: ignore[arg-type]
        return RunFailure(told.description or "", errors, named, event.step_key)
    return RunFailure("The run ended outside of its work: its process was killed, or it did not start.")
