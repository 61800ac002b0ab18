"""`labels/*` in the graph: what people are asked, what they answered, and what it comes to.

The queue of a batch is made after its stills, where a project is on, and again when they or its items' statuses change;
without a project nothing asks for it, and it costs no run. Not here: the queue (`labeling/`), or what is computed
(`curation/`).
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase

import dagster as dg
import polars as pl

from media_assets.defs.automation import CORES, PER_BATCH_AND_CHANGE
from media_assets.defs.dead_runs import note_process_of
from media_assets.defs.descriptions import Metadata, asset_key, definition_metadata
from media_assets.defs.interruption import interrupted_runs_are_canceled
from media_assets.defs.label_studio import PULLED
from media_assets.defs.partitions import BATCHES
from media_assets.defs.resources import Settings, WorkbenchResource
from media_assets.defs.retries import retried_if_it_may_pass
from media_assets.labeling.batch_queue import BatchQueued, queue_batch
from media_assets.labeling.overview import answers_overview, queue_overview
from media_assets.labeling.project_files import LabelProject
from media_assets.labeling.queue import QUEUE_CODE_VERSION
from media_assets.labeling.settling import SETTLING_CODE_VERSION, Settled, project_agreement, settle_batch
from media_assets.lake.delta import Lake, Provenance
from media_assets.lake.store_errors import store_errors_told
from media_assets.media.contact_sheet import Cell, as_markdown_image, contact_sheet
from media_assets.media.label_plots import agreement_png, queue_png
from media_assets.tables import (
    FRAMES_IMAGES,
    FRAMES_KEYFRAMES,
    ITEM_STATUS,
    LABELS_ANNOTATIONS,
    LABELS_CONSENSUS,
    LABELS_QUEUE,
    PREDICTIONS_FRAMES,
    TableContract,
)

_N_CELLS = 48
_NO_PROJECT = "none is on for this batch; MEDIA_ASSETS_LABEL_PROJECTS names those that are"
_C = dg.AutomationCondition

WHEN_ANSWERED = (
    (
        # Not `since_last_handled()`: answers that came while others were settled would be forgotten. Only of these two
        # conditions Dagster compares when they came true.
        _C.any_deps_match(_C.newly_updated()).since(_C.newly_requested())
        # What a failed run was to settle is settled by nobody else.
        | (_C.execution_failed() & _C.cron_tick_passed("0 * * * *"))
    )
    & ~_C.in_progress()
).with_label("answers_came_or_failed_an_hour_ago")

_AUTOMATED = frozenset({asset_key(LABELS_QUEUE), asset_key(LABELS_CONSENSUS)})


def as_configured(spec: dg.AssetSpec, settings: Settings) -> dg.AssetSpec:
    """The asset as the settings make it: without a project nothing here runs by itself; with models the queue waits for
    what they say.
    """
    if spec.key in _AUTOMATED and not settings.label_projects:
        return spec.replace_attributes(automation_condition=None)
    if spec.key == asset_key(LABELS_QUEUE) and settings.models:
        return spec.replace_attributes(deps=[*spec.deps, asset_key(PREDICTIONS_FRAMES)])
    return spec


def _check_specs(contract: TableContract, **more: str) -> list[dg.AssetCheckSpec]:
    told = {"contract_holds": "Every row holds the table's contract; verified before the commit and after it."} | more
    return [
        dg.AssetCheckSpec(
            name, asset=asset_key(contract), description=description, blocking=True, partitions_def=BATCHES
        )
        for name, description in told.items()
    ]


@dg.asset(
    key=asset_key(LABELS_QUEUE),
    deps=[asset_key(table) for table in (FRAMES_IMAGES, FRAMES_KEYFRAMES, ITEM_STATUS)],
    description=LABELS_QUEUE.description,
    kinds={"deltalake"},
    code_version=QUEUE_CODE_VERSION,
    partitions_def=BATCHES,
    metadata=definition_metadata(LABELS_QUEUE),
    automation_condition=PER_BATCH_AND_CHANGE,
    pool=CORES,
    check_specs=_check_specs(LABELS_QUEUE, asked_once="No question is in the queue twice, in whatever batches."),
)
def queue(context: dg.AssetExecutionContext, workbench: WorkbenchResource) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]  # Dagster knows only the bare class
    """Queue the batch's stills and videos that are worth asking about, for each project that is on."""
    batch_id = context.partition_key
    note_process_of(context)
    with (
        interrupted_runs_are_canceled(context),
        retried_if_it_may_pass(context),
        store_errors_told(f"batch {batch_id}"),
    ):
        projects, bench = _projects_of(workbench, batch_id), workbench.create()
        provenance = Provenance(context.run.run_id, QUEUE_CODE_VERSION)
        made = queue_batch(bench.lake, bench.blobs, bench.engine, projects, batch_id, bench.now(), provenance)
        rows = bench.lake.scan(LABELS_QUEUE, {"batch_id": [batch_id]}).collect()
        checks = [_contract_check(LABELS_QUEUE, rows), _asked_once(bench.lake)]
        metadata = _queue_metadata(bench.lake, projects, made, rows, bench.now())
    yield dg.MaterializeResult(asset_key(LABELS_QUEUE), metadata=metadata, check_results=checks)


