"""Label Studio in the graph: one asset pushes what is due, one pulls what people did, and a sensor asks for both.

Both are in one pool that takes one run at a time: there is one writer. Batches whose answers changed are told to the
graph, which settles them, also where a project failed; the run fails after that. Without MEDIA_ASSETS_LABEL_STUDIO_URL
nothing of it runs. Not here: what is exchanged, and how (`labeling/`).
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import msgspec

from media_assets.defs.cursors import cursor_of, read_cursor
from media_assets.defs.dead_runs import note_process_of
from media_assets.defs.descriptions import asset_key
from media_assets.defs.interruption import interrupted_runs_are_canceled
from media_assets.defs.resources import Settings, WorkbenchResource
from media_assets.defs.retries import retried_if_it_may_pass
from media_assets.labeling.exchange import Exchanged, LabelExchange, PulledProject
from media_assets.labeling.shown_media import shown_media
from media_assets.labeling.sync import SYNC_CODE_VERSION
from media_assets.lake.delta import Provenance
from media_assets.lake.store_errors import store_errors_told
from media_assets.tables import LABELS_ANNOTATIONS, LABELS_QUEUE

PUSHED, PULLED = dg.AssetKey(["labels", "pushed"]), dg.AssetKey(["labels", "pulled"])
POOL = "label_studio"
HINT = "media_assets/label_studio/hint"
COMPARED = "media_assets/label_studio/compared"
INTERVAL_SECONDS = 15
COMPARE_SECONDS = 86_400.0
_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_MOST_TOLD = 20  # tasks or answers by name, in each run's log and metadata
_TAG = "media_assets/label_studio"


class PullConfig(dg.Config):
    """How a pull is made: with `compare_all` both sides are compared as a whole, which a day's first pull does."""

    compare_all: bool = False


@contextmanager
def label_exchange(settings: Settings, run_id: str) -> Iterator[LabelExchange]:
    """The projects that are on, between the lake and the Label Studio that is configured.

    Raises:
        SetupError: none is, or a setting of it cannot be used.
    """
    media = shown_media(settings.location(), settings.label_studio_root, presign=settings.label_studio_presign)
    with settings.label_studio() as client:
        provenance = Provenance(run_id, SYNC_CODE_VERSION)
        yield LabelExchange(settings.open_lake(), client, settings.projects(), media, datetime.now(UTC), provenance)


@dg.asset(
    key=PUSHED,
    deps=[asset_key(LABELS_QUEUE)],
    description="Pushes the tasks that are due into Label Studio, each once, with what models have said of them.",
    kinds={"labelstudio"},
    code_version=SYNC_CODE_VERSION,
    pool=POOL,
)
def pushed(context: dg.AssetExecutionContext, workbench: WorkbenchResource) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster knows only the bare class
    """Push the tasks of every project that is on."""
    with _guarded(context), label_exchange(workbench.settings(), context.run.run_id) as exchange:
        exchanged = exchange.push(lambda _name, _n_done, _n_all: None)
        for name, report in exchanged.reports.items():
            for key, why in list(report.refused.items())[:_MOST_TOLD]:
                context.log.warning(f"{name}: {key} is not pushed: {why}")
            if len(report.refused) > _MOST_TOLD:
                context.log.warning(f"{name}: {len(report.refused)} tasks in all are not pushed")
            for key in report.missing:
                context.log.warning(f"{name}: {key} was sent, and is not there; the next push looks again")
        _require_all(context, exchanged)
    facts = {name: asdict(report) for name, report in exchanged.reports.items()}
    return dg.MaterializeResult(PUSHED, metadata=_told(facts))


@dg.asset(
    key=PULLED,
    deps=[PUSHED],
    description="Pulls what people answered in Label Studio since the last time, and opens disputed tasks for one more "
    "person.",
    kinds={"labelstudio"},
    code_version=SYNC_CODE_VERSION,
    pool=POOL,
)
def pulled(context: dg.AssetExecutionContext, workbench: WorkbenchResource, config: PullConfig) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Pull the answers of every project that is on; their batches' answers are new to the graph."""
    with _guarded(context), label_exchange(workbench.settings(), context.run.run_id) as exchange:
        exchanged = exchange.pull(lambda _name, _n_done, _n_all: None, compare_all=config.compare_all)
        told = tell_graph(exchange, context.instance)
        for name, report in exchanged.reports.items():
            for annotation_id, why in list(report.pulled.problems.items())[:_MOST_TOLD]:
                context.log.warning(f"{name}: the answer {annotation_id} does not fit its question, and is kept: {why}")
        _require_all(context, exchanged)
        if config.compare_all:
            keep_compared(context.instance)
    facts = {name: as_facts(each) for name, each in exchanged.reports.items()}
    metadata = _told(facts) | {"graph: batches told": dg.MetadataValue.json(told)}
    return dg.MaterializeResult(PULLED, metadata=metadata)


