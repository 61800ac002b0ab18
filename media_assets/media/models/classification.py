"""What a classifier's numbers mean: probabilities, the best labels, and how unsure it is."""

from __future__ import annotations

import numpy as np

from media_assets.errors import ErrorCode, ItemError
from media_assets.media.models.description import Classification
from media_assets.media.models.protocol import ClassScores, Floats, Prediction, Region, kept

_TOLERANCE = 0.01


def classified(answer: ClassScores, labels: tuple[str, ...], output: Classification) -> Prediction:
    """The best labels of one frame, best first; of equal ones that which is described first.

    The uncertainty is the entropy of all probabilities, as a share of the greatest that so many labels can have.

    Raises:
        ItemError: MODEL_OUTPUT_INVALID for numbers that are no scores.
    """
    probabilities = _softmax(answer.scores) if output.scores == "logits" else _checked(answer.scores)
    order = np.argsort(-probabilities, kind="stable")[: output.top_k]
    regions = tuple(Region(labels[place], kept(probabilities[place])) for place in order)
    return Prediction(regions, kept(normalized_entropy(probabilities)))


def normalized_entropy(probabilities: Floats) -> float:
    """0: one label has it all; 1: all labels are alike. Of a single label: of it and of its absence."""
    if probabilities.size == 1:
        probabilities = np.array([probabilities[0], 1 - probabilities[0]])
    some = probabilities[probabilities > 0]
    return float(-(some * np.log(some)).sum() / np.log(probabilities.size))


def _softmax(logits: Floats) -> Floats:
    if logits.size == 0 or not np.isfinite(logits).all():
        raise _no_scores("finite logits", logits)
    powers = np.exp(logits - logits.max())
    shares: Floats = powers / powers.sum()
    return shares


def _checked(scores: Floats) -> Floats:
    is_share = np.isfinite(scores).all() and scores.min() >= -_TOLERANCE and scores.max() <= 1 + _TOLERANCE
    if not is_share or (scores.size > 1 and abs(scores.sum() - 1) > _TOLERANCE):
        raise _no_scores("probabilities of 0 to 1, 1 in all", scores)
    clipped: Floats = np.clip(scores, 0.0, 1.0)
    return clipped / clipped.sum() if scores.size > 1 else clipped


def _no_scores(expected: str, scores: Floats) -> ItemError:
    return ItemError(
        ErrorCode.MODEL_OUTPUT_INVALID,
        f"expected {expected} from the model, got {np.array2string(scores[:4], precision=3)}. Look at the frame, and "
        f"at whether the model's description says what its numbers are.",
    )
