"""Rows that hold their contracts: one of each table to start from, and hypothesis strategies for many."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl
from hypothesis import strategies as st

from media_assets.errors import ErrorCode
from media_assets.tables import (
    ALL_TABLES,
    BATCH_PROFILES,
    FAILURES,
    FRAMES_IMAGES,
    FRAMES_KEYFRAMES,
    ITEM_STATUS,
    LABELS_ANNOTATIONS,
    LABELS_CONSENSUS,
    LABELS_QUEUE,
    MANIFEST,
    PREDICTIONS_FRAMES,
    RAW_MEDIA,
    TENSORS_HISTOGRAMS,
    TENSORS_IMAGES,
    TENSORS_STATISTICS,
    TableContract,
)

CONTRACTS: tuple[TableContract, ...] = ALL_TABLES

Row = dict[str, Any]

BATCH = "test.0001"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LABEL: Row = {
    "name": "/m/01g317",
    "display_name": "Person",
    "annotator": "xclick",
    "confidence": 1.0,
    "x_min": 0.25,
    "y_min": 0.5,
    "x_max": 0.75,
    "y_max": 1.0,
    "is_occluded": True,
    "is_truncated": False,
    "is_group_of": None,
    "is_depiction": False,
    "is_inside": None,
}

REGION: Row = {"label": "cat", "score": 0.75, "x": 0.25, "y": 0.5, "width": 0.5, "height": 0.5}


def sha(letter: str = "a") -> str:
    """Something shaped like a SHA-256."""
    return letter * 64


VALID: dict[TableContract, Row] = {
    MANIFEST: {
        "batch_id": BATCH,
        "item_key": "1.jpg",
        "position": 0,
        "source": "folder",
        "uri": "file:///photos/1.jpg",
        "kind": "image",
        "declared_bytes": 12,
        "declared_checksum": "md5:" + "0" * 32,
        "licence": "CC BY 4.0",
        "attribution": "Ada",
        "landing_uri": "https://example.org/1",
        "rotation_degrees": 90,
        "subject_id": "s",
        "original_id": "o",
        "split_hint": "train",
        "labels": [LABEL],
        "planned_at": NOON,
    },
    ITEM_STATUS: {
        "stage": "raw.media",
        "batch_id": BATCH,
        "item_key": "1.jpg",
        "status": "failed",
        "error_code": "not_found",
        "is_retryable": False,
        "message": "404",
        "attempts": 1,
        "first_failed_at": NOON,
        "last_failed_at": NOON,
        "n_outputs": 0,
        "code_version": "1",
        "blob": sha(),
        "run_id": "run",
        "updated_at": NOON,
    },
    RAW_MEDIA: {
        "batch_id": BATCH,
        "item_key": "1.jpg",
        "media_id": sha(),
        "kind": "image",
        "mime": "image/jpeg",
        "size_bytes": 1000,
        "width_px": 10,
        "height_px": 20,
        "n_frames": 1,
        "bit_depth": 8,
        "colour_mode": "RGB",
        "exif_orientation": 6,
        "duration_ns": 0,
        "captured_at": "2026-01-01T12:00:00",
        "camera_make": "Make",
        "camera_model": "Model",
        "software": "Software",
        "has_c2pa": False,
        "has_location": True,
        "source": "folder",
        "uri": "file:///photos/1.jpg",
        "licence": "CC BY 4.0",
        "attribution": "Ada",
        "fetched_at": NOON,
    },
    FRAMES_IMAGES: {
        "batch_id": BATCH,
        "frame_id": "f" * 32,
        "item_key": "1.jpg",
        "media_id": sha(),
        "pts_ns": 0,
        "reason": "still",
        "shot": None,
        "blob": sha("b"),
        "blob_mime": "image/png",
        "encoding": "png",
        "width_px": 10,
        "height_px": 20,
        "turned_degrees": 0,
        "conversions": ["alpha_composited"],
    },
    FRAMES_KEYFRAMES: {
        "batch_id": BATCH,
        "frame_id": "f" * 32,
        "item_key": "1.mp4",
        "media_id": sha(),
        "pts_ns": 41_666_667,
        "pts_ticks": 3750,
        "time_base": "1/90000",
        "frame_number": 1,
        "policy": "uniform:32",
        "reason": "uniform",
        "shot": None,
        "blob": sha("b"),
        "blob_mime": "image/png",
        "width_px": 10,
        "height_px": 20,
        "conversions": ["hdr_tone_mapped"],
    },
    TENSORS_IMAGES: {
        "batch_id": BATCH,
        "frame_id": "f" * 32,
        "spec": "small",
        "shape": [2, 1, 3],
        "layout": "hwc",
        "dtype": "uint8",
        "scale": 1 / 255,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.25, 0.25, 0.25],
        "tensor": bytes(range(250, 256)),
    },
    TENSORS_HISTOGRAMS: {
        "batch_id": BATCH,
        "spec": "small",
        "channel": 0,
        "n_tensors": 3,
        "layout": "hwc",
        "dtype": "uint8",
        "scale": 1 / 255,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.25, 0.25, 0.25],
        "gain": [1 / 255] * 3,
        "offset": [0.0, 0.0, 0.0],
        "histogram": [0] * 255 + [6],
        "digest": "d" * 16,
    },
    TENSORS_STATISTICS: {
        "spec": "small",
        "channel": 0,
        "n_tensors": 3,
        "n_values": 6,
        "mean": 0.5,
        "std": 0.1,
        "histogram": [0] * 255 + [6],
    },
    PREDICTIONS_FRAMES: {
        "batch_id": BATCH,
        "frame_id": "f" * 32,
        "item_key": "1.jpg",
        "model": "cats",
        "model_version": "1.0+" + "0" * 12,
        "task": "detection",
        "label": "cat",
        "score": 0.75,
        "uncertainty": 0.811278,
        "regions": [REGION],
        "blob": sha("b"),
    },
    FAILURES: {
        "stage": "raw.media",
        "batch_id": BATCH,
        "item_key": "1.jpg",
        "first_failed_at": NOON,
        "last_failed_at": NOON,
        "n_failures": 1,
        "failures": [
            {"failed_at": NOON, "error_code": "not_found", "message": "404", "run_id": "run", "attempts": 1},
        ],
        "resolution": "accepted",
        "resolved_at": NOON,
        "resolved_by": "run",
    },
    BATCH_PROFILES: {
        "batch_id": BATCH,
        "source": "folder",
        "planned_at": NOON,
        "n_items": 3,
        "n_failed": 1,
        "n_duplicates": 0,
        "formats": [{"name": "jpeg", "n": 3, "n_failed": 1, "code": "corrupt"}],
        "mimes": [{"name": "image/jpeg", "n": 2}],
        "licences": [{"name": "CC BY 4.0", "n": 3}],
        "longer_sides": [0] * 25 + [2],
        "aspects": [0] * 17 + [2],
        "brightness": [0] * 31 + [2],
    },
    LABELS_QUEUE: {
        "task_key": f"real-or-fake/{'f' * 32}@r1",
        "batch_id": BATCH,
        "project": "real-or-fake",
        "subject": "frame",
        "subject_id": "f" * 32,
        "item_key": "1.jpg",
        "media_id": sha(),
        "blob": sha("b"),
        "media_type": "image/png",
        "round": 1,
        "state": "pushed",
        "priority": 0.5,
        "annotators": 2,
        "is_gold": False,
        "reason": "priority",
        "queued_at": NOON,
        "state_at": NOON,
        "ls_project_id": 1,
        "ls_task_id": 7,
        "pushed_at": NOON,
    },
    LABELS_ANNOTATIONS: {
        "annotation_id": "1b4e28ba-2fa1-11d2-883f-0016d3cca427",
        "version": sha("c"),
        "task_key": f"real-or-fake/{'f' * 32}@r1",
        "batch_id": BATCH,
        "project": "real-or-fake",
        "round": 1,
        "annotator": "ls:7",
        "value": "[]",
        "label": "fake",
        "is_deleted": False,
        "is_gold": False,
        "lead_time_seconds": 3.5,
        "created_at": NOON,
        "updated_at": NOON,
        "seen_at": NOON,
    },
    LABELS_CONSENSUS: {
        "batch_id": BATCH,
        "project": "real-or-fake",
        "subject_id": "f" * 32,
        "task_key": f"real-or-fake/{'f' * 32}@r1",
        "round": 1,
        "n_annotators": 3,
        "agreement": 1.0,
        "method": "majority",
        "is_tie": False,
        "value": '["fake"]',
        "label": "fake",
        "settled_at": NOON,
    },
}
"""One row of every table, with a value in nearly every column."""


def valid(contract: TableContract, **changes: Any) -> Row:
    """One row that holds the contract, with changes."""
    return VALID[contract] | changes


def numbered(contract: TableContract, n_rows: int, **changes: Any) -> list[Row]:
    """Rows that hold the contract and differ in their key."""
    name, make = {
        TENSORS_HISTOGRAMS: ("channel", lambda i: i),
        TENSORS_STATISTICS: ("channel", lambda i: i),
        FRAMES_IMAGES: ("frame_id", lambda i: f"{i:032x}"),
        FRAMES_KEYFRAMES: ("frame_id", lambda i: f"{i:032x}"),
        TENSORS_IMAGES: ("frame_id", lambda i: f"{i:032x}"),
        PREDICTIONS_FRAMES: ("frame_id", lambda i: f"{i:032x}"),
        BATCH_PROFILES: ("batch_id", lambda i: f"test.{i:04d}"),
        LABELS_QUEUE: ("task_key", lambda i: f"real-or-fake/{i:032x}@r1"),
        LABELS_ANNOTATIONS: ("annotation_id", lambda i: f"ls:1:{i}"),
        LABELS_CONSENSUS: ("subject_id", lambda i: f"{i:032x}"),
    }.get(contract, ("item_key", lambda i: f"{i}.jpg"))
    return [valid(contract, **{name: make(number)}, **changes) for number in range(n_rows)]


_TEXT = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    [
        "",
        " ",
        "it's",
        'say "x"',
        "a\x00b",
        "null",
        "\\",
        "a,b\n;",
        "é",
        "e\u0301",
        "🏞️",
        "\u202e",
        "%2F/../",
        "' OR 1=1 --",
    ]
)
_INT64 = st.integers(-(2**63), 2**63 - 1)
_FLOAT64 = st.floats(allow_nan=False)
_TIMES = st.datetimes(timezones=st.just(UTC))


def any_value(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of a type, nulls inside of nested ones included."""
    if isinstance(kind, pl.List):
        return st.lists(any_value(kind.inner), max_size=3)
    if isinstance(kind, pl.Struct):
        return st.fixed_dictionaries({field.name: st.none() | any_value(field.dtype) for field in kind.fields})
    plain: dict[Any, Any] = {
        pl.String: _TEXT,
        pl.Int64: _INT64,
        pl.Float64: _FLOAT64,
        pl.Binary: st.binary(max_size=20),
    }
    plain |= {pl.Boolean: st.booleans(), pl.Datetime: _TIMES}
    strategy: st.SearchStrategy[Any] = plain[kind if isinstance(kind, type) else type(kind)]
    return strategy


