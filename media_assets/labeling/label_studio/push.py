"""Pushing tasks so that each is there once, whatever breaks on the way: look, send what is missing, look again.

An import that was not answered is never simply repeated: the server is asked for its keys first. What a late import
leaves behind all the same is deleted when it is seen, unless somebody has worked on it. One push at a time for a
project: two at once could both find a task missing. Not here: what is pushed, and keeping what came of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice

from media_assets.errors import LabelStudioCode, LabelStudioFailed
from media_assets.labeling.label_studio.client import LabelStudio, NotFound, NotSent, OutcomeUnknown
from media_assets.labeling.label_studio.copies import Copies
from media_assets.labeling.label_studio.inventory import Inventory, inventory
from media_assets.labeling.label_studio.listing import Listed, ask, can_ask, walk
from media_assets.labeling.label_studio.sweep import delete_untouched
from media_assets.labeling.label_studio.values import LabelTask, Progress, Pushed, no_progress

BATCH_SIZE = 250
N_ATTEMPTS = 6
_LONGEST_WAIT_SECONDS = 10.0
_N_LATE = 5000

Validate = Callable[[LabelTask], Sequence[str]]
"""What is wrong with the predictions of a task; nothing, where they are right."""


def push(
    client: LabelStudio,
    project: int,
    tasks: Iterable[LabelTask],
    *,
    batch_size: int = BATCH_SIZE,
    validate: Validate | None = None,
    progress: Progress = no_progress,
) -> Iterator[Pushed]:
    """Push tasks in batches; each is handed back as soon as it was read back, to be recorded before the next.

    A task that is there already is found, not sent. Tasks are taken from the iterator as they are needed. A last
    `Pushed` may follow for what came late. A task with an invalid prediction, or one that the server refuses, is
    told in `refused`; the others go on.

    Raises:
        LabelStudioFailed: the server cannot be reached or asked; what was handed back before is there. The same push
            may be begun again.
    """
    pending = iter(tasks)
    first = list(islice(pending, batch_size))
    if not first:
        return
    pusher = _Pusher(client, project, validate, can_ask(client, project))
    with ExitStack() as stack:
        if len(first) == batch_size or not pusher.is_askable:  # many, or nothing to try the filter on: list it all
            pusher.known = stack.enter_context(inventory(client, project))
        n_done, batch = 0, first
        while batch:
            yield pusher.push_batch(batch)
            n_done += len(batch)
            progress(n_done, None)
            batch = list(islice(pending, batch_size))
        if pusher.late:
            yield pusher.sweep_late()


def push_all(client: LabelStudio, project: int, tasks: Iterable[LabelTask]) -> Pushed:
    """Push some tasks and add up what came of them: for a few.

    Raises:
        LabelStudioFailed: as `push`.
    """
    total = Pushed()
    for pushed in push(client, project, tasks):
        total = Pushed(
            {**total.ids, **pushed.ids},
            total.n_created + pushed.n_created,
            total.deleted + pushed.deleted,
            {**total.conflicts, **pushed.conflicts},
            total.missing + pushed.missing,
            {**total.refused, **pushed.refused},
        )
    return total


@dataclass
class _Pusher:
    """One push under way. `late`: keys whose import was not answered, which may still come."""

    client: LabelStudio
    project: int
    validate: Validate | None
    is_askable: bool
    known: Inventory | None = None
    late: list[str] = field(default_factory=list)
    _refused: dict[str, str] = field(default_factory=dict)

    def push_batch(self, batch: Sequence[LabelTask]) -> Pushed:
        self._refused = {}
        wanted = {task.task_key: task for task in batch}
        found = self.known.copies(wanted) if self.known is not None else self._look(wanted)
        missing = [self._checked(task) for key, task in wanted.items() if key not in found.by_key]
        sent = [task for task in missing if task is not None]
        if sent:
            self._import(sent)
            later = self._look([task.task_key for task in sent])
            n_taken = len({task.task_key for task in sent} - self._refused.keys())
            if n_taken and not later.by_key:
                raise LabelStudioFailed(
                    LabelStudioCode.FILTER_BROKEN,
                    f"expected to find the {n_taken} tasks that Label Studio has just taken for project "
                    f"{self.project}, got none. They are not sent again in this run. Look whether they are there: "
                    f"where they come later, push again; else this server cannot be asked by key.",
                )
            found.by_key.update(later.by_key)
            if self.known is not None:
                self.known.take(task for copies in later.by_key.values() for task in copies.values())
        return self._read_back(wanted, found, {task.task_key for task in sent})

    def sweep_late(self) -> Pushed:
        """Look once more at what was not answered: an import may have come after it was asked for."""
        return self._read_back({}, self._look(self.late), set())

    def _checked(self, task: LabelTask) -> LabelTask | None:
        problems = self.validate(task) if self.validate is not None else ()
        if not problems:
            return task
        self._refused[task.task_key] = f"{LabelStudioCode.PREDICTION_INVALID.value}: {'; '.join(problems)[:400]}"
        return None

    def _look(self, keys: Iterable[str]) -> Copies:
        """The copies of some keys as the server has them now."""
        wanted = set(keys)
        if self.is_askable:
            return Copies.of(ask(self.client, self.project, sorted(wanted)))
        found = Copies.of(task for page in walk(self.client, self.project) for task in page if task.task_key in wanted)
        if found.by_key:  # now there is something to try the filter on
            self.is_askable = can_ask(self.client, self.project)
        return found

    def _import(self, tasks: Sequence[LabelTask]) -> None:
        waited = 0.5
        pending = list(tasks)
        for attempt in range(N_ATTEMPTS):
            if attempt:
                self.client.wait(waited)
                waited = min(2 * waited, _LONGEST_WAIT_SECONDS)
                there = self._look(task.task_key for task in pending).by_key
                pending = [task for task in pending if task.task_key not in there]
            if not pending:
                return
            try:
                self._send(pending)
                return
            except NotSent as error:
                failure: LabelStudioFailed = error
            except OutcomeUnknown as error:
                failure = error
                self.late = [*self.late, *(task.task_key for task in pending)][-_N_LATE:]
        raise failure

    def _send(self, tasks: Sequence[LabelTask]) -> None:
        """Import tasks; where one is refused with all the others, halve until it is alone."""
        body = [task.document() for task in tasks]
        try:
            self.client.write("POST", f"/api/projects/{self.project}/import", body, {"return_task_ids": "true"})
        except (NotSent, OutcomeUnknown, NotFound):
            raise
        except LabelStudioFailed as error:
            if error.code is not LabelStudioCode.REQUEST_REFUSED:
                raise
            if len(tasks) == 1:
                self._refused[tasks[0].task_key] = f"{error.code.value}: {error}"[:500]
                return
            middle = len(tasks) // 2
            self._send(tasks[:middle])
            self._send(tasks[middle:])

    def _read_back(self, wanted: Mapping[str, LabelTask], found: Copies, sent: set[str]) -> Pushed:
        deleted: tuple[int, ...] = ()
        conflicts: dict[str, tuple[int, ...]] = {}
        if others := found.others():
            deleted, kept = delete_untouched(self.client, self.project, (task.task_id for task in others))
            held = {task.task_id: task.task_key for task in others}
            for task_id in kept:
                key = held[task_id]
                assert key is not None
                conflicts[key] = (*conflicts.get(key, ()), task_id)
        ids = {key: task.task_id for key, task in found.kept().items()}
        self._open_for_all(wanted, found.kept())
        n_created = len(sent & ids.keys())
        missing = tuple(key for key in wanted if key not in ids and key not in self._refused)
        return Pushed(ids, n_created, deleted, conflicts, missing, dict(self._refused))

    def _open_for_all(self, wanted: Mapping[str, LabelTask], found: Mapping[str, Listed]) -> None:
        """An import gives every task as many annotators as its project has; where a task wants others, say so.

        Never of one that somebody has answered: it may have been opened for more people since.
        """
        for key, task in wanted.items():
            listed = found.get(key)
            if listed is not None and listed.annotators != task.annotators and not listed.n_answers:
                set_annotators(self.client, listed.task_id, task.annotators, is_labeled=False)


def set_annotators(client: LabelStudio, task_id: int, annotators: int, *, is_labeled: bool) -> None:
    """Say how many people a task wants, and whether it is done. The same again changes nothing.

    Raises:
        LabelStudioFailed: the server does not take it.
    """
    body = {"overlap": annotators, "is_labeled": is_labeled}
    failure: LabelStudioFailed | None = None
    for attempt in range(N_ATTEMPTS):
        try:
            client.write("PATCH", f"/api/tasks/{task_id}/", body)
            return
        except (NotSent, OutcomeUnknown) as error:
            failure = error
            client.wait(min(0.5 * 2**attempt, _LONGEST_WAIT_SECONDS))
    assert failure is not None
    raise failure
