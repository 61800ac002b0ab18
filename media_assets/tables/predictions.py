"""Contracts of `predictions`: what models say of frames."""

from __future__ import annotations

from typing import Annotated

import pandera.polars as pa
import polars as pl

from media_assets.tables.columns import SHA256, batch_id_column, column
from media_assets.tables.contract import TableContract

REGION = pl.Struct(
    {
        "label": pl.String,
        "score": pl.Float64,  # 0..1
        "x": pl.Float64,  # boxes: left, 0..1 of the upright picture's width; null for a label of the whole picture
        "y": pl.Float64,  # top, 0..1 of its height
        "width": pl.Float64,  # 0..1 of its width
        "height": pl.Float64,  # 0..1 of its height
    }
)


class PredictionModel(pa.DataFrameModel):
    """What one model says of one frame."""

    batch_id: str = batch_id_column()
    frame_id: str = column("The frame, of frames/images or frames/keyframes", str_matches=r"^[0-9a-f]{32}$")
    item_key: str = column("The manifest's item", str_length={"min_value": 1, "max_value": 4096})
    model: str = column("Which model: the id of its description", str_matches=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    model_version: str = column(
        "Its version, and after `+` a digest of its file and of all in its description that changes what it says",
        str_matches=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\+[0-9a-f]{12}$",
    )
    task: str = column("What it was asked", isin=["classification", "detection"])
    label: str = column("The label with the greatest score; null: it found nothing", nullable=True)
    score: pl.Float64 = column("Score of that label, 0..1, as the model gives it", nullable=True, ge=0, le=1)
    uncertainty: pl.Float64 = column(
        "How unsure it is, 0..1: the entropy of all probabilities as a share of the greatest there can be; of boxes "
        "the entropy, in bits, of the one it is least sure of, and null where it found none",
        nullable=True,
        ge=0,
        le=1,
    )
    regions: Annotated[pl.List, REGION] = column(
        "What it found, best first: labels of the whole picture, or boxes as fractions 0..1 of the upright picture"
    )
    blob: str = column("SHA-256 of the blob that holds the pixels it was shown", str_matches=SHA256)

    @pa.dataframe_check
    @classmethod
    def boxes_lie_on_the_picture(cls, data: pa.PolarsData) -> pl.LazyFrame:
        """A box has four sides of 0..1 that add up to no more than the picture; a label of all of it has none."""
        region = pl.element().struct
        x, y = region.field("x"), region.field("y")
        width, height = region.field("width"), region.field("height")
        ends = (x >= 0) & (y >= 0) & (width >= 0) & (height >= 0) & (x + width <= 1.00001) & (y + height <= 1.00001)
        boxes = pl.col("regions").list.eval(ends.fill_null(value=False)).list.all()
        none = pl.col("regions").list.eval(x.is_null() & y.is_null() & width.is_null() & height.is_null()).list.all()
        return data.lazyframe.select(pl.when(pl.col("task") == "classification").then(none).otherwise(boxes))

    class Config:
        """Columns exactly as declared."""

        strict = True
        ordered = True


PREDICTIONS_FRAMES = TableContract(
    key=("predictions", "frames"),
    model=PredictionModel,
    primary_key=("batch_id", "frame_id", "model"),
    partition_by=("batch_id",),
    description="What each configured model says of each frame, with its version and scores: what a person would be "
    "shown first, and where a person is needed most.",
)
