"""Deleting tasks, and never one that a person has worked on: not answered, not skipped, not even begun.

A task is looked at as a whole before, and the server is told to delete it only as long as nobody has answered or begun
it, so that work that comes in between is kept. What a task shows of drafts is those of the token's own user; the filter
knows those of all. Not here: which tasks are too many (`copies.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from media_assets.errors import LabelStudioCode, LabelStudioFailed
from media_assets.labeling.label_studio.client import LabelStudio, NotSent, OutcomeUnknown
from media_assets.labeling.label_studio.listing import (
    Clause,
    details,
    id_among,
    short_runs,
    untouched,
    walk,
    with_drafts,
)

_N_ATTEMPTS = 3


def delete_untouched(
    client: LabelStudio, project: int, task_ids: Iterable[int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Delete those tasks that nobody has worked on; ids that are gone now, and ids that are kept.

    Raises:
        LabelStudioFailed: the server does not do it, or does not say what it did.
    """
    gone: list[int] = []
    kept: list[int] = []
    for some in short_runs(sorted(set(task_ids)), at_most=200):
        free = {row["id"] for row in details(client, project, some) if not is_touched(row)}
        if free:
            # Both questions: a server that does not know this filter answers both alike, and then nothing is deleted.
            begun = _found(client, project, [id_among(sorted(free)), with_drafts(True)])
            free &= _found(client, project, [id_among(sorted(free)), *untouched()]) - begun
        if free:
            _delete(client, project, sorted(free))
        left = _found(client, project, [id_among(some)])
        gone += [task_id for task_id in some if task_id not in left]
        kept += sorted(left)
    return tuple(gone), tuple(kept)


def withdraw(client: LabelStudio, project: int, task_ids: Iterable[int]) -> tuple[int, ...]:
    """Take back tasks that nobody has worked on; ids that are gone. Those that are gone already count.

    Raises:
        LabelStudioFailed: `task_annotated`: some are worked on. They are kept, the others are gone.
    """
    gone, kept = delete_untouched(client, project, task_ids)
    if kept:
        raise LabelStudioFailed(
            LabelStudioCode.TASK_ANNOTATED,
            f"expected tasks that nobody has worked on, got {len(kept)} with answers or drafts: {list(kept[:10])}. "
            f"They are kept with everything in them; {len(gone)} others are gone. Pull first, and let people answer.",
        )
    return gone


def is_touched(row: dict[str, Any]) -> bool:
    """Whether a person has answered or skipped a task, or the token's own user has begun it, by the task itself."""
    counted = (row.get("total_annotations") or 0) + (row.get("cancelled_annotations") or 0)
    return bool(counted or row.get("annotations") or row.get("drafts"))


def _found(client: LabelStudio, project: int, clauses: Sequence[Clause]) -> set[int]:
    return {task.task_id for page in walk(client, project, clauses) for task in page}


def _delete(client: LabelStudio, project: int, task_ids: Sequence[int]) -> None:
    if not task_ids:
        raise ValueError("expected tasks to delete, got none: Label Studio takes an empty list for all tasks")
    body = {
        "filters": {"conjunction": "and", "items": untouched()},
        "selectedItems": {"all": False, "included": list(task_ids)},
        "ordering": [],
    }
    failure: LabelStudioFailed | None = None
    for attempt in range(_N_ATTEMPTS):
        try:
            client.write("POST", "/api/dm/actions", body, {"project": project, "id": "delete_tasks"})
            return
        except (NotSent, OutcomeUnknown) as error:  # deleting the same again deletes nothing else
            failure = error
            client.wait(2.0**attempt)
    assert failure is not None
    raise failure
