"""The whole graph: every asset, check, sensor and resource, with owners and groups laid over all specs once."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import dagster as dg

from media_assets.defs import (
    alerts,
    automation,
    drift,
    freshness,
    images,
    inbox,
    ingest,
    label_studio,
    labels,
    predictions,
    retry_batches,
    retry_letters,
    tensors,
)
from media_assets.defs.resources import Settings, WorkbenchResource, s3_resource
from media_assets.stages.workbench import no_progress

OWNER = "team:media-platform"
_OF_ALL_STAGES = {ingest.item_status.key, ingest.failures.key, drift.batch_profiles.key}


def _policy_of(settings: Settings) -> Callable[[dg.AssetSpec], dg.AssetSpec]:
    """Owner and group of every asset: the group is the stage, and what comes of all stages is a group of its own.

    Live assets also get their freshness policy, where something is expected to arrive.
    """
    policy = freshness.live_policy(settings)

    def lay(spec: dg.AssetSpec) -> dg.AssetSpec:
        group = "outcomes" if spec.key in _OF_ALL_STAGES else spec.key.path[0]
        spec = labels.as_configured(predictions.as_configured(spec, settings), settings)
        spec = spec.replace_attributes(owners=[OWNER], group_name=group, kinds=spec.kinds or {"deltalake"})
        return spec.replace_attributes(freshness_policy=policy) if spec.key in freshness.LIVE and policy else spec

    return lay


def build_defs(settings: Settings | None = None, resources: Mapping[str, object] | None = None) -> dg.Definitions:
    """The whole graph; tests and the command line pass their own settings and resources."""
    assets: list[dg.AssetSpec | dg.AssetsDefinition] = [
        ingest.manifest,
        ingest.item_status,
        ingest.failures,
        images.read_images,
        predictions.predict_frames,
        tensors.measure_tensors,
        drift.batch_profiles,
        labels.queue,
        labels.answers,
        labels.consensus,
        label_studio.pushed,
        label_studio.pulled,
    ]
    settings = settings or Settings.from_environment()
    return dg.Definitions(
        assets=assets,
        asset_checks=freshness.source_checks(settings),
        sensors=[
            automation.SENSOR,
            inbox.inbox,
            retry_batches.retry_failed_batches,
            retry_letters.retry_dead_letters,
            alerts.alerts,
            freshness.source_freshness,
            label_studio.exchange_labels,
        ],
        resources={
            "workbench": WorkbenchResource.of(settings),
            "progress": no_progress,
            **s3_resource(settings),
            **(resources or {}),
        },
    ).map_resolved_asset_specs(func=_policy_of(settings))
