"""The queue of a lake and a real Label Studio: one loop through both, cut short at every commit, and mended."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from media_assets.curation.label_states import LabelActor, LabelMove, LabelState
from media_assets.errors import LabelStudioCode, LabelStudioFailed
from media_assets.labeling import sync
from media_assets.labeling.exchange import LabelExchange
from media_assets.labeling.label_studio import listing, push
from media_assets.labeling.label_studio.client import LabelStudio
from media_assets.labeling.label_studio.values import LabelTask
from media_assets.labeling.project_files import LabelProject, open_project
from media_assets.labeling.queue import TaskMove, apply_moves, due_tasks, enqueue, withdraw_media
from media_assets.labeling.settling import settle_batch
from media_assets.labeling.shown_media import shown_media
from media_assets.labeling.sync import LabelSync
from media_assets.lake.crash_points import watch_crash_points
from media_assets.lake.delta import Lake, Provenance
from media_assets.lake.location import LakeLocation
from media_assets.tables import LABELS_ANNOTATIONS, LABELS_CONSENSUS, LABELS_QUEUE
from media_assets_tests.services.label_studio import LabelStudioServer

import msgspec  # isort: skip

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

BATCH = "pets.0001"
RUN = Provenance("run-1", "1")
CANDIDATES = {"uncertainty": pl.Float64, "perceptual_hash": pl.UInt64}


class Killed(BaseException):
    """The process died here."""


@dataclass
class Place:
    """A lake with some subjects queued, and a Label Studio that shows its blobs."""

    lake: Lake
    server: LabelStudioServer
    client: LabelStudio
    project: LabelProject

    def sync(self, later: timedelta = timedelta()) -> LabelSync:
        media = shown_media(self.lake.location, str(self.server.files))
        return LabelSync(self.lake, self.client, self.project, media, datetime.now(UTC) + later, RUN)

    def exchange(self, *others: LabelProject) -> LabelExchange:
        """Of this project after the others."""
        media = shown_media(self.lake.location, str(self.server.files))
        projects = [*others, self.project]
        return LabelExchange(self.lake, self.client, projects, media, datetime.now(UTC), RUN)

    def queue(self, n: int) -> None:
        enqueue(self.lake, self.project, BATCH, self.candidates(n), datetime.now(UTC), RUN)

    def candidates(self, n: int) -> pl.DataFrame:
        subjects = [hashlib.sha256(f"{self.project.name}{i}".encode()).hexdigest() for i in range(n)]
        rows = [
            {
                "subject_id": subject[:32],
                "item_key": f"{i}.png",
                "media_id": subject,
                "blob": subject,
                "media_type": "image/png",
                "uncertainty": 0.5,
                "perceptual_hash": int(subject[:8], 16),
            }
            for i, subject in enumerate(subjects)
        ]
        return pl.DataFrame(rows, schema_overrides=CANDIDATES)

    def states(self) -> dict[str, str]:
        rows = self.lake.scan(LABELS_QUEUE).filter(pl.col("project") == self.project.name)
        return dict(rows.select("task_key", "state").sort("task_key").collect().iter_rows())

    def ids(self) -> dict[str, int]:
        return dict(
            self.lake.scan(LABELS_QUEUE).select("task_key", "ls_task_id").sort("task_key").collect().iter_rows()
        )

    def pushed_ids(self) -> dict[str, int]:
        return {key: task_id for key, task_id in self.ids().items() if task_id is not None}

    def answers(self) -> pl.DataFrame:
        return self.lake.scan(LABELS_ANNOTATIONS).sort("updated_at", "seen_at").collect()

    def settle(self) -> None:
        settle_batch(self.lake, [self.project], BATCH, datetime.now(UTC), RUN)

    def pull_and_settle(self) -> None:
        self.sync().pull()
        self.settle()

    def stored(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.server.tasks(self.ls_project())
        return found

    def ls_project(self) -> int:
        (number,) = set(self.lake.scan(LABELS_QUEUE).select("ls_project_id").drop_nulls().collect()["ls_project_id"])
        return int(number)

    def versions(self) -> list[int]:
        """Of the tables that a repetition must not write; the log of the answers may take a watermark alone."""
        tables = (self.lake.table(contract) for contract in (LABELS_QUEUE, LABELS_CONSENSUS))
        return [table.version() if table is not None else -1 for table in tables] + [self.answers().height]


def choice(label: str) -> list[dict[str, Any]]:
    return [{"from_name": "label", "to_name": "media", "type": "choices", "value": {"choices": [label]}}]


@pytest.fixture
def place(label_studio: LabelStudioServer, request: pytest.FixtureRequest) -> Iterator[Place]:
    lake = label_studio.files / f"lake-{hashlib.sha256(request.node.name.encode()).hexdigest()[:8]}"
    (lake / "blobs").mkdir(parents=True)
    name = f"p{lake.name[5:]}"
    project = msgspec.structs.replace(open_project("image-classes"), name=name, gold_share=0.0)
    with label_studio.client() as client:
        yield Place(Lake(LakeLocation(str(lake))), label_studio, client, project)
    watch_crash_points()


def test_a_question_goes_out_and_comes_back_as_a_label_disputed_ones_by_way_of_a_third_person(place: Place) -> None:
    place.queue(4)
    told: list[tuple[int, int | None]] = []
    report = place.sync().push(lambda n_done, n_all: told.append((n_done, n_all)))
    assert (report.n_due, report.n_created, report.n_found) == (4, 4, 0)
    assert told == [(4, 4)]
    assert set(place.states().values()) == {"pushed"}
    agreed, disputed, half, none = place.ids().items()
    anna, ben, cleo = (place.server.user(name) for name in ("anna", "ben", "cleo"))
    for (_, task_id), label in ((agreed, "animal"), (disputed, "animal"), (half, "person")):
        place.server.annotate(task_id, choice(label), anna)
    place.server.annotate(agreed[1], choice("animal"), ben)
    place.server.annotate(disputed[1], choice("vehicle"), ben)

    report_of_pull = place.sync().pull()
    assert (report_of_pull.n_new, report_of_pull.n_taken_back, report_of_pull.problems) == (5, 0, {})
    assert report_of_pull.batches == {BATCH}
    assert place.states() == {
        agreed[0]: "annotated",
        disputed[0]: "annotated",
        half[0]: "pushed",
        none[0]: "pushed",
    }
    place.settle()
    assert (place.states()[agreed[0]], place.states()[disputed[0]]) == ("accepted", "needs_adjudication")
    reopened = place.sync().reopen_disputed()
    assert (reopened.n_reopened, reopened.n_for_an_expert) == (1, 0)
    assert place.states()[disputed[0]] == "pushed"
    open_now = {row["id"]: (row["overlap"], row["is_labeled"]) for row in place.server.overlaps(place.ls_project())}
    assert open_now == {agreed[1]: (2, True), disputed[1]: (3, False), half[1]: (2, False), none[1]: (2, False)}

    place.server.annotate(disputed[1], choice("vehicle"), cleo)
    assert place.sync().pull().n_new == 1
    place.settle()
    assert place.states()[disputed[0]] == "accepted"
    labels = place.lake.scan(LABELS_CONSENSUS).select("task_key", "label", "n_annotators").collect()
    assert set(labels.iter_rows()) == {(agreed[0], "animal", 2), (disputed[0], "vehicle", 3)}
    before = place.versions()
    place.sync().push()
    place.sync().pull()
    place.settle()
    place.sync().reopen_disputed()
    assert place.versions() == before, "what is done is not written again"


def test_every_version_of_an_answer_is_kept_and_the_last_one_counts(place: Place) -> None:
    place.queue(1)
    place.sync().push()
    ((key, task_id),) = place.ids().items()
    anna, ben = place.server.user("anna"), place.server.user("ben")
    mine = place.server.annotate(task_id, choice("animal"), anna)
    place.server.annotate(task_id, choice("animal"), ben)
    place.sync().pull()
    for label in ("person", "animal"):
        place.server.call("PATCH", f"/api/annotations/{mine}/", {"result": choice(label)})
        place.sync().pull()
    assert place.answers().filter(pl.col("annotation_id").str.ends_with(f":{mine}"))["label"].to_list() == [
        "animal",
        "person",
        "animal",
    ]
    assert place.states() == {key: "annotated"}
    place.server.call("DELETE", f"/api/annotations/{mine}/")
    report = place.sync().pull()
    assert (report.n_new, report.n_taken_back) == (0, 1)
    assert place.answers()["is_deleted"].to_list()[-1]
    assert place.states() == {key: "pushed"}, "one answer too few: it waits again"
    assert place.sync().pull().n_taken_back == 0


def test_an_answer_that_fits_nothing_is_kept_and_told(place: Place) -> None:
    place.queue(1)
    place.sync().push()
    ((_, task_id),) = place.ids().items()
    place.server.annotate(task_id, choice("unicorn"))
    place.server.annotate(task_id, [{"from_name": "else", "value": 1}], place.server.user("ben"))
    place.server.annotate(task_id, choice("animal"), place.server.user("cleo"), lead_time=-0.4)  # her clock was set
    report = place.sync().pull()
    assert (report.n_new, len(report.problems)) == (3, 3)
    assert sorted(place.answers()["label"].to_list(), key=str) == [None, "animal", "unicorn"]
    assert place.answers().filter(label="animal")["lead_time_seconds"].to_list() == [None]


def test_an_answer_that_is_skipped_and_given_again_counts_although_our_clock_is_ahead(place: Place) -> None:
    place.queue(1)
    place.sync().push()
    ((key, task_id),) = place.ids().items()
    mine = place.server.annotate(task_id, choice("animal"), place.server.user("anna"))
    place.server.annotate(task_id, choice("person"), place.server.user("ben"))
    ahead = timedelta(minutes=10)
    for fields in ({}, {"was_cancelled": True}, {"was_cancelled": False, "result": choice("person")}):
        place.server.call("PATCH", f"/api/annotations/{mine}/", fields)
        place.sync(ahead).pull()
    place.settle()
    assert place.states() == {key: "accepted"}


def test_answers_to_both_of_two_copies_are_kept_and_neither_is_taken_for_taken_back(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PAGE_SIZE", 1)  # the copies come on different pages
    place.queue(1)
    place.sync().push()
    ((key, first),) = place.ids().items()
    (document,) = place.stored()
    place.server.call("POST", f"/api/projects/{place.ls_project()}/import", [{"data": document["data"]}])
    (second,) = (task["id"] for task in place.stored() if task["id"] != first)
    place.server.annotate(first, choice("animal"), place.server.user("anna"))
    place.sync().pull()
    place.server.annotate(second, choice("person"), place.server.user("ben"))
    for _ in range(2):
        place.sync().pull()
        place.sync().reconcile()
    assert sorted(place.answers()["label"].to_list()) == ["animal", "person"]
    assert not place.answers()["is_deleted"].any()
    assert sorted(task["id"] for task in place.stored()) == sorted((first, second))
    assert set(place.answers()["task_key"]) == {key}


def test_what_was_deleted_there_is_asked_again_and_what_is_withdrawn_here_is_taken_out(place: Place) -> None:
    place.queue(4)
    place.sync().push()
    lost, withdrawn, answered, other = place.ids().items()
    place.server.call("DELETE", f"/api/tasks/{lost[1]}/")
    place.server.annotate(answered[1], choice("animal"))
    rows = {row["task_key"]: row for row in place.lake.scan(LABELS_QUEUE).collect().to_dicts()}
    media = [rows[withdrawn[0]]["media_id"], rows[answered[0]]["media_id"]]
    withdraw_media(place.lake, media, "erased", LabelActor.ERASURE, datetime.now(UTC), RUN)
    report = place.sync().reconcile()
    assert (report.n_lost, report.n_deleted, report.kept) == (1, 1, [answered[0]])
    assert place.states()[lost[0]] == "queued"
    assert sorted(task["id"] for task in place.stored()) == sorted((answered[1], other[1]))
    assert place.sync().push().n_created == 1
    assert place.states()[lost[0]] == "pushed"
    assert place.ids()[other[0]] == other[1]


def test_what_is_disputed_and_was_deleted_there_is_asked_again(place: Place) -> None:
    place.queue(2)
    place.sync().push()
    (gone, there) = place.ids().items()
    for _, task_id in (gone, there):
        for name, label in (("anna", "animal"), ("ben", "person")):
            place.server.annotate(task_id, choice(label), place.server.user(name))
    place.pull_and_settle()
    place.server.call("DELETE", f"/api/tasks/{gone[1]}/")
    assert place.sync().reconcile().n_lost == 1
    assert place.states() == {gone[0]: "queued", there[0]: "needs_adjudication"}
    assert place.sync().push().n_created == 1
    for name in ("cleo", "dora"):
        place.server.annotate(place.ids()[gone[0]], choice("animal"), place.server.user(name))
    place.pull_and_settle()
    assert place.states()[gone[0]] == "accepted"
    assert place.answers().filter(pl.col("is_deleted"))["task_key"].to_list() == [gone[0]] * 2


COMMITS = [(1, "queue"), (1, "annotations"), (2, "annotations")]  # the second of these keeps the watermark


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("number", "table"), COMMITS)
def test_whatever_commit_it_dies_at_the_next_time_completes_it(
    place: Place, number: int, table: str, when: str
) -> None:
    point = f"{when} labels/{table}"
    place.queue(3)
    n_deaths = _until_it_dies(lambda: place.sync().push(), point, number)
    place.sync().push()
    assert set(place.states().values()) == {"pushed"}
    assert len(place.stored()) == 3
    for _, task_id in place.ids().items():
        for name in ("anna", "ben"):
            place.server.annotate(task_id, choice("animal"), place.server.user(name))
    n_deaths += _until_it_dies(lambda: place.sync().pull(), point, number)
    place.sync().pull()
    assert n_deaths
    assert place.answers().select("annotation_id").n_unique() == place.answers().height == 6
    assert set(place.states().values()) == {"annotated"}


def test_answers_to_a_task_whose_push_was_never_recorded_count(place: Place) -> None:
    place.queue(1)
    assert _until_it_dies(lambda: place.sync().push(), "before labels/queue", 1) == 1
    assert set(place.states().values()) == {"queued"}
    (project,) = (p for p in place.server.call("GET", "/api/projects")["results"] if place.project.name in p["title"])
    (task,) = place.server.tasks(project["id"])
    for name in ("anna", "ben"):
        place.server.annotate(task["id"], choice("animal"), place.server.user(name))
    place.sync().pull()
    assert set(place.states().values()) == {"annotated"}
    assert list(place.ids().values()) == [task["id"]]


def _until_it_dies(work: Callable[[], object], point: str, number: int) -> int:
    """Let something die at the n-th time it reaches a point; 1 if it did."""
    n_reached = 0

    def die(reached: str) -> None:
        nonlocal n_reached
        n_reached += reached == point
        if n_reached == number and reached == point:
            raise Killed

    watch_crash_points(die)
    try:
        work()
    except Killed:
        return 1
    finally:
        watch_crash_points()
    return 0


def test_a_move_by_another_hand_is_not_undone(place: Place) -> None:
    place.queue(1)
    place.sync().push()
    ((key, task_id),) = place.ids().items()
    for name in ("anna", "ben"):
        place.server.annotate(task_id, choice("animal"), place.server.user(name))
    withdraw = TaskMove(key, LabelMove.WITHDRAW, LabelActor.REVIEWER, "not wanted")
    apply_moves(place.lake, [withdraw], datetime.now(UTC), RUN)
    report = place.sync().pull()
    assert report.n_new == 2, "answers are kept whatever becomes of the question"
    assert place.states() == {key: LabelState.WITHDRAWN}


def test_what_one_project_fails_at_stops_no_other_and_whose_answers_came_is_told_whenever_it_dies(
    place: Place,
) -> None:
    place.queue(1)
    broken = msgspec.structs.replace(place.project, name=f"{place.project.name}-2")
    for _ in range(2):
        place.server.project(broken.config, title=f"{broken.title} ({broken.name})")
    enqueue(place.lake, broken, "other.0001", place.candidates(1), datetime.now(UTC), RUN)
    pushed = place.exchange(broken).push(lambda *_: None)
    assert (pushed.reports[place.project.name].n_created, list(pushed.failures)) == (1, [broken.name])
    ((_, task_id),) = place.pushed_ids().items()
    place.server.annotate(task_id, choice("animal"))

    def pull() -> list[str]:
        exchange = place.exchange(broken)
        pulled, told = exchange.pull(lambda *_: None), list[str]()
        exchange.tell(told.append)
        with pytest.raises(LabelStudioFailed) as caught:
            pulled.require_all()
        assert caught.value.code is LabelStudioCode.PROJECT_AMBIGUOUS
        return told

    assert _until_it_dies(pull, "before labels/annotations", 2) == 1  # the answers are kept, and nothing else
    assert pull() == [BATCH]
    assert pull() == []
    place.server.annotate(task_id, choice("animal"), place.server.user("ben"))
    assert _until_it_dies(pull, "before labels/annotations", 3) == 1  # told, and that is not kept
    assert pull() == [BATCH]
    assert pull() == []


def test_an_expert_and_a_changed_mind_are_heard_before_anybody_else_is_asked(place: Place) -> None:
    place.queue(2)
    place.sync().push()
    (marked, first), (changed, second) = place.ids().items()
    anna, ben = place.server.user("anna"), place.server.user("ben")
    said = {}
    for task_id in (first, second):
        said[task_id] = place.server.annotate(task_id, choice("animal"), anna)
        place.server.annotate(task_id, choice("person"), ben)
    place.pull_and_settle()
    assert set(place.states().values()) == {"needs_adjudication"}
    place.server.call("PATCH", f"/api/annotations/{said[first]}/", {"ground_truth": True})
    place.server.call("PATCH", f"/api/annotations/{said[second]}/", {"result": choice("person")})
    place.sync().pull()
    assert place.sync().reopen_disputed().n_reopened == 0
    assert place.states() == {marked: "annotated", changed: "annotated"}
    exchange, told = place.exchange(), list[str]()
    exchange.tell(told.append)
    assert told == [BATCH]
    place.settle()
    assert place.states() == {marked: "accepted", changed: "accepted"}
    labels = place.lake.scan(LABELS_CONSENSUS).select("task_key", "label").collect()
    assert dict(labels.iter_rows()) == {marked: "animal", changed: "person"}


def test_an_expert_is_heard_while_another_person_is_asked(place: Place) -> None:
    place.queue(1)
    place.sync().push()
    ((key, task_id),) = place.ids().items()
    mine = place.server.annotate(task_id, choice("animal"), place.server.user("anna"))
    place.server.annotate(task_id, choice("person"), place.server.user("ben"))
    place.pull_and_settle()
    place.sync().reopen_disputed()
    assert place.states() == {key: "pushed"}
    place.server.call("PATCH", f"/api/annotations/{mine}/", {"ground_truth": True})
    place.pull_and_settle()
    assert place.states() == {key: "accepted"}


def test_a_skip_is_nobody_when_another_person_is_asked(place: Place) -> None:
    place.queue(1)
    place.sync().push()
    ((key, task_id),) = place.ids().items()
    for name, label in (("anna", "animal"), ("ben", "person")):
        place.server.annotate(task_id, choice(label), place.server.user(name))
    for name in ("cleo", "dora", "emil"):
        place.server.annotate(task_id, [], place.server.user(name), was_cancelled=True)
    place.pull_and_settle()
    report = place.sync().reopen_disputed()
    assert (report.n_reopened, report.n_for_an_expert) == (1, 0)
    assert [(row["overlap"], row["is_labeled"]) for row in place.server.overlaps(place.ls_project())] == [(3, False)]
    place.server.annotate(task_id, choice("person"), place.server.user("finn"))
    place.pull_and_settle()
    assert place.states() == {key: "accepted"}
    assert place.lake.scan(LABELS_CONSENSUS).collect()["n_annotators"].to_list() == [3]


def test_people_are_counted_over_all_copies_of_a_task(place: Place) -> None:
    project = place.project = msgspec.structs.replace(place.project, accepts_agreed=False)
    place.queue(1)
    place.sync().push()
    ((key, first),) = place.ids().items()
    (document,) = place.stored()
    place.server.call("POST", f"/api/projects/{place.ls_project()}/import", [{"data": document["data"]}])
    (second,) = (task["id"] for task in place.stored() if task["id"] != first)
    mine = place.server.annotate(first, choice("animal"), place.server.user("anna"))
    place.sync().pull()
    place.server.annotate(second, choice("animal"), place.server.user("ben"))
    place.pull_and_settle()
    assert (project.annotators, place.states()) == (2, {key: "agreed"})
    place.server.call("PATCH", f"/api/annotations/{mine}/", {"result": choice("person")})
    place.pull_and_settle()
    assert place.states() == {key: "needs_adjudication"}
    assert place.sync().reopen_disputed().n_reopened == 1
    place.pull_and_settle()
    assert place.states() == {key: "pushed"}, "two have answered, and a third is wanted"
    place.server.annotate(second, choice("animal"), place.server.user("cleo"))
    place.pull_and_settle()
    assert place.states() == {key: "agreed"}


def test_the_place_of_an_expert_is_there_although_the_push_died_before_it_was_made(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.project = msgspec.structs.replace(place.project, gold_share=1.0)
    place.queue(1)
    with monkeypatch.context() as patched:
        patched.setattr(push, "set_annotators", _die)
        with pytest.raises(Killed):
            place.sync().push()
    (project,) = (p for p in place.server.call("GET", "/api/projects")["results"] if place.project.name in p["title"])
    (task,) = place.server.overlaps(project["id"])
    assert task["overlap"] == 2
    for name in ("anna", "ben"):
        place.server.annotate(task["id"], choice("animal"), place.server.user(name))
    place.sync().pull()
    place.sync().push()
    assert place.server.overlaps(project["id"])[0] == task | {"overlap": 3, "is_labeled": False}
    assert set(place.states().values()) == {"pushed"}
    place.server.annotate(task["id"], choice("animal"), place.server.user("cleo"), ground_truth=True)
    place.pull_and_settle()
    assert set(place.states().values()) == {"accepted"}


def _die(*_: object, **__: object) -> None:
    raise Killed


def test_what_is_refused_keeps_no_place_and_the_budget_of_a_day_is_spent_once(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.project = msgspec.structs.replace(place.project, per_day=2)
    place.queue(7)
    waiting = due_tasks(place.lake, msgspec.structs.replace(place.project, per_day=7), datetime.now(UTC))
    invalid, first, refused, second, *_ = waiting["task_key"].to_list()
    subjects = dict(waiting.select("task_key", "subject_id").iter_rows())
    strange = [{"result": choice("unicorn")}]
    monkeypatch.setattr(sync, "preannotations", lambda *_: {subjects[invalid]: strange, subjects[refused]: strange})
    report = place.sync().push()
    assert (report.n_due, report.n_created, sorted(report.refused)) == (2, 2, sorted([invalid, refused]))
    assert sorted(place.pushed_ids()) == sorted([first, second])
    for task_id in place.pushed_ids().values():
        place.server.call("DELETE", f"/api/tasks/{task_id}/")
    assert place.sync().reconcile().n_lost == 2
    assert place.sync().push().n_created == 0, "today's are spent, whatever became of them"
    assert place.sync(timedelta(days=1)).push().n_created == 2


def test_a_task_that_label_studio_refuses_keeps_no_place_either(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.project = msgspec.structs.replace(place.project, per_day=2)
    place.queue(5)
    strange = due_tasks(place.lake, place.project, datetime.now(UTC))["task_key"].to_list()

    def task(key: str, data: dict[str, str], *others: Any) -> LabelTask:
        return LabelTask(key, {"else": "the configuration asks for $media"} if key in strange else data, *others)

    monkeypatch.setattr(sync, "LabelTask", task)
    report = place.sync().push()
    assert (report.n_created, sorted(report.refused)) == (2, sorted(strange))
