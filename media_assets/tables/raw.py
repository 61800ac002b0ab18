"""Contract of `raw/media`: the accepted raw files."""

from __future__ import annotations

from typing import Annotated

import pandera.polars as pa
import polars as pl

from media_assets.tables.columns import SHA256, Kind, batch_id_column, column
from media_assets.tables.contract import TableContract


class MediaModel(pa.DataFrameModel):
    """One accepted raw file."""

    batch_id: str = batch_id_column()
    item_key: str = column("The manifest's item", str_length={"min_value": 1, "max_value": 4096})
    media_id: str = column("SHA-256 of the bytes, hex; also the name of the blob", str_matches=SHA256)
    kind: str = column("What it holds", isin=[k.value for k in Kind])
    mime: str = column("Type by magic, never by extension or header", str_matches=r"^[a-z]+/[a-z0-9.+-]+$")
    size_bytes: pl.Int64 = column("Size of the file, bytes", ge=1)
    width_px: pl.Int64 = column("Stored width, before turning, pixels", nullable=True, ge=1)
    height_px: pl.Int64 = column("Stored height, before turning, pixels", nullable=True, ge=1)
    n_frames: pl.Int64 = column("Pictures in the file; more than 1: animation, pages, or a video", nullable=True, ge=1)
    bit_depth: pl.Int64 = column("Bits per channel", nullable=True, ge=1, le=64)
    colour_mode: str = column(
        "Channels as stored: RGB, L, CMYK, RGBA, ...; the pixel format of a video: yuv420p, ...", nullable=True
    )
    exif_orientation: pl.Int64 = column("EXIF orientation 1..8; null: none stated", nullable=True, ge=1, le=8)
    duration_ns: pl.Int64 = column("Length of a video or sound, nanoseconds", nullable=True, ge=0)
    captured_at: str = column(
        "Capture time as the file states it, ISO 8601; with an offset only where the file has one",
        nullable=True,
    )
    camera_make: str = column("EXIF Make", nullable=True)
    camera_model: str = column("EXIF Model", nullable=True)
    software: str = column("EXIF Software", nullable=True)
    has_c2pa: bool = column("Whether content credentials (C2PA) are embedded", nullable=True)
    has_location: bool = column("Whether a position is embedded; the position itself is never kept", nullable=True)
    source: str = column("Where it came from", str_length={"min_value": 1})
    uri: str = column(
        "Where its bytes were expected, without query; the whole is in ingest/manifest", str_length={"min_value": 1}
    )
    licence: str = column("Licence as the source states it", nullable=True)
    attribution: str = column("Whom to credit", nullable=True)
    fetched_at: Annotated[pl.Datetime, "us", "UTC"] = column("When the bytes came, UTC")

    class Config:
        """Columns exactly as declared."""

        strict = True
        ordered = True


RAW_MEDIA = TableContract(
    key=("raw", "media"),
    model=MediaModel,
    primary_key=("batch_id", "item_key"),
    partition_by=("batch_id",),
    description="The accepted raw files, proven decodable. The bytes are the blob named by media_id.",
)
