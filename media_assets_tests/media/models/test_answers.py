"""What numbers mean: probabilities and their entropy, boxes in every common form, and what is no answer at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from media_assets.errors import ErrorCode, ItemError, ModelCode, ModelUnfit
from media_assets.media.models.classification import classified, normalized_entropy
from media_assets.media.models.description import Classification, Detection, Input
from media_assets.media.models.detection import detected
from media_assets.media.models.fitting import placement_of
from media_assets.media.models.protocol import Boxes, ClassScores, Prediction
from media_assets.media.models.raw_outputs import boxes_of

LABELS = ("cat", "dog", "horse")
SEEN = Input(100, 100)


def classify(*scores: float, n_labels: int = 0, **output: Any) -> Prediction:
    return classified(ClassScores(np.array(scores)), LABELS[: n_labels or len(scores)], Classification(**output))


def test_logits_become_probabilities_best_first() -> None:
    said = classify(1000.0, 1001.0, 999.0)  # exp(1000) would be infinite
    assert [region.label for region in said.regions] == ["dog", "cat", "horse"]
    assert [region.score for region in said.regions] == pytest.approx([0.665241, 0.244728, 0.090031], abs=1e-6)
    assert classify(1.0, 2.0, 0.0, top_k=1).regions == (said.regions[0],)
    assert said.best == said.regions[0]
    assert said.regions[0].x is None


def test_uncertainty_is_the_share_of_the_greatest_entropy() -> None:
    assert classify(0.0, 0.0, 0.0).uncertainty == 1.0
    assert classify(100.0, 0.0, 0.0).uncertainty == 0.0
    assert classify(0.5, 0.5, 0.0, scores="probabilities").uncertainty == pytest.approx(np.log(2) / np.log(3), abs=1e-6)
    assert classify(0.5, scores="probabilities").uncertainty == 1.0
    assert classify(1.0, scores="probabilities").uncertainty == 0.0


@pytest.mark.parametrize(
    ("logit", "share", "doubt"), [(-8.0, 0.000335, 0.004350), (0.0, 0.5, 1.0), (2.0, 0.880797, 0.527065), (800.0, 1, 0)]
)  # fmt: skip
def test_a_single_logit_is_a_yes_or_no(logit: float, share: float, doubt: float) -> None:
    alone = classify(logit)
    assert [(r.label, r.score) for r in alone.regions] == [("cat", pytest.approx(share, abs=2e-6))]
    of_two = classify(logit, n_labels=2)
    assert {r.label: r.score for r in of_two.regions} == {
        "cat": pytest.approx(1 - share, abs=2e-6), "dog": pytest.approx(share, abs=2e-6)
    }  # fmt: skip
    assert alone.uncertainty == of_two.uncertainty == pytest.approx(doubt, abs=2e-5)
    assert str(alone.uncertainty) != "-0.0"
    of_two = classify(share, n_labels=2, scores="probabilities")
    assert {r.label: r.score for r in of_two.regions}["dog"] == pytest.approx(share, abs=2e-6)


@pytest.mark.parametrize("n_scores", [0, 1, 2, 4])
def test_scores_of_another_number_of_labels_are_the_models_fault(n_scores: int) -> None:
    with pytest.raises(ModelUnfit) as raised:
        classify(*np.zeros(n_scores), n_labels=3)
    assert raised.value.code is ModelCode.OUTPUT_MISMATCH


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=6))
@example([0.0])
def test_entropy_is_within_its_bounds(logits: list[float]) -> None:
    powers = np.exp(np.array(logits))
    assert -1e-9 <= normalized_entropy(powers / powers.sum()) <= 1 + 1e-9


@pytest.mark.parametrize(
    ("scores", "kind"),
    [
        ((np.nan, 0.0), "logits"),
        ((np.inf, 0.0), "logits"),
        ((3.0, -1.0), "probabilities"),
        ((0.9, 0.9), "probabilities"),
        ((np.nan, 1.0), "probabilities"),
    ],
)
def test_numbers_that_are_no_scores_are_the_frames_error(scores: tuple[float, ...], kind: str) -> None:
    with pytest.raises(ItemError) as raised:
        classify(*scores, scores=kind)
    assert raised.value.code is ErrorCode.MODEL_OUTPUT_INVALID


def detect(boxes: list[Any], size: tuple[int, int] = (100, 100), **output: Any) -> Prediction:
    """Boxes as (left, top, right, bottom, score, label)."""
    rows = np.array(boxes, np.float64).reshape(-1, 6)
    answer = Boxes(rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64))
    return detected(answer, LABELS, Detection("yolo", **output), placement_of(SEEN, *size), size)


def told(said: Prediction) -> list[tuple[Any, ...]]:
    return [(r.label, r.score, r.x, r.y, r.width, r.height) for r in said.regions]


def test_of_overlapping_boxes_of_one_label_the_best_is_kept() -> None:
    said = detect(
        [(10, 10, 50, 50, 0.6, 0), (12, 10, 50, 50, 0.9, 0), (10, 10, 50, 50, 0.7, 1), (60, 60, 90, 90, 0.8, 0)]
    )
    assert told(said) == [
        ("cat", 0.9, 0.12, 0.1, 0.38, 0.4),
        ("cat", 0.8, 0.6, 0.6, 0.3, 0.3),
        ("dog", 0.7, 0.1, 0.1, 0.4, 0.4),
    ]
    assert len(detect([(10, 10, 50, 50, 0.6, 0), (12, 10, 50, 50, 0.9, 0)], max_overlap=0.99).regions) == 2
    assert len(detect([(i, 0, i + 1, 1, 0.5, 0) for i in range(9)], max_regions=4).regions) == 4


def test_what_is_likely_enough_is_kept_and_the_least_sure_box_tells_the_uncertainty() -> None:
    said = detect([(0, 0, 9, 9, 0.25, 0), (20, 20, 29, 29, 0.249, 1), (50, 50, 60, 60, 0.99, 2)])
    assert [region.label for region in said.regions] == ["horse", "cat"]
    assert said.uncertainty == pytest.approx(0.811278, abs=1e-6)
    assert detect([(0, 0, 9, 9, 0.1, 0)]) == Prediction((), None)
    assert detect([]) == Prediction((), None)


def test_boxes_are_cut_at_the_edges_and_what_lies_in_the_bars_is_none() -> None:
    size = (200, 100)  # shown as 100 x 50, from row 25 on
    assert told(detect([(0, 25, 50, 50, 0.9, 0)], size)) == [("cat", 0.9, 0.0, 0.0, 0.5, 0.5)]
    assert told(detect([(-10, 0, 20, 200, 0.9, 0)], size)) == [("cat", 0.9, 0.0, 0.0, 0.2, 1.0)]
    assert told(detect([(10, 0, 20, 24, 0.9, 0), (5, 80, 9, 99, 0.8, 1)], size)) == []
    assert told(detect([(50, 50, 40, 60, 0.9, 0)])) == []


@pytest.mark.parametrize(
    "bad", [(np.nan, 0, 1, 1, 0.9, 0), (0, 0, 1, 1, np.nan, 0), (0, 0, 1, 1, 1.5, 0), (0, 0, 1, 1, 0.9, 3)]
)
def test_numbers_that_are_no_boxes_are_the_frames_error(bad: tuple[float, ...]) -> None:
    with pytest.raises(ItemError) as raised:
        detect([(10, 10, 50, 50, 0.9, 0), bad])
    assert raised.value.code is ErrorCode.MODEL_OUTPUT_INVALID


def test_numbers_that_do_not_matter_refuse_no_frame() -> None:
    sound = (10, 10, 50, 50, 1.004, 0)  # as a dequantised score may be
    assert told(detect([sound, (0, 0, np.inf, np.nan, 1e-4, 0), (0, 0, 9, 9, -1e-7, 7)])) == [
        ("cat", 1.0, 0.1, 0.1, 0.4, 0.4)
    ]


def test_boxes_of_another_shape_are_the_models_fault() -> None:
    answer = Boxes(np.zeros((2, 4)), np.zeros(3), np.zeros(3, np.int64))
    with pytest.raises(ModelUnfit) as raised:
        detected(answer, LABELS, Detection("yolo"), placement_of(SEEN, 100, 100), (100, 100))
    assert raised.value.code is ModelCode.OUTPUT_MISMATCH


# Two boxes on one frame of 100 x 100: a dog at (10, 20)-(30, 60) with 0.75, a horse at (50, 50)-(90, 70) with 0.5.
CORNERS = np.array([[[10, 20, 30, 60], [50, 50, 90, 70]]], np.float32)
CENTRES = np.array([[[20, 40, 20, 40], [70, 60, 40, 20]]], np.float32)
SCORES = np.array([[[0.1, 0.75, 0.2], [0, 0.1, 0.5]]], np.float32)
PLACES = {
    "cxcywh": CENTRES,
    "xyxy": CORNERS,
    "yxyx": CORNERS[..., [1, 0, 3, 2]],
    "xywh": np.concatenate([CORNERS[..., :2], CENTRES[..., 2:]], axis=2),
}
LOGITS = np.log(np.maximum(SCORES, 1e-6) / (1 - SCORES))


def expected(found: list[Boxes]) -> None:
    (boxes,) = found
    assert boxes.corners == pytest.approx(CORNERS[0].astype(np.float64), abs=1e-4)
    assert boxes.scores == pytest.approx([0.75, 0.5], abs=1e-6)
    assert boxes.labels.tolist() == [1, 2]


@pytest.mark.parametrize("box", list(PLACES))
@pytest.mark.parametrize("units", ["pixels", "fractions"])
def test_yolo_rows_are_read_in_either_order(box: Any, units: Any) -> None:
    places = PLACES[box] / (100 if units == "fractions" else 1)
    rows = np.concatenate([places, SCORES], axis=2)
    expected(boxes_of([rows.transpose(0, 2, 1)], 3, Detection("yolo", box=box, units=units), SEEN))
    middle = Detection("yolo", box=box, units=units, boxes_are="middle_axis")
    expected(boxes_of([rows], 3, middle, SEEN))


def test_objectness_is_a_factor_of_every_score() -> None:
    rows = np.concatenate([CENTRES, np.array([[[0.5], [0.5]]]), SCORES], axis=2)
    (boxes,) = boxes_of([rows], 3, Detection("yolo", has_objectness=True, boxes_are="middle_axis"), SEEN)
    assert boxes.scores == pytest.approx([0.375, 0.25])


def test_ssd_outputs_are_read_with_scores_per_label_or_with_labels() -> None:
    shape = {"form": "ssd", "box": "yxyx", "units": "fractions"}
    places = PLACES["yxyx"] / 100
    expected(boxes_of([places, SCORES], 3, Detection(**shape), SEEN))  # type: ignore[arg-type]
    expected(boxes_of([places, LOGITS], 3, Detection(**shape, scores="logits"), SEEN))  # type: ignore[arg-type]
    background = np.concatenate([np.ones((1, 2, 1)), SCORES], axis=2)
    expected(boxes_of([places, background], 3, Detection(**shape, first_label=1), SEEN))  # type: ignore[arg-type]
    labels, scores = np.array([[2, 3, 0]]), np.array([[0.75, 0.5, 0.9]])
    three = np.concatenate([places, np.zeros((1, 1, 4))], axis=1)
    expected(boxes_of([three, labels, scores], 3, Detection(**shape, first_label=1), SEEN))  # type: ignore[arg-type]


def test_a_box_is_upright_in_a_frame_that_is_no_square() -> None:
    output, seen = Detection("ssd", box="yxyx", units="fractions"), Input(200, 100)
    (boxes,) = boxes_of([np.array([[[0.1, 0.2, 0.3, 0.4]]]), np.array([[[0.9, 0, 0]]])], 3, output, seen)
    assert boxes.corners[0].tolist() == pytest.approx([40, 10, 80, 30])


@pytest.mark.parametrize(
    ("arrays", "form"),
    [
        ([np.zeros((1, 8, 5))], "yolo"),
        ([np.zeros((1, 7))], "yolo"),
        ([np.zeros((1, 7, 5)), np.zeros((1, 7, 5))], "yolo"),
        ([np.zeros((1, 5, 4))], "ssd"),
        ([np.zeros((1, 5, 4)), np.zeros((1, 5, 4))], "ssd"),
        ([np.zeros((1, 5, 5)), np.zeros((1, 5, 3))], "ssd"),
        ([np.zeros((1, 5, 4)), np.zeros((1, 5)), np.zeros((1, 4))], "ssd"),
    ],
)
def test_outputs_of_another_shape_are_the_models_fault(arrays: list[Any], form: Any) -> None:
    with pytest.raises(ModelUnfit) as raised:
        boxes_of(arrays, 3, Detection(form), SEEN)
    assert raised.value.code is ModelCode.OUTPUT_MISMATCH