def tell_graph(exchange: LabelExchange, instance: dg.DagsterInstance) -> list[str]:
    """Tell the graph whose answers are others than before; returned are those batches.

    Each is in the event log at once: events of a step are written when it has ended, and not where it fails.
    """
    annotations = asset_key(LABELS_ANNOTATIONS)
    return exchange.tell(
        lambda batch_id: instance.report_runless_asset_event(dg.AssetMaterialization(annotations, partition=batch_id))
    )


def as_facts(report: PulledProject) -> dict[str, Any]:
    """One flat row of what a pull came to."""
    facts = asdict(report.pulled) | asdict(report.reopened)
    facts |= {} if report.compared is None else asdict(report.compared)
    return facts | {"batches": sorted(report.pulled.batches)}


class _Memory(msgspec.Struct):
    """When a run was asked for, seconds since the epoch."""

    asked_at: float = 0.0


@dg.sensor(
    name="label_studio",
    target=dg.AssetSelection.assets(PUSHED, PULLED),
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=INTERVAL_SECONDS,
    description="Pushes and pulls every MEDIA_ASSETS_LABEL_STUDIO_SECONDS, and sooner when a webhook has hinted at "
    "something; the first pull of a day compares everything.",
)
def exchange_labels(
    context: dg.SensorEvaluationContext, workbench: WorkbenchResource
) -> dg.SensorResult | dg.SkipReason:
    """One tick."""
    settings, now = workbench.settings(), time.time()
    if not settings.label_studio_url or not settings.label_projects:
        return dg.SkipReason("MEDIA_ASSETS_LABEL_STUDIO_URL or MEDIA_ASSETS_LABEL_PROJECTS is not set.")
    instance, memory = context.instance, read_cursor(context.cursor, _Memory)
    if instance.get_runs_count(dg.RunsFilter(tags={_TAG: "exchange"}, statuses=_UNFINISHED)):
        return dg.SkipReason("A run is under way.")
    waits = memory.asked_at + settings.label_studio_seconds - now
    if waits > 0 and not memory.asked_at < hinted_at(instance) <= now:
        return dg.SkipReason(f"The next exchange is in {waits:.0f} s, or when a webhook hints at something.")
    keep_to_one_writer(instance)
    is_daily = not now - COMPARE_SECONDS < compared_at(instance) <= now
    memory = _Memory(now)
    config = {"ops": {PULLED.to_python_identifier(): {"config": {"compare_all": is_daily}}}}
    run = dg.RunRequest(run_config=config, tags={_TAG: "exchange"})
    return dg.SensorResult(run_requests=[run], cursor=cursor_of(memory))


def keep_to_one_writer(instance: dg.DagsterInstance) -> None:
    """Give the pool its limit of one, whatever the instance's default is."""
    storage = instance.event_log_storage
    limits = {pool.name: pool.limit for pool in storage.get_pool_limits()}
    if storage.supports_global_concurrency_limits and limits.get(POOL) != 1:
        storage.set_concurrency_slots(POOL, 1)


def hinted_at(instance: dg.DagsterInstance) -> float:
    """When a webhook last hinted at something, seconds since the epoch; 0 for never."""
    return _kept(instance, HINT)


def keep_hint(instance: dg.DagsterInstance) -> None:
    """Remember that something may have changed in Label Studio."""
    _keep_now(instance, HINT)


def compared_at(instance: dg.DagsterInstance) -> float:
    """When both sides of every project were last compared as a whole, seconds since the epoch; 0 for never."""
    return _kept(instance, COMPARED)


def keep_compared(instance: dg.DagsterInstance) -> None:
    """Remember that both sides of every project were compared, to the end."""
    _keep_now(instance, COMPARED)


def _kept(instance: dg.DagsterInstance, name: str) -> float:
    kept = instance.daemon_cursor_storage.get_cursor_values({name}).get(name, "")
    try:
        return float(kept or 0.0)
    except ValueError:
        return 0.0


def _keep_now(instance: dg.DagsterInstance, name: str) -> None:
    instance.daemon_cursor_storage.set_cursor_values({name: str(time.time())})


@contextmanager
def _guarded(context: dg.AssetExecutionContext) -> Iterator[None]:
    note_process_of(context)
    with (
        interrupted_runs_are_canceled(context),
        retried_if_it_may_pass(context),
        store_errors_told("the label queue"),
    ):
        yield


def _require_all(context: dg.AssetExecutionContext, exchanged: Exchanged[Any]) -> None:
    for name, error in exchanged.failures.items():
        context.log.error(f"{name}: {error}")
    exchanged.require_all()


def _told(facts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {
        f"{name}: {what.removeprefix('n_').replace('_', ' ')}": dg.MetadataValue.json(_first(value))
        if isinstance(value, list | dict)
        else value
        for name, row in facts.items()
        for what, value in row.items()
    }


def _first(several: list[Any] | dict[str, Any]) -> list[Any] | dict[str, Any]:
    """What is told of several: the first, and how many there are."""
    if len(several) <= _MOST_TOLD:
        return several
    more = f"{len(several)} in all"
    if isinstance(several, list):
        return [*several[:_MOST_TOLD], more]
    return dict(list(several.items())[:_MOST_TOLD]) | {"...": more}
