"""`ingest/manifest` and `ingest/item_status`: tables that are written beside the graph, shown in it.

The manifest is written by planning, the item status by every stage through the lake. Not here: either of those.
"""

from __future__ import annotations

import dagster as dg

from media_assets.defs.descriptions import asset_key, definition_metadata
from media_assets.defs.partitions import BATCHES
from media_assets.tables import FRAMES_IMAGES, ITEM_STATUS, MANIFEST, RAW_MEDIA, TENSORS_IMAGES

manifest = dg.AssetSpec(
    asset_key(MANIFEST),
    description=MANIFEST.description + " Plan batches with `media-assets plan`.",
    partitions_def=BATCHES,
    metadata=definition_metadata(MANIFEST),
)

item_status = dg.AssetSpec(
    asset_key(ITEM_STATUS),
    deps=[asset_key(RAW_MEDIA), asset_key(FRAMES_IMAGES), asset_key(TENSORS_IMAGES)],
    description=ITEM_STATUS.description,
    partitions_def=BATCHES,
    metadata=definition_metadata(ITEM_STATUS),
)
