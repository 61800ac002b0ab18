"""`predictions/frames`: what the configured models say of a batch's frames, after its frames, in a step of its own.

With no model configured nothing asks for it, and making it by hand finds that nothing enters. Not here: what is asked
and kept (`stages/predictions.py`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import dagster as dg

from media_assets.defs.automation import CORES, PER_BATCH_AND_CHANGE
from media_assets.defs.batch_run import MAX_BATCHES_PER_RUN, BatchRun, Result, blocking_checks
from media_assets.defs.dead_runs import note_process_of
from media_assets.defs.descriptions import (
    Metadata,
    asset_key,
    definition_metadata,
    predictions_metadata,
    sheet_of,
)
from media_assets.defs.home import claim_home_of
from media_assets.defs.interruption import interrupted_runs_are_canceled
from media_assets.defs.partitions import BATCHES
from media_assets.defs.resources import Settings, WorkbenchResource
from media_assets.defs.retries import retried_if_it_may_pass
from media_assets.defs.steps import PREDICT_STEP
from media_assets.errors import ModelUnfit
from media_assets.stages.predictions import PredictionsReport, PredictOptions, predict_batch
from media_assets.stages.report import BatchReport
from media_assets.stages.stage import FRAMES, KEYFRAMES, PREDICTIONS
from media_assets.stages.workbench import Progress, RetryOnly

_KEY = asset_key(PREDICTIONS.contract)


class PredictConfig(dg.Config):
    """The choices of one run. `retry_items` turns it into a replay: batch id → the failed items to try again.

    `again` asks about frames that were asked about already. `accept_failures` is a person's word that failures which
    may pass are no outage.
    """

    again: bool = False
    accept_failures: bool = False
    retry_items: dict[str, list[str]] | None = None


@dg.multi_asset(
    name=PREDICT_STEP,
    specs=[
        dg.AssetSpec(
            _KEY,
            deps=[asset_key(FRAMES.contract), asset_key(KEYFRAMES.contract)],
            description=PREDICTIONS.contract.description + " Models are configured in MEDIA_ASSETS_MODELS.",
            code_version=PREDICTIONS.code_version,
            kinds={"deltalake", "onnx"},
            metadata=definition_metadata(PREDICTIONS.contract),
        )
    ],
    check_specs=blocking_checks([PREDICTIONS], BATCHES),
    partitions_def=BATCHES,
    can_subset=True,
    pool=CORES,
    backfill_policy=dg.BackfillPolicy.multi_run(MAX_BATCHES_PER_RUN),
)
def predict_frames(
    context: dg.AssetExecutionContext,
    config: PredictConfig,
    workbench: WorkbenchResource,
    progress: dg.ResourceParam[Progress],
) -> Iterator[Result]:
    """Ask every configured model about the frames of each batch."""
    with interrupted_runs_are_canceled(context), retried_if_it_may_pass(context):
        note_process_of(context)
        settings = workbench.settings()
        claim_home_of(context.instance, settings.location())
        options = PredictOptions(settings.installed_models(), settings.still_limits())
        if not options.models:
            context.log.info("No model is configured (MEDIA_ASSETS_MODELS): nothing enters.")
        versions = {PREDICTIONS.name: options.code_version}
        run = _PredictRun(
            context, (PREDICTIONS,), versions, workbench.create(progress), config=config, defaults=options
        )
        yield from run.over_all()


@dataclass
class _PredictRun(BatchRun):
    """A run that asks the models."""

    config: PredictConfig = field(default_factory=PredictConfig)
    defaults: PredictOptions = field(default_factory=PredictOptions)

    def made(self, batch_id: str) -> BatchReport:
        """Ask about the frames of the batch."""
        return predict_batch(self.bench, batch_id, self._options(batch_id), self.provenance())

    def _options(self, batch_id: str) -> PredictOptions:
        retry = None
        if self.config.retry_items is not None:
            retry = RetryOnly(frozenset(self.config.retry_items.get(batch_id, [])))
        is_accepted = self.config.accept_failures or retry is not None
        share = 1.0 if is_accepted else self.defaults.outage_share
        return replace(self.defaults, again=self.config.again, retry_only=retry, outage_share=share)

    def metadata_of(self, report: BatchReport) -> dict[dg.AssetKey, Metadata]:
        """What the models say of the batch, with the frames of which they are least sure."""
        assert isinstance(report, PredictionsReport), "it was made here"
        sheet = sheet_of(report.batch_id, report.cells)
        models = [model.name for model in self.defaults.models]
        return {_KEY: predictions_metadata(report, report.stages[PREDICTIONS.contract.path], models, sheet)}


def as_configured(spec: dg.AssetSpec, settings: Settings) -> dg.AssetSpec:
    """The asset as the models make it: asked for by itself where there are some, its version naming them."""
    if spec.key != _KEY or not settings.models:
        return spec
    try:
        version = PredictOptions(settings.installed_models()).code_version
    except ModelUnfit as error:  # the run says it again, aloud; everything else goes on
        version = f"{PREDICTIONS.code_version}/{error.code.value}"
    return spec.replace_attributes(automation_condition=PER_BATCH_AND_CHANGE, code_version=version)
