"""The queue and Label Studio kept alike: what is due is pushed, what people did is pulled, disputes are reopened.

Each step looks at both sides first and may be repeated: killed anywhere, the next one completes it. Answers are kept
before their tasks move, and the watermark after both. One writer for a project at a time. Not here: what answers come
to (`settling.py`), and how Label Studio is asked (`label_studio/`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import chain, islice
from typing import Any

import polars as pl

from media_assets.curation.label_states import LabelActor, LabelMove, LabelState
from media_assets.curation.priorities import in_order, left_today
from media_assets.errors import LabelStudioCode
from media_assets.labeling.history import (
    AnswerVersion,
    append_answers,
    given_again,
    keep_watermark,
    latest_answers,
    taken_back,
    watermark,
)
from media_assets.labeling.label_studio.client import LabelStudio
from media_assets.labeling.label_studio.copies import Copies
from media_assets.labeling.label_studio.inventory import Inventory, inventory
from media_assets.labeling.label_studio.listing import Listed, ask, details
from media_assets.labeling.label_studio.projects import Project, ensure_project
from media_assets.labeling.label_studio.pull import is_gone, pull
from media_assets.labeling.label_studio.push import push
from media_assets.labeling.label_studio.sweep import delete_untouched
from media_assets.labeling.label_studio.tasks import requeue
from media_assets.labeling.label_studio.validation import ConfigRules
from media_assets.labeling.label_studio.values import (
    TASK_KEY,
    Json,
    LabelTask,
    Progress,
    PulledAnnotation,
    PulledPage,
    PulledTask,
    Pushed,
    no_progress,
)
from media_assets.labeling.places import find_place
from media_assets.labeling.preannotations import preannotations
from media_assets.labeling.project_files import LabelProject
from media_assets.labeling.queue import TaskMove, apply_moves
from media_assets.labeling.results import ResultUnreadable, answer_of, canonical_result
from media_assets.labeling.shown_media import ShownMedia
from media_assets.lake.delta import Lake, Provenance
from media_assets.tables import LABELS_QUEUE

SYNC_CODE_VERSION = "1"
MOST_PEOPLE = 5
"""People who are asked about one subject at most; what they dispute then is for an expert."""

_TITLE_CHARACTERS = 50  # Label Studio takes no more
_ROWS_AT_ONCE = 250
_MOST_REFUSED = 2_000  # in one push; then it is no matter of single tasks any more
_OPEN = (LabelState.ANNOTATED, LabelState.AGREED, LabelState.NEEDS_ADJUDICATION)


@dataclass
class PushReport:
    """What a push came to; the keys of `refused`, `conflicts` and `missing` are task keys."""

    n_due: int = 0
    n_created: int = 0
    n_found: int = 0
    n_deleted: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    conflicts: dict[str, tuple[int, ...]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)


@dataclass
class PullReport:
    """What a pull came to. `problems`: annotation id → why it does not fit its question; it is kept all the same."""

    n_tasks: int = 0
    n_new: int = 0
    n_taken_back: int = 0
    n_skipped: int = 0
    n_unknown: int = 0
    problems: dict[str, str] = field(default_factory=dict)
    batches: set[str] = field(default_factory=set)


@dataclass
class ReopenReport:
    """What became of disputed tasks: asked again, or for an expert since enough people were asked."""

    n_reopened: int = 0
    n_for_an_expert: int = 0


@dataclass
class ReconcileReport:
    """What a full comparison mended. `kept`: withdrawn tasks that people have worked on, by key.

    `without_key`: tasks that people have answered and whose key was taken out there; they are not asked again.
    """

    n_lost: int = 0
    n_moved: int = 0
    n_deleted: int = 0
    kept: list[str] = field(default_factory=list)
    without_key: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class LabelSync:
    """One project in both places. `at` is now, with a time zone."""

    lake: Lake
    client: LabelStudio
    project: LabelProject
    media: ShownMedia
    at: datetime
    provenance: Provenance

    @property
    def title(self) -> str:
        """What the project is called in Label Studio when it is made; afterwards its number counts."""
        title = f"{self.project.title} ({self.project.name})"
        return title if len(title) <= _TITLE_CHARACTERS else self.project.name[:_TITLE_CHARACTERS].ljust(3, "-")

    @cached_property
    def rules(self) -> ConfigRules:
        """What fits the project's configuration; parsed when first needed."""
        return ConfigRules(self.project.config)

    def push(self, progress: Progress = no_progress) -> PushReport:
        """Push what is due, as far as the day's budget goes; each batch is recorded before the next is sent.

        What is refused takes nothing of the budget: the next in the queue has its place.

        Raises:
            LabelStudioFailed: what was recorded is there; the same push may be begun again.
        """
        rows = self.lake.scan(LABELS_QUEUE).filter(pl.col("project") == self.project.name).collect()
        budget = left_today(rows, self.at, self.project.per_day)
        waiting = in_order(rows.filter(pl.col("state") == LabelState.QUEUED), self.at, self.project.weights)
        report = PushReport(n_due=min(waiting.height, budget))
        if not report.n_due:
            return report
        if (place := self._place()) is None:
            place = ensure_project(self.client, self.title, self.project.config, self.project.annotators)
        self.media.connect(self.client, place.project_id)
        tasks, there = self._fitting(self._tasks(waiting), report), set[str]()
        while (left := budget - len(there)) > 0 and len(report.refused) < _MOST_REFUSED:
            if (first := next(tasks, None)) is None:
                break
            counted = _counting(progress, len(there), report.n_due)
            some = chain([first], islice(tasks, left - 1))
            for pushed in push(self.client, place.project_id, some, progress=counted):
                self._record(pushed, place, report)
                there |= {*pushed.ids, *pushed.missing}
        return report

    def _record(self, pushed: Pushed, place: Project, report: PushReport) -> None:
        self._move([_pushed(key, place, task_id, self.at) for key, task_id in pushed.ids.items()])
        report.n_created += pushed.n_created
        report.n_found += len(pushed.ids) - pushed.n_created
        report.n_deleted += len(pushed.deleted)
        report.refused |= pushed.refused
        report.conflicts |= pushed.conflicts
        report.missing += pushed.missing

    def pull(self, progress: Progress = no_progress) -> PullReport:
        """Keep what people did since the last pull, and move their tasks.

        Raises:
            LabelStudioFailed: what came before is kept; the same pull may be begun again.
        """
        report = PullReport()
        if (place := self._place()) is None:
            return report
        for page in pull(self.client, place.project_id, watermark(self.lake, place.project_id), progress=progress):
            self._take(page, place, report)
            if page.watermark is not None:
                keep_watermark(self.lake, place.project_id, page.watermark, self.provenance)
        return report

    def reopen_disputed(self, most: int = MOST_PEOPLE) -> ReopenReport:
        """Ask one more person about every task whose answers came to nothing.

        Raises:
            LabelStudioFailed: what was opened before is open; the same may be begun again.
        """
        report = ReopenReport()
        rows = self._queue(pl.col("state") == LabelState.NEEDS_ADJUDICATION)
        if rows.is_empty() or (place := self._place()) is None:
            return report
        answers = latest_answers(self.lake, rows["task_key"].to_list(), set(rows["batch_id"]))
        keys = self._reconsidered(rows, answers)
        living = answers.filter(~pl.col("is_deleted")).group_by("task_key").agg(pl.col("annotator").n_unique())
        people = dict(living.iter_rows())
        for key, task, n_counted in self._disputed(place, keys):
            n_asked = people.get(key, 0)
            if n_asked >= most:
                report.n_for_an_expert += 1
                continue
            wanted = max(n_asked, n_counted) + 1
            if task.is_labeled or task.annotators < wanted:
                requeue(self.client, task.task_id, wanted)
            told = f"disputed: person {n_asked + 1} is asked"
            self._move([TaskMove(key, LabelMove.REOPEN, LabelActor.SYNC, told, place.project_id, task.task_id)])
            report.n_reopened += 1
        return report

    def _reconsidered(self, rows: pl.DataFrame, answers: pl.DataFrame) -> list[str]:
        """Disputed tasks of which everything that came was settled; the others are settled again first."""
        came = dict(answers.group_by("task_key").agg(pl.col("seen_at").max()).iter_rows())
        news = [key for key, at in rows.select("task_key", "state_at").iter_rows() if key in came and came[key] > at]
        told = "more was said since it was settled"
        self._move([TaskMove(key, LabelMove.RECONSIDER, LabelActor.SYNC, told) for key in news])
        return rows.filter(~pl.col("task_key").is_in(news))["task_key"].to_list()

    def _disputed(self, place: Project, keys: Sequence[str]) -> Iterator[tuple[str, Listed, int]]:
        """The copy that counts of each key, and how many answers Label Studio counts of it: skips are none."""
        kept = Copies.of(ask(self.client, place.project_id, keys)).kept()
        for row in details(self.client, place.project_id, [task.task_id for task in kept.values()]):
            key = row["data"].get(TASK_KEY)
            if key in kept and kept[key].task_id == row["id"]:
                yield key, kept[key], sum(not each.get("was_cancelled") for each in row.get("annotations") or ())

    def reconcile(self, progress: Progress = no_progress) -> ReconcileReport:
        """Compare all of both sides: tasks that were deleted there are due again, copies nobody touched are deleted.

        Raises:
            LabelStudioFailed: what was mended before is mended; the same may be begun again.
        """
        report = ReconcileReport()
        if (place := self._place()) is None:
            return report
        with inventory(self.client, place.project_id, progress) as there:
            others = [task.task_id for copies in there.repeated() for task in copies.others()]
            report.n_deleted += len(delete_untouched(self.client, place.project_id, others)[0])
            for rows in self._queue(pl.col("state") == LabelState.PUSHED).iter_slices(_ROWS_AT_ONCE):
                self._find_again(rows, there, place, report)
            for rows in self._queue(pl.col("state") == LabelState.NEEDS_ADJUDICATION).iter_slices(_ROWS_AT_ONCE):
                self._find_again(rows, there, place, report, is_disputed=True)
            for rows in self._queue(pl.col("state") == LabelState.WITHDRAWN).iter_slices(_ROWS_AT_ONCE):
                self._take_out(rows["task_key"].to_list(), there, place, report)
        return report

    def _place(self) -> Project | None:
        return find_place(self.lake, self.client, self.project.name, self.title)

    def _tasks(self, rows: pl.DataFrame) -> Iterator[LabelTask]:
        for some in rows.iter_slices(_ROWS_AT_ONCE):
            said = preannotations(self.lake, self.project, set(some["batch_id"]), set(some["subject_id"]))
            for row in some.iter_rows(named=True):
                data = {"media": self.media.address(row["blob"])}
                wanted = row["annotators"] + row["is_gold"]  # an expert comes on top
                yield LabelTask(row["task_key"], data, said.get(row["subject_id"], ()), wanted)

    def _fitting(self, tasks: Iterable[LabelTask], report: PushReport) -> Iterator[LabelTask]:
        """Those whose predictions fit the project; the others are told, and keep no place."""
        for task in tasks:
            problems = self.rules.of_task(task) if task.predictions else ()
            if not problems:
                yield task
                continue
            told = "; ".join(problems)[:400]
            report.refused[task.task_key] = f"{LabelStudioCode.PREDICTION_INVALID.value}: {told}"
            if len(report.refused) >= _MOST_REFUSED:
                return

    def _queue(self, which: pl.Expr) -> pl.DataFrame:
        rows = self.lake.scan(LABELS_QUEUE).filter(pl.col("project") == self.project.name)
        names = ("task_key", "batch_id", "state", "state_at", "round", "annotators", "is_gold", "ls_task_id")
        return rows.filter(which).select(names).collect()

    def _move(self, moves: Sequence[TaskMove]) -> None:
        apply_moves(self.lake, moves, self.at, self.provenance)

    def _take(self, page: PulledPage, place: Project, report: PullReport) -> None:
        by_key: dict[str, list[PulledTask]] = {}
        for task in page.tasks:
            by_key.setdefault(task.task_key, []).append(task)
        rows = {row["task_key"]: row for row in self._queue(pl.col("task_key").is_in(list(by_key))).to_dicts()}
        known = {key: tasks for key, tasks in by_key.items() if key in rows}
        report.n_tasks += len(known)
        report.n_unknown += len(by_key) - len(known)
        given = [answer for tasks in known.values() for task in tasks for answer in task.annotations]
        report.n_skipped += sum(answer.is_skipped for answer in given)
        versions = [self._version(answer, rows[answer.task_key], report) for answer in given if not answer.is_skipped]
        latest = latest_answers(self.lake, known, {rows[key]["batch_id"] for key in known})
        unseen = latest.filter(~pl.col("annotation_id").is_in([version.annotation_id for version in versions]))
        back = taken_back(unseen, self._is_gone)
        added = append_answers(self.lake, [*given_again(versions, latest), *back], self.at, self.provenance)
        report.n_new += sum(not version.is_deleted for version in added)
        report.n_taken_back += sum(version.is_deleted for version in added)
        report.batches |= {version.batch_id for version in added}
        gone = [version.annotation_id for version in back]
        elsewhere = unseen.filter(~pl.col("is_deleted") & ~pl.col("annotation_id").is_in(gone))
        answers = _Answers.of(versions, elsewhere)
        copies = self._copies(known, rows, set(elsewhere["task_key"]), place)
        moves: list[TaskMove] = []
        for key, tasks in known.items():
            places = copies.get(key) or [_Asked(task.ls_task_id, task.annotators, task.is_labeled) for task in tasks]
            if rows[key]["state"] == LabelState.QUEUED:  # who pushed it died before it was recorded
                places = self._opened_for_all(rows[key], places, answers.n_people(key))
            moves += _moves(rows[key], places, place, self.at, is_done=answers.are_enough(key, places))
        report.batches |= {rows[move.task_key]["batch_id"] for move in moves if move.move is LabelMove.ANNOTATE}
        self._move(moves)

    def _copies(
        self,
        known: Mapping[str, Sequence[PulledTask]],
        rows: Mapping[str, Mapping[str, Any]],
        elsewhere: Collection[str],
        place: Project,
    ) -> dict[str, list[_Asked]]:
        """All copies of those keys that may have several: a page shows only those that changed."""
        several = [
            key
            for key, tasks in known.items()
            if key in elsewhere
            or len(tasks) > 1
            or (rows[key]["ls_task_id"] is not None and tasks[0].ls_task_id != rows[key]["ls_task_id"])
        ]
        found: dict[str, list[_Asked]] = {}
        for task in ask(self.client, place.project_id, several):
            found.setdefault(task.task_key or "", []).append(_Asked(task.task_id, task.annotators, task.is_labeled))
        return found

    def _opened_for_all(self, row: Mapping[str, Any], places: Sequence[_Asked], n_people: int) -> list[_Asked]:
        """A task as many people as it wants can answer: an import gives each only as many as the project has."""
        wanted = row["annotators"] + row["is_gold"]
        first = min(places, key=lambda each: each.ls_task_id)
        if first.annotators >= wanted or n_people >= wanted:
            return list(places)
        requeue(self.client, first.ls_task_id, wanted)
        return [_Asked(first.ls_task_id, wanted, is_labeled=False), *(each for each in places if each is not first)]

    def _version(self, answer: PulledAnnotation, row: Mapping[str, Any], report: PullReport) -> AnswerVersion:
        label, problems = self._judged(answer.result)
        seconds = _seconds(answer.lead_time_seconds)
        if seconds is None and answer.lead_time_seconds is not None:
            problems.append(f"expected a time spent of 0 s or more, got {answer.lead_time_seconds!r}: it is left out")
        if problems:
            report.problems[answer.annotation_id] = "; ".join(problems)
        return AnswerVersion(
            answer.annotation_id,
            answer.task_key,
            row["batch_id"],
            self.project.name,
            row["round"],
            answer.annotator,
            _text(answer.result),
            label,
            answer.is_ground_truth,
            seconds,
            answer.created_at,
            answer.updated_at,
        )

    def _judged(self, result: Sequence[Json]) -> tuple[str | None, list[str]]:
        """The label of a result, and what is wrong with it."""
        problems = list(self.rules.of_result(result))
        try:
            return answer_of(result, self.project.kind).label, problems
        except ResultUnreadable as error:
            return None, [*problems, str(error)]

    def _is_gone(self, annotation_id: str) -> bool:
        """Whether an answer is not there any more, or has become a skip; asked one by one, since copies share a key."""
        return is_gone(self.client, annotation_id)

    def _find_again(
        self,
        rows: pl.DataFrame,
        there: Inventory,
        place: Project,
        report: ReconcileReport,
        *,
        is_disputed: bool = False,
    ) -> None:
        """Tasks that are not where they were, or not there at all; disputed ones keep their state where they are."""
        kept = there.copies(rows["task_key"]).kept()
        ids = dict(rows.select("task_key", "ls_task_id").iter_rows())
        keyless = there.answered_without_key(ids[key] for key in ids if key not in kept)
        report.without_key += [key for key in ids if key not in kept and ids[key] in keyless]
        lost = [key for key in ids if key not in kept and ids[key] not in keyless]
        moved = [task for key, task in kept.items() if task.task_id != ids[key]]
        told = "deleted in Label Studio"
        self._move(
            [
                TaskMove(key, move, LabelActor.SYNC, told)
                for key in lost
                for move in (*([LabelMove.REOPEN] if is_disputed else []), LabelMove.LOSE)
            ]
            + [_pushed(task.task_key or "", place, task.task_id, None) for task in moved if not is_disputed]
        )
        report.n_lost += len(lost)
        report.n_moved += 0 if is_disputed else len(moved)

    def _take_out(self, keys: Collection[str], there: Inventory, place: Project, report: ReconcileReport) -> None:
        """What is withdrawn here is deleted there, unless somebody has worked on it."""
        tasks = {task.task_id: key for key, copies in there.copies(keys).by_key.items() for task in copies.values()}
        gone, kept = delete_untouched(self.client, place.project_id, tasks)
        report.n_deleted += len(gone)
        report.kept += sorted({tasks[task_id] for task_id in kept})


