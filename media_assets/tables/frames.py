"""Contracts of `frames`: one still picture per accepted image, and the keyframes of each accepted video."""

from __future__ import annotations

from typing import Annotated

import pandera.polars as pa
import polars as pl

from media_assets.tables.columns import SHA256, batch_id_column, column
from media_assets.tables.contract import TableContract


class FrameModel(pa.DataFrameModel):
    """One still: upright, sRGB, 8-bit RGB, without metadata."""

    batch_id: str = batch_id_column()
    frame_id: str = column("Stable name of the frame over re-runs and machines", str_matches=r"^[0-9a-f]{32}$")
    item_key: str = column("The manifest's item", str_length={"min_value": 1, "max_value": 4096})
    media_id: str = column("The raw file it shows", str_matches=SHA256)
    pts_ns: pl.Int64 = column("Time in the medium, nanoseconds from its start; 0 for stills", ge=0)
    reason: str = column("Why it was chosen: `still`", isin=["still"])
    shot: pl.Int64 = column("Number of the shot it belongs to; null for stills", nullable=True, ge=0)
    blob: str = column("SHA-256 of the blob that holds its pixels losslessly", str_matches=SHA256)
    blob_mime: str = column("Type of that blob", isin=["image/jpeg", "image/png", "image/webp"])
    encoding: str = column(
        "`original`: the raw file already was canonical; `stripped`: the same JPEG data without metadata; "
        "`png`: lossless copy",
        isin=["original", "stripped", "png"],
    )
    width_px: pl.Int64 = column("Upright width, pixels", ge=1)
    height_px: pl.Int64 = column("Upright height, pixels", ge=1)
    turned_degrees: pl.Int64 = column("Clockwise turn taken from the manifest", isin=[0, 90, 180, 270])
    conversions: Annotated[pl.List, pl.String] = column(
        "What the frame does not hold of the file: animation_first_frame, alpha_composited, depth_scaled, ..."
    )

    @pa.dataframe_check
    @classmethod
    def an_original_is_the_raw_file(cls, data: pa.PolarsData) -> pl.LazyFrame:
        """`original` means that frame and raw file are the same bytes."""
        is_original = pl.col("encoding") == "original"
        return data.lazyframe.select(is_original == (pl.col("blob") == pl.col("media_id")))

    class Config:
        """Columns exactly as declared."""

        strict = True
        ordered = True


FRAMES_IMAGES = TableContract(
    key=("frames", "images"),
    model=FrameModel,
    primary_key=("batch_id", "frame_id"),
    partition_by=("batch_id",),
    description="One still per accepted image: upright, sRGB, 8-bit RGB, no metadata, pixels kept losslessly.",
)


class KeyframeModel(pa.DataFrameModel):
    """One still of a video: upright, square pixels, sRGB, 8-bit RGB, without metadata."""

    batch_id: str = batch_id_column()
    frame_id: str = column("Stable name of the frame over re-runs and machines", str_matches=r"^[0-9a-f]{32}$")
    item_key: str = column("The manifest's item", str_length={"min_value": 1, "max_value": 4096})
    media_id: str = column("The video it was taken from", str_matches=SHA256)
    pts_ns: pl.Int64 = column("Time from the first picture shown, nanoseconds, exact to half of one", ge=0)
    pts_ticks: pl.Int64 = column("The same on the stream's own clock, in ticks of `time_base`; exact")
    time_base: str = column("Seconds a tick, as a fraction: `1/90000`", str_matches=r"^[1-9][0-9]*/[1-9][0-9]*$")
    frame_number: pl.Int64 = column("0-based place among the pictures shown; gaps are not closed", ge=0)
    policy: str = column(
        "How pictures were chosen: `codec`, `shots`, `uniform:N`, `every:SECONDS`",
        str_matches=r"^(codec|shots|uniform:[0-9]+|every:[0-9.]+)$",
    )
    reason: str = column(
        "Why it was chosen: it is a key picture (`codec`), the middle of a shot, one of N, on screen at its second",
        isin=["codec", "shots", "uniform", "every"],
    )
    shot: pl.Int64 = column(
        "0-based number of the shot it belongs to; null: shots were not looked for", nullable=True, ge=0
    )
    blob: str = column("SHA-256 of the blob that holds its pixels losslessly", str_matches=SHA256)
    blob_mime: str = column("Type of that blob", isin=["image/png"])
    width_px: pl.Int64 = column("Upright width, pixels", ge=1)
    height_px: pl.Int64 = column("Upright height, pixels", ge=1)
    conversions: Annotated[pl.List, pl.String] = column(
        "What the frame does not hold of the video: pixels_squared, hdr_tone_mapped, depth_scaled, gamut_kept, ..."
    )

    class Config:
        """Columns exactly as declared."""

        strict = True
        ordered = True


FRAMES_KEYFRAMES = TableContract(
    key=("frames", "keyframes"),
    model=KeyframeModel,
    primary_key=("batch_id", "frame_id"),
    partition_by=("batch_id",),
    description="The stills worth looking at of each accepted video, where in it they are, and by which policy they "
    "were chosen.",
)
