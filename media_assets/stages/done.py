"""Which batches are done, as the statuses and the marks of publications say. Not here: doing them (`images.py`)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import polars as pl

from media_assets.lake.delta import Lake
from media_assets.lake.overview import batch_overview
from media_assets.lake.publications import unfinished_publications
from media_assets.stages.stage import KEYFRAMES, Stage
from media_assets.tables.columns import Status


def done_batches(lake: Lake, stages: Collection[Stage]) -> set[str]:
    """Planned batches in which every item that entered these stages, or one before them, has its status there, and
    that are not half published. Nothing enters a stage when the one before let nothing through: it is done then.
    """
    up_to = {each.name for stage in stages for each in stage.line}
    rows = batch_overview(lake).filter(pl.col("stage").is_in(up_to))
    told = pl.sum_horizontal(status.value for status in Status)
    complete = rows.group_by("batch_id").agg((told == pl.col("expected")).all().alias("is_done")).filter("is_done")
    return set(complete["batch_id"]) - unfinished_publications(lake.location)


def made_in_part(lake: Lake, stages: Collection[Stage], batch_ids: Sequence[str]) -> list[str]:
    """Those of these batches, none of them done, that lack `frames/keyframes` alone: they are from before it was."""
    others = [stage for stage in stages if stage is not KEYFRAMES]
    if not others or KEYFRAMES not in stages:
        return []
    done = done_batches(lake, others)
    return [batch_id for batch_id in batch_ids if batch_id in done]
