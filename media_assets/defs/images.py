"""`raw/media`, `frames/images`, `tensors/images`, `frames/keyframes`: one run a batch, each table selectable alone.

Takes a run's batches, runs `stages.images.read_batch` on each, and reports. Not here: what a stage does, and what is
the same for every kind of run (`batch_run.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import dagster as dg

from media_assets.defs.automation import CORES, PER_BATCH
from media_assets.defs.batch_run import MAX_BATCHES_PER_RUN, BatchRun, Result, blocking_checks
from media_assets.defs.dead_runs import note_process_of
from media_assets.defs.descriptions import (
    Metadata,
    asset_key,
    batch_metadata,
    definition_metadata,
    failed_share,
    failures_metadata,
    sheet_of,
)
from media_assets.defs.drift import Verdicts, drift_check_specs, drift_results, look_for_drift
from media_assets.defs.home import claim_home_of
from media_assets.defs.interruption import interrupted_runs_are_canceled
from media_assets.defs.partitions import BATCHES, MANIFEST_KEY
from media_assets.defs.resources import WorkbenchResource
from media_assets.defs.retries import retried_if_it_may_pass
from media_assets.stages.images import read_batch
from media_assets.stages.report import BatchReport
from media_assets.stages.settled import settled_report
from media_assets.stages.stage import FRAMES, IMAGE_STAGES, KEYFRAMES, RAW, TENSORS, Stage
from media_assets.stages.workbench import Progress, ReadOptions, RetryOnly
from media_assets.tables import BATCH_PROFILES

_SENSOR = "dagster/sensor_name"
FAILED_SHARE_WARNING = 0.05


class ReadConfig(dg.Config):
    """The choices of one run. `retry_items` turns it into a replay: batch id → the failed items to try again.

    `accept_failures` is a person's word that failures which may pass are no outage: they become dead letters, however
    many they are.
    """

    refetch: bool = False
    accept_failures: bool = False
    retry_items: dict[str, list[str]] | None = None


def _spec(stage: Stage, deps: Sequence[dg.AssetKey], kinds: set[str]) -> dg.AssetSpec:
    contract = stage.contract
    return dg.AssetSpec(
        asset_key(contract),
        deps=deps,
        description=contract.description,
        code_version=stage.code_version,
        kinds=kinds,
        metadata=definition_metadata(contract),
        automation_condition=PER_BATCH,
    )


def _check_specs() -> list[dg.AssetCheckSpec]:
    failures = dg.AssetCheckSpec(
        "few_items_failed",
        asset=asset_key(RAW.contract),
        description=f"At most {FAILED_SHARE_WARNING:.0%} of the batch became dead letters.",
        partitions_def=BATCHES,
    )
    return [*blocking_checks(IMAGE_STAGES, BATCHES), failures, *drift_check_specs()]


@dg.multi_asset(
    name="read_images",
    specs=[
        _spec(RAW, [MANIFEST_KEY], {"deltalake", "image"}),
        _spec(FRAMES, [asset_key(RAW.contract)], {"deltalake", "image"}),
        _spec(TENSORS, [asset_key(FRAMES.contract)], {"deltalake", "numpy"}),
        _spec(KEYFRAMES, [asset_key(RAW.contract)], {"deltalake", "video"}),
    ],
    check_specs=_check_specs(),
    partitions_def=BATCHES,
    can_subset=True,
    pool=CORES,
    backfill_policy=dg.BackfillPolicy.multi_run(MAX_BATCHES_PER_RUN),
)
def read_images(
    context: dg.AssetExecutionContext,
    config: ReadConfig,
    workbench: WorkbenchResource,
    progress: dg.ResourceParam[Progress],
) -> Iterator[Result]:
    """Read each item of each batch once, and publish what the run selected."""
    with interrupted_runs_are_canceled(context), retried_if_it_may_pass(context):
        note_process_of(context)
        claim_home_of(context.instance, workbench.settings().location())
        defaults = workbench.options()
        versions = {stage.name: stage.code_version for stage in IMAGE_STAGES}
        run = _ReadRun(context, IMAGE_STAGES, versions, workbench.create(progress), config=config, defaults=defaults)
        yield from run.over_all()


@dataclass
class _ReadRun(BatchRun):
    """A run of the stages that one reading of a batch makes."""

    config: ReadConfig = field(default_factory=ReadConfig)
    defaults: ReadOptions = field(default_factory=ReadOptions)
    drift: dict[str, Verdicts] = field(default_factory=dict)

    def made(self, batch_id: str) -> BatchReport:
        """Read each item of the batch once."""
        return read_batch(self.bench, batch_id, self.stages, self._options(batch_id), self.provenance())

    def _options(self, batch_id: str) -> ReadOptions:
        retry = None
        if self.config.retry_items is not None:
            retry = RetryOnly(frozenset(self.config.retry_items.get(batch_id, [])))
        # What is replayed are dead letters already: that they fail again is no news of an outage.
        is_accepted = self.config.accept_failures or retry is not None
        share = 1.0 if is_accepted else self.defaults.outage_share
        return replace(self.defaults, refetch=self.config.refetch, retry_only=retry, outage_share=share)

    def settled(self, batch_id: str) -> BatchReport | None:
        """The report of a batch that is done already, where no person asked for this run and nothing was asked for
        but to have it done: two sensors may see the same new batch.
        """
        wants_more = self.config.refetch or self.config.retry_items is not None
        if self.is_range or wants_more or _SENSOR not in self.context.run.tags:
            return None
        return settled_report(self.bench.lake, batch_id, self.stages, self.defaults)

    def noted(self, report: BatchReport) -> None:
        """Hold the batch against those before it."""
        self.drift[report.batch_id] = look_for_drift(self.bench.lake, report, self.provenance())
        if report.batch_id not in self.untouched:
            self.context.log_event(dg.AssetMaterialization(asset_key(BATCH_PROFILES), partition=report.batch_id))

    def metadata_of(self, report: BatchReport) -> dict[dg.AssetKey, Metadata]:
        """What the materialization of each selected table tells of one batch."""
        if report.batch_id in self.untouched and len(told := self.recorded(report.batch_id)) == len(self.stages):
            return told  # what was told when it was read
        sheet, of_stills = sheet_of(report.batch_id, report.cells), sheet_of(report.batch_id, report.cells_of_stills)
        return {
            asset_key(stage.contract): batch_metadata(
                report, report.stages[stage.contract.path], of_stills if stage is KEYFRAMES else sheet
            )
            for stage in self.stages
        }

    def more_checks(self, batch_ids: Sequence[str]) -> Iterator[dg.AssetCheckResult]:
        """How many items failed, and whether the batch is like those before it."""
        reports = [self.reports[batch_id] for batch_id in batch_ids if batch_id in self.reports]
        if RAW in self.stages and reports:
            yield _few_items_failed(reports)
        drift = {batch_id: self.drift[batch_id] for batch_id in batch_ids if batch_id in self.drift}
        yield from drift_results(drift, {stage.contract.path for stage in self.stages})


def _few_items_failed(reports: Sequence[BatchReport]) -> dg.AssetCheckResult:
    raw = {report.batch_id: report.stages[RAW.contract.path] for report in reports}
    return dg.AssetCheckResult(
        passed=max(map(failed_share, raw.values())) <= FAILED_SHARE_WARNING,
        asset_key=asset_key(RAW.contract),
        check_name="few_items_failed",
        severity=dg.AssetCheckSeverity.WARN,
        metadata=failures_metadata(raw),
    )
