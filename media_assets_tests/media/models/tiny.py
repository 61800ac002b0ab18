"""ONNX models of a few hundred bytes, made in code, with answers that can be told beforehand; and their sidecars."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

COLOURS = ("red", "green", "blue")
SIDE_PX = 16


def _model(nodes: list[Any], outputs: dict[str, list[Any]], constants: dict[str, Any], shape: list[Any]) -> bytes:
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("frames", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, of) for name, of in outputs.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def colour_classifier(gain: float = 10.0, side: int = SIDE_PX, n_at_once: int | str = "n") -> bytes:
    """Logits of red, green and blue: `gain` times the mean of each channel, 0..1."""
    nodes = [
        helper.make_node("ReduceMean", ["frames"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("Mul", ["means", "gain"], ["logits"]),
    ]
    constants = {"gain": np.float32(gain)}
    return _model(nodes, {"logits": [n_at_once, 3]}, constants, [n_at_once, 3, side, side])


def large_classifier(mebibytes: int) -> bytes:
    """As `colour_classifier`, with so many MiB of weights, all 0."""
    nodes = [
        helper.make_node("ReduceMean", ["frames"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("ReduceMax", ["weights"], ["greatest"], axes=[1], keepdims=0),
        helper.make_node("Add", ["means", "greatest"], ["logits"]),
    ]
    weights = np.zeros((3, mebibytes * 2**20 // 12), np.float32)
    return _model(nodes, {"logits": ["n", 3]}, {"weights": weights}, ["n", 3, SIDE_PX, SIDE_PX])


def picky_classifier(least_red: float = 0.5, side: int = SIDE_PX) -> bytes:
    """As `colour_classifier`, but of frames with less red than this it says NaN."""
    nodes = [
        helper.make_node("ReduceMean", ["frames"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("Slice", ["means", "zero", "one", "one"], ["red"]),
        helper.make_node("Sub", ["red", "least"], ["more"]),
        helper.make_node("Sqrt", ["more"], ["root"]),  # of a negative number: NaN
        helper.make_node("Add", ["means", "root"], ["logits"]),
    ]
    constants = {"zero": np.array([0]), "one": np.array([1]), "least": np.float32(least_red)}
    return _model(nodes, {"logits": ["n", 3]}, constants, ["n", 3, side, side])


def moody_classifier(most_red: float = 0.5, side: int = SIDE_PX) -> bytes:
    """As `colour_classifier`, but its runtime fails where a frame has more red than this."""
    nodes = [
        helper.make_node("ReduceMean", ["frames"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("Slice", ["means", "zero", "one", "one"], ["red"]),
        helper.make_node("Greater", ["red", "most"], ["is_more"]),
        helper.make_node("Cast", ["is_more"], ["place"], to=TensorProto.INT64),
        helper.make_node("Gather", ["single", "place"], ["picked"]),  # place 1 of a single one: an error
        helper.make_node("Add", ["means", "picked"], ["logits"]),
    ]
    constants = {
        "zero": np.array([0]),
        "one": np.array([1]),
        "most": np.float32(most_red),
        "single": np.zeros(1, np.float32),
    }
    return _model(nodes, {"logits": ["n", 3]}, constants, ["n", 3, side, side])


def colour_detector(boxes: list[tuple[float, float, float, float]], side: int = SIDE_PX) -> bytes:
    """The same boxes (cxcywh, pixels of what it is shown) on every frame, in the form of YOLOv8: (n, 4 + 3, boxes).

    The score of each label is the mean of its channel, 0..1.
    """
    n = len(boxes)
    nodes = [
        helper.make_node("ReduceMean", ["frames"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("Unsqueeze", ["means", "two"], ["column"]),
        helper.make_node("Expand", ["column", "many"], ["scores"]),
        helper.make_node("Shape", ["means"], ["shape"]),
        helper.make_node("Slice", ["shape", "zero", "one"], ["n_frames"]),
        helper.make_node("Concat", ["n_frames", "rest"], ["of_boxes"], axis=0),
        helper.make_node("Expand", ["boxes", "of_boxes"], ["places"]),
        helper.make_node("Concat", ["places", "scores"], ["found"], axis=1),
    ]
    constants = {
        "two": np.array([2]),
        "zero": np.array([0]),
        "one": np.array([1]),
        "many": np.array([1, 1, n]),
        "rest": np.array([4, n]),
        "boxes": np.asarray(boxes, np.float32).T[None],
    }
    return _model(nodes, {"found": ["n", 7, n]}, constants, ["n", 3, side, side])


def describe(task: str = "classification", **changes: Any) -> dict[str, Any]:
    """The sidecar of one of these, as JSON has it."""
    output = {"task": "classification"} if task == "classification" else {"task": "detection", "form": "yolo"}
    return {
        "id": f"tiny-{task}",
        "version": "1.0",
        "labels": list(COLOURS),
        "input": {"width_px": SIDE_PX, "height_px": SIDE_PX},
        "output": output,
        "licence": "Apache-2.0",
        "file": f"{task}.onnx",
    } | changes


def install(folder: Path, data: bytes, description: dict[str, Any]) -> Path:
    """Write a model and its sidecar; the sidecar's path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / description["file"]).write_bytes(data)
    sidecar = folder / f"{description['id']}.json"
    sidecar.write_text(json.dumps(description))
    return sidecar