_HEX64 = st.text("0123456789abcdef", min_size=64, max_size=64)
_HEX32 = st.text("0123456789abcdef", min_size=32, max_size=32)
_SIZE = st.integers(1, 2**63 - 1)
_COUNT = st.integers(0, 2**63 - 1)
_RULED: dict[str, st.SearchStrategy[Any]] = {
    "batch_id": st.just(BATCH),
    "stage": st.just("raw.media"),
    "kind": st.sampled_from(["image", "video", "audio", "text"]),
    "declared_checksum": _HEX64.map("sha256:{}".format) | _HEX32.map("md5:{}".format),
    "rotation_degrees": st.sampled_from([0, 90, 180, 270]),
    "turned_degrees": st.sampled_from([0, 90, 180, 270]),
    "status": st.sampled_from(["accepted", "converted", "duplicate", "filtered", "erased"]),
    "error_code": st.none(),
    "mime": st.just("image/svg+xml"),
    "bit_depth": st.integers(1, 64),
    "exif_orientation": st.integers(1, 8),
    "reason": st.just("still"),
    "encoding": st.sampled_from(["stripped", "png"]),
    "blob_mime": st.sampled_from(["image/jpeg", "image/png", "image/webp"]),
    "layout": st.sampled_from(["hwc", "chw"]),
    "dtype": st.sampled_from(["uint8", "float16", "float32"]),
    "scale": st.floats(5e-324, allow_nan=False),
    "std": st.floats(0, allow_nan=False),
    "channel": st.integers(0, 2),
    "resolution": st.sampled_from(["accepted", "withdrawn"]),
    "frame_id": _HEX32,
    "digest": st.text("0123456789abcdef", min_size=16, max_size=16),
    "media_id": _HEX64.map(lambda digits: "e" + digits[1:]),  # a frame that is no original is another blob
    "blob": _HEX64.map(lambda digits: "f" + digits[1:]),
    **dict.fromkeys(("item_key", "source", "uri"), _TEXT.filter(bool)),
    **dict.fromkeys(("size_bytes", "width_px", "height_px", "n_frames", "n_tensors", "n_values", "n_failures"), _SIZE),
    **dict.fromkeys(("position", "declared_bytes", "attempts", "n_outputs", "duration_ns", "pts_ns", "shot"), _COUNT),
    **dict.fromkeys(("n_items", "n_failed", "n_duplicates"), _COUNT),
}