def _pushed(key: str, place: Project, task_id: int, at: datetime | None) -> TaskMove:
    told = "in Label Studio, as read back"
    return TaskMove(key, LabelMove.PUSH, LabelActor.SYNC, told, place.project_id, task_id, at)


@dataclass(frozen=True)
class _Asked:
    """One copy of a task: how many people it wants, and whether Label Studio holds it to be done."""

    ls_task_id: int
    annotators: int
    is_labeled: bool


@dataclass(frozen=True)
class _Answers:
    """Of each task who has answered it, over all its copies, and whether an expert has."""

    people: Mapping[str, Collection[str]]
    by_expert: Collection[str]

    @classmethod
    def of(cls, versions: Sequence[AnswerVersion], elsewhere: pl.DataFrame) -> _Answers:
        told = [(each.task_key, each.annotator, each.is_gold) for each in versions]
        told += elsewhere.select("task_key", "annotator", "is_gold").iter_rows()
        people: dict[str, set[str]] = {}
        for key, annotator, _ in told:
            people.setdefault(key, set()).add(annotator)
        return cls(people, {key for key, _, is_gold in told if is_gold})

    def n_people(self, key: str) -> int:
        return len(self.people.get(key, ()))

    def are_enough(self, key: str, places: Sequence[_Asked]) -> bool:
        """As many as were to have answered, on one copy or over several; or an expert has, which settles it."""
        if not self.n_people(key):
            return False
        if key in self.by_expert or any(each.is_labeled for each in places):
            return True
        return len(places) > 1 and self.n_people(key) >= max(each.annotators for each in places)


