"""One run over one or several batches: each made in turn, told in the log, and reported at the end.

In a run over several batches each one commits and records its own materialization, so that one batch's outage leaves
the others done and is the only one that is tried again. Not here: what is made of a batch (`images.py`,
`predictions.py`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from media_assets.defs.descriptions import Metadata, asset_key, finding_metadata
from media_assets.defs.retries import NotBegun, continued_runs, failure_of
from media_assets.errors import BatchError, NotMaterialized, SetupError, TableDamaged
from media_assets.lake.delta import Provenance
from media_assets.lake.store_errors import store_errors_told
from media_assets.stages.audit import Finding
from media_assets.stages.report import BatchReport
from media_assets.stages.stage import Stage
from media_assets.stages.workbench import Workbench
from media_assets.tables import ITEM_STATUS

Result = dg.MaterializeResult[Any] | dg.AssetCheckResult

MAX_BATCHES_PER_RUN = 10

CHECKS = {
    "contract_holds": "Every row holds the table's contract; verified before the commit.",
    "reconciles": "Every item that entered has exactly one status and the rows it says; verified before the commit.",
}


def blocking_checks(stages: Sequence[Stage], partitions: dg.PartitionsDefinition[str]) -> list[dg.AssetCheckSpec]:
    """The checks of every stage, which the audit before its commit has verified."""
    return [
        dg.AssetCheckSpec(
            name, asset=asset_key(stage.contract), description=told, blocking=True, partitions_def=partitions
        )
        for stage in stages
        for name, told in CHECKS.items()
    ]


@dataclass
class BatchRun:
    """One run over one or several batches. A kind of it says how a batch is made, and what is told of it."""

    context: dg.AssetExecutionContext
    every_stage: tuple[Stage, ...]
    versions: Mapping[str, str]  # of these stages' code, by name
    bench: Workbench
    findings: dict[str, tuple[Finding, ...]] = field(default_factory=dict)
    reports: dict[str, BatchReport] = field(default_factory=dict)
    untouched: set[str] = field(default_factory=set)  # those of `reports` of which nothing was read
    errors: dict[str, BatchError | TableDamaged | NotMaterialized] = field(default_factory=dict)

    def __post_init__(self) -> None:
        selected = self.context.selected_asset_keys
        self.stages = [stage for stage in self.every_stage if asset_key(stage.contract) in selected]
        self.is_range = len(self.context.partition_keys) > 1
        self.continued = continued_runs(self.context.instance, self.context.run)

    def made(self, batch_id: str) -> BatchReport:
        """Run the stages on one batch."""
        raise NotImplementedError

    def settled(self, batch_id: str) -> BatchReport | None:
        """The report of a batch in which this run has nothing to do."""
        return None

    def noted(self, report: BatchReport) -> None:
        """Look at a batch that was made, or found settled, before it is told."""

    def metadata_of(self, report: BatchReport) -> dict[dg.AssetKey, Metadata]:
        """What the materialization of each selected table tells of one batch."""
        raise NotImplementedError

    def more_checks(self, batch_ids: Sequence[str]) -> Iterator[dg.AssetCheckResult]:
        """Results of checks beside those of the audit."""
        yield from ()

    def over_all(self) -> Iterator[Result]:
        """Make every batch of the run, then tell what became of them."""
        keys = self.context.partition_keys
        for number, batch_id in enumerate(keys):
            with store_errors_told(f"batch {batch_id}"):
                self.read(batch_id, keys[number + 1 :])
        yield from self.results()

    def read(self, batch_id: str, later: Sequence[str]) -> None:
        """Run the stages on one batch; a batch that an earlier attempt of this run finished is left alone.

        Args:
            later: the batches that come after it, which are not begun where this one ends the run.
        """
        if self.is_range and self._was_done(batch_id):
            self._repeat_metadata(batch_id)
            return
        if (settled := self.settled(batch_id)) is not None:
            self.context.log.info(f"{batch_id} is done, by this code: its tables are reported as they are.")
            self.reports[batch_id], self.findings[batch_id] = settled, settled.findings
            self.untouched.add(batch_id)
            self.noted(settled)
            return
        try:
            report = self.made(batch_id)
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
        self.noted(report)
        self._record(batch_id, report)
        self._record_checks(batch_id)

    def results(self) -> Iterator[Result]:
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
            metadata = self.metadata_of(report)
        for stage in self.stages:
            key = asset_key(stage.contract)
            of_stage = [check for check in checks if check.asset_key == key]
            yield dg.MaterializeResult(key, metadata=metadata.get(key, {}), check_results=of_stage)

    def provenance(self) -> Provenance:
        """Who commits, by which code."""
        versions = ",".join(f"{stage.name}={self.versions[stage.name]}" for stage in self.stages)
        return Provenance(self.context.run.run_id, versions)

    def _was_done(self, batch_id: str) -> bool:
        """Whether an earlier attempt of this run, or a run that it continues, committed the batch's statuses."""
        where = {"batch_id": [batch_id], "stage": [stage.name for stage in self.stages]}
        done = self.bench.lake.scan(ITEM_STATUS, where).select("stage", "run_id").unique().collect()
        stages_done = {stage for stage, run_id in done.iter_rows() if run_id in self.continued}
        return len(stages_done) == len(self.stages)

    def _record(self, batch_id: str, report: BatchReport) -> None:
        if self.is_range:
            for key, metadata in self.metadata_of(report).items():
                self.context.log_event(dg.AssetMaterialization(key, partition=batch_id, metadata=metadata))
                self.context.add_asset_metadata(metadata, asset_key=key, partition_key=batch_id)
        self.context.log_event(
            dg.AssetMaterialization(
                asset_key(ITEM_STATUS),
                partition=batch_id,
                metadata={path: dg.MetadataValue.json(dict(stage.counts)) for path, stage in report.stages.items()},
            )
        )

    def _repeat_metadata(self, batch_id: str) -> None:
        """Give the materialization at the end of the run the metadata that was recorded when the batch was done."""
        for key, metadata in self.recorded(batch_id).items():
            self.context.add_asset_metadata(metadata, asset_key=key, partition_key=batch_id)

    def recorded(self, batch_id: str) -> dict[dg.AssetKey, Metadata]:
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
                    blocking=result.check_name in CHECKS,
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
            for name in CHECKS:
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
        yield from self.more_checks(batch_ids)
