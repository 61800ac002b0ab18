"""What models said, as Label Studio shows it: held against the projects' own rules, and read back as an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from media_assets.curation.answers import Region
from media_assets.labeling.label_studio.validation import ConfigRules
from media_assets.labeling.label_studio.values import LabelTask
from media_assets.labeling.preannotations import preannotation, preannotations
from media_assets.labeling.project_files import open_project
from media_assets.labeling.results import answer_of
from media_assets.lake.delta import Lake
from media_assets.lake.location import LakeLocation
from media_assets.tables import PREDICTIONS_FRAMES
from media_assets_tests.labeling.queues import BATCH, US
from media_assets_tests.tables.rows import valid

SIDES = ("x", "y", "width", "height")


def region(label: str, score: float, *sides: float) -> dict[str, Any]:
    return {"label": label, "score": score, **dict(zip(SIDES, sides or (None,) * 4, strict=True))}


def said(*regions: dict[str, Any], frame: str = "0" * 32) -> dict[str, Any]:
    best = regions[0] if regions else {"label": None, "score": None}
    return {
        "batch_id": BATCH,
        "frame_id": frame,
        "item_key": "1.png",
        "model": "m",
        "model_version": "2+0123456789ab",
        "label": best["label"],
        "score": best["score"],
        "regions": list(regions),
    }


@pytest.mark.parametrize(
    ("name", "regions", "expected"),
    [
        ("image-classes", [region("dog", 0.9), region("animal", 0.7), region("person", 0.1)], ("animal", 0.7, ())),
        ("real-or-fake", [region("fake", 0.6), region("real", 0.4)], ("fake", 0.6, ())),
        (
            "boxes",
            [region("unicorn", 0.9, 0.0, 0.0, 1.0, 1.0), region("face", 0.8, 0.1, 0.25, 0.5, 0.5)],
            (None, 0.8, (Region("face", ((0.1, 0.6), (0.25, 0.75))),)),
        ),
    ],
)
def test_what_a_model_said_fits_the_project_and_reads_as_the_answer_that_it_is(
    name: str, regions: list[dict[str, Any]], expected: tuple[Any, ...]
) -> None:
    project = open_project(name)
    if name == "boxes" and "face" not in project.labels:
        regions = [each | {"label": project.labels[0]} if each["label"] == "face" else each for each in regions]
        expected = (None, 0.8, (Region(project.labels[0], ((0.1, 0.6), (0.25, 0.75))),))
    told = preannotation(said(*regions), project)
    assert told is not None
    assert ConfigRules(project.config).of_task(LabelTask("k", {}, [told])) == []
    answer = answer_of(told["result"], project.kind)
    assert (answer.label, told["score"], answer.regions) == expected


@pytest.mark.parametrize("name", ["image-classes", "boxes", "real-or-fake"])
def test_a_model_that_says_nothing_of_what_is_asked_is_not_shown(name: str) -> None:
    project = open_project(name)
    assert preannotation(said(), project) is None
    assert preannotation(said(region("unicorn", 0.9)), project) is None


def test_the_predictions_of_a_lake_are_found_by_frame_and_none_where_there_is_no_table(tmp_path: Path) -> None:
    lake, project = Lake(LakeLocation(str(tmp_path / "lake"))), open_project("image-classes")
    frames = [f"{number:032x}" for number in range(3)]
    assert preannotations(lake, project, [BATCH], frames) == {}
    regions = [region("animal", 0.5)]
    rows = [
        valid(PREDICTIONS_FRAMES, batch_id=BATCH, frame_id=frame, model="m", regions=regions, task="classification")
        for frame in frames
    ]
    lake.overwrite(PREDICTIONS_FRAMES, PREDICTIONS_FRAMES.frame(rows), {"batch_id": [BATCH]}, US)
    found = preannotations(lake, project, [BATCH], frames[:2])
    assert sorted(found) == frames[:2]
    assert found[frames[0]][0]["model_version"] == f"m {rows[0]['model_version']}"
