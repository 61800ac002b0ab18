"""What was read, as table rows: duplicates settled, statuses with their history. Pure.

Not here: reading an item, or holding the rows against contracts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from media_assets.errors import ItemError
from media_assets.ingest.fetch.redaction import place_of
from media_assets.lake.delta import Provenance
from media_assets.media.identity import frame_id
from media_assets.media.still import FrameRead, StillProbe
from media_assets.media.tensors import TensorSpec
from media_assets.media.video.probe import VideoProbe
from media_assets.stages.intake import Entry, Past
from media_assets.stages.stage import Stage
from media_assets.tables.columns import Kind, Status

Row = dict[str, Any]


@dataclass
class Reading:
    """All that is remembered of one item after its read: small values only, never pixels."""

    entry: Entry
    media_id: str | None = None
    size_bytes: int = 0
    fetched_at: datetime | None = None
    error: ItemError | None = None
    probe: StillProbe | None = None  # of a still
    video: VideoProbe | None = None  # of a video
    frame: FrameRead | None = None  # without its data
    frame_blob: str | None = None
    frame_id: str | None = None
    thumbnail: bytes | None = None

    @property
    def key(self) -> str:
        """The item's key."""
        return self.entry.key

    @property
    def upright_size_px(self) -> tuple[int, int]:
        """(width, height) of the frame, pixels."""
        if self.frame is not None:
            return self.frame.width_px, self.frame.height_px
        assert self.entry.frame is not None, "an item without a fresh frame entered with a stored one"
        return self.entry.frame["width_px"], self.entry.frame["height_px"]


def settle_duplicates(media: Iterable[tuple[int, str, str]]) -> dict[str, str]:
    """Item key of every repeat → key of the item it repeats, from (position, item key, media_id) of all good items.

    The earliest item of the batch is the original: its place decides, never the order in which bytes arrived.
    """
    original: dict[str, str] = {}
    repeats: dict[str, str] = {}
    for _, key, media_id in sorted(media):
        if (first := original.setdefault(media_id, key)) != key:
            repeats[key] = first
    return repeats


def raw_row(reading: Reading) -> Row:
    """The `raw/media` row of an accepted item."""
    item = reading.entry.item
    return {
        "batch_id": item["batch_id"],
        "item_key": item["item_key"],
        "media_id": reading.media_id,
        **(_still_facts(reading.probe) if reading.video is None else _video_facts(reading.video)),
        "size_bytes": reading.size_bytes,
        "source": item["source"],
        "uri": place_of(item["uri"]),
        "licence": item["licence"],
        "attribution": item["attribution"],
        "fetched_at": reading.fetched_at,
    }


def _video_facts(probe: VideoProbe) -> Row:
    pictures = probe.pictures
    assert pictures is not None, "an accepted video shows something"
    return {
        "kind": Kind.VIDEO.value,
        "mime": probe.mime,
        "width_px": pictures.width_px,
        "height_px": pictures.height_px,
        "n_frames": pictures.n_frames,
        "bit_depth": pictures.bit_depth,
        "colour_mode": pictures.pixel_format,
        "duration_ns": pictures.duration_ns,
    }


def _still_facts(probe: StillProbe | None) -> Row:
    assert probe is not None, "an accepted item was probed"
    return {
        "kind": Kind.IMAGE.value,
        "mime": probe.mime,
        "width_px": probe.width_px,
        "height_px": probe.height_px,
        "n_frames": probe.n_frames,
        "bit_depth": probe.bit_depth,
        "colour_mode": probe.colour_mode,
        "exif_orientation": probe.exif_orientation,
        "captured_at": probe.captured_at,
        "camera_make": probe.camera_make,
        "camera_model": probe.camera_model,
        "software": probe.software,
        "has_c2pa": probe.has_c2pa,
        "has_location": probe.has_location,
    }


def frame_row(reading: Reading) -> Row:
    """The `frames/images` row of an accepted item."""
    item, frame = reading.entry.item, reading.frame
    assert frame is not None, "an accepted item has a frame"
    return {
        "batch_id": item["batch_id"],
        "frame_id": reading.frame_id,
        "item_key": item["item_key"],
        "media_id": reading.media_id,
        "pts_ns": 0,
        "reason": "still",
        "blob": reading.frame_blob,
        "blob_mime": frame.mime,
        "encoding": frame.encoding,
        "width_px": frame.width_px,
        "height_px": frame.height_px,
        "turned_degrees": frame.turned_degrees,
        "conversions": list(frame.conversions),
    }


def frame_id_of(media_id: str, frame: FrameRead) -> str:
    """The stable name of a still's frame."""
    return frame_id(media_id, 0, frame.turned_degrees)


def tensor_row(batch_id: str, frame: str, spec: TensorSpec, shape: Sequence[int], tensor: bytes) -> Row:
    """One `tensors/images` row."""
    affine = spec.affine
    return {
        "batch_id": batch_id,
        "frame_id": frame,
        "spec": spec.name,
        "shape": list(shape),
        "layout": spec.layout,
        "dtype": spec.dtype,
        "scale": affine.scale,
        "mean": list(affine.mean),
        "std": list(affine.std),
        "tensor": tensor,
    }


@dataclass(frozen=True)
class StatusWriter:
    """Makes the status rows of one stage and batch, going on from what was said before."""

    stage: Stage
    code_version: str
    batch_id: str
    past: Past
    provenance: Provenance
    now: datetime

    def done(self, item_key: str, status: Status, n_outputs: int, blob: str | None, message: str | None = None) -> Row:
        """A row for an item that did not fail."""
        return self._row(item_key, status, n_outputs, blob, message)

    def failed(self, item_key: str, error: ItemError, blob: str | None) -> Row:
        """A row for an item that failed: the dead letter."""
        before = self.past.status(self.stage, item_key)
        first = (before["first_failed_at"] if before is not None else None) or self.now
        return self._row(item_key, Status.FAILED, 0, blob, error.message) | {
            "error_code": error.code.value,
            "is_retryable": error.is_retryable,
            "first_failed_at": first,
            "last_failed_at": max(first, self.now),  # a clock that was set back makes no negative age
        }

    def carried(self, item_key: str) -> Row | None:
        """The row as it stands, for an item that was left untouched."""
        return self.past.status(self.stage, item_key)

    def _row(self, item_key: str, status: Status, n_outputs: int, blob: str | None, message: str | None) -> Row:
        before = self.past.status(self.stage, item_key)
        return {
            "stage": self.stage.name,
            "batch_id": self.batch_id,
            "item_key": item_key,
            "status": status.value,
            "error_code": None,
            "is_retryable": None,
            "message": message,
            "attempts": (before["attempts"] if before is not None else 0) + 1,
            "first_failed_at": None,
            "last_failed_at": None,
            "n_outputs": n_outputs,
            "code_version": self.code_version,
            "blob": blob,
            "run_id": self.provenance.run_id,
            "updated_at": self.now,
        }
