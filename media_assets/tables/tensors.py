"""Contracts of the `tensors` stage: frames at one shape and range, histograms of each batch, statistics over all."""

from __future__ import annotations

from typing import Annotated

import pandera.polars as pa
import polars as pl

from media_assets.tables.columns import batch_id_column, column
from media_assets.tables.contract import TableContract


class TensorModel(pa.DataFrameModel):
    """One frame at one TensorSpec."""

    batch_id: str = batch_id_column()
    frame_id: str = column("The frame it was made from", str_matches=r"^[0-9a-f]{32}$")
    spec: str = column("Name of the TensorSpec: size, fit, resampling, layout, dtype, normalization")
    shape: Annotated[pl.List, pl.Int64] = column("Shape of the array, in the order of `layout`")
    layout: str = column("`hwc`: height, width, channel; `chw`: channel first", isin=["hwc", "chw"])
    dtype: str = column("Type of the stored numbers, little-endian", isin=["uint8", "float16", "float32"])
    scale: pl.Float64 = column("normalized = (stored * scale - mean) / std", gt=0)
    mean: Annotated[pl.List, pl.Float64] = column("Per channel R, G, B, in the range of stored * scale")
    std: Annotated[pl.List, pl.Float64] = column("Per channel R, G, B, in the range of stored * scale")
    tensor: pl.Binary = column("The array's bytes, C order; normalize with scale, mean and std")

    class Config:
        """Columns exactly as declared."""

        strict = True
        ordered = True


TENSORS_IMAGES = TableContract(
    key=("tensors", "images"),
    model=TensorModel,
    primary_key=("batch_id", "frame_id", "spec"),
    partition_by=("batch_id",),
    description="One frame at one TensorSpec: fixed shape, quantised, with the affine map to normalized values.",
)


class HistogramModel(pa.DataFrameModel):
    """How often each level occurs in one channel of one batch's tensors of one TensorSpec."""

    batch_id: str = batch_id_column()
    spec: str = column("Name of the TensorSpec")
    channel: pl.Int64 = column("0 red, 1 green, 2 blue", ge=0, le=2)
    n_tensors: pl.Int64 = column("Tensors of the spec in the batch", ge=1)
    layout: str = column("As in `tensors/images`: one for all tensors of a spec", isin=["hwc", "chw"])
    dtype: str = column("As in `tensors/images`: one for all tensors of a spec", isin=["uint8", "float16", "float32"])
    scale: pl.Float64 = column("As in `tensors/images`: one for all tensors of a spec", gt=0)
    mean: Annotated[pl.List, pl.Float64] = column("As in `tensors/images`: one for all tensors of a spec")
    std: Annotated[pl.List, pl.Float64] = column("As in `tensors/images`: one for all tensors of a spec")
    gain: Annotated[pl.List, pl.Float64] = column(
        "Per channel R, G, B: stored * gain + offset is the picture in 0..1; null where floats do not say it",
        nullable=True,
    )
    offset: Annotated[pl.List, pl.Float64] = column("See `gain`", nullable=True)
    histogram: Annotated[pl.List, pl.Int64] = column(
        "Counts of the 256 levels 0..255 (floats: rounded to them); null where `gain` is: not counted", nullable=True
    )
    digest: str = column(
        "Of the batch's files in `tensors/images` and of all its rows here; one that does not fit is measured anew",
        str_matches=r"^[0-9a-f]{16}$",
    )

    class Config:
        """Columns exactly as declared."""

        strict = True
        ordered = True


TENSORS_HISTOGRAMS = TableContract(
    key=("tensors", "histograms"),
    model=HistogramModel,
    primary_key=("batch_id", "spec", "channel"),
    partition_by=("batch_id",),
    description="Histogram of each channel over one batch, counted once: what the statistics are the sum of.",
)


class StatisticsModel(pa.DataFrameModel):
    """Mean and standard deviation of one channel of one TensorSpec, over every batch that is done."""

    spec: str = column("Name of the TensorSpec")
    channel: pl.Int64 = column("0 red, 1 green, 2 blue", ge=0, le=2)
    n_tensors: pl.Int64 = column("Tensors counted", ge=1)
    n_values: pl.Int64 = column("Values counted in this channel", ge=1)
    mean: pl.Float64 = column("Mean in 0..1 (stored * scale; undone from the stored normalization for floats)")
    std: pl.Float64 = column("Population standard deviation, same unit", ge=0)
    histogram: Annotated[pl.List, pl.Int64] = column("Counts of the 256 levels 0..255 (floats: rounded to them)")

    class Config:
        """Columns exactly as declared."""

        strict = True
        ordered = True


TENSORS_STATISTICS = TableContract(
    key=("tensors", "statistics"),
    model=StatisticsModel,
    primary_key=("spec", "channel"),
    partition_by=(),
    description="Mean, standard deviation and histogram of each channel over every batch that is done.",
)
