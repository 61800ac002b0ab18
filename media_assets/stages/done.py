"""Which batches are done, as the statuses and the marks of publications say. Not here: doing them (`images.py`)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import polars as pl

from media_assets.lake.delta import Lake
from media_assets.lake.overview import batch_overview
from media_assets.lake.publications import OF_PREDICTIONS, unfinished_publications
from media_assets.stages.stage import FRAMES, KEYFRAMES, PREDICTIONS, Stage
from media_assets.tables import ITEM_STATUS, MANIFEST
from media_assets.tables.columns import Status


def done_batches(lake: Lake, stages: Collection[Stage]) -> set[str]:
    """Planned batches in which every item that entered these stages, or one before them, has its status there, and
    that are not half published. Nothing enters a stage when the one before let nothing through: it is done then.
    """
    if PREDICTIONS in stages:
        before = [FRAMES, KEYFRAMES, *(stage for stage in stages if stage is not PREDICTIONS)]
        return done_batches(lake, before) & _predicted_batches(lake)
    up_to = {each.name for stage in stages for each in stage.line}
    rows = batch_overview(lake).filter(pl.col("stage").is_in(up_to))
    told = pl.sum_horizontal(status.value for status in Status)
    complete = rows.group_by("batch_id").agg((told == pl.col("expected")).all().alias("is_done")).filter("is_done")
    return set(complete["batch_id"]) - unfinished_publications(lake.location)


def _predicted_batches(lake: Lake) -> set[str]:
    """Batches in which each item with frames, and no other one, has its status at `predictions/frames`, and that are
    not half published there. Whoever changes an item's frames withdraws what models said of it.
    """
    known = (
        lake.scan(ITEM_STATUS, {"stage": [FRAMES.name, KEYFRAMES.name, PREDICTIONS.name]})
        .select("batch_id", "item_key", "stage", _GOES_ON.alias("goes_on"))
        .group_by("batch_id", "item_key")
        .agg(
            (pl.col("goes_on") & (pl.col("stage") != PREDICTIONS.name)).any().alias("entered"),
            (pl.col("stage") == PREDICTIONS.name).any().alias("told"),
        )
        .collect()
    )
    planned = lake.scan(MANIFEST).select("batch_id").unique().collect()["batch_id"]
    behind = known.filter(pl.col("entered") != pl.col("told"))["batch_id"]
    return set(planned) - set(behind) - unfinished_publications(lake.location, OF_PREDICTIONS)


_GOES_ON = pl.col("status").is_in([status.value for status in Status if status.goes_on])


def made_in_part(
    lake: Lake, stages: Collection[Stage], batch_ids: Sequence[str], later: Stage = KEYFRAMES
) -> list[str]:
    """Those of these batches, none of them done, that lack a later stage alone, and what models say after it: they are
    from before it was, or from before there was a model.
    """
    others = [stage for stage in stages if stage not in (later, PREDICTIONS)]
    if not others or later not in stages:
        return []
    done = done_batches(lake, others)
    return [batch_id for batch_id in batch_ids if batch_id in done]