answers = dg.AssetSpec(
    asset_key(LABELS_ANNOTATIONS),
    deps=[asset_key(LABELS_QUEUE), PULLED],
    description=LABELS_ANNOTATIONS.description,
    partitions_def=BATCHES,
    metadata=definition_metadata(LABELS_ANNOTATIONS),
)


@dg.asset(
    key=asset_key(LABELS_CONSENSUS),
    deps=[asset_key(LABELS_ANNOTATIONS)],
    description=LABELS_CONSENSUS.description,
    kinds={"deltalake"},
    code_version=SETTLING_CODE_VERSION,
    partitions_def=BATCHES,
    metadata=definition_metadata(LABELS_CONSENSUS),
    automation_condition=WHEN_ANSWERED,
    check_specs=_check_specs(LABELS_CONSENSUS),
)
def consensus(context: dg.AssetExecutionContext, workbench: WorkbenchResource) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]
    """Settle the batch's answers, and move its tasks on."""
    batch_id = context.partition_key
    note_process_of(context)
    with (
        interrupted_runs_are_canceled(context),
        retried_if_it_may_pass(context),
        store_errors_told(f"batch {batch_id}"),
    ):
        projects, lake = _projects_of(workbench, batch_id), workbench.settings().open_lake()
        provenance = Provenance(context.run.run_id, SETTLING_CODE_VERSION)
        settled = settle_batch(lake, projects, batch_id, datetime.now(UTC), provenance)
        rows = lake.scan(LABELS_CONSENSUS, {"batch_id": [batch_id]}).collect()
        metadata = _consensus_metadata(lake, projects, settled, rows)
    for annotation_id, why in settled.unreadable.items():
        context.log.warning(f"{annotation_id}: {why}")
    checks = [_contract_check(LABELS_CONSENSUS, rows)]
    yield dg.MaterializeResult(asset_key(LABELS_CONSENSUS), metadata=metadata, check_results=checks)


def _projects_of(workbench: WorkbenchResource, batch_id: str) -> list[LabelProject]:
    return [project for project in workbench.settings().projects() if fnmatchcase(batch_id, project.batches)]


def _contract_check(contract: TableContract, rows: pl.DataFrame) -> dg.AssetCheckResult:
    violations = contract.violations(rows)
    return dg.AssetCheckResult(
        passed=not violations,
        asset_key=asset_key(contract),
        check_name="contract_holds",
        metadata={"n_rows": rows.height, "violations": str(violations)},
    )


def _asked_once(lake: Lake) -> dg.AssetCheckResult:
    keys = lake.scan(LABELS_QUEUE).group_by("task_key").len().filter(pl.col("len") > 1).collect()["task_key"]
    return dg.AssetCheckResult(
        passed=keys.is_empty(),
        asset_key=asset_key(LABELS_QUEUE),
        check_name="asked_once",
        metadata={"n_twice": len(keys), "such as": ", ".join(keys.sort().head(3))},
    )


