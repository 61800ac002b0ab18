"""Pulling what has changed: answers that are new, changed or gone, task by task, from a watermark on.

The watermark is a time on the server's clock. Every pull looks back a minute further, since a change may become visible
after a later one, so the same answer may come twice: who keeps it merges by its id and content. A task that was deleted
is in no list of changes; `inventory` finds it. Not here: keeping anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from media_assets.labeling.label_studio.client import LabelStudio, NotFound
from media_assets.labeling.label_studio.listing import (
    Listed,
    details,
    moment,
    require_changed,
    require_times,
    updated_after,
    walk_told,
)
from media_assets.labeling.label_studio.projects import read_project
from media_assets.labeling.label_studio.values import (
    TASK_KEY,
    Json,
    Progress,
    PulledAnnotation,
    PulledPage,
    PulledTask,
    no_progress,
)

OVERLAP_SECONDS = 60.0

Judge = Callable[[Sequence[Json]], Sequence[str]]
"""What the project's configuration has against a result; nothing, where it fits."""


def pull(
    client: LabelStudio,
    project: int,
    since: datetime | None,
    *,
    judge: Judge | None = None,
    overlap_seconds: float = OVERLAP_SECONDS,
    progress: Progress = no_progress,
) -> Iterator[PulledPage]:
    """Pages of tasks that changed since a watermark; all tasks for None. The last page has the next watermark.

    Tasks without our key are left out. An answer that does not fit the configuration comes with its `problems`.

    Raises:
        LabelStudioFailed: the project cannot be asked; what was handed back before is right all the same.
    """
    started = _server_time(client, project)
    bound = None if since is None else since - timedelta(seconds=overlap_seconds)
    clauses = [] if bound is None else [updated_after(bound)]
    latest, n_done = since, 0
    for page, n_left in walk_told(client, project, clauses):
        require_changed(page, bound)
        latest = max([task.updated_at for task in page] + ([] if latest is None else [latest]))
        n_all = n_done + n_left
        ours = [task for task in page if task.task_key is not None]
        yield PulledPage(tuple(_tasks(client, project, ours, judge)), None, n_done := n_done + len(page), n_all)
        progress(n_done, n_all)
    if since is not None and not n_done:
        require_times(client, project)
    yield PulledPage((), _next_watermark(since, latest, started), n_done, n_done)


def annotations_of(row: dict[str, Any], project: int, judge: Judge | None = None) -> tuple[PulledAnnotation, ...]:
    """The answers in a task as the server has it."""
    return tuple(_annotation(each, row, project, judge) for each in row.get("annotations") or ())


def _tasks(client: LabelStudio, project: int, listed: list[Listed], judge: Judge | None) -> Iterator[PulledTask]:
    """The tasks of a page; those with answers are asked for as a whole, the others are known already."""
    answered = [task.task_id for task in listed if task.n_answers]
    rows = {row["id"]: row for row in details(client, project, answered)}
    for task in listed:
        assert task.task_key is not None
        row = rows.get(task.task_id)
        if row is None and task.n_answers:
            continue  # deleted in this moment
        if row is not None and row["data"].get(TASK_KEY) != task.task_key:
            continue  # the server has given its id to another task, which comes with the next pull
        answers = () if row is None else annotations_of(row, project, judge)
        yield PulledTask(task.task_key, task.task_id, task.is_labeled, task.annotators, task.updated_at, answers)


def _annotation(each: dict[str, Any], row: dict[str, Any], project: int, judge: Judge | None) -> PulledAnnotation:
    result = each.get("result") or []
    is_skipped = bool(each.get("was_cancelled"))
    return PulledAnnotation(
        annotation_id(project, each),
        row["data"][TASK_KEY],
        row["id"],
        each["id"],
        _annotator(each.get("completed_by")),
        result,
        bool(each.get("ground_truth")),
        is_skipped,
        each.get("lead_time"),
        moment(each["created_at"]),
        moment(each["updated_at"]),
        () if judge is None or is_skipped else tuple(judge(result)),
    )


def annotation_id(project: int, each: dict[str, Any]) -> str:
    """What an answer is kept under: `ls:{project}:{when it was made}:{number}`.

    A number alone is not enough: every new installation begins at 1.
    """
    return f"ls:{project}:{moment(each['created_at']).astimezone(UTC):%Y%m%dT%H%M%S%fZ}:{each['id']}"


def is_gone(client: LabelStudio, kept_under: str) -> bool:
    """Whether an answer is not there any more, its number being another's perhaps, or a skip now.

    Where its whole project is not there, that says nothing of the answer: what was given then stays given.

    Raises:
        LabelStudioFailed: no answer.
    """
    _, project, *_, number = kept_under.split(":")
    try:
        found = client.read(f"/api/annotations/{number}/")
    except NotFound:
        return _is_there(client, int(project))
    return bool(found.get("was_cancelled")) or annotation_id(int(project), found) != kept_under


def _is_there(client: LabelStudio, project: int) -> bool:
    try:
        read_project(client, project)
    except NotFound:
        return False
    return True


def _annotator(completed_by: Any) -> str:
    """Who answered, in whichever form the server writes its number of the person."""
    if isinstance(completed_by, dict):
        completed_by = completed_by.get("id")
    return "unknown" if completed_by is None else f"ls:{completed_by}"


def _server_time(client: LabelStudio, project: int) -> datetime | None:
    _, told = client.read_at(f"/api/projects/{project}/")
    try:
        return parsedate_to_datetime(told).astimezone(UTC) if told else None
    except ValueError:
        return None


def _next_watermark(since: datetime | None, latest: datetime | None, started: datetime | None) -> datetime | None:
    """The latest change that was seen, but none after the beginning: what changed behind our back is still to come."""
    if latest is None:
        return since
    mark = latest if started is None else min(latest, started)
    return mark if since is None else max(since, mark)
