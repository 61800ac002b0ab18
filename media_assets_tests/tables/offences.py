"""One way to break each rule of each contract: (column, value, further changes of the row).

`None` breaks "never null". The tests prove that no rule is missing here.
"""

from __future__ import annotations

from typing import Any

from media_assets_tests.tables.rows import sha

Offence = tuple[str, Any, dict[str, Any]]


def _each(column: str, *values: Any, **changes: Any) -> list[Offence]:
    return [(column, value, changes) for value in values]


_KEYS = [
    *_each("batch_id", "", "Upper", "-dash", "with space", "ünder", "a/b", "a\n", None),
    *_each("item_key", "", "k" * 4097, None),
]

OFFENCES: dict[str, list[Offence]] = {
    "ingest.manifest": [
        *_KEYS,
        *_each("position", -1, None),
        *_each("source", "", None),
        *_each("uri", "", None),
        *_each("kind", "song", None),
        *_each("declared_bytes", -1),
        *_each("declared_checksum", sha(), "md5:" + "0" * 64, "sha256:" + "A" * 64, "sha1:" + "0" * 40),
        *_each("rotation_degrees", 45, -90, 360),
        *_each("labels", None),
        *_each("planned_at", None),
    ],
    "ingest.item_status": [
        *_KEYS,
        *_each("stage", "", None),
        *_each("status", "pending", error_code=None),
        *_each("status", None, error_code=None),
        *_each("error_code", "gremlins"),
        *_each("attempts", -1, None),
        *_each("n_outputs", -1, None),
        *_each("code_version", None),
        *_each("blob", "a" * 63, "g" * 64),
        *_each("run_id", None),
        *_each("updated_at", None),
    ],
    "raw.media": [
        *_KEYS,
        *_each("media_id", "a" * 65, "A" * 64, None),
        *_each("kind", "song", None),
        *_each("mime", "jpeg", "image/", "Image/JPEG", "image/jpeg; q=1", None),
        *_each("size_bytes", 0, None),
        *_each("width_px", 0),
        *_each("height_px", 0),
        *_each("n_frames", 0),
        *_each("bit_depth", 0, 65),
        *_each("exif_orientation", 0, 9),
        *_each("duration_ns", -1),
        *_each("source", "", None),
        *_each("uri", "", None),
        *_each("fetched_at", None),
    ],
    "frames.images": [
        *_KEYS,
        *_each("frame_id", "f" * 31, "F" * 32, None),
        *_each("media_id", "a" * 65, None),
        *_each("pts_ns", -1, None),
        *_each("reason", "because", None),
        *_each("shot", -1),
        *_each("blob", "b" * 63, None),
        *_each("blob_mime", "image/gif", None),
        *_each("encoding", "gif", None),
        *_each("width_px", 0, None),
        *_each("height_px", 0, None),
        *_each("turned_degrees", 45, None),
        *_each("conversions", None),
    ],
    "frames.keyframes": [
        *_KEYS,
        *_each("frame_id", "f" * 31, "F" * 32, None),
        *_each("media_id", "a" * 65, None),
        *_each("pts_ns", -1, None),
        *_each("pts_ticks", None),
        *_each("time_base", "0/1", "1/0", "1", "1/90000 s", None),
        *_each("frame_number", -1, None),
        *_each("policy", "uniform", "uniform:", "all", None),
        *_each("reason", "still", None),
        *_each("shot", -1),
        *_each("blob", "b" * 63, None),
        *_each("blob_mime", "image/jpeg", None),
        *_each("width_px", 0, None),
        *_each("height_px", 0, None),
        *_each("conversions", None),
    ],
    "tensors.images": [
        *_KEYS[: -len(_each("item_key", 1, 2, 3))],
        *_each("frame_id", "f" * 33, None),
        *_each("spec", None),
        *_each("shape", None),
        *_each("layout", "whc", None),
        *_each("dtype", "int8", None),
        *_each("scale", 0.0, -1.0, None),
        *_each("mean", None),
        *_each("std", None),
        *_each("tensor", None),
    ],
    "tensors.histograms": [
        *_KEYS[: -len(_each("item_key", 1, 2, 3))],
        *_each("spec", None),
        *_each("channel", -1, 3, None),
        *_each("n_tensors", 0, None),
        *_each("layout", "whc", None),
        *_each("dtype", "int8", None),
        *_each("scale", 0.0, -1.0, None),
        *_each("mean", None),
        *_each("std", None),
        *_each("digest", "d" * 15, "D" * 16, "d" * 17, None),
    ],
    "tensors.statistics": [
        *_each("spec", None),
        *_each("channel", -1, 3, None),
        *_each("n_tensors", 0, None),
        *_each("n_values", 0, None),
        *_each("mean", None),
        *_each("std", -0.1, None),
        *_each("histogram", None),
    ],
    "predictions.frames": [
        *_KEYS,
        *_each("frame_id", "f" * 31, "F" * 32, None),
        *_each("model", "", "a b", "m" * 65, None),
        *_each("model_version", "1.0", "1.0+" + "A" * 12, "1.0+" + "a" * 13, None),
        *_each("task", "segmentation", None),
        *_each("score", -0.1, 1.1),
        *_each("uncertainty", -0.1, 1.1),
        *_each("regions", None),
        *_each("blob", "b" * 63, None),
    ],
    "ingest.failures": [
        *_KEYS,
        *_each("stage", "", None),
        *_each("first_failed_at", None),
        *_each("last_failed_at", None),
        *_each("n_failures", 0, None),
        *_each("failures", None),
        *_each("resolution", "failed", "gone"),
    ],
    "ops.batch_profiles": [
        *_each("batch_id", "", "../escape", None),
        *_each("source", "", None),
        *_each("planned_at", None),
        *_each("n_items", -1, None),
        *_each("n_failed", -1, None),
        *_each("n_duplicates", -1, None),
        *_each("formats", None),
        *_each("mimes", None),
        *_each("licences", None),
        *_each("longer_sides", None),
        *_each("aspects", None),
        *_each("brightness", None),
    ],
}
