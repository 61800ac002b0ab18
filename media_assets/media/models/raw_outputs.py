"""The common forms in which detectors give their boxes, as `Boxes`. Arrays in, boxes out; whatever ran the model.

Not here: which boxes are kept (`detection.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from media_assets.errors import ModelCode, ModelUnfit
from media_assets.media.models.description import Detection, Input
from media_assets.media.models.protocol import Boxes, Floats

Array = npt.NDArray[Any]


def boxes_of(arrays: Sequence[Array], n_labels: int, output: Detection, spec: Input) -> list[Boxes]:
    """One `Boxes` per frame, from the model's outputs in the described order.

    Raises:
        ModelUnfit: the outputs have another number or shape than is described.
    """
    if output.form == "yolo":
        return _yolo(arrays, n_labels, output, spec)
    return _ssd(arrays, n_labels, output, spec)


def _yolo(arrays: Sequence[Array], n_labels: int, output: Detection, spec: Input) -> list[Boxes]:
    n_columns = 4 + output.has_objectness + n_labels
    rows = arrays[0]
    if len(arrays) != 1 or rows.ndim != 3:
        raise _misfit(f"one output (frames, {n_columns} numbers and boxes in either order)", arrays)
    if output.boxes_are == "last_axis":
        rows = rows.transpose(0, 2, 1)
    if rows.shape[2] != n_columns:
        objectness = ", an objectness" if output.has_objectness else ""
        raise _misfit(f"{n_columns} numbers a box (4 of its place{objectness}, {n_labels} labels)", arrays)
    found = []
    for frame in rows.astype(np.float64):
        scores = _shares(frame[:, 4:], output)
        if output.has_objectness:
            scores = scores[:, 1:] * scores[:, :1]
        found.append(_of_scores(_corners(frame[:, :4], output, spec), scores))
    return found


def _ssd(arrays: Sequence[Array], n_labels: int, output: Detection, spec: Input) -> list[Boxes]:
    if len(arrays) not in (2, 3) or arrays[0].ndim != 3 or arrays[0].shape[2] != 4:
        raise _misfit("boxes (frames, boxes, 4) and scores, or boxes, labels and scores", arrays)
    n_frames, n_boxes = arrays[0].shape[:2]
    corners = [_corners(frame, output, spec) for frame in arrays[0].astype(np.float64)]
    if len(arrays) == 3:
        if any(array.shape != (n_frames, n_boxes) for array in arrays[1:]):
            raise _misfit("labels and scores of (frames, boxes)", arrays)
        labels = np.rint(arrays[1].astype(np.float64)) - output.first_label
        scores = _shares(arrays[2].astype(np.float64), output)
        return [_of_labels(*each) for each in zip(corners, scores, labels, strict=True)]
    if arrays[1].shape != (n_frames, n_boxes, output.first_label + n_labels):
        background = f" and {output.first_label} before them" if output.first_label else ""
        raise _misfit(f"scores of (frames, boxes, {n_labels} labels{background})", arrays)
    scores = _shares(arrays[1].astype(np.float64), output)[:, :, output.first_label :]
    return [_of_scores(*each) for each in zip(corners, scores, strict=True)]


def _of_labels(corners: Floats, scores: Floats, labels: Floats) -> Boxes:
    """Rows of the background, and those that fill up the output, are none."""
    is_box = (labels >= 0) | ~np.isfinite(scores)
    return Boxes(corners[is_box], scores[is_box], labels[is_box].astype(np.int64))


def _of_scores(corners: Floats, scores: Floats) -> Boxes:
    """The best label of each box."""
    best = scores.argmax(axis=1)
    return Boxes(corners, scores[np.arange(len(scores)), best], best.astype(np.int64))


def _shares(scores: Floats, output: Detection) -> Floats:
    if output.scores == "probabilities":
        return scores
    shares: Floats = 0.5 * (1 + np.tanh(scores / 2))  # the sigmoid, without an overflow
    return shares


def _corners(boxes: Floats, output: Detection, spec: Input) -> Floats:
    """Left, top, right, bottom in pixels of the shown frame."""
    if output.units == "fractions":
        width, height = spec.width_px, spec.height_px
        boxes = boxes * ([height, width] * 2 if output.box == "yxyx" else [width, height] * 2)
    if output.box == "xyxy":
        return boxes
    if output.box == "yxyx":
        return boxes[:, [1, 0, 3, 2]]
    sides = boxes[:, 2:]
    first = boxes[:, :2] - sides / 2 if output.box == "cxcywh" else boxes[:, :2]
    return np.concatenate([first, first + sides], axis=1)


def _misfit(expected: str, arrays: Sequence[Array]) -> ModelUnfit:
    shapes = ", ".join(str(array.shape) for array in arrays)
    return ModelUnfit(
        f"Expected {expected} from the model, got outputs of {shapes}. Mend its description, or take the model that "
        f"belongs to it.",
        ModelCode.OUTPUT_MISMATCH,
    )
