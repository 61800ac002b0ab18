"""What a classifier's numbers mean: probabilities, the best labels, and how unsure it is.

One number for one or two labels is a yes or no: its sigmoid, where it is a logit.
"""

from __future__ import annotations

import numpy as np

from media_assets.errors import ErrorCode, ItemError, ModelCode, ModelUnfit
from media_assets.media.models.description import Classification
from media_assets.media.models.protocol import ClassScores, Floats, Prediction, Region, kept

TOLERANCE = 0.01
"""How far beyond 0..1 rounding may put a probability."""


def classified(answer: ClassScores, labels: tuple[str, ...], output: Classification) -> Prediction:
    """The best labels of one frame, best first; of equal ones that which is described first.

    The uncertainty is the entropy of all probabilities, as a share of the greatest that so many labels can have.

    Raises:
        ModelUnfit: OUTPUT_MISMATCH for another number of scores than the labels have.
        ItemError: MODEL_OUTPUT_INVALID for numbers that are no scores.
    """
    scores = np.asarray(answer.scores, np.float64)
    require_scores(scores.shape, len(labels))
    probabilities = _shares(scores) if output.scores == "logits" else _checked(scores)
    if probabilities.size < len(labels):  # of two labels the number is the second one's
        probabilities = np.array([1 - probabilities[0], probabilities[0]])
    order = np.argsort(-probabilities, kind="stable")[: output.top_k]
    regions = tuple(Region(labels[place], kept(probabilities[place])) for place in order)
    return Prediction(regions, kept(normalized_entropy(probabilities)))


def require_scores(shape: tuple[int, ...], n_labels: int) -> None:
    """Hold the shape of one frame's scores against the labels: one for each, or a single one for two labels.

    Raises:
        ModelUnfit: OUTPUT_MISMATCH.
    """
    if shape == (n_labels,) or (shape == (1,) and n_labels == 2):
        return
    raise ModelUnfit(
        f"Expected one score for each of {n_labels} labels from the model (of two labels also a single one, which is "
        f"the second's), got {shape[0] if len(shape) == 1 else f'scores of shape {shape}'}. Mend `labels` of its "
        f"description.",
        ModelCode.OUTPUT_MISMATCH,
    )


def normalized_entropy(probabilities: Floats) -> float:
    """0: one label has it all; 1: all labels are alike. Of a single label: of it and of its absence."""
    if probabilities.size == 1:
        probabilities = np.array([probabilities[0], 1 - probabilities[0]])
    some = probabilities[probabilities > 0]
    return float(-(some * np.log(some)).sum() / np.log(probabilities.size)) + 0.0  # never -0.0


def _shares(logits: Floats) -> Floats:
    """Softmax; of a single number the sigmoid: a softmax over one is 1, whatever the model says."""
    if not np.isfinite(logits).all():
        raise _no_scores("finite logits", logits)
    if logits.size == 1:
        share: Floats = 0.5 * (1 + np.tanh(logits / 2))  # without an overflow
        return share
    powers = np.exp(logits - logits.max())
    shares: Floats = powers / powers.sum()
    return shares


def _checked(scores: Floats) -> Floats:
    is_share = np.isfinite(scores).all() and scores.min() >= -TOLERANCE and scores.max() <= 1 + TOLERANCE
    if not is_share or (scores.size > 1 and abs(scores.sum() - 1) > TOLERANCE):
        raise _no_scores("probabilities of 0 to 1, 1 in all", scores)
    clipped: Floats = np.clip(scores, 0.0, 1.0)
    return clipped / clipped.sum() if scores.size > 1 else clipped


def _no_scores(expected: str, scores: Floats) -> ItemError:
    return ItemError(
        ErrorCode.MODEL_OUTPUT_INVALID,
        f"expected {expected} from the model, got {np.array2string(scores[:4], precision=3)}. Look at the frame, and "
        f"at whether the model's description says what its numbers are.",
    )
