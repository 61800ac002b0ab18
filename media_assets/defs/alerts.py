"""The sensor `alerts`: reads what went wrong, and tells those who are to be told.

What is known, and what each destination has heard, lies in Dagster's own database, so that neither a crash nor a
restart loses or repeats it. A tick that could not deliver fails, visibly; what it had to say is said by a later one.
Not here: what counts as trouble (`alert_events.py`, `alert_conditions.py`), grouping, pace and words (`ops/alerts/`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import dagster as dg
import msgspec

from media_assets.defs.alert_conditions import EVERY_SECONDS, Bounds, take_conditions
from media_assets.defs.alert_events import EventCursor, EventReader, check_subject, read_events
from media_assets.defs.backoff import Budget
from media_assets.defs.resources import Settings, WorkbenchResource
from media_assets.errors import AlertUndelivered
from media_assets.ops.alerts.destinations import Destination, deliver
from media_assets.ops.alerts.pace import Pace
from media_assets.ops.alerts.telling import Deliver, Desk, Outcome, tell
from media_assets.ops.alerts.troubles import Kind

INTERVAL_SECONDS = 30
_READING_SECONDS = 15.0  # of the 60 that a tick may take; delivering takes at most as much
_KEY = "media_assets/alerts"


class AlertMemory(msgspec.Struct):
    """Everything that outlives a tick. No address of a destination is in it."""

    desk: Desk = msgspec.field(default_factory=Desk)
    events: EventCursor = msgspec.field(default_factory=EventCursor)
    looked_at: float = 0.0  # when the lake was looked at, seconds since the epoch


@dg.sensor(
    name="alerts",
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=INTERVAL_SECONDS,
    description="Tells the destinations in MEDIA_ASSETS_ALERT_URLS of failed checks and runs, stuck batches and high "
    "failure rates, grouped and at a measured pace, and again when they are over.",
)
def alerts(context: dg.SensorEvaluationContext, workbench: WorkbenchResource) -> dg.SkipReason:
    """One tick.

    Raises:
        AlertUndelivered: a destination did not take its message; it is kept.
        SetupError: a destination is none.
    """
    settings = workbench.settings()
    destinations = settings.alert_destinations()
    if not destinations:
        return dg.SkipReason("MEDIA_ASSETS_ALERT_URLS names nobody to tell; see docs/alerts.md.")
    outcomes = watch(context.instance, settings, destinations, known_checks=_known_checks(context))
    if any(outcome.has_failed for outcome in outcomes):
        raise AlertUndelivered(_told(outcomes))
    return dg.SkipReason(_told(outcomes))


def watch(
    instance: dg.DagsterInstance,
    settings: Settings,
    destinations: Sequence[Destination],
    now: float | None = None,
    send: Deliver = deliver,
    known_checks: frozenset[str] | None = None,
) -> list[Outcome]:
    """Look once at everything, tell what is due, and remember it.

    A check that is none of `known_checks`, as `table: check`, is over: nothing will ever say that it passes.
    """
    now = time.time() if now is None else now
    book = _MemoryBook(instance)
    memory = book.memory
    reader = EventReader(instance, memory.desk.ledger, settings.ui_url)
    until = time.monotonic() + _READING_SECONDS
    while True:
        records, has_more = read_events(instance, memory.events, now)
        reader.take(records)
        if not has_more or time.monotonic() >= until:
            break
    if known_checks is not None:
        memory.desk.ledger.close_all(lambda group: group.kind is Kind.CHECK and group.subject not in known_checks, now)
    if not 0 <= now - memory.looked_at < EVERY_SECONDS:
        bounds = Bounds(
            settings.alert_stuck_minutes,
            settings.alert_failed_percent,
            settings.alert_window_hours,
            Budget(settings.batch_retries, settings.batch_retry_seconds),
        )
        memory.looked_at = now
        book.save()  # a look that is too long for a tick must not keep the next ones from telling what events say
        take_conditions(instance, settings.open_lake(), memory.desk.ledger, bounds, settings.ui_url, now)
    book.save()
    pace = Pace(settings.alert_every_minutes * 60.0, settings.alert_messages_per_hour)
    return tell(memory.desk, destinations, pace, settings.alert_place(), now, send, book.save)


def remembered(instance: dg.DagsterInstance) -> AlertMemory:
    """What the sensor knows; nothing where it was never evaluated, or where that cannot be read."""
    stored = instance.daemon_cursor_storage.get_cursor_values({_KEY}).get(_KEY)
    try:
        return msgspec.json.decode(stored or "{}", type=AlertMemory)
    except msgspec.MsgspecError:  # of another version: the first look goes back a day
        return AlertMemory()


def _known_checks(context: dg.SensorEvaluationContext) -> frozenset[str] | None:
    """Every check of the graph that the tick is of, as troubles call it."""
    if (repository := context.repository_def) is None:
        return None
    return frozenset(map(check_subject, repository.asset_graph.asset_check_keys))


@dataclass
class _MemoryBook:
    """The memory, and what of it was saved last."""

    instance: dg.DagsterInstance
    memory: AlertMemory = field(init=False)
    _saved: str = field(init=False)

    def __post_init__(self) -> None:
        self.memory = remembered(self.instance)
        self._saved = msgspec.json.encode(self.memory).decode()

    def save(self) -> None:
        """Keep the memory, where it has changed."""
        now = msgspec.json.encode(self.memory).decode()
        if now != self._saved:
            self.instance.daemon_cursor_storage.set_cursor_values({_KEY: now})
            self._saved = now


def _told(outcomes: Sequence[Outcome]) -> str:
    told = []
    for outcome in outcomes:
        if outcome.n_told:
            told.append(f"{outcome.destination} was told of {outcome.n_told} troubles")
        if outcome.n_waiting:
            why = f": {outcome.why}" if outcome.why else ""
            at = f"{datetime.fromtimestamp(outcome.next_at, UTC):%H:%M:%S} UTC"
            told.append(f"{outcome.n_waiting} troubles wait for {outcome.destination}{why}; it is tried again at {at}")
    return "; ".join(told) or "Nothing to tell."
