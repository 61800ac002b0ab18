"""Asking a project for its tasks: by key, by id, by change; page after page, each beginning after the last id seen.

Numbered pages shift when tasks come, go or change while one reads; "the next after this id" does not. Label Studio
answers a filter that it does not know with nothing or with everything, so every answer is held against what was asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from media_assets.errors import LabelStudioCode, LabelStudioFailed
from media_assets.labeling.label_studio.client import LabelStudio
from media_assets.labeling.label_studio.values import TASK_KEY

Clause = dict[str, Any]
PAGE_SIZE = 500
_QUERY_CHARACTERS = 2500
"""Of a query before it is escaped: web servers refuse request lines from 4,094 bytes on."""
_LIGHT = "id,data,overlap,is_labeled,updated_at,total_annotations,cancelled_annotations"
_N_TRIED = 100
_BEGINNING = datetime(1971, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Listed:
    """One task in a listing. `n_answers` counts annotations, skipped ones among them."""

    task_id: int
    task_key: str | None
    n_answers: int
    annotators: int
    is_labeled: bool
    updated_at: datetime


def id_above(task_id: int) -> Clause:
    """Tasks with a greater id."""
    return {"filter": "filter:tasks:id", "operator": "greater", "type": "Number", "value": task_id}


def id_among(task_ids: Sequence[int]) -> Clause:
    """Tasks with one of these ids."""
    return {"filter": "filter:tasks:id", "operator": "in_list", "type": "Number", "value": list(task_ids)}


def key_among(keys: Sequence[str]) -> Clause:
    """Tasks with one of these keys."""
    return {"filter": f"filter:tasks:data.{TASK_KEY}", "operator": "in_list", "type": "String", "value": list(keys)}


def updated_after(moment: datetime) -> Clause:
    """Tasks that changed later, or whose annotations came, changed or went later."""
    value = f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"  # the one form that it reads
    return {"filter": "filter:tasks:updated_at", "operator": "greater", "type": "Datetime", "value": value}


def with_drafts(value: bool) -> Clause:
    """Tasks that somebody, whoever it is, has begun and not submitted; or the others."""
    return {"filter": "filter:tasks:draft_exists", "operator": "equal", "type": "Boolean", "value": str(value)}


def untouched() -> list[Clause]:
    """Tasks that nobody has annotated, skipped or begun."""
    counts = [
        {"filter": f"filter:tasks:{name}", "operator": "equal", "type": "Number", "value": 0}
        for name in ("total_annotations", "cancelled_annotations")
    ]
    return [*counts, with_drafts(False)]


def walk(client: LabelStudio, project: int, clauses: Sequence[Clause] = ()) -> Iterator[list[Listed]]:
    """Pages of the tasks that fulfil every clause, by growing id.

    Raises:
        LabelStudioFailed: no answer, or one that does not follow the filter.
    """
    for page, _ in walk_told(client, project, clauses):
        yield page


def walk_told(client: LabelStudio, project: int, clauses: Sequence[Clause] = ()) -> Iterator[tuple[list[Listed], int]]:
    """The same, each page with the number of tasks from its beginning on.

    A server may give shorter pages than it is asked for: its total says whether there are more.
    """
    last = 0
    while True:
        params = _params(project, [*clauses, id_above(last)], PAGE_SIZE) | {"include": _LIGHT}
        body = client.read("/api/tasks", params)
        page, total = [_listed(row) for row in _rows(body)], _total(body)
        ids = [task.task_id for task in page]
        if any(after <= before for before, after in zip([last, *ids], ids, strict=False)):
            raise _broken(f"tasks after id {last} by growing id", f"the ids {ids[:5]}")
        if page:
            yield page, total
            last = ids[-1]
        elif total:
            raise _broken(f"the next of {total} tasks after id {last}", "an empty page")
        elif not clauses and not last:
            _require_empty(client, project)
        if len(page) >= total:
            return


def ask(client: LabelStudio, project: int, keys: Iterable[str]) -> Iterator[Listed]:
    """Every task with one of these keys, in short questions.

    Raises:
        LabelStudioFailed: no answer, or tasks that were not asked for.
    """
    for some in short_runs(keys):
        asked = set(some)
        for page in walk(client, project, [key_among(some)]):
            for task in page:
                if task.task_key not in asked:
                    raise _broken(f"tasks whose {TASK_KEY} is one of {len(some)}", f"one whose is {task.task_key!r}")
                yield task


def details(client: LabelStudio, project: int, task_ids: Iterable[int]) -> Iterator[dict[str, Any]]:
    """Tasks as the server has them, with annotations, drafts and predictions; those that are gone are left out.

    Raises:
        LabelStudioFailed: no answer, or tasks that were not asked for.
    """
    for left in short_runs(task_ids, at_most=50):
        while left:
            params = _params(project, [id_among(left)], len(left)) | {"fields": "all"}
            body = client.read("/api/tasks", params)
            rows, total = _rows(body), _total(body)
            found = {row["id"] for row in rows}
            if strange := found - set(left):
                raise _broken(f"tasks with one of {len(left)} ids", f"others, such as {min(strange)}")
            if total and not rows:
                raise _broken(f"{total} tasks with one of {len(left)} ids", "an empty page")
            yield from rows
            left = [] if len(rows) >= total else [task_id for task_id in left if task_id not in found]


def can_ask(client: LabelStudio, project: int) -> bool:
    """Try the filters on what is there; False where nothing has our key among the first tasks, so that none was tried.

    Raises:
        LabelStudioFailed: a filter does not find what is there, or finds what is not: this version of Label Studio, or
            something before it, cannot be compared with, and pushing would import everything again.
    """
    first = next(walk(client, project), [])[:_N_TRIED]
    known = next((task for task in first if task.task_key is not None), None)
    if first and (above := next(walk(client, project, [id_above(first[-1].task_id - 1)]), []))[:1] != first[-1:]:
        raise _broken(f"the task {first[-1].task_id} as the next after its own id", f"{above[:1]}")
    if known is None or known.task_key is None:
        return False
    nobody = f"{known.task_key}\N{LATIN SMALL LETTER SHARP S}, which nobody has"
    found = {task.task_id for task in ask(client, project, [known.task_key, nobody])}
    if known.task_id not in found:
        raise _broken(f"the task {known.task_id} by its {TASK_KEY}", f"the tasks {sorted(found)[:5]}")
    if unheard := list(ask(client, project, [nobody])):
        raise _broken("no task for a key that nobody has", f"{len(unheard)}")
    return True


def require_changed(page: Sequence[Listed], bound: datetime | None) -> None:
    """See that tasks changed after a moment, as was asked for.

    Raises:
        LabelStudioFailed: one did not.
    """
    if bound is not None and (old := [task for task in page if task.updated_at <= bound]):
        raise _broken(f"tasks that changed after {bound:%Y-%m-%d %H:%M:%S.%f}", f"{len(old)} that did not")


def require_times(client: LabelStudio, project: int) -> None:
    """See that a question for changes finds what is there: an answer without changes is then to be believed.

    Raises:
        LabelStudioFailed: it finds less than everything since the beginning of time.
    """
    n_all = _count(client, project, [])
    if (n_found := _count(client, project, [updated_after(_BEGINNING), id_above(0)])) < n_all:
        raise _broken(f"{n_all} tasks that changed since {_BEGINNING:%Y}", f"{n_found}")


def _require_empty(client: LabelStudio, project: int) -> None:
    """See that a project in which no task has an id above 0 has none; asked twice, since one may just have come."""
    if (n_all := _count(client, project, [])) and not _count(client, project, [id_above(0)]):
        raise _broken(f"{n_all} tasks with an id above 0", "none")


def _count(client: LabelStudio, project: int, clauses: Sequence[Clause]) -> int:
    return _total(client.read("/api/tasks", _params(project, clauses, 1) | {"include": "id"}))


def short_runs(values: Iterable[Any], at_most: int = 1000) -> Iterator[list[Any]]:
    """Values in runs that fit into the address of a question."""
    run: list[Any] = []
    n_characters = 0
    for value in values:
        length = len(json.dumps(value)) + 2
        if run and (n_characters + length > _QUERY_CHARACTERS or len(run) == at_most):
            yield run
            run, n_characters = [], 0
        run.append(value)
        n_characters += length
    if run:
        yield run


def moment(text: str) -> datetime:
    """A time as the server writes it."""
    return datetime.fromisoformat(text)


def _params(project: int, clauses: Sequence[Clause], page_size: int) -> dict[str, Any]:
    query = {"filters": {"conjunction": "and", "items": list(clauses)}, "ordering": ["tasks:id"]}
    return {
        "project": project,
        "page_size": page_size,
        "page": 1,
        "resolve_uri": "false",
        "query": json.dumps(query, ensure_ascii=False, separators=(",", ":")),
    }


def _rows(body: Any) -> list[dict[str, Any]]:
    rows = body.get("tasks") if isinstance(body, dict) else None
    if not isinstance(rows, list):
        raise LabelStudioFailed(
            LabelStudioCode.ANSWER_STRANGE, f"expected a list of tasks, got {str(body)[:100]!r}. Is it a Label Studio?"
        )
    return rows


def _total(body: dict[str, Any]) -> int:
    total = body.get("total")
    if not isinstance(total, int):
        raise LabelStudioFailed(
            LabelStudioCode.ANSWER_STRANGE, f"expected the number of tasks beside a page of them, got {total!r}."
        )
    return total


def _listed(row: dict[str, Any]) -> Listed:
    key = row["data"].get(TASK_KEY)
    return Listed(
        row["id"],
        key if isinstance(key, str) else None,
        (row.get("total_annotations") or 0) + (row.get("cancelled_annotations") or 0),
        row.get("overlap") or 1,
        bool(row.get("is_labeled")),
        moment(row["updated_at"]),
    )


def _broken(wanted: str, got: str) -> LabelStudioFailed:
    return LabelStudioFailed(
        LabelStudioCode.FILTER_BROKEN,
        f"expected Label Studio to list {wanted}, got {got}. Nothing was sent: with a filter that does not work every "
        f"task would be imported again. This project is tested with the version in docs/label-studio.md.",
    )
