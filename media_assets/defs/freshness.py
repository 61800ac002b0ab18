"""Freshness: one check for each expected source on `ingest/manifest`, told without a run, and a policy on live assets.

Dagster's policy looks at the latest materialization of an asset, whichever partition it was of, so that a backfill of
an old batch makes it green; a check here looks at the newest batch of its own source. Not here: the verdict
(`curation/freshness.py`).
"""

import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import dagster as dg
import msgspec

from media_assets.curation.freshness import Arrival, SourceFreshness, judge_source, spell
from media_assets.defs.descriptions import Metadata, asset_key
from media_assets.defs.partitions import MANIFEST_KEY
from media_assets.defs.resources import Settings, WorkbenchResource
from media_assets.lake.delta import Lake
from media_assets.lake.planned_batches import latest_of_each_source, planned_batches
from media_assets.stages.stage import IMAGE_STAGES
from media_assets.tables import ITEM_STATUS

INTERVAL_SECONDS = 15
HEARTBEAT_SECONDS = 6 * 3600
"""A verdict that has not changed is told again after so long: the event log grows by four rows a source and day."""

LIVE = (MANIFEST_KEY, *(asset_key(stage.contract) for stage in IMAGE_STAGES), asset_key(ITEM_STATUS))
_INBOX_WINDOW = timedelta(days=1)
_SHORTEST_WINDOW = timedelta(minutes=1)  # Dagster takes no shorter one


class _Told(msgspec.Struct, frozen=True):
    """What was told last of one source: verdict, interval, and when, in seconds since the epoch."""

    passed: bool
    interval_seconds: float
    at: float


def live_policy(settings: Settings) -> dg.FreshnessPolicy | None:
    """The policy of the live assets: the shortest expected interval, or a day for an inbox; None where neither is."""
    windows = list(settings.expected().values()) or ([_INBOX_WINDOW] if settings.inbox else [])
    return dg.FreshnessPolicy.time_window(max(min(windows), _SHORTEST_WINDOW)) if windows else None


def check_name(source: str) -> str:
    """Name of a source's check, in the letters that Dagster takes."""
    return re.sub(r"[^A-Za-z0-9_]", "_", source) + "_is_fresh"


def source_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    """The checks of the expected sources, which a person can also execute; none where none is expected."""
    expected = settings.expected()
    if not expected:
        return []

    @dg.multi_asset_check(
        name="source_freshness_now",
        specs=[
            dg.AssetCheckSpec(
                check_name(source),
                asset=MANIFEST_KEY,
                description=f"{source} brings a batch at least every {spell(interval)}. Told by the sensor "
                f"source_freshness.",
            )
            for source, interval in expected.items()
        ],
        can_subset=True,
    )
    def source_freshness_now(
        context: dg.AssetCheckExecutionContext, workbench: WorkbenchResource
    ) -> Iterator[dg.AssetCheckResult]:
        selected = {key.name for key in context.selected_asset_check_keys}
        now = datetime.now(UTC)
        settings = workbench.settings()
        for source, (verdict, arrival) in judge_sources(settings.open_lake(), settings.expected(), now).items():
            if check_name(source) in selected:
                yield dg.AssetCheckResult(
                    passed=verdict.passed,
                    asset_key=MANIFEST_KEY,
                    check_name=check_name(source),
                    description=verdict.told,
                    metadata=_metadata(source, settings.expected()[source], verdict, arrival),
                )

    return [source_freshness_now]


def judge_sources(
    lake: Lake, expected: Mapping[str, timedelta], now: datetime
) -> dict[str, tuple[SourceFreshness, Arrival | None]]:
    """The verdict on each expected source, with its latest batch; from the log of the manifest alone."""
    latest = latest_of_each_source(planned_batches(lake))
    found: dict[str, tuple[SourceFreshness, Arrival | None]] = {}
    for source, interval in expected.items():
        batch = latest.get(source)
        arrival = None if batch is None else Arrival(batch.batch_id, batch.planned_at, batch.n_items)
        found[source] = judge_source(source, arrival, interval, now), arrival
    return found


@dg.sensor(
    name="source_freshness",
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=INTERVAL_SECONDS,
    description="Tells of each source in MEDIA_ASSETS_EXPECTED_SOURCES when it goes quiet and when it is back.",
)
def source_freshness(
    context: dg.SensorEvaluationContext, workbench: WorkbenchResource
) -> dg.SensorResult | dg.SkipReason:
    """One tick: what has changed is told, and everything now and then."""
    settings = workbench.settings()
    expected = settings.expected()
    if not expected:
        return dg.SkipReason("MEDIA_ASSETS_EXPECTED_SOURCES names no source.")
    seconds = time.time()
    verdicts = judge_sources(settings.open_lake(), expected, datetime.fromtimestamp(seconds, UTC))
    before, told, events = _told_before(context.cursor), dict[str, _Told](), []
    for source, (verdict, arrival) in verdicts.items():
        now = _Told(verdict.passed, expected[source].total_seconds(), seconds)
        if not _is_news(before.get(source), now):
            told[source] = before[source]
            continue
        told[source] = now
        events.append(
            dg.AssetCheckEvaluation(
                MANIFEST_KEY,
                check_name(source),
                verdict.passed,
                metadata=_metadata(source, expected[source], verdict, arrival),
                description=verdict.told,
            )
        )
    cursor = msgspec.json.encode(told).decode()
    if not events:
        context.update_cursor(cursor)
        n_quiet = sum(not verdict.passed for verdict, _ in verdicts.values())
        return dg.SkipReason(f"Nothing new: {n_quiet} of {len(verdicts)} expected sources are quiet.")
    return dg.SensorResult(asset_events=events, cursor=cursor)


def _is_news(before: _Told | None, now: _Told) -> bool:
    return (
        before is None
        or (before.passed, before.interval_seconds) != (now.passed, now.interval_seconds)
        or not 0 <= now.at - before.at < HEARTBEAT_SECONDS  # or a clock that was set back
    )


def _told_before(cursor: str | None) -> dict[str, _Told]:
    """What a cursor remembers; one that cannot be read remembers nothing: everything is told once more."""
    try:
        return msgspec.json.decode(cursor or "{}", type=dict[str, _Told])
    except msgspec.MsgspecError:
        return {}


def _metadata(source: str, interval: timedelta, verdict: SourceFreshness, arrival: Arrival | None) -> Metadata:
    metadata: Metadata = {"source": source, "expected_every": spell(interval)}
    if arrival is not None:
        metadata |= {
            "latest_batch": arrival.batch_id,
            "items": arrival.n_items,
            "planned_at": dg.MetadataValue.timestamp(arrival.planned_at),
        }
    if verdict.due_at is not None:
        metadata["due_at"] = dg.MetadataValue.timestamp(verdict.due_at)
    return metadata
