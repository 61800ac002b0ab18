"""The inbox sensor: what lands in `MEDIA_ASSETS_INBOX` becomes batches, and each batch gets a run.

A tick may be repeated, cut short anywhere, or made by two daemons at once: planning lets no item in twice
(`ingest/planning.py`), and a run's key is its batch. Not here: what is whole and when a batch is closed
(`ingest/inbox/`).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import dagster as dg

from media_assets.defs.cursors import cursor_of, read_cursor
from media_assets.defs.descriptions import asset_key
from media_assets.defs.live_runs import RUN_KEY
from media_assets.defs.partitions import PartitionRegistry
from media_assets.defs.resources import Settings, WorkbenchResource
from media_assets.ingest.fetch.buckets import BucketRoot
from media_assets.ingest.inbox.bucket import list_bucket
from media_assets.ingest.inbox.closing import ClosingRules, InboxMemory
from media_assets.ingest.inbox.folder import list_folder
from media_assets.ingest.inbox.look import NAME, Look, look
from media_assets.ingest.inbox.stretch import Stretch
from media_assets.lake.crash_points import crash_point
from media_assets.lake.delta import Lake, Provenance
from media_assets.stages.stage import IMAGE_STAGES
from media_assets.tables import ITEM_STATUS, MANIFEST

INBOX_CODE_VERSION = "1"
INTERVAL_SECONDS = 15
_MAX_RUNS_PER_TICK = 50


@dg.sensor(
    name="inbox",
    target=dg.AssetSelection.assets(*(asset_key(stage.contract) for stage in IMAGE_STAGES)),
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=INTERVAL_SECONDS,
    description="Plans what lands in MEDIA_ASSETS_INBOX as batches, by count or by age, and requests one run for each.",
)
def inbox(context: dg.SensorEvaluationContext, workbench: WorkbenchResource) -> dg.SensorResult | dg.SkipReason:
    """One tick."""
    settings = workbench.settings()
    if not settings.inbox:
        return dg.SkipReason("MEDIA_ASSETS_INBOX names no inbox.")
    lake = settings.open_lake()
    seen = take_in(context.instance, lake, settings, read_cursor(context.cursor, InboxMemory))
    crash_point("before inbox cursor")
    owed = islice(_batches_without_run(context.instance, lake), _MAX_RUNS_PER_TICK)
    runs = [dg.RunRequest(run_key=batch_id, partition_key=batch_id) for batch_id in owed]
    cursor = cursor_of(seen.memory)
    if not runs:
        context.update_cursor(cursor)
        return dg.SkipReason(_told(seen))
    return dg.SensorResult(run_requests=runs, cursor=cursor)


def take_in(instance: dg.DagsterInstance, lake: Lake, settings: Settings, memory: InboxMemory) -> Look:
    """Look into the inbox once, and register what became a batch.

    Raises:
        SetupError: the inbox cannot be listed.
    """
    rules = ClosingRules(settings.inbox_batch_size, settings.inbox_wait_seconds)
    provenance = Provenance(f"inbox-{uuid.uuid4()}", INBOX_CODE_VERSION)
    registry = PartitionRegistry(instance)

    now = time.time()
    stretch = _stretch(settings, memory, now)
    seen = look(lake, registry, stretch.listing, memory, rules, now, provenance)
    return replace(seen, memory=stretch.remembered(memory, seen.memory, seen.n_waiting))


def _stretch(settings: Settings, memory: InboxMemory, now: float) -> Stretch:
    place = settings.inbox_place()
    if isinstance(place, BucketRoot):
        return list_bucket(place, memory.place, now)
    return Stretch(lambda: list_folder(place, settle_seconds=settings.inbox_settle_seconds))


def _batches_without_run(instance: dg.DagsterInstance, lake: Lake) -> Iterator[str]:
    """Registered batches of the inbox of which no stage has said anything and that were never run, oldest first.

    One whose run failed is left to whoever reruns it: asked for again and again, many of them would stand before the
    new ones.
    """
    planned, told = set(lake.partition_values(MANIFEST)), set(lake.partition_values(ITEM_STATUS))
    for batch_id in instance.get_dynamic_partitions("batches"):
        if not batch_id.startswith(f"{NAME}.") or batch_id not in planned or batch_id in told:
            continue
        if not instance.get_runs_count(dg.RunsFilter(tags={RUN_KEY: batch_id})):
            yield batch_id


def _told(seen: Look) -> str:
    if seen.plan is None:
        return f"Nothing new; {seen.n_in_writing} files are still being written."
    return (
        f"{seen.n_waiting} items wait for their batch to be full or old enough; "
        f"{seen.n_in_writing} files are still being written."
    )