def _moves(
    row: Mapping[str, Any], places: Sequence[_Asked], place: Project, at: datetime, *, is_done: bool
) -> Iterator[TaskMove]:
    """From where a task of the queue is to where its answers put it; which answers there are is kept already."""
    state, key = LabelState(row["state"]), row["task_key"]
    if state is LabelState.QUEUED:
        yield _pushed(key, place, min(each.ls_task_id for each in places), at)
        state = LabelState.PUSHED
    if state is LabelState.PUSHED and is_done:
        yield TaskMove(key, LabelMove.ANNOTATE, LabelActor.SYNC, "answered by as many people as were to")
    elif state in _OPEN and not is_done:
        yield TaskMove(key, LabelMove.REOPEN, LabelActor.SYNC, "an answer was taken back, or one more is wanted")


def _text(result: Sequence[Json]) -> str:
    try:
        return canonical_result(result)
    except (AttributeError, TypeError, ValueError):  # parts that are no objects: kept as they are
        return json.dumps(result, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _seconds(told: object) -> float | None:
    """A time that somebody can have spent: a browser computes it, by a clock that may have been set meanwhile."""
    if not isinstance(told, int | float) or isinstance(told, bool):
        return None
    return float(told) if 0 <= told < math.inf else None


def _counting(progress: Progress, n_before: int, n_all: int) -> Progress:
    return lambda n_done, _: progress(min(n_before + n_done, n_all), n_all)
