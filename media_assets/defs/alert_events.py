"""What Dagster's event log says went wrong, or is well again: evaluated checks, and runs that failed or succeeded.

Events are read in the order of their ids, so many at a time. Not here: who is told (`alerts.py`), or what no event
says, such as that nothing happens (`alert_conditions.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

import dagster as dg
import msgspec
from dagster._core.storage.event_log import SqlEventLogStorage

from media_assets.defs.failed_batches import FailedBatch
from media_assets.defs.live_runs import RANGE_START, batches_of
from media_assets.ingest.fetch.redaction import shown
from media_assets.ops.alerts.safe_text import safe_text
from media_assets.ops.alerts.troubles import Kind, Ledger, Severity, Trouble, source_of

MOST_EVENTS = 2000
"""Of each type, read in one go: some three seconds."""
FIRST_LOOK_SECONDS = 24 * 3600.0
"""How far the first look of all goes back."""

_TYPES = (
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.PIPELINE_FAILURE,
    dg.DagsterEventType.PIPELINE_SUCCESS,
)
_OVERLAP = 200
_MOST_FACTS = 5


class EventCursor(msgspec.Struct):
    """How far the log was read. `seen` are the latest ids: a server may show a lower id after a higher one."""

    after: int | None = None
    seen: list[int] = []


def read_events(instance: dg.DagsterInstance, cursor: EventCursor, now: float) -> tuple[list[dg.EventLogRecord], bool]:
    """The next events in the order of their ids, and whether there are more; the cursor moves behind them."""
    after = None if cursor.after is None else max(0, cursor.after - _OVERLAP)
    found: list[dg.EventLogRecord] = []
    horizon: int | None = None
    for event_type in _TYPES:
        records = _records(instance, event_type, after, now)
        found += records
        if len(records) == MOST_EVENTS + _OVERLAP:  # of this type there may be more: beyond it, the order would be lost
            horizon = min(horizon or records[-1].storage_id, records[-1].storage_id)
    found = sorted(
        (record for record in found if horizon is None or record.storage_id <= horizon),
        key=lambda record: record.storage_id,
    )
    if not found:
        return [], False
    cursor.after = max(found[-1].storage_id, cursor.after or 0)
    fresh = [record for record in found if record.storage_id not in set(cursor.seen)]
    ids = {*cursor.seen, *(record.storage_id for record in found)}
    cursor.seen = sorted(each for each in ids if each > cursor.after - _OVERLAP)
    return fresh, horizon is not None


def _records(
    instance: dg.DagsterInstance, event_type: dg.DagsterEventType, after: int | None, now: float
) -> list[dg.EventLogRecord]:
    wanted = dg.EventRecordsFilter(
        event_type, after_cursor=after, after_timestamp=now - FIRST_LOOK_SECONDS if after is None else None
    )
    storage, limit = instance.event_log_storage, MOST_EVENTS + _OVERLAP  # so that it never reads only what it knows
    if isinstance(storage, SqlEventLogStorage):
        # SQLite's own reads each run's file, which has ids of its own; all of these types are in the common index too.
        return list(SqlEventLogStorage.get_event_records(storage, wanted, limit, ascending=True))
    return list(storage.get_event_records(wanted, limit, ascending=True))


@dataclass
class EventReader:
    """Turns events into troubles, and into their end."""

    instance: dg.DagsterInstance
    ledger: Ledger
    ui_url: str = ""
    _runs: dict[str, dg.DagsterRun | None] = field(default_factory=dict)
    _told_of_batches: dict[str, set[dg.AssetCheckKey]] = field(default_factory=dict)

    @cached_property
    def _batches(self) -> list[str]:
        return list(self.instance.get_dynamic_partitions("batches"))

    def take(self, records: list[dg.EventLogRecord]) -> None:
        """Note in the ledger what these say."""
        self._load_runs({record.run_id for record in records if record.run_id})
        for record in records:
            entry = record.event_log_entry
            event = entry.dagster_event
            if event is None:
                continue
            if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
                self._take_check(event.asset_check_evaluation_data, entry.run_id, record.timestamp)
            else:
                has_failed = event.event_type is dg.DagsterEventType.PIPELINE_FAILURE
                self._take_run(entry.run_id, record.timestamp, entry.message if has_failed else None)

    def _take_check(self, check: dg.AssetCheckEvaluation, run_id: str, at: float) -> None:
        path = "/".join(check.asset_key.path)
        subject, batch_id = check_subject(check.asset_check_key), check.partition or ""
        source = source_of(batch_id) if batch_id else ""
        if check.passed:
            self.ledger.clear(Kind.CHECK, subject, source, batch_id, at)
            return
        if not batch_id and self._told_by_batch(check, run_id):
            return
        next_step = check.metadata.get("next")
        self.ledger.note(
            Trouble(
                kind=Kind.CHECK,
                subject=subject,
                source=source,
                member=batch_id,
                severity=Severity.WARNING if check.severity is dg.AssetCheckSeverity.WARN else Severity.ERROR,
                what=_safe(_facts(check)),
                at=at,
                next_step=_safe(str(next_step.value)) if next_step is not None else "",
                link=self._link(f"assets/{path}?view=checks&checkDetail={check.check_name}"),
            )
        )

    def _told_by_batch(self, check: dg.AssetCheckEvaluation, run_id: str) -> bool:
        """Whether a run over several batches says of a check as a whole what it has said of each batch."""
        run = self._runs.get(run_id)
        if run is None or RANGE_START not in run.tags:
            return False
        if run_id not in self._told_of_batches:
            kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION
            found = self.instance.get_records_for_run(run_id, of_type=kind).records
            events = [record.event_log_entry.dagster_event for record in found]
            said = [event.asset_check_evaluation_data for event in events if event is not None]
            self._told_of_batches[run_id] = {each.asset_check_key for each in said if each.partition}
        return check.asset_check_key in self._told_of_batches[run_id]

    def _take_run(self, run_id: str, at: float, failure: str | None) -> None:
        run = self._runs.get(run_id)
        if run is None:  # deleted since
            return
        batch_ids = batches_of(run, self._batches)
        if failure is None:
            for subject, source, member in _members(run, batch_ids):
                self.ledger.clear(Kind.RUN, subject, source, member, at)
            return
        errors, told = self._explained(run_id, failure)
        failed = [batch_id for batch_id in batch_ids if batch_id in errors] or batch_ids
        for subject, source, member in _members(run, failed):
            self.ledger.note(
                Trouble(
                    kind=Kind.RUN,
                    subject=subject,
                    source=source,
                    member=member,
                    severity=Severity.WARNING,
                    what=_safe(errors.get(member, told)),
                    at=at,
                    next_step=_replay_of(run, member),
                    link=self._link(f"runs/{run_id}"),
                )
            )
        for batch_id in set(batch_ids) - set(failed):  # these the run has done
            self.ledger.clear(Kind.RUN, "", source_of(batch_id), batch_id, at)

    def _explained(self, run_id: str, failure: str) -> tuple[Mapping[str, str], str]:
        """Why a run failed: batch → its error, as far as the run says so, and the error of the whole."""
        records = self.instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.STEP_FAILURE, limit=5).records
        for event in (record.event_log_entry.dagster_event for record in records):
            if event is None or not event.is_step_failure:
                continue
            data = event.step_failure_data
            if (told := data.user_failure_data) is not None and told.description:
                return {key: str(value.value) for key, value in told.metadata.items()}, told.description
            if data.error is not None:
                return {}, (data.error.cause or data.error).message.strip()
        return {}, failure

    def _load_runs(self, run_ids: set[str]) -> None:
        wanted = sorted(run_ids - set(self._runs))
        for start in range(0, len(wanted), 200):
            chunk = wanted[start : start + 200]
            self._runs |= {run.run_id: run for run in self.instance.get_runs(dg.RunsFilter(run_ids=chunk))}

    def _link(self, path: str) -> str:
        return f"{self.ui_url.rstrip('/')}/{path}" if self.ui_url else ""


def check_subject(key: dg.AssetCheckKey) -> str:
    """What troubles call a check: `table: check`."""
    return f"{'/'.join(key.asset_key.path)}: {key.name}"


def _members(run: dg.DagsterRun, batch_ids: list[str]) -> Iterator[tuple[str, str, str]]:
    """Subject, source and member of what a run was to make: each batch, or all of it where there are none."""
    if batch_ids:
        yield from (("", source_of(batch_id), batch_id) for batch_id in batch_ids)
    elif not run.tags.get(RANGE_START):  # a range whose batches are gone concerns nobody
        yield _label(run), "", ""


def _replay_of(run: dg.DagsterRun, batch_id: str) -> str:
    """What makes a failed replay again: its batch is done, so that materializing it would do nothing."""
    failed = FailedBatch(batch_id, run, datetime.fromtimestamp(0, UTC), "", may_pass=True)
    return failed.command if batch_id and failed.is_replay else ""


def _label(run: dg.DagsterRun) -> str:
    keys = ["/".join(key.path) for key in run.asset_selection or ()]
    keys = keys or [check_subject(key) for key in run.asset_check_selection or ()]
    keys.sort()
    return ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "") or run.job_name


def _facts(check: dg.AssetCheckEvaluation) -> str:
    """What a check says in its description, or else the plain values of its metadata."""
    if check.description:
        return check.description
    facts = [
        f"{name.replace('_', ' ')} {value.value}"
        for name, value in check.metadata.items()
        if name != "next" and isinstance(value, dg.IntMetadataValue | dg.FloatMetadataValue | dg.TextMetadataValue)
    ]
    codes = check.metadata.get("failures_by_code")
    if isinstance(codes, dg.JsonMetadataValue) and isinstance(codes.value, Mapping):
        facts.append(", ".join(f"{code}: {n}" for code, n in codes.value.items()))
    return "; ".join(facts[:_MOST_FACTS])


def _safe(text: str) -> str:
    return safe_text(text, shown)
