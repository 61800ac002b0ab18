"""Label Studio's results: what its own library takes for an answer is read as the one that was meant."""

from __future__ import annotations

from typing import Any

import pytest

from media_assets.curation.answers import Answer, QuestionKind, Region
from media_assets.labeling.project_files import open_project
from media_assets.labeling.results import ResultUnreadable, answer_of, answer_to, canonical_result


def choice(name: str, *values: str) -> dict[str, Any]:
    return {"from_name": name, "to_name": "media", "type": "choices", "value": {"choices": list(values)}}


def rectangle(label: str, x: float, y: float, width: float, height: float) -> dict[str, Any]:
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0, "rectanglelabels": [label]}
    return {"from_name": "region", "to_name": "media", "type": "rectanglelabels", "value": value}


def stretch(label: str, *ranges: tuple[int, int]) -> dict[str, Any]:
    value = {"ranges": [{"start": a, "end": b} for a, b in ranges], "timelinelabels": [label]}
    return {"from_name": "region", "to_name": "media", "type": "timelinelabels", "value": value}


CASES = [
    ("image-classes", [choice("label", "animal")], Answer("animal")),
    (
        "real-or-fake",
        [choice("label", "fake"), choice("method", "face_swap"), rectangle("altered", 25, 50, 50, 12.5)],
        Answer("fake", "face_swap", (Region("altered", ((0.25, 0.75), (0.5, 0.625))),)),
    ),
    ("real-or-fake", [choice("label", "real")], Answer("real")),
    (
        "boxes",
        [rectangle("person", 50, 0, 50, 100), rectangle("face", 0, 0, 25, 25)],
        Answer(regions=(Region("face", ((0, 0.25), (0, 0.25))), Region("person", ((0.5, 1), (0, 1))))),
    ),
    ("boxes", [], Answer()),
    (
        "video-timeline",
        [stretch("speech", (1, 25), (100, 100))],
        Answer(regions=(Region("speech", ((0, 25),)), Region("speech", ((99, 100),)))),
    ),
]


@pytest.mark.parametrize(("project", "result", "answer"), CASES)
def test_a_result_is_the_answer_that_was_meant(project: str, result: list[dict[str, Any]], answer: Answer) -> None:
    kind = open_project(project).kind
    assert answer_of(result, kind) == answer
    assert answer_of(canonical_result(result), kind) == answer
    assert answer_of(canonical_result(result[::-1]), kind) == answer


def test_label_studios_own_library_takes_these_results() -> None:
    from label_studio_sdk.label_interface import LabelInterface

    for name in {case[0] for case in CASES}:
        interface = LabelInterface(open_project(name).config)
        for result in (case[1] for case in CASES if case[0] == name):
            told = interface.validate_prediction({"model_version": "1", "result": result}, return_errors=True)
            assert not told, (name, told)


def test_equal_results_have_equal_text_whatever_their_ids() -> None:
    first = [choice("label", "fake") | {"id": "a"}, choice("method", "x") | {"id": "b", "origin": "manual"}]
    second = [choice("method", "x") | {"id": "c"}, choice("label", "fake") | {"id": "d"}]
    assert canonical_result(first) == canonical_result(second) != canonical_result(first[:1])


@pytest.mark.parametrize(
    ("kind", "result"),
    [
        (QuestionKind.CHOICE, []),
        (QuestionKind.CHOICE, [choice("label", "a", "b")]),
        (QuestionKind.CHOICE, [choice("label", "a"), choice("label", "b")]),
        (QuestionKind.CHOICE, [choice("colour", "red"), choice("label", "a")]),
        (QuestionKind.BOXES, [choice("label", "a")]),
        (QuestionKind.BOXES, [rectangle("a", 0, 0, -5, 5)]),
        (QuestionKind.BOXES, [{"from_name": "region", "value": {}}]),
        (QuestionKind.BOXES, [stretch("a", (1, 5))]),
        (QuestionKind.TIMELINE, [stretch("a", (1, 5)), rectangle("a", 0, 0, 5, 5)]),
        (QuestionKind.BOXES, [{"type": "choices"}]),
        (QuestionKind.BOXES, ["text"]),
        (QuestionKind.CHOICE, "no json"),
    ],
)
def test_what_is_no_answer_is_refused(kind: QuestionKind, result: Any) -> None:
    with pytest.raises(ResultUnreadable, match="expected"):
        answer_of(result, kind)


@pytest.mark.parametrize(("name", "result", "answer"), CASES)
def test_a_result_in_the_projects_own_words_is_its_answer(
    name: str, result: list[dict[str, Any]], answer: Answer
) -> None:
    assert answer_to(result, open_project(name)) == answer


@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("image-classes", [choice("label", "unicorn")]),
        ("real-or-fake", [choice("label", "fake"), choice("method", "magic")]),
        ("real-or-fake", [choice("label", "fake"), stretch("altered", (1, 5))]),
        ("real-or-fake-video", [choice("label", "fake"), rectangle("altered", 0, 0, 5, 5)]),
        ("boxes", [rectangle("unicorn", 0, 0, 5, 5)]),
        ("boxes", [stretch("face", (1, 5))]),
        ("video-timeline", [stretch("silence", (1, 5))]),
    ],
)
def test_what_a_project_does_not_have_is_no_answer_to_it(name: str, result: list[dict[str, Any]]) -> None:
    with pytest.raises(ResultUnreadable, match="expected"):
        answer_to(result, open_project(name))