_OF_LABELS: dict[str, st.SearchStrategy[Any]] = {
    "task_key": st.builds("{}/{}@r{}".format, st.sampled_from(["a", "real-or-fake"]), _HEX32 | _HEX64, _SIZE),
    "project": st.sampled_from(["a", "real-or-fake", "0_-" * 21]),
    "subject": st.sampled_from(["frame", "video"]),
    "subject_id": _HEX32 | _HEX64,
    "media_type": st.sampled_from(["image/png", "video/mp4"]),
    "round": _SIZE,
    "state": st.sampled_from(["queued", "withdrawn"]),
    "priority": st.floats(0, 1),
    "agreement": st.floats(0, 1),
    "annotators": _SIZE,
    "n_annotators": _SIZE,
    "method": st.sampled_from(["gold", "majority"]),
    "ls_project_id": _SIZE,
    "ls_task_id": _SIZE,
    "annotation_id": _TEXT.filter(bool),
    "annotator": _TEXT.filter(bool),
    "lead_time_seconds": st.floats(0, allow_nan=False),
    "value": st.sampled_from(["[]", '["é"]']),
}

_RULED_IN: dict[TableContract, dict[str, st.SearchStrategy[Any]]] = {
    FRAMES_KEYFRAMES: {
        "reason": st.just("every"),
        "policy": st.sampled_from(["every:0.25", "every:3"]),
        "time_base": st.sampled_from(["1/90000", "1001/30000"]),
        "frame_number": _COUNT,
        "blob_mime": st.just("image/png"),
    },
    PREDICTIONS_FRAMES: {
        "model": st.sampled_from(["cats", "A.b_c-1"]),
        "model_version": st.just("1.0+" + "0" * 12),
        "task": st.just("classification"),
        "score": st.floats(0, 1),
        "uncertainty": st.floats(0, 1),
    },
    LABELS_QUEUE: {**_OF_LABELS, "reason": _TEXT.filter(bool)},
    LABELS_ANNOTATIONS: _OF_LABELS | {"version": _HEX64},
    LABELS_CONSENSUS: _OF_LABELS,
}
"""What a table rules otherwise than the others that have such a column."""


