"""What of a batch can be asked about: its stills, or its videos, with what orders them. Lake in, dataframe out.

Uncertainty comes from `predictions/frames`, where that table is there. A perceptual hash is that of the still's
thumbnail, decoded in the sandbox for the purpose; the thumbnails are handed on, for a contact sheet.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field

import polars as pl

from media_assets.engine.map_items import Engine
from media_assets.engine.tasks import Task, Work
from media_assets.errors import StoreFailed
from media_assets.lake.blobs import BlobStore
from media_assets.lake.delta import Lake
from media_assets.media.fingerprints import thumbnail_hash
from media_assets.media.still import StillRead, StillRequest
from media_assets.tables import FRAMES_IMAGES, FRAMES_KEYFRAMES, PREDICTIONS_FRAMES, RAW_MEDIA

_LOOK = Task("media_assets.media.still:read_frame", StillRequest, StillRead)

CANDIDATE = pl.Schema(
    {
        "subject_id": pl.String,
        "item_key": pl.String,
        "media_id": pl.String,
        "blob": pl.String,
        "media_type": pl.String,
        "uncertainty": pl.Float64,
        "perceptual_hash": pl.UInt64,
    }
)


@dataclass(frozen=True)
class Looks:
    """What was seen of stills: frame id → thumbnail (JPEG) and hash. Those that could not be opened are not in it."""

    thumbnails: dict[str, bytes] = field(default_factory=dict)
    hashes: dict[str, int] = field(default_factory=dict)


def frames_of(lake: Lake, batch_id: str) -> pl.DataFrame:
    """Every still of a batch, once each, as `CANDIDATE` without a hash; of several predictions the least certain."""
    here = {"batch_id": [batch_id]}
    columns = (
        pl.col("frame_id").alias("subject_id"),
        "item_key",
        "media_id",
        "blob",
        pl.col("blob_mime").alias("media_type"),
    )
    stills = pl.concat([lake.scan(table, here).select(columns) for table in (FRAMES_IMAGES, FRAMES_KEYFRAMES)])
    predicted = (
        lake.scan(PREDICTIONS_FRAMES, here)
        .group_by(subject_id="frame_id")
        .agg(pl.col("uncertainty").max())
        .select("subject_id", "uncertainty")
    )
    first = stills.sort("subject_id", "item_key").unique("subject_id", keep="first", maintain_order=True)
    frames = first.join(predicted, on="subject_id", how="left").sort("subject_id").collect()
    return frames.with_columns(perceptual_hash=pl.lit(None, pl.UInt64)).select(CANDIDATE.names())


def videos_of(lake: Lake, batch_id: str) -> pl.DataFrame:
    """Every video of a batch, once each, as `CANDIDATE`; as uncertain as its most uncertain keyframe."""
    videos = (
        lake.scan(RAW_MEDIA, {"batch_id": [batch_id]})
        .filter(pl.col("kind") == "video")
        .select(
            pl.col("media_id").alias("subject_id"),
            "item_key",
            "media_id",
            pl.col("media_id").alias("blob"),
            pl.col("mime").alias("media_type"),
        )
        .sort("item_key")
        .unique("subject_id", keep="first", maintain_order=True)
        .collect()
    )
    uncertain = frames_of(lake, batch_id).group_by("media_id").agg(pl.col("uncertainty").max())
    return (
        videos.join(uncertain, on="media_id", how="left")
        .sort("subject_id")
        .with_columns(perceptual_hash=pl.lit(None, pl.UInt64))
        .select(CANDIDATE.names())
    )


def look_at(frames: pl.DataFrame, blobs: BlobStore, engine: Engine) -> Looks:
    """Open each still once, in the sandbox. One that cannot be opened has no hash, and is asked about all the same.

    Raises:
        StoreFailed: none of them could be opened.
    """
    works = (
        Work(frame_id, blobs.source(blob), StillRequest(wants_frame=False, wants_thumbnail=True, expected_sha256=blob))
        for frame_id, blob in frames.select("subject_id", "blob").iter_rows()
    )
    looks, n_failed = Looks(), 0
    with closing(engine.map_items(_LOOK, works)) as outcomes:
        for outcome in outcomes:
            if outcome.response is None or outcome.response.thumbnail is None:
                n_failed += 1
                continue
            looks.thumbnails[outcome.key] = outcome.response.thumbnail
            looks.hashes[outcome.key] = thumbnail_hash(outcome.response.thumbnail)
    if n_failed and n_failed == frames.height:
        raise StoreFailed(f"Expected to open the {frames.height} stills that people are to be asked about, got none.")
    return looks


def with_hashes(frames: pl.DataFrame, looks: Looks) -> pl.DataFrame:
    """The frames with the hashes of those that were looked at."""
    hashes = pl.Series([looks.hashes.get(each) for each in frames["subject_id"]], dtype=pl.UInt64)
    return frames.with_columns(perceptual_hash=hashes)
