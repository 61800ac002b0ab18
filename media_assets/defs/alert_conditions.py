"""What is wrong although no event says so: idle batches, sources whose items fail, a damaged lake, failing sensors.

Looked for every five minutes, since it reads the statuses of the whole lake. Not here: what events say
(`alert_events.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorType, TickStatus

from media_assets.defs.backoff import Budget
from media_assets.defs.failed_batches import batches_failed_by
from media_assets.defs.live_runs import PARTITION, batches_in_progress, batches_of
from media_assets.errors import MediaAssetsError
from media_assets.ingest.fetch.redaction import shown
from media_assets.lake.delta import Lake
from media_assets.lake.store_errors import store_errors_told
from media_assets.ops.alerts.conditions import failure_rates, planned_at
from media_assets.ops.alerts.safe_text import safe_text
from media_assets.ops.alerts.troubles import Kind, Ledger, Severity, Trouble, source_of
from media_assets.stages.done import done_batches
from media_assets.stages.stage import IMAGE_STAGES

EVERY_SECONDS = 300.0
_OWN_SENSOR = "alerts"
_FAILED_TICKS = 3  # in a row
_MOST_EXPLAINED = 20
_MOST_JUDGED = 500  # batches that may only wait for their retry: each is a look into the runs
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


@dataclass(frozen=True)
class Bounds:
    """When a batch is stuck, and when too many items fail. `retries`: when a failed batch is run again by itself."""

    stuck_minutes: int
    failed_percent: int
    window_hours: int
    retries: Budget


def take_conditions(
    instance: dg.DagsterInstance, lake: Lake, ledger: Ledger, bounds: Bounds, ui_url: str, now: float
) -> None:
    """Note in the ledger what is wrong now, and what is so no more."""
    ledger.replace(Kind.SENSOR, list(_failing_sensors(instance, ui_url, now)), now)
    try:
        with store_errors_told("the lake"):
            stuck = list(_stuck_batches(instance, lake, bounds, ui_url, now))
            rates = list(_high_rates(lake, bounds, now))
    except Exception as error:  # whatever it is: what the events say has to be told all the same
        # Only our own errors are sure to hold no key of a store.
        what = type(error).__name__ + (f": {error}" if isinstance(error, MediaAssetsError) else "")
        what = safe_text(what, shown)
        ledger.replace(Kind.LAKE, [_trouble(Kind.LAKE, "", "", what, now)], now)
        return
    ledger.replace(Kind.LAKE, [], now)
    ledger.replace(Kind.STUCK, stuck, now)
    ledger.replace(Kind.RATE, rates, now)


def _stuck_batches(
    instance: dg.DagsterInstance, lake: Lake, bounds: Bounds, ui_url: str, now: float
) -> Iterator[Trouble]:
    """Registered batches that are not done, planned long ago, and over which no run is under way, ended lately, or is
    still to come by itself.
    """
    registered = list(instance.get_dynamic_partitions("batches"))
    before = datetime.fromtimestamp(now, UTC) - timedelta(minutes=bounds.stuck_minutes)
    free = set(registered) - done_batches(lake, IMAGE_STAGES)
    if not free:
        return
    free -= set(batches_in_progress(instance))
    for run in instance.get_runs(dg.RunsFilter(statuses=_ENDED, updated_after=before)):
        free -= set(batches_of(run, registered))
    old = {batch_id: at for batch_id, at in planned_at(lake, free).items() if at <= before}
    left = [batch_id for batch_id in registered if batch_id in old]
    judged = left[:_MOST_JUDGED]
    waiting = {each for each in judged if _is_retried_later(instance, each, registered, bounds, before)}
    for number, batch_id in enumerate(batch_id for batch_id in left if batch_id not in waiting):
        what, link = f"planned {old[batch_id]:%Y-%m-%d %H:%M} UTC, not done, and nothing is at work on it", ""
        if number < _MOST_EXPLAINED:
            what, link = _last_run(instance, batch_id, what, ui_url)
        yield _trouble(Kind.STUCK, source_of(batch_id), batch_id, what, now, link)


def _is_retried_later(
    instance: dg.DagsterInstance, batch_id: str, registered: Sequence[str], bounds: Bounds, before: datetime
) -> bool:
    """Whether the retry of a batch's failed run is to come, or was to come lately: a run is still to be awaited."""
    for record in instance.get_run_records(dg.RunsFilter(tags={PARTITION: batch_id}), limit=1):
        if record.dagster_run.status is not dg.DagsterRunStatus.FAILURE:
            continue
        for batch in batches_failed_by(instance, record, registered):
            at = bounds.retries.next_at(batch.failed_at, batch.n_retries) if batch.may_pass else None
            if batch.batch_id == batch_id and at is not None:
                return at > before
    return False


def _last_run(instance: dg.DagsterInstance, batch_id: str, what: str, ui_url: str) -> tuple[str, str]:
    found = instance.get_run_records(dg.RunsFilter(tags={PARTITION: batch_id}), limit=1)
    if not found:
        return f"{what}; no run of it alone was ever started", ""
    run = found[0].dagster_run
    at = datetime.fromtimestamp(found[0].end_time or found[0].update_timestamp.timestamp(), UTC)
    told = f"{what}; its last run, {run.run_id[:8]}, ended {at:%Y-%m-%d %H:%M} UTC as {run.status.value}"
    return told, f"{ui_url.rstrip('/')}/runs/{run.run_id}" if ui_url else ""


def _high_rates(lake: Lake, bounds: Bounds, now: float) -> Iterator[Trouble]:
    since = datetime.fromtimestamp(now, UTC) - timedelta(hours=bounds.window_hours)
    for rate in failure_rates(lake, since):
        if rate.share * 100 > bounds.failed_percent:
            what = (
                f"{rate.n_failed:,} of {rate.n_items:,} items that were tried in the last {bounds.window_hours} h are "
                f"dead letters ({rate.share:.0%}); more than {bounds.failed_percent} % is told"
            )
            yield _trouble(Kind.RATE, rate.source, "", what, now)


def _failing_sensors(instance: dg.DagsterInstance, ui_url: str, now: float) -> Iterator[Trouble]:
    """Sensors whose last ticks all failed: an inbox that cannot be listed, say. That of the alerts is none: it fails
    where a destination does not take its message.
    """
    states = instance.all_instigator_state(instigator_type=InstigatorType.SENSOR) if instance.schedule_storage else ()
    for state in states:
        if state.instigator_name == _OWN_SENSOR or not state.is_running:
            continue
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=_FAILED_TICKS + 1)
        ended = [tick for tick in ticks if tick.status is not TickStatus.STARTED][:_FAILED_TICKS]
        if len(ended) < _FAILED_TICKS or any(tick.status is not TickStatus.FAILURE for tick in ended):
            continue
        error = ended[0].error
        told = (error.cause or error).message.strip() if error is not None else "without a word"
        link = f"{ui_url.rstrip('/')}/automation" if ui_url else ""
        what = f"its last {_FAILED_TICKS} ticks failed: {safe_text(told, shown)}"
        yield _trouble(Kind.SENSOR, "", "", what, now, link, state.instigator_name)


def _trouble(kind: Kind, source: str, member: str, what: str, now: float, link: str = "", subject: str = "") -> Trouble:
    return Trouble(
        kind=kind, subject=subject, source=source, member=member, severity=Severity.ERROR, what=what, at=now, link=link
    )
