"""What goes to Label Studio and what comes back, as plain values. Not here: sending and asking."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Json = Any
Progress = Callable[[int, int | None], None]
"""Told how many are done, and of how many (None: nobody knows yet)."""

TASK_KEY = "task_key"
"""The field of a task's data in which our key stands; the server's own id of a task is never trusted alone."""


def no_progress(n_done: int, n_all: int | None) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class LabelTask:
    """One question. `data` is what the project's configuration shows; the key is added to it.

    `annotators`: how many distinct people are to answer, 1 or more.
    """

    task_key: str
    data: Mapping[str, Json]
    predictions: Sequence[Json] = ()
    annotators: int = 1

    def document(self) -> dict[str, Json]:
        """As it is imported."""
        return {"data": {**self.data, TASK_KEY: self.task_key}, "predictions": list(self.predictions)}


@dataclass(frozen=True)
class Pushed:
    """What is known of one batch of tasks after it was read back."""

    ids: Mapping[str, int] = field(default_factory=dict)
    """Task key → the server's id, as the server says it now."""
    n_created: int = 0
    """Of these, how many were not there before."""
    deleted: tuple[int, ...] = ()
    """Second copies without any answer, which were deleted."""
    conflicts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Task key → other copies that people have answered or begun: they are kept, and pulled under the same key."""
    missing: tuple[str, ...] = ()
    """Keys that the server does not show although it took them, or may have."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Task key → why the server does not take it, or which of its predictions is invalid."""


@dataclass(frozen=True)
class PulledAnnotation:
    """One person's answer as it is now. Times in UTC; `problems` is what the project's configuration has against it."""

    annotation_id: str
    task_key: str
    ls_task_id: int
    ls_annotation_id: int
    annotator: str
    result: Sequence[Json]
    is_ground_truth: bool
    is_skipped: bool
    lead_time_seconds: float | None
    created_at: datetime
    updated_at: datetime
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class PulledTask:
    """One task that has changed, with every answer that it has now: one that is known and not here was deleted."""

    task_key: str
    ls_task_id: int
    is_labeled: bool
    annotators: int
    updated_at: datetime
    annotations: tuple[PulledAnnotation, ...] = ()


@dataclass(frozen=True)
class PulledPage:
    """Some changed tasks; `watermark` is set on the last page, to be kept once everything before it is."""

    tasks: tuple[PulledTask, ...]
    watermark: datetime | None = None
    n_done: int = 0
    n_all: int | None = None
