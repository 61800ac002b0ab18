"""What a detector's boxes mean: the ones to keep, where they lie on the picture, and how unsure it is."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from media_assets.errors import ErrorCode, ItemError, ModelCode, ModelUnfit
from media_assets.media.models.classification import TOLERANCE
from media_assets.media.models.description import Detection
from media_assets.media.models.fitting import to_picture
from media_assets.media.models.protocol import Boxes, Floats, Prediction, Region, kept
from media_assets.media.resize import Placement

_MOST_CANDIDATES = 5000
"""Boxes that suppression looks at, the best ones: it compares each with each."""


def detected(
    answer: Boxes, labels: tuple[str, ...], output: Detection, placement: Placement, size_px: tuple[int, int]
) -> Prediction:
    """The boxes of one frame that are worth keeping, best first, on the upright picture of `size_px` (width, height).

    Below `min_score` and beside the picture nothing is kept; of boxes of one label that overlap the best is. The
    uncertainty is that of the kept box of which it is hardest to say whether it is one (1: its score is a half); null
    without boxes: of what was not found nobody says how surely.

    Raises:
        ModelUnfit: OUTPUT_MISMATCH for other shapes than boxes have.
        ItemError: MODEL_OUTPUT_INVALID for numbers that are no scores, or, of boxes that are likely enough, no boxes or
            labels.
    """
    _require_boxes(answer)
    given = _checked(answer.scores)
    some = np.argsort(-given, kind="stable")[:_MOST_CANDIDATES]
    some = some[given[some] >= output.min_score]
    _require_finite(answer, some, len(labels))
    fractions = np.clip(to_picture(answer.corners[some], placement, *size_px), 0.0, 1.0)
    sides = fractions[:, 2:] - fractions[:, :2]
    is_seen = (sides > 0).all(axis=1)
    some, fractions, sides = some[is_seen], fractions[is_seen], sides[is_seen]
    scores, of_label = given[some], answer.labels[some]
    best = _without_overlaps(fractions, scores, of_label, output, size_px)[: output.max_regions]
    regions = tuple(
        Region(labels[of_label[i]], kept(scores[i]), *(kept(v) for v in (*fractions[i, :2], *sides[i]))) for i in best
    )
    return Prediction(regions, kept(max(_doubt(r.score) for r in regions)) if regions else None)


def _without_overlaps(
    fractions: Floats,
    scores: Floats,
    of_label: npt.NDArray[np.int64],
    output: Detection,
    size_px: tuple[int, int],
) -> list[int]:
    if not len(scores):
        return []
    in_px = fractions * ([*size_px] * 2)
    boxes = np.concatenate([in_px[:, :2], in_px[:, 2:] - in_px[:, :2]], axis=1)
    # A threshold of exactly min_score would be held against scores in single precision.
    indices = cv2.dnn.NMSBoxesBatched(boxes.tolist(), scores.tolist(), of_label.tolist(), -1.0, output.max_overlap)
    return sorted((int(i) for i in np.asarray(indices).reshape(-1)), key=lambda i: (-scores[i], i))


def _doubt(score: float) -> float:
    """Entropy of a yes that is so likely, in bits: 0 for a sure one, 1 for a half."""
    if score <= 0 or score >= 1:
        return 0.0
    return float(-(score * np.log2(score) + (1 - score) * np.log2(1 - score)))


def _require_boxes(answer: Boxes) -> None:
    n_boxes = len(answer.scores)
    shapes = (answer.corners.shape, answer.scores.shape, answer.labels.shape)
    if shapes != ((n_boxes, 4), (n_boxes,), (n_boxes,)):
        raise ModelUnfit(
            f"Expected corners (boxes, 4), scores (boxes,) and labels (boxes,) from the model, got {shapes}. Mend the "
            f"plug-in.",
            ModelCode.OUTPUT_MISMATCH,
        )


def _checked(scores: Floats) -> Floats:
    """Scores within 0 and 1; what rounding put a little beyond is taken as that."""
    if not np.isfinite(scores).all():
        raise _no_boxes("finite scores, some are not")
    if scores.size and not (scores.min() >= -TOLERANCE and scores.max() <= 1 + TOLERANCE):
        raise _no_boxes(f"scores of 0 to 1, got {scores.min():g} to {scores.max():g}")
    clipped: Floats = np.clip(scores, 0.0, 1.0)
    return clipped


def _require_finite(answer: Boxes, some: npt.NDArray[np.int64], n_labels: int) -> None:
    """Hold the boxes that are likely enough against what boxes are; of the others nothing is kept."""
    labels = answer.labels[some]
    if not np.isfinite(answer.corners[some]).all():
        raise _no_boxes("finite boxes, some are not")
    if labels.size and not (labels.min() >= 0 and labels.max() < n_labels):
        raise _no_boxes(f"numbers of {n_labels} labels, got {labels.min()} to {labels.max()}")


def _no_boxes(told: str) -> ItemError:
    return ItemError(
        ErrorCode.MODEL_OUTPUT_INVALID,
        f"expected {told}. Look at the frame, and at whether the model's description says what its numbers are.",
    )
