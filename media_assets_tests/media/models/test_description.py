"""A model's sidecar: read from JSON and TOML, refused with what is wrong in it, and its version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from media_assets.errors import ModelCode, ModelUnfit
from media_assets.media.models.description import ModelDescription, parse_description
from media_assets.stages.models import installed_models
from media_assets_tests.media.models.tiny import colour_classifier, describe, install

TOML = """
id = "tiny-classification"
version = "1.0"
labels = ["red", "green", "blue"]
licence = "Apache-2.0"
file = "classification.onnx"

[input]
width_px = 16
height_px = 16
mean = [0.0, 0, 0]

[output]
task = "classification"
"""


def parse(description: dict[str, Any]) -> ModelDescription:
    return parse_description(json.dumps(description).encode(), "m.json")


def test_json_and_toml_say_the_same() -> None:
    assert parse_description(TOML.encode(), "m.toml") == parse(describe())


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"labels": []}, "labels"),
        ({"labels": ["red", "red"]}, "no two of them alike"),
        ({"id": "a b"}, "expected id"),
        ({"version": ""}, "expected version"),
        ({"licence": ""}, "licence"),
        ({"file": ""}, "file"),
        ({"file": "../other.onnx"}, "beside"),
        ({"extra": 1}, "extra"),
        ({"input": {"width_px": 0, "height_px": 16}}, "sides"),
        ({"input": {"width_px": 16, "height_px": 16, "std": [1, 1, 0]}}, "std"),
        ({"input": {"width_px": 16, "height_px": 16, "pad_level": 256}}, "pad_level"),
        ({"input": {"width_px": 16, "height_px": 16, "resize_shorter_px": 8}}, "resize_shorter_px"),
        ({"output": {"task": "segmentation"}}, "segmentation"),
        ({"output": {"task": "classification", "top_k": 0}}, "top_k"),
        ({"output": {"task": "detection", "form": "yolo", "min_score": 2}}, "min_score"),
        ({"output": {"task": "detection", "form": "yolo", "first_label": -1}}, "first_label"),
    ],
)
def test_what_describes_no_model_is_refused_with_what_is_wrong(change: dict[str, Any], what: str) -> None:
    with pytest.raises(ModelUnfit, match=what) as raised:
        parse(describe(**change))
    assert raised.value.code is ModelCode.DESCRIPTION_INVALID


@pytest.mark.parametrize(
    ("data", "name"), [(b"{", "m.json"), (b"a = ", "m.toml"), (b"\xff", "m.toml"), (b"[]", "m.json")]
)
def test_what_is_no_document_is_refused(data: bytes, name: str) -> None:
    with pytest.raises(ModelUnfit):
        parse_description(data, name)


def test_the_version_changes_with_all_that_changes_what_a_model_says_and_with_nothing_else() -> None:
    version = parse(describe()).full_version("a" * 64)
    assert version.startswith("1.0+")
    same = describe(file="renamed.onnx", licence="MIT", sha256="a" * 64)
    assert parse(same).full_version("a" * 64) == version
    others = [
        parse(describe()).full_version("b" * 64),
        parse(describe(labels=["green", "red", "blue"])).full_version("a" * 64),
        parse(describe(output={"task": "classification", "top_k": 2})).full_version("a" * 64),
        parse(describe(input={"width_px": 16, "height_px": 16, "fit": "stretch"})).full_version("a" * 64),
    ]
    assert len({version, *others}) == 5


def test_models_are_installed_in_the_order_of_their_ids(tmp_path: Path) -> None:
    paths = [
        install(tmp_path, colour_classifier(gain), describe(id=name, file=f"{name}.onnx"))
        for name, gain in (("b", 1), ("a", 2))
    ]
    assert [model.description.id for model in installed_models(paths)] == ["a", "b"]
    with pytest.raises(ModelUnfit, match="ids of their own"):
        installed_models([paths[0], install(tmp_path / "c", colour_classifier(), describe(id="b"))])


def test_files_that_are_not_there_or_not_the_declared_ones_are_refused(tmp_path: Path) -> None:
    sidecar = install(tmp_path, colour_classifier(), describe(sha256="0" * 64))
    for path, code in ((sidecar, ModelCode.FILE_CHANGED), (tmp_path / "no.json", ModelCode.DESCRIPTION_INVALID)):
        with pytest.raises(ModelUnfit) as raised:
            installed_models([path])
        assert raised.value.code is code
    (tmp_path / "classification.onnx").unlink()
    with pytest.raises(ModelUnfit) as raised:
        installed_models([sidecar])
    assert raised.value.code is ModelCode.FILE_UNREADABLE


@pytest.mark.parametrize("numbers", ["scale = nan", "mean = [nan, 0, 0]", "std = [1, inf, 1]"])
def test_numbers_that_are_none_are_refused(numbers: str) -> None:
    text = (
        'id = "a"\nversion = "1"\nlabels = ["x", "y"]\nlicence = "MIT"\nfile = "m"\n'
        f'[input]\nwidth_px = 8\nheight_px = 8\n{numbers}\n[output]\ntask = "classification"\n'
    )
    with pytest.raises(ModelUnfit, match="finite"):
        parse_description(text.encode(), "m.toml")