def rows(contract: TableContract, max_size: int = 6) -> st.SearchStrategy[list[Row]]:
    """Lists of rows that hold the contract, as awkward as it lets them be."""
    columns = {}
    for name, kind in contract.schema.items():
        ruled = (_RULED | _RULED_IN.get(contract, {})).get(name) if not isinstance(kind, pl.List) else None
        values = ruled if ruled is not None else any_value(kind)
        columns[name] = st.none() | values if name in contract.nullable else values
    one = st.fixed_dictionaries(columns).map(_with_its_cause).map(_with_its_best)
    return st.lists(one, max_size=max_size, unique_by=lambda row: tuple(row[name] for name in contract.primary_key))


def _with_its_best(row: Row) -> Row:
    """Regions that are labels of the whole picture, the first of which is the row's label and score."""
    if "regions" not in row:
        return row
    regions = [region | dict.fromkeys(("x", "y", "width", "height")) for region in row["regions"]]
    if not regions:
        return row | {"label": None, "score": None}
    regions[0] |= {"score": row["score"]}
    return row | {"regions": regions, "label": regions[0]["label"]}


def _with_its_cause(row: Row) -> Row:
    """Failed rows have a code: every row that drew an even number of attempts fails."""
    if "status" in row and row["attempts"] % 2 == 0:
        codes = list(ErrorCode)
        return row | {"status": "failed", "error_code": codes[row["attempts"] % len(codes)].value}
    return row
