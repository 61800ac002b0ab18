"""A contact sheet of a finished batch, made from what the lake holds: failed items first, marked with their code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import polars as pl

from media_assets.engine.tasks import Work
from media_assets.lake.delta import Lake
from media_assets.lake.overview import is_of_other_branch
from media_assets.media.contact_sheet import Cell
from media_assets.media.still import StillRequest
from media_assets.stages.reading import READ_FRAME
from media_assets.stages.workbench import Workbench
from media_assets.tables import FRAMES_IMAGES, FRAMES_KEYFRAMES, ITEM_STATUS
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
    told = ("stage", "item_key", "status", "error_code", "message", "blob")
    statuses = lake.scan(ITEM_STATUS, here).select(told).collect()
    verdicts: dict[str, dict[str, Any]] = {}
    for row in statuses.iter_rows(named=True):
        if is_of_other_branch(row["stage"], row["status"]):
            continue
        before = verdicts.get(row["item_key"])
        if before is None or Status(row["status"]).rank < Status(before["status"]).rank:
            verdicts[row["item_key"]] = row
    of_videos = lake.scan(FRAMES_KEYFRAMES, here).sort("pts_ns").select("item_key", "blob").collect()
    blobs = dict(of_videos.unique("item_key", keep="first", maintain_order=True).iter_rows()) | dict(frames.iter_rows())
    of_bytes = {
        row["blob"]: blobs[row["item_key"]] for row in statuses.iter_rows(named=True) if row["item_key"] in blobs
    }
    for key in sorted(verdicts, key=lambda key: (Status(verdicts[key]["status"]).rank, key)):
        row = verdicts[key]
        frame = of_bytes.get(row["blob"]) if row["status"] == Status.DUPLICATE else blobs.get(key)
        yield {"item_key": key, "frame": frame, "status": row["status"], "caption": caption_of(row)}


def caption_of(status_row: Mapping[str, Any]) -> str:
    """What is written below an item: why it failed, what was converted, or its key."""
    told = status_row["message"] if status_row["status"] == Status.CONVERTED else status_row["error_code"]
    return str(told or status_row["item_key"])
