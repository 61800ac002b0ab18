"""Tasks pushed into a real Label Studio through everything that can break on the way: each is there once."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from media_assets.errors import LabelStudioCode, LabelStudioFailed
from media_assets.labeling.label_studio.client import LabelStudio
from media_assets.labeling.label_studio.pull import pull
from media_assets.labeling.label_studio.push import push, push_all
from media_assets.labeling.label_studio.sweep import delete_untouched, withdraw
from media_assets.labeling.label_studio.validation import ConfigRules
from media_assets.labeling.label_studio.values import LabelTask
from media_assets_tests.services.fault_proxy import Fault, FaultProxy, running_fault_proxy
from media_assets_tests.services.label_studio import TOKEN, LabelStudioServer
from media_assets_tests.services.labels import CONFIG, boxed, chosen, counted, prediction, questions

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]


@pytest.fixture
def project(label_studio: LabelStudioServer) -> int:
    return label_studio.project(CONFIG)


@pytest.fixture
def client(label_studio: LabelStudioServer) -> Iterator[LabelStudio]:
    with label_studio.client() as connected:
        yield connected


@pytest.fixture
def proxy(label_studio: LabelStudioServer) -> Iterator[FaultProxy]:
    with running_fault_proxy(label_studio.url) as running:
        yield running


def copies_of(server: LabelStudioServer, project: int, task: LabelTask, n: int) -> list[int]:
    """Several copies of one task, as another program would leave them; ids by age."""
    server.call("POST", f"/api/projects/{project}/import", [task.document()] * n)
    return sorted(each["id"] for each in server.tasks(project) if each["data"]["task_key"] == task.task_key)


@pytest.mark.parametrize("fault", list(Fault))
def test_each_task_is_there_once_whatever_happens_to_an_import(
    label_studio: LabelStudioServer, proxy: FaultProxy, project: int, fault: Fault
) -> None:
    tasks = questions(40)
    proxy.break_imports(fault, 2)
    seconds, wait = (1.0, time.sleep) if fault is Fault.STALL else (30.0, lambda _: time.sleep(0.05))
    with label_studio.client(proxy.url, timeout_seconds=seconds, wait=wait) as client:
        pushed = list(push(client, project, tasks, batch_size=25))
    proxy.settle()
    assert proxy.n_broken == 2
    if fault is not Fault.LATE:
        assert not any(each.deleted for each in pushed), "what was done already is not sent again"
    else:  # what came after the last look is for the next push to find
        with label_studio.client() as client:
            pushed = list(push(client, project, tasks, batch_size=25))
    stored = label_studio.tasks(project)
    assert counted(stored) == {task.task_key: 1 for task in tasks}
    assert {len(task["predictions"]) for task in stored} == {1}
    ids = {key: task_id for each in pushed for key, task_id in each.ids.items()}
    assert ids == {task["data"]["task_key"]: task["id"] for task in stored}
    assert not any(each.missing or each.refused or each.conflicts for each in pushed)


def _push_and_die(url: str, project: int) -> None:
    with LabelStudio(url, TOKEN) as client:
        for _ in push(client, project, questions(30), batch_size=10):
            os.kill(os.getpid(), signal.SIGKILL)


def test_a_push_that_was_killed_before_it_could_record_anything_finds_what_it_had_sent(
    label_studio: LabelStudioServer, client: LabelStudio, project: int
) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_push_and_die, args=(label_studio.url, project))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert len(label_studio.tasks(project)) == 10
    pushed = list(push(client, project, questions(30), batch_size=10))
    assert sum(each.n_created for each in pushed) == 20
    assert counted(label_studio.tasks(project)) == {task.task_key: 1 for task in questions(30)}


def test_a_second_push_sends_only_what_is_new(
    client: LabelStudio, project: int, label_studio: LabelStudioServer
) -> None:
    odd = LabelTask("pets/ü 'x\",%\\@r1", {"image": "x"})
    first = push_all(client, project, [*questions(3), odd])
    again = push_all(client, project, [*questions(5), odd])
    assert (first.n_created, again.n_created) == (4, 2)
    assert first.ids.items() <= again.ids.items()
    assert set(counted(label_studio.tasks(project)).values()) == {1}


@pytest.mark.parametrize("n_answered", [1, 2])
def test_of_several_copies_the_answered_one_is_kept_though_it_is_not_the_oldest(
    label_studio: LabelStudioServer, client: LabelStudio, project: int, n_answered: int
) -> None:
    (task,) = questions(1)
    ids = copies_of(label_studio, project, task, 4)
    answered = ids[1 : 1 + n_answered]
    annotations = {label_studio.annotate(task_id, chosen("dog")) for task_id in answered}
    pushed = push_all(client, project, [task])
    assert pushed.ids == {task.task_key: answered[0]}
    assert pushed.deleted == tuple(sorted(set(ids) - set(answered)))
    assert pushed.conflicts == ({} if n_answered == 1 else {task.task_key: (answered[1],)})
    again = push_all(client, project, [task])
    assert (again.ids, again.deleted, again.conflicts) == (pushed.ids, (), pushed.conflicts)
    pages = list(pull(client, project, None))
    pulled = [answer for page in pages for each in page.tasks for answer in each.annotations]
    assert {answer.ls_annotation_id for answer in pulled} == annotations
    assert {answer.task_key for answer in pulled} == {task.task_key}


@pytest.mark.parametrize("work", ["answer", "skip", "draft", "draft of another"])
def test_nothing_that_a_person_has_worked_on_is_ever_deleted(
    label_studio: LabelStudioServer, client: LabelStudio, project: int, work: str
) -> None:
    pushed = push_all(client, project, questions(3))
    worked_on, *others = sorted(pushed.ids.values())
    if work.startswith("draft"):
        label_studio.begin(worked_on, chosen("dog"), label_studio.user("anna") if work.endswith("another") else None)
    else:
        label_studio.annotate(worked_on, chosen("dog"), was_cancelled=work == "skip")
    with pytest.raises(LabelStudioFailed, match="nobody has worked on") as told:
        withdraw(client, project, [worked_on, *others])
    assert told.value.code is LabelStudioCode.TASK_ANNOTATED
    assert [task["id"] for task in label_studio.tasks(project)] == [worked_on]


@pytest.mark.parametrize("work", ["answer", "draft of another"])
def test_work_that_comes_between_the_last_look_and_the_deletion_is_kept(
    label_studio: LabelStudioServer, proxy: FaultProxy, project: int, work: str
) -> None:
    anna = label_studio.user("anna")
    with label_studio.client(proxy.url) as client:
        first, second = sorted(push_all(client, project, questions(2)).ids.values())

        def answer(method: str, path: str) -> None:
            if "/api/dm/actions" in path:
                proxy.before = lambda _method, _path: None
                if work == "answer":
                    label_studio.annotate(first, chosen("dog"), anna)
                else:
                    label_studio.begin(first, chosen("dog"), anna)

        proxy.before = answer
        assert delete_untouched(client, project, [first, second]) == ((second,), (first,))
    (left,) = label_studio.tasks(project)
    assert (left["id"], len(left["annotations"])) == (first, int(work == "answer"))


def test_an_invalid_prediction_is_told_and_the_others_go_on(
    label_studio: LabelStudioServer, client: LabelStudio, project: int
) -> None:
    good, bad, strange = questions(3)
    bad = LabelTask(bad.task_key, bad.data, [prediction("horse")])
    strange = LabelTask(strange.task_key, strange.data, [{"result": boxed("face")}, {"result": boxed("nose")}])
    (pushed,) = push(client, project, [good, bad, strange], validate=ConfigRules(CONFIG).of_task)
    assert set(pushed.refused) == {bad.task_key, strange.task_key}
    assert "prediction_invalid: prediction 1: " in pushed.refused[bad.task_key]
    assert "prediction 2: " in pushed.refused[strange.task_key]
    assert counted(label_studio.tasks(project)) == {good.task_key: 1}


def test_a_task_that_the_server_refuses_is_told_alone(
    label_studio: LabelStudioServer, client: LabelStudio, project: int
) -> None:
    tasks = questions(9)
    tasks[4] = LabelTask(tasks[4].task_key, {"picture": "the configuration asks for $image"})
    (pushed,) = push(client, project, tasks)
    assert list(pushed.refused) == [tasks[4].task_key]
    assert pushed.refused[tasks[4].task_key].startswith("request_refused: ")
    assert (pushed.n_created, pushed.missing) == (8, ())
    assert len(label_studio.tasks(project)) == 8


def test_nothing_is_sent_where_a_filter_finds_nothing_or_everything(
    label_studio: LabelStudioServer, proxy: FaultProxy, project: int
) -> None:
    with label_studio.client(proxy.url) as client:
        push_all(client, project, questions(3))
        for rewrite in (
            lambda path: path.replace("data.task_key", "data.task_kee"),  # an unknown field: nothing is found
            lambda path: re.sub(r"&query=[^&]*", "", path),  # everything is found, whatever is asked
            lambda path: re.sub(r"&query=[^&]*task_key[^&]*", "", path),
        ):
            proxy.rewrite = rewrite
            with pytest.raises(LabelStudioFailed, match="every task would be imported again") as told:
                push_all(client, project, questions(5))
            assert told.value.code is LabelStudioCode.FILTER_BROKEN
    assert len(label_studio.tasks(project)) == 3


def test_tasks_get_as_many_annotators_as_they_want(
    label_studio: LabelStudioServer, client: LabelStudio, project: int
) -> None:
    one, two = questions(1), questions(1, "more", annotators=2)
    push_all(client, project, [*one, *two])
    found = {row["task_key"]: row["overlap"] for row in label_studio.overlaps(project)}
    assert found == {one[0].task_key: 1, two[0].task_key: 2}


def test_two_pushes_at_a_time_leave_each_task_there_once(label_studio: LabelStudioServer, project: int) -> None:
    """One writer is the rule; where it is broken, whoever looks last sees both copies and deletes the later one."""
    tasks, failures = questions(60), []
    both = threading.Barrier(2)

    def push_them() -> None:
        try:
            with label_studio.client() as client:
                both.wait(30)
                list(push(client, project, tasks, batch_size=20))
        except Exception as error:
            failures.append(error)

    pushers = [threading.Thread(target=push_them) for _ in range(2)]
    for pusher in pushers:
        pusher.start()
    for pusher in pushers:
        pusher.join(120)
    assert failures == []
    assert counted(label_studio.tasks(project)) == {task.task_key: 1 for task in tasks}