def _queue_metadata(
    lake: Lake, projects: Sequence[LabelProject], made: BatchQueued, rows: pl.DataFrame, at: datetime
) -> Metadata:
    metadata: Metadata = {"dagster/partition_row_count": rows.height, "withdrawn": len(made.withdrawn)}
    metadata["projects"] = ", ".join(project.name for project in projects) or _NO_PROJECT
    for name, counts in made.by_project.items():
        metadata[f"{name}: newly queued"] = counts.n_new
        metadata[f"{name}: known before"] = counts.n_known
        metadata[f"{name}: queued by another batch"] = counts.n_elsewhere
        metadata[f"{name}: left out, over per_batch"] = counts.n_left_out
    overview = queue_overview(lake, at)
    if overview.depth:
        n_tasks = sum(sum(by_state.values()) for by_state in overview.depth.values())
        plot = queue_png(overview.depth, overview.ages_days, f"{n_tasks:,} tasks")
        metadata["queue"] = dg.MetadataValue.md(as_markdown_image(plot, "the queue by state and age"))
    if cells := _cells(made, rows):
        metadata["contact_sheet"] = dg.MetadataValue.md(
            as_markdown_image(contact_sheet(cells), "what is queued, the first one first")
        )
    return metadata


def _cells(made: BatchQueued, rows: pl.DataFrame) -> list[Cell]:
    """The stills of the batch that are asked about, those of the greatest priority first."""
    asked = rows.filter(pl.col("subject_id").is_in(list(made.looks.thumbnails)) & (pl.col("state") != "withdrawn"))
    first = asked.sort("priority", "task_key", descending=[True, False]).unique("subject_id", maintain_order=True)
    return [
        Cell(made.looks.thumbnails[row["subject_id"]], f"{row['priority']:.2f} {row['item_key']}", row["state"])
        for row in first.head(_N_CELLS).iter_rows(named=True)
    ]


def _consensus_metadata(lake: Lake, projects: Sequence[LabelProject], settled: Settled, rows: pl.DataFrame) -> Metadata:
    metadata: Metadata = {
        "dagster/partition_row_count": rows.height,
        "settled": settled.n_settled,
        "ties": settled.n_ties,
        "moves": settled.applied.n_made,
        "unreadable": len(settled.unreadable),
    }
    metadata["projects"] = ", ".join(project.name for project in projects) or _NO_PROJECT
    if settled.applied.refused:
        metadata["refused moves"] = dg.MetadataValue.json(dict(settled.applied.refused))
    overview = answers_overview(lake)
    if overview.answers:
        n_answers = sum(overview.answers.values())
        plot = agreement_png(overview.answers, overview.agreement, overview.ties, f"{n_answers:,} answers")
        metadata["answers"] = dg.MetadataValue.md(as_markdown_image(plot, "answers and agreement by day"))
    for project in projects:
        metadata |= _agreement_metadata(lake, project)
    return metadata


def _agreement_metadata(lake: Lake, project: LabelProject) -> Metadata:
    found = project_agreement(lake, project)
    metadata: Metadata = {f"{project.name}: answers": found.n_answers}
    if found.alpha is not None:
        metadata[f"{project.name}: Krippendorff's alpha"] = found.alpha
    if found.fleiss is not None:
        metadata[f"{project.name}: Fleiss' kappa"] = found.fleiss
    if not found.cohen.is_empty():
        metadata[f"{project.name}: Cohen's kappa"] = dg.MetadataValue.md(_as_markdown(found.cohen))
    if not found.annotators.is_empty():
        metadata[f"{project.name}: annotators"] = dg.MetadataValue.md(_as_markdown(found.annotators))
    return metadata


def _as_markdown(frame: pl.DataFrame) -> str:
    lines = [frame.columns, ["---"] * frame.width, *([_told(value) for value in row] for row in frame.iter_rows())]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _told(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" if isinstance(value, float) else str(value).replace("|", "\\|")
