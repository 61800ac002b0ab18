"""What "the same tables" means: equal rows after sorting by key, leaving out run ids, times and attempt counts."""

from __future__ import annotations

import hashlib
from typing import Any

import polars as pl

from media_assets.lake.blobs import BlobStore
from media_assets.lake.delta import Lake
from media_assets.tables import (
    ALL_TABLES,
    BATCH_PROFILES,
    FAILURES,
    FRAMES_IMAGES,
    FRAMES_KEYFRAMES,
    RAW_MEDIA,
    TENSORS_HISTOGRAMS,
    TENSORS_STATISTICS,
    TableContract,
)

OVER_ALL = {TENSORS_HISTOGRAMS, TENSORS_STATISTICS}
"""Tables that one run makes over all batches: rows of them name files, or are missing where only batches were made."""
LEFT_OUT = {"run_id", "attempts", "planned_at", "fetched_at", "updated_at", "first_failed_at", "last_failed_at"}


def rows_of(lake: Lake, contract: TableContract) -> list[tuple[Any, ...]]:
    """A table's comparable rows, sorted by key; bytes are hashed."""
    frame = lake.scan(contract).drop(LEFT_OUT & set(contract.schema)).collect().sort(contract.primary_key)
    hashed = [
        pl.col(name).map_elements(lambda b: hashlib.sha256(b).hexdigest(), return_dtype=pl.String)
        for name, kind in frame.schema.items()
        if kind == pl.Binary
    ]
    return frame.with_columns(hashed).rows()


def tables_of(lake: Lake) -> dict[str, list[tuple[Any, ...]]]:
    """Every per-item table of a lake, comparable.

    What failed on the way is history, and no two runs have the same; what is derived after the statuses may be missing
    after a kill.
    """
    left_out = {*OVER_ALL, FAILURES, BATCH_PROFILES}
    return {contract.name: rows_of(lake, contract) for contract in ALL_TABLES if contract not in left_out}


def missing_blobs(lake: Lake, blobs: BlobStore) -> set[str]:
    """Blobs that a table names and the store does not hold, or holds with other bytes."""
    named = set(lake.scan(RAW_MEDIA).select("media_id").collect()["media_id"])
    for frames in (FRAMES_IMAGES, FRAMES_KEYFRAMES):
        named |= set(lake.scan(frames).select("blob").collect()["blob"])
    return {
        name for name in named if blobs.size_bytes(name) is None or hashlib.sha256(blobs.read(name)).hexdigest() != name
    }
