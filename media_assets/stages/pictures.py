"""A contact sheet of a finished batch, made from what the lake holds: failed items first, marked with their code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import polars as pl

from media_assets.engine.tasks import Work
from media_assets.lake.delta import Lake
from media_assets.media.contact_sheet import Cell
from media_assets.media.still import StillRequest
from media_assets.stages.reading import READ_FRAME
from media_assets.stages.workbench import Workbench
from media_assets.tables import FRAMES_IMAGES, ITEM_STATUS
from media_assets.tables.columns import Status


def batch_cells(bench: Workbench, batch_id: str, n_cells: int = 64) -> list[Cell]:
    """One cell per item, at most `n_cells`: failed ones first, then converted, then the others by key."""
    shown = list(_shown(bench.lake, batch_id))[:n_cells]
    works = (
        Work(
            row["item_key"],
            bench.blobs.source(row["frame"]),
            StillRequest(wants_frame=False, wants_thumbnail=True, expected_sha256=row["frame"]),
        )
        for row in shown
        if row["frame"] is not None
    )
    thumbnails: dict[str, bytes | None] = {}
    with closing(bench.engine.map_items(READ_FRAME, works)) as outcomes:
        for outcome in outcomes:
            thumbnails[outcome.key] = outcome.response.thumbnail if outcome.response else None
    return [Cell(thumbnails.get(row["item_key"]), row["caption"], row["status"]) for row in shown]


def _shown(lake: Lake, batch_id: str) -> Iterator[dict[str, Any]]:
    here = {"batch_id": [batch_id]}
    frames = lake.scan(FRAMES_IMAGES, here).select("item_key", pl.col("blob").alias("frame")).collect()
    statuses = lake.scan(ITEM_STATUS, here).select("stage", "item_key", "status", "error_code", "message").collect()
    verdicts: dict[str, dict[str, Any]] = {}
    for row in statuses.iter_rows(named=True):
        before = verdicts.get(row["item_key"])
        if before is None or _rank(row["status"]) < _rank(before["status"]):
            verdicts[row["item_key"]] = row
    blobs = dict(frames.iter_rows())
    for key in sorted(verdicts, key=lambda key: (_rank(verdicts[key]["status"]), key)):
        row = verdicts[key]
        caption = row["error_code"] or (row["message"] if row["status"] == Status.CONVERTED else None) or key
        yield {"item_key": key, "frame": blobs.get(key), "status": row["status"], "caption": caption}


_ORDER = [Status.FAILED, Status.CONVERTED, Status.DUPLICATE, Status.FILTERED, Status.ERASED, Status.ACCEPTED]


def _rank(status: str) -> int:
    return _ORDER.index(Status(status))
