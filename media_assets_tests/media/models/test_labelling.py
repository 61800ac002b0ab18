"""Frames asked about together: each with its own answer or its own error; and how an ONNX model is shown them."""

from __future__ import annotations

import builtins
import json
from hashlib import sha256
from typing import Any

import numpy as np
import pytest
from PIL import Image

from media_assets.errors import ErrorCode, ModelCode, ModelUnfit
from media_assets.media.models.description import Input, parse_description
from media_assets.media.models.labelling import FrameBytes, FramesLabelled, LabelRequest, frame_labeller
from media_assets.media.models.onnx_runtime import OnnxModel, as_values, understood
from media_assets.media.models.protocol import ClassScores
from media_assets_tests.media.models.tiny import colour_classifier, describe, moody_classifier, picky_classifier
from media_assets_tests.media.pictures import save
from media_assets_tests.stages.test_predictions import solid

RED, GREEN = solid(255, 0, 0), solid(0, 200, 10)


def label(frames: list[bytes], model: bytes, description: dict[str, Any], **changes: Any) -> FramesLabelled:
    sidecar = json.dumps(description).encode()
    version = parse_description(sidecar, "m.json").full_version(sha256(model).hexdigest())
    parts = tuple(FrameBytes(len(data), sha256(data).hexdigest(), wants_thumbnail=True) for data in frames)
    request = LabelRequest(parts, changes.get("versions", (version,)))
    return frame_labeller([("m.json", sidecar), ("m.onnx", model)])(b"".join(frames), request)


def test_each_frame_has_its_own_answer_or_error() -> None:
    frames = [RED, b"\x00\x01\x02\x03 no picture", GREEN, solid(0, 0, 9)]
    said = label(frames, colour_classifier(), describe())
    assert [frame.code for frame in said.frames] == [None, ErrorCode.UNKNOWN_FORMAT, None, None]
    assert [frame.predictions[0].best.label for frame in said.frames if frame.predictions] == ["red", "green", "blue"]  # type: ignore[union-attr]
    assert [frame.thumbnail is None for frame in said.frames] == [False, True, False, False]


def test_a_damaged_frame_is_told_from_one_that_is_bad() -> None:
    parts = (FrameBytes(len(RED), "0" * 64),)
    sidecar = json.dumps(describe()).encode()
    version = parse_description(sidecar, "m.json").full_version(sha256(colour_classifier()).hexdigest())
    labeller = frame_labeller([("m.json", sidecar), ("m.onnx", colour_classifier())])
    (frame,) = labeller(RED, LabelRequest(parts, (version,))).frames
    assert frame.code is ErrorCode.BLOB_DAMAGED


@pytest.mark.parametrize(
    ("model", "code"),
    [(picky_classifier(0.5), ErrorCode.MODEL_OUTPUT_INVALID), (moody_classifier(0.1), ErrorCode.MODEL_FAILED)],
)
def test_a_frame_that_spoils_a_mini_batch_costs_itself_alone(model: bytes, code: ErrorCode) -> None:
    good, bad = (RED, GREEN) if code is ErrorCode.MODEL_OUTPUT_INVALID else (GREEN, RED)
    said = label([good, bad, good], model, describe(input={"width_px": 16, "height_px": 16, "fit": "stretch"}))
    assert [frame.code for frame in said.frames] == [None, code, None]
    assert "tiny-classification" in said.frames[1].message


def test_a_model_of_so_many_frames_at_once_is_asked_as_often_as_it_needs() -> None:
    frames = [RED, GREEN, RED, GREEN, GREEN]
    one_by_one = label(frames, colour_classifier(), describe()).frames
    for n_at_once in (1, 2, 8):
        said = label(frames, colour_classifier(n_at_once=n_at_once), describe()).frames
        assert [frame.predictions for frame in said] == [frame.predictions for frame in one_by_one]


def test_another_version_than_was_asked_for_is_no_answer() -> None:
    said = label([RED], colour_classifier(), describe(), versions=("1.0+000000000000",))
    assert (said.frames, said.unfit) == ((), ModelCode.FILE_CHANGED)


def test_values_are_as_described() -> None:
    frames = np.array([[[[255, 0, 51]]]], np.uint8)
    spec = Input(1, 1, scale=1 / 255, mean=(0.5, 0.25, 0.0), std=(0.5, 1.0, 2.0))
    assert as_values(frames, spec).reshape(-1).tolist() == pytest.approx([1.0, -0.25, 0.1])
    bgr = Input(1, 1, mean=(0.5, 0.25, 0.0), std=(0.5, 1.0, 2.0), channels="BGR", layout="NHWC")
    assert as_values(frames, bgr).reshape(-1).tolist() == pytest.approx([0.1, -0.25, 1.0])
    levels = as_values(frames, Input(1, 1, dtype="uint8"))
    assert (levels.dtype, levels.shape, levels.reshape(-1).tolist()) == (np.uint8, (1, 3, 1, 1), [255, 0, 51])
    assert as_values(frames, Input(1, 1, dtype="float16")).dtype == np.float16


def test_outputs_without_an_axis_of_frames_are_refused() -> None:
    description = parse_description(json.dumps(describe()).encode(), "m.json")
    (answer,) = understood([np.ones((1, 3, 1, 1))], 1, description)
    assert isinstance(answer, ClassScores)
    for wrong in (np.float32(1), np.ones((2, 3)), np.ones((1, 4))):
        with pytest.raises(ModelUnfit) as raised:
            understood([np.asarray(wrong)], 1, description)
        assert raised.value.code is ModelCode.OUTPUT_MISMATCH


def test_who_lacks_the_runtime_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "onnxruntime":
            raise ImportError("No module named 'onnxruntime'")
        return sound(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ModelUnfit, match=r"\.\[models\]") as raised:
        OnnxModel(parse_description(json.dumps(describe()).encode(), "m.json"), colour_classifier())
    assert raised.value.code is ModelCode.RUNTIME_MISSING


def test_a_grey_picture_is_shown_as_three_channels() -> None:
    grey = save(Image.new("L", (8, 8), 90), "PNG")
    (frame,) = label([grey], colour_classifier(), describe()).frames
    assert frame.predictions[0].uncertainty == 1.0
