"""`ingest/manifest`, `ingest/item_status` and `ingest/failures`: tables that are written beside the graph, shown in it.

The manifest is written by planning, the other two by every stage through the lake. Not here: either of those.
"""

from __future__ import annotations

import dagster as dg

from media_assets.defs.descriptions import asset_key, definition_metadata
from media_assets.defs.partitions import BATCHES
from media_assets.tables import (
    FAILURES,
    FRAMES_IMAGES,
    FRAMES_KEYFRAMES,
    ITEM_STATUS,
    MANIFEST,
    PREDICTIONS_FRAMES,
    RAW_MEDIA,
    TENSORS_IMAGES,
)

manifest = dg.AssetSpec(
    asset_key(MANIFEST),
    description=MANIFEST.description + " Plan batches with `media-assets plan`.",
    partitions_def=BATCHES,
    metadata=definition_metadata(MANIFEST),
)

item_status = dg.AssetSpec(
    asset_key(ITEM_STATUS),
    deps=[
        asset_key(table) for table in (RAW_MEDIA, FRAMES_IMAGES, TENSORS_IMAGES, FRAMES_KEYFRAMES, PREDICTIONS_FRAMES)
    ],
    description=ITEM_STATUS.description,
    partitions_def=BATCHES,
    metadata=definition_metadata(ITEM_STATUS),
)

failures = dg.AssetSpec(
    asset_key(FAILURES),
    deps=[asset_key(ITEM_STATUS)],
    description=FAILURES.description,
    partitions_def=BATCHES,
    metadata=definition_metadata(FAILURES),
)
