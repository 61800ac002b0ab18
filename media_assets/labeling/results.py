"""Label Studio's way of writing an answer: its `result`, read into an `Answer`. Pure.

The controls of a project are called `label` (choices), `method` (choices) and `region` (rectangles, or stretches of the
timeline), as in the templates. Percent become parts of the picture; the frames of a stretch, which Label Studio counts
from 1 with the last one included, become 0-based with an exclusive end. Not here: fetching results.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from media_assets.curation.answers import Answer, QuestionKind, Region
from media_assets.labeling.project_files import LabelProject

_AXES = {QuestionKind.BOXES: 2, QuestionKind.TIMELINE: 1}


class ResultUnreadable(ValueError):
    """A result that is no answer to the project's question."""


def canonical_result(result: Sequence[Mapping[str, Any]]) -> str:
    """The text that is kept of a result: equal results have equal text, whatever ids Label Studio gave their parts."""
    parts = [{key: value for key, value in part.items() if key not in ("id", "origin")} for part in result]
    return json.dumps(
        sorted(parts, key=lambda part: json.dumps(part, sort_keys=True)),
        ensure_ascii=False,
        sort_keys=True,
        separators=(",", ":"),
    )


def answer_of(result: Sequence[Mapping[str, Any]] | str, kind: QuestionKind) -> Answer:
    """The answer that a result (or its text) is.

    Raises:
        ResultUnreadable: parts of it are missing, are there twice, or belong to no control of such a project.
    """
    try:
        parts = json.loads(result) if isinstance(result, str) else result
        label, method, regions = _single(parts, "label"), _single(parts, "method"), tuple(_regions(parts))
        _require_axes(regions, _AXES.get(kind))
        unknown = {str(part["from_name"]) for part in parts} - {"label", "method", "region"}
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise ResultUnreadable(f"expected Label Studio's result, got {error!r} in {str(result)[:200]}") from error
    asks_for_label = kind in (QuestionKind.CHOICE, QuestionKind.REAL_FAKE)
    if unknown or (label is None) == asks_for_label:
        expected = "one choice in `label`" if asks_for_label else "regions alone"
        raise ResultUnreadable(f"expected {expected}, got label {label!r} and parts of {sorted(unknown)}")
    return Answer(label, method, tuple(sorted(regions)))


def answer_to(result: Sequence[Mapping[str, Any]] | str, project: LabelProject) -> Answer:
    """The answer to a project's question that a result (or its text) is: as `answer_of`, in the project's own words.

    Raises:
        ResultUnreadable: it is none, or has a label or method that the project does not have.
    """
    answer = answer_of(result, project.kind)
    of_regions = {region.label for region in answer.regions} if project.kind in _AXES else set()
    unknown = ({answer.label} - {None} | of_regions) - set(project.labels)
    unknown |= {answer.method} - {None, *project.methods} if project.methods else set()
    if unknown:
        expected = f"labels {list(project.labels)} and methods {list(project.methods)}"
        raise ResultUnreadable(f"expected {expected}, got {sorted(map(str, unknown))}")
    try:
        _require_axes(answer.regions, 2 if project.subject == "frame" else 1)
    except ValueError as error:
        raise ResultUnreadable(str(error)) from error
    return answer


def _require_axes(regions: Sequence[Region], n_axes: int | None) -> None:
    """Refuse boxes among stretches of time, and the other way round."""
    if n_axes is not None and any(len(region.extent) != n_axes for region in regions):
        raise ValueError(f"expected {'boxes' if n_axes == 2 else 'stretches of time'} in region, got {regions[:3]}")


def _single(parts: Sequence[Mapping[str, Any]], name: str) -> str | None:
    found = [choice for part in parts if part["from_name"] == name for choice in part["value"]["choices"]]
    if len(found) > 1:
        raise ValueError(f"more than one choice in {name}")
    return str(found[0]) if found else None


def _regions(parts: Sequence[Mapping[str, Any]]) -> Iterator[Region]:
    for part in parts:
        if part["from_name"] != "region":
            continue
        value = part["value"]
        if "timelinelabels" in value:
            for label in value["timelinelabels"]:
                for stretch in value["ranges"]:
                    yield Region(str(label), ((float(stretch["start"]) - 1, float(stretch["end"])),))
        else:
            left, top = float(value["x"]) / 100, float(value["y"]) / 100
            right, bottom = left + float(value["width"]) / 100, top + float(value["height"]) / 100
            for label in value["rectanglelabels"]:
                yield Region(str(label), ((left, right), (top, bottom)))
