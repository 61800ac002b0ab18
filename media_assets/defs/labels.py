"""`labels/*` in the graph: what people are asked, what they answered, and what it comes to.

Not here: the queue (`labeling/`), or what is computed (`curation/`).
"""

from __future__ import annotations

import dagster as dg

from media_assets.defs.descriptions import asset_key, definition_metadata
from media_assets.defs.partitions import BATCHES
from media_assets.tables import (
    FRAMES_IMAGES,
    FRAMES_KEYFRAMES,
    LABELS_ANNOTATIONS,
    LABELS_CONSENSUS,
    LABELS_QUEUE,
    TableContract,
)


def _spec(contract: TableContract, *deps: TableContract) -> dg.AssetSpec:
    return dg.AssetSpec(
        asset_key(contract),
        deps=[asset_key(dep) for dep in deps],
        description=contract.description,
        partitions_def=BATCHES,
        metadata=definition_metadata(contract),
    )


queue = _spec(LABELS_QUEUE, FRAMES_IMAGES, FRAMES_KEYFRAMES)
answers = _spec(LABELS_ANNOTATIONS, LABELS_QUEUE)
consensus = _spec(LABELS_CONSENSUS, LABELS_ANNOTATIONS)
