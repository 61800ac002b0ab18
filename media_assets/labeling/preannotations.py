"""What models have said of stills, written as Label Studio shows it: `predictions/frames` into pre-annotations.

Labels that a project does not have are left out: a model knows more words than people are asked for. Not here: reading
what people answer (`results.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import polars as pl

from media_assets.curation.answers import QuestionKind
from media_assets.labeling.project_files import LabelProject
from media_assets.lake.delta import Lake
from media_assets.tables import PREDICTIONS_FRAMES


def preannotations(
    lake: Lake, project: LabelProject, batch_ids: Collection[str], frame_ids: Collection[str]
) -> dict[str, list[dict[str, Any]]]:
    """Frame id → the pre-annotations of each model that said something which the project asks about."""
    if project.subject != "frame" or not batch_ids:
        return {}
    said = lake.scan(PREDICTIONS_FRAMES, {"batch_id": sorted(batch_ids)})
    rows = said.filter(pl.col("frame_id").is_in(list(frame_ids)))
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows.sort("frame_id", "model").collect().iter_rows(named=True):
        if (told := preannotation(row, project)) is not None:
            found.setdefault(row["frame_id"], []).append(told)
    return found


def preannotation(row: Mapping[str, Any], project: LabelProject) -> dict[str, Any] | None:
    """One model's word as a prediction of Label Studio; None where it says nothing that the project asks about.

    Args:
        row: of `predictions/frames`; sides of regions are parts of the picture, 0 to 1.
    """
    known = [region for region in row["regions"] if region["label"] in project.labels]
    boxes = [region for region in known if region["x"] is not None]
    labels = [region for region in known if region["x"] is None]
    if project.kind is QuestionKind.BOXES:
        result = [_box(region) for region in boxes]
    elif project.kind in (QuestionKind.CHOICE, QuestionKind.REAL_FAKE):
        result = [_choice(region) for region in labels[:1]]
    else:
        result = []
    if not result:
        return None
    scores = [region["score"] for region in (boxes or labels[:1]) if region["score"] is not None]
    version = f"{row['model']} {row['model_version']}"
    return {"model_version": version, "result": result} | ({"score": max(scores)} if scores else {})


def _choice(region: Mapping[str, Any]) -> dict[str, Any]:
    return {"from_name": "label", "to_name": "media", "type": "choices", "value": {"choices": [region["label"]]}}


def _box(region: Mapping[str, Any]) -> dict[str, Any]:
    sides = {name: round(100 * region[name], 4) for name in ("x", "y", "width", "height")}
    value = {**sides, "rotation": 0, "rectanglelabels": [region["label"]]}
    return {"from_name": "region", "to_name": "media", "type": "rectanglelabels", "value": value}
