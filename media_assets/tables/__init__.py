"""The contracts of the lakehouse: one file per stage, one pandera model per table.

Not here: reading or writing a table (`lake/`).
"""

from media_assets.tables.contract import TableContract, Violation
from media_assets.tables.frames import FRAMES_IMAGES, FRAMES_KEYFRAMES
from media_assets.tables.ingest import FAILURES, ITEM_STATUS, MANIFEST
from media_assets.tables.labels import LABELS_ANNOTATIONS, LABELS_CONSENSUS, LABELS_QUEUE
from media_assets.tables.ops import BATCH_PROFILES
from media_assets.tables.predictions import PREDICTIONS_FRAMES
from media_assets.tables.raw import RAW_MEDIA
from media_assets.tables.tensors import TENSORS_HISTOGRAMS, TENSORS_IMAGES, TENSORS_STATISTICS

ALL_TABLES: tuple[TableContract, ...] = (
    MANIFEST,
    ITEM_STATUS,
    RAW_MEDIA,
    FRAMES_IMAGES,
    FRAMES_KEYFRAMES,
    TENSORS_IMAGES,
    TENSORS_HISTOGRAMS,
    TENSORS_STATISTICS,
    PREDICTIONS_FRAMES,
    FAILURES,
    BATCH_PROFILES,
    LABELS_QUEUE,
    LABELS_ANNOTATIONS,
    LABELS_CONSENSUS,
)
"""Every table of the graph, in the order of the data's path."""

__all__ = [
    "ALL_TABLES",
    "BATCH_PROFILES",
    "FAILURES",
    "FRAMES_IMAGES",
    "FRAMES_KEYFRAMES",
    "ITEM_STATUS",
    "LABELS_ANNOTATIONS",
    "LABELS_CONSENSUS",
    "LABELS_QUEUE",
    "MANIFEST",
    "PREDICTIONS_FRAMES",
    "RAW_MEDIA",
    "TENSORS_HISTOGRAMS",
    "TENSORS_IMAGES",
    "TENSORS_STATISTICS",
    "TableContract",
    "Violation",
]
