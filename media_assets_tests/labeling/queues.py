"""Queues for tests: a lake, candidates, projects and people who answer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import polars as pl

from media_assets.curation.label_states import LabelActor, LabelMove
from media_assets.labeling.candidates import CANDIDATE
from media_assets.labeling.project_files import LabelProject, open_project
from media_assets.labeling.queue import Enqueued, TaskMove, apply_moves, enqueue
from media_assets.labeling.results import canonical_result
from media_assets.lake.delta import Lake, Provenance
from media_assets.media.identity import label_task_key, media_id
from media_assets.tables import LABELS_ANNOTATIONS, LABELS_QUEUE

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
US = Provenance("run-1", "1")
TIMES = {"queued_at", "state_at", "pushed_at"}
BATCH = "test.0001"


def project(**changes: Any) -> LabelProject:
    """Real or fake, with changes."""
    return msgspec.structs.replace(open_project("real-or-fake"), **changes)


def subject(number: int) -> str:
    """A frame's id."""
    return f"{number:032x}"


def key(number: int, round_number: int = 1) -> str:
    """The task about that frame."""
    return label_task_key("real-or-fake", subject(number), round_number)


def candidates(numbers: Iterable[int], uncertainty: float | None = None) -> pl.DataFrame:
    """One candidate for each number; frame n shows media n."""
    rows = [
        {
            "subject_id": subject(number),
            "item_key": f"{number}.jpg",
            "media_id": media_id(str(number).encode()),
            "blob": media_id(str(number).encode()),
            "media_type": "image/jpeg",
            "uncertainty": uncertainty,
            "perceptual_hash": None,
        }
        for number in numbers
    ]
    return pl.DataFrame(rows, CANDIDATE)


def queue(lake: Lake, numbers: Iterable[int], batch_id: str = BATCH, at: datetime = NOON, **changes: Any) -> Enqueued:
    """Queue these frames."""
    return enqueue(lake, project(**changes), batch_id, candidates(numbers), at, US)


def rows(lake: Lake, *columns: str) -> list[Any]:
    """The queue, without times unless they are asked for, by key; one column is not wrapped."""
    frame = lake.scan(LABELS_QUEUE).sort("task_key").collect()
    frame = frame.select(columns) if columns else frame.drop(TIMES)
    return frame[columns[0]].to_list() if len(columns) == 1 else frame.rows()


def states(lake: Lake) -> dict[str, str]:
    """Task key → state."""
    return dict(lake.scan(LABELS_QUEUE).select("task_key", "state").collect().iter_rows())


def push(lake: Lake, numbers: Iterable[int], at: datetime = NOON) -> None:
    """Put these tasks into Label Studio, as far as the queue knows."""
    moves = [TaskMove(key(number), LabelMove.PUSH, LabelActor.SYNC, "pushed", 1, number + 1, at) for number in numbers]
    assert not apply_moves(lake, moves, at, US).refused


def answered(lake: Lake, *numbers: int) -> None:
    """Put these tasks into Label Studio and say that enough people answered."""
    push(lake, numbers)
    moves = [TaskMove(key(number), LabelMove.ANNOTATE, LabelActor.SYNC, "answered") for number in numbers]
    assert not apply_moves(lake, moves, NOON, US).refused


def result_of(label: str, method: str | None = None) -> str:
    """A result of the real or fake project."""
    parts = [("label", label), *([("method", method)] if method else [])]
    return canonical_result(
        [
            {"from_name": name, "to_name": "media", "type": "choices", "value": {"choices": [value]}}
            for name, value in parts
        ]
    )


def annotation(number: int, person: str, label: str, minutes: float = 0, **changes: Any) -> dict[str, Any]:
    """One row of `labels/annotations`: that person's answer about frame `number`."""
    when = NOON + timedelta(minutes=minutes)
    value = result_of(label)
    row = {
        "annotation_id": f"{number}-{person}",
        "task_key": key(number),
        "batch_id": BATCH,
        "project": "real-or-fake",
        "round": 1,
        "annotator": person,
        "value": value,
        "label": label,
        "is_deleted": False,
        "is_gold": False,
        "lead_time_seconds": 5.0,
        "created_at": when,
        "updated_at": when,
        "seen_at": when,
        **changes,
    }
    return row | {"version": media_id(json.dumps([row["value"], row["is_deleted"]]).encode())}


def annotate(lake: Lake, *annotations: dict[str, Any], batch_id: str = BATCH) -> None:
    """These are all annotations of a batch."""
    frame = LABELS_ANNOTATIONS.frame(annotations)
    lake.overwrite(LABELS_ANNOTATIONS, frame, {"batch_id": [batch_id]}, US)


def said(number: int, answers: Sequence[str]) -> list[dict[str, Any]]:
    """Answers of persons 0, 1, ... about a frame."""
    return [annotation(number, f"ls:{person}", label, person) for person, label in enumerate(answers)]
