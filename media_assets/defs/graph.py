"""The whole graph: every asset, check, sensor and resource, with owners and groups laid over all specs once."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from media_assets.defs import alerts, automation, images, inbox, ingest, retry_batches, retry_letters, tensors
from media_assets.defs.resources import Settings, WorkbenchResource, s3_resource
from media_assets.stages.workbench import no_progress

OWNER = "team:media-platform"


def _lay_policy(spec: dg.AssetSpec) -> dg.AssetSpec:
    """Owner and group of every asset: the group is the stage, and what comes of all stages is a group of its own."""
    group = "outcomes" if spec.key in (ingest.item_status.key, ingest.failures.key) else spec.key.path[0]
    return spec.replace_attributes(owners=[OWNER], group_name=group, kinds=spec.kinds or {"deltalake"})


def build_defs(settings: Settings | None = None, resources: Mapping[str, object] | None = None) -> dg.Definitions:
    """The whole graph; tests and the command line pass their own settings and resources."""
    assets: list[dg.AssetSpec | dg.AssetsDefinition] = [
        ingest.manifest,
        ingest.item_status,
        ingest.failures,
        images.read_images,
        tensors.measure_tensors,
    ]
    settings = settings or Settings.from_environment()
    return dg.Definitions(
        assets=assets,
        sensors=[
            automation.SENSOR,
            inbox.inbox,
            retry_batches.retry_failed_batches,
            retry_letters.retry_dead_letters,
            alerts.alerts,
        ],
        resources={
            "workbench": WorkbenchResource.of(settings),
            "progress": no_progress,
            **s3_resource(settings),
            **(resources or {}),
        },
    ).map_resolved_asset_specs(func=_lay_policy)
