"""`raw/media`, `frames/images`, `tensors/images`, `frames/keyframes`: one run a batch, each table selectable alone.

Takes a run's batches, runs `stages.images.read_batch` on each, and reports. In a run over several batches each one
commits and records its own materialization, so that one batch's outage leaves the others done and is the only one that
is tried again. Not here: what a stage does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import dagster as dg

from media_assets.defs.automation import CORES, PER_BATCH
from media_assets.defs.dead_runs import note_process_of
from media_assets.defs.descriptions import (
    Metadata,
    asset_key,
    batch_metadata,
    definition_metadata,
    failed_share,
    failures_metadata,
    finding_metadata,
    sheet_of,
)
from media_assets.defs.drift import Verdicts, drift_check_specs, drift_results, look_for_drift
from media_assets.defs.home import claim_home_of
from media_assets.defs.interruption import interrupted_runs_are_canceled
from media_assets.defs.partitions import BATCHES, MANIFEST_KEY
from media_assets.defs.resources import WorkbenchResource
from media_assets.defs.retries import NotBegun, continued_runs, failure_of, retried_if_it_may_pass
from media_assets.errors import BatchError, NotMaterialized, SetupError, TableDamaged
from media_assets.lake.delta import Provenance
from media_assets.lake.store_errors import store_errors_told
from media_assets.stages.audit import Finding
from media_assets.stages.images import read_batch
from media_assets.stages.report import BatchReport
from media_assets.stages.settled import settled_report
from media_assets.stages.stage import FRAMES, IMAGE_STAGES, KEYFRAMES, RAW, TENSORS, Stage
from media_assets.stages.workbench import Progress, ReadOptions, RetryOnly, Workbench
from media_assets.tables import BATCH_PROFILES, ITEM_STATUS

_Result = dg.MaterializeResult[Any] | dg.AssetCheckResult

MAX_BATCHES_PER_RUN = 10
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


_CHECKS = {
    "contract_holds": "Every row holds the table's contract; verified before the commit.",
    "reconciles": "Every item that entered has exactly one status and the rows it says; verified before the commit.",
}


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
    blocking = [
        dg.AssetCheckSpec(
            name, asset=asset_key(stage.contract), description=told, blocking=True, partitions_def=BATCHES
        )
        for stage in IMAGE_STAGES
        for name, told in _CHECKS.items()
    ]
    failures = dg.AssetCheckSpec(
        "few_items_failed",
        asset=asset_key(RAW.contract),
        description=f"At most {FAILED_SHARE_WARNING:.0%} of the batch became dead letters.",
        partitions_def=BATCHES,
    )
    return [*blocking, failures, *drift_check_specs()]


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
) -> Iterator[_Result]:
    """Read each item of each batch once, and publish what the run selected."""
    with interrupted_runs_are_canceled(context), retried_if_it_may_pass(context):
        note_process_of(context)
        claim_home_of(context.instance, workbench.settings().location())
        run = _BatchRun(context, config, workbench.options(), workbench.create(progress))
        for number, batch_id in enumerate(context.partition_keys):
            with store_errors_told(f"batch {batch_id}"):
                run.read(batch_id, context.partition_keys[number + 1 :])
        yield from run.results()


@dataclass
class _BatchRun:
    """One run over one or several batches."""

    context: dg.AssetExecutionContext
    config: ReadConfig
    defaults: ReadOptions
    bench: Workbench
    findings: dict[str, tuple[Finding, ...]] = field(default_factory=dict)
    reports: dict[str, BatchReport] = field(default_factory=dict)
    untouched: set[str] = field(default_factory=set)  # those of `reports` of which nothing was read
    drift: dict[str, Verdicts] = field(default_factory=dict)
    errors: dict[str, BatchError | TableDamaged | NotMaterialized] = field(default_factory=dict)

    def __post_init__(self) -> None:
        selected = self.context.selected_asset_keys
        self.stages = [stage for stage in IMAGE_STAGES if asset_key(stage.contract) in selected]
        self.is_range = len(self.context.partition_keys) > 1
        self.continued = continued_runs(self.context.instance, self.context.run)

    def read(self, batch_id: str, later: Sequence[str]) -> None:
        """Run the stages on one batch; a batch that an earlier attempt of this run finished is left alone.

        Args:
            later: the batches that come after it, which are not begun where this one ends the run.
        """
        if self.is_range and self._was_done(batch_id):
            self._repeat_metadata(batch_id)
            return
        if (settled := self._settled(batch_id)) is not None:
            self.context.log.info(f"{batch_id} is done, by this code: its tables are reported as they are.")
            self.reports[batch_id], self.findings[batch_id] = settled, settled.findings
            self.untouched.add(batch_id)
            self.drift[batch_id] = look_for_drift(self.bench.lake, settled, self._provenance())
            return
        try:
            report = read_batch(self.bench, batch_id, self.stages, self._options(batch_id), self._provenance())
        except (BatchError, TableDamaged, NotMaterialized) as error:
            # A lost file is one batch's, as is what was not made yet; a damaged log meets each in turn.
            self.errors[batch_id] = error.with_traceback(None)  # its frames would keep the batch's rows in memory
            findings = error.findings if isinstance(error, BatchError) else ()
            self.findings[batch_id] = tuple(f for f in findings if isinstance(f, Finding))
            self.context.log.error(f"{batch_id}: {error}")
            self._record_checks(batch_id)
            return
        except Exception as error:  # it would meet every batch, or nobody knows: the run ends here, and says where
            told = f"{batch_id}: {error if isinstance(error, SetupError) else repr(error)}"
            not_begun = {each: NotBegun(batch_id, error) for each in later}
            raise failure_of(told, {**self.errors, batch_id: error, **not_begun}) from error
        self.reports[batch_id] = report
        self.findings[batch_id] = report.findings
        self.drift[batch_id] = look_for_drift(self.bench.lake, report, self._provenance())
        self._record(batch_id, report)
        self._record_checks(batch_id)

    def results(self) -> Iterator[_Result]:
        """Check results, then the materializations; or the error of the batches that failed."""
        checks = self._checks(self.context.partition_keys)
        if self.errors:
            yield from checks
            told = "; ".join(f"{batch_id}: {error}" for batch_id, error in self.errors.items())
            n_batches = len(self.context.partition_keys)
            told = f"{len(self.errors)} of {n_batches} batches failed, the others are done. {told}"
            raise failure_of(told, self.errors)
        metadata: dict[dg.AssetKey, Metadata] = {}
        if not self.is_range:
            (report,) = self.reports.values()
            metadata = self._metadata_of(report)
        for stage in self.stages:
            key = asset_key(stage.contract)
            of_stage = [check for check in checks if check.asset_key == key]
            yield dg.MaterializeResult(key, metadata=metadata.get(key, {}), check_results=of_stage)

    def _options(self, batch_id: str) -> ReadOptions:
        retry = None
        if self.config.retry_items is not None:
            retry = RetryOnly(frozenset(self.config.retry_items.get(batch_id, [])))
        # What is replayed are dead letters already: that they fail again is no news of an outage.
        is_accepted = self.config.accept_failures or retry is not None
        share = 1.0 if is_accepted else self.defaults.outage_share
        return replace(self.defaults, refetch=self.config.refetch, retry_only=retry, outage_share=share)

    def _provenance(self) -> Provenance:
        versions = ",".join(f"{stage.name}={stage.code_version}" for stage in self.stages)
        return Provenance(self.context.run.run_id, versions)

    def _settled(self, batch_id: str) -> BatchReport | None:
        """The report of a batch that is done already, where no person asked for this run and nothing was asked for
        but to have it done: two sensors may see the same new batch.
        """
        wants_more = self.config.refetch or self.config.retry_items is not None
        if self.is_range or wants_more or _SENSOR not in self.context.run.tags:
            return None
        return settled_report(self.bench.lake, batch_id, self.stages, self.defaults)

    def _was_done(self, batch_id: str) -> bool:
        """Whether an earlier attempt of this run, or a run that it continues, committed the batch's statuses."""
        where = {"batch_id": [batch_id], "stage": [stage.name for stage in self.stages]}
        done = self.bench.lake.scan(ITEM_STATUS, where).select("stage", "run_id").unique().collect()
        stages_done = {stage for stage, run_id in done.iter_rows() if run_id in self.continued}
        return len(stages_done) == len(self.stages)

    def _record(self, batch_id: str, report: BatchReport) -> None:
        if self.is_range:
            for key, metadata in self._metadata_of(report).items():
                self.context.log_event(dg.AssetMaterialization(key, partition=batch_id, metadata=metadata))
                self.context.add_asset_metadata(metadata, asset_key=key, partition_key=batch_id)
        self.context.log_event(
            dg.AssetMaterialization(
                asset_key(ITEM_STATUS),
                partition=batch_id,
                metadata={path: dg.MetadataValue.json(dict(stage.counts)) for path, stage in report.stages.items()},
            )
        )
        self.context.log_event(dg.AssetMaterialization(asset_key(BATCH_PROFILES), partition=batch_id))

    def _repeat_metadata(self, batch_id: str) -> None:
        """Give the materialization at the end of the run the metadata that was recorded when the batch was done."""
        for key, metadata in self._recorded(batch_id).items():
            self.context.add_asset_metadata(metadata, asset_key=key, partition_key=batch_id)

    def _recorded(self, batch_id: str) -> dict[dg.AssetKey, Metadata]:
        """What the latest materialization of each selected table tells of a batch, where there is one."""
        recorded: dict[dg.AssetKey, Metadata] = {}
        for stage in self.stages:
            key = asset_key(stage.contract)
            found = self.context.instance.fetch_materializations(
                dg.AssetRecordsFilter(asset_key=key, asset_partitions=[batch_id]), limit=1
            )
            if found.records and (event := found.records[0].asset_materialization) is not None:
                recorded[key] = dict(event.metadata)
        return recorded

    def _metadata_of(self, report: BatchReport) -> dict[dg.AssetKey, Metadata]:
        """What the materialization of each selected table tells of one batch."""
        if report.batch_id in self.untouched and len(told := self._recorded(report.batch_id)) == len(self.stages):
            return told  # what was told when it was read
        sheet, of_stills = sheet_of(report.batch_id, report.cells), sheet_of(report.batch_id, report.cells_of_stills)
        return {
            asset_key(stage.contract): batch_metadata(
                report, report.stages[stage.contract.path], of_stills if stage is KEYFRAMES else sheet
            )
            for stage in self.stages
        }

    def _record_checks(self, batch_id: str) -> None:
        """Log the checks of one of several batches: the run's own check results name no batch."""
        if not self.is_range:
            return
        for result in self._checks([batch_id]):
            assert result.asset_key is not None, "every check here names its asset"
            assert result.check_name is not None, "and itself"
            self.context.log_event(
                dg.AssetCheckEvaluation(
                    result.asset_key,
                    result.check_name,
                    result.passed,
                    metadata=result.metadata,
                    severity=result.severity,
                    description=result.description,
                    blocking=result.check_name in _CHECKS,
                    partition=batch_id,
                )
            )

    def _checks(self, batch_ids: Sequence[str]) -> list[dg.AssetCheckResult]:
        """Results of the selected checks over these batches."""
        selected = {(key.asset_key, key.name) for key in self.context.selected_asset_check_keys}
        results = self._check_results(batch_ids)
        return [result for result in results if (result.asset_key, result.check_name) in selected]

    def _check_results(self, batch_ids: Sequence[str]) -> Iterator[dg.AssetCheckResult]:
        for stage in self.stages:
            for name in _CHECKS:
                found = {
                    batch_id: finding
                    for batch_id in batch_ids
                    for finding in self.findings.get(batch_id, ())
                    if finding.table == stage.contract.path and finding.check == name
                }
                if found:
                    yield dg.AssetCheckResult(
                        passed=all(finding.passed for finding in found.values()),
                        asset_key=asset_key(stage.contract),
                        check_name=name,
                        metadata=finding_metadata(found),
                    )
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
