"""What people do in a real Label Studio comes back: new, changed and deleted answers; tasks are opened again."""

from __future__ import annotations

import http.server
import re
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from media_assets.errors import LabelStudioCode, LabelStudioFailed
from media_assets.labeling.label_studio.client import LabelStudio
from media_assets.labeling.label_studio.inventory import inventory
from media_assets.labeling.label_studio.projects import ensure_project
from media_assets.labeling.label_studio.pull import annotation_id, is_gone, pull
from media_assets.labeling.label_studio.push import push_all
from media_assets.labeling.label_studio.tasks import requeue
from media_assets.labeling.label_studio.validation import ConfigRules
from media_assets.labeling.label_studio.values import PulledTask
from media_assets.labeling.label_studio.webhook import HEADER, project_to_wake
from media_assets_tests.services.dagster_dev import HOST
from media_assets_tests.services.fault_proxy import Fault, running_fault_proxy
from media_assets_tests.services.label_studio import LabelStudioServer
from media_assets_tests.services.labels import CONFIG, chosen, questions
from media_assets_tests.services.test_label_sync import Place, choice, place

__all__ = ["place"]
pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]


@pytest.fixture
def project(label_studio: LabelStudioServer) -> int:
    return label_studio.project(CONFIG)


@pytest.fixture
def client(label_studio: LabelStudioServer) -> Iterator[LabelStudio]:
    with label_studio.client() as connected:
        yield connected


def pulled(
    client: LabelStudio, project: int, since: datetime | None = None, **options: Any
) -> tuple[dict[str, PulledTask], datetime | None]:
    """Everything that one pull gives, by key, and the next watermark."""
    pages = list(pull(client, project, since, **options))
    return {task.task_key: task for page in pages for task in page.tasks}, pages[-1].watermark


def labels(task: PulledTask) -> list[str]:
    return [answer.result[0]["value"]["choices"][0] for answer in task.annotations]


def test_new_changed_and_deleted_answers_come_with_the_pull_after_them(
    label_studio: LabelStudioServer, client: LabelStudio, project: int
) -> None:
    ids = push_all(client, project, questions(6)).ids
    keys, anna = list(ids), label_studio.user("anna")
    kept, changed, taken_back = (label_studio.annotate(ids[key], chosen("dog"), anna) for key in keys[:3])
    before, mark = pulled(client, project)
    assert mark is not None
    assert {key: labels(before[key]) for key in keys} == {key: ["dog"] if key in keys[:3] else [] for key in keys}
    (answer,) = before[keys[0]].annotations
    stored = label_studio.call("GET", f"/api/annotations/{kept}/")
    assert (answer.annotation_id, answer.annotator) == (annotation_id(project, stored), f"ls:{anna}")
    assert (answer.lead_time_seconds, answer.is_ground_truth, answer.is_skipped) == (1.5, False, False)

    label_studio.call("PATCH", f"/api/annotations/{changed}/", {"result": chosen("cat"), "ground_truth": True})
    assert not is_gone(client, before[keys[2]].annotations[0].annotation_id)
    label_studio.call("DELETE", f"/api/annotations/{taken_back}/")
    assert is_gone(client, before[keys[2]].annotations[0].annotation_id)
    label_studio.annotate(ids[keys[3]], chosen("cat"), was_cancelled=True)
    after, later = pulled(client, project, mark, overlap_seconds=0.0)
    assert set(after) <= set(keys[:4]), "an incremental pull gives what has changed"
    assert labels(after[keys[1]]) == ["cat"]
    assert after[keys[1]].annotations[0].is_ground_truth
    assert after[keys[1]].annotations[0].annotation_id == before[keys[1]].annotations[0].annotation_id
    assert after[keys[1]].annotations[0].updated_at > before[keys[1]].annotations[0].updated_at
    assert after[keys[2]].annotations == ()
    assert after[keys[3]].annotations[0].is_skipped
    assert later is not None
    assert later >= mark


def test_a_pull_that_finds_no_change_is_believed_only_where_the_filter_works(
    label_studio: LabelStudioServer, project: int
) -> None:
    with running_fault_proxy(label_studio.url) as proxy, label_studio.client(proxy.url) as client:
        push_all(client, project, questions(2))
        _, mark = pulled(client, project)
        assert mark is not None
        later = mark + timedelta(hours=1)
        assert pulled(client, project, later) == ({}, later)
        for rewrite in (
            lambda path: path.replace("1971-", "2099-"),  # nothing is found, whatever is asked
            lambda path: re.sub(r"&query=[^&]*updated_at[^&]*", "", path),  # everything is
            lambda path: re.sub("(updated_at.*?)greater", r"\1less", path),
        ):
            proxy.rewrite = rewrite
            with pytest.raises(LabelStudioFailed) as told:
                pulled(client, project, later)
            assert told.value.code is LabelStudioCode.FILTER_BROKEN


def test_every_answer_comes_back_though_the_same_pull_is_cut_and_turned_away(
    label_studio: LabelStudioServer, project: int
) -> None:
    faults = [Fault.DROP, Fault.BAD_GATEWAY, Fault.TOO_MANY, Fault.REFUSE]
    with running_fault_proxy(label_studio.url) as proxy, label_studio.client(proxy.url) as client:
        ids = push_all(client, project, questions(5)).ids
        for task_id in ids.values():
            label_studio.annotate(task_id, chosen("dog"))
        proxy.judge = lambda _method, _path: faults.pop() if faults else None
        found, _ = pulled(client, project)
    assert faults == []
    assert {key: labels(task) for key, task in found.items()} == {key: ["dog"] for key in ids}


def test_a_deleted_task_is_missing_from_the_inventory_even_after_its_id_was_given_away(
    label_studio: LabelStudioServer, client: LabelStudio, project: int
) -> None:
    ids = push_all(client, project, questions(3)).ids
    *_, last = ids
    label_studio.call("DELETE", f"/api/tasks/{ids[last]}/")
    push_all(client, project, questions(1, "others"))
    with inventory(client, project) as found:
        assert [key for key, task_id in ids.items() if found.lacks(task_id, key)] == [last]


def test_a_task_is_opened_for_one_more_person_and_closed_by_the_answer(
    label_studio: LabelStudioServer, client: LabelStudio, project: int
) -> None:
    ids = push_all(client, project, questions(2)).ids
    disputed, other = ids.values()
    for task_id in (disputed, other):
        label_studio.annotate(task_id, chosen("dog"), label_studio.user("anna"))

    def state() -> dict[int, tuple[int, bool]]:
        return {row["id"]: (row["overlap"], row["is_labeled"]) for row in label_studio.overlaps(project)}

    assert state() == {disputed: (1, True), other: (1, True)}
    for _ in range(2):  # the same again changes nothing
        requeue(client, disputed, 2)
        assert state() == {disputed: (2, False), other: (1, True)}
    label_studio.annotate(disputed, chosen("cat"), label_studio.user("ben"))
    assert state() == {disputed: (2, True), other: (1, True)}


def test_an_answer_that_does_not_fit_the_configuration_is_told_and_comes_all_the_same(
    label_studio: LabelStudioServer, client: LabelStudio, project: int
) -> None:
    (task_id,) = push_all(client, project, questions(1)).ids.values()
    label_studio.annotate(task_id, chosen("horse"))
    found, _ = pulled(client, project, judge=ConfigRules(CONFIG).of_result)
    ((answer,),) = (task.annotations for task in found.values())
    assert answer.result == chosen("horse")
    assert len(answer.problems) == 1


def test_a_personal_access_token_is_exchanged_and_a_wrong_one_is_told(
    label_studio: LabelStudioServer, project: int
) -> None:
    personal = label_studio.call("POST", "/api/token/")["token"]
    with LabelStudio(label_studio.url, personal) as client:
        push_all(client, project, questions(1))
        first = client._access
        client._access_until = 0.0
        pulled(client, project)
        assert client._access not in ("", personal)
        assert client._access_until > 0
        assert first != personal
    for wrong in ("0" * 40, "a.b.c"):
        with LabelStudio(label_studio.url, wrong) as client, pytest.raises(LabelStudioFailed) as told:
            pulled(client, project)
        assert told.value.code is LabelStudioCode.TOKEN_REFUSED
        assert wrong not in str(told.value)


def test_what_is_not_there_is_told_in_a_line(client: LabelStudio) -> None:
    for path in ("/api/projects/999999/", "/no/such/page"):
        with pytest.raises(LabelStudioFailed) as told:
            client.read(path)
        assert told.value.code is LabelStudioCode.NOT_FOUND
        assert len(str(told.value)) < 500
        assert "<" not in str(told.value)


def test_a_project_is_made_once(label_studio: LabelStudioServer) -> None:
    with running_fault_proxy(label_studio.url) as proxy, label_studio.client(proxy.url) as client:
        faults = [Fault.DROP]
        proxy.judge = lambda method, _path: faults.pop() if method == "POST" and faults else None
        made = ensure_project(client, "Pets, once", CONFIG, 2)
        assert ensure_project(client, "Pets, once", "<View></View>") == made
        assert made.annotators == 2
        label_studio.call("POST", "/api/projects", {"title": "Pets, once", "label_config": CONFIG})
        with pytest.raises(LabelStudioFailed, match="Expected one project") as told:
            ensure_project(client, "Pets, once", CONFIG)
    assert told.value.code is LabelStudioCode.PROJECT_AMBIGUOUS


def test_answers_come_from_a_project_that_was_renamed_and_nothing_is_asked_again(place: Place) -> None:
    place.queue(2)
    place.sync().push()
    number, (task_id, _) = place.ls_project(), place.ids().values()
    for name in ("anna", "ben"):
        place.server.annotate(task_id, choice("animal"), place.server.user(name))
    place.server.call("PATCH", f"/api/projects/{number}/", {"title": "Renamed by the lead"})
    place.queue(3)
    assert place.sync().reconcile().n_lost == 0
    assert place.sync().pull().n_new == 2
    assert place.sync().push().n_created == 1
    assert (place.ls_project(), len(place.stored())) == (number, 3)


def test_an_answered_task_that_has_lost_its_key_is_told_and_not_asked_again(place: Place) -> None:
    place.queue(2)
    place.sync().push()
    first, second = place.ids()
    anna = place.server.user("anna")
    place.server.annotate(place.ids()[first], choice("animal"), anna)
    data = {each["id"]: each["data"] for each in place.stored()}
    for task_id in place.ids().values():
        place.server.call("PATCH", f"/api/tasks/{task_id}/", {"data": {"media": data[task_id]["media"]}})
    report = place.sync().reconcile()
    assert (report.without_key, report.n_lost) == ([first], 1), "what nobody has answered is asked again"
    assert place.sync().push().n_created == 1
    assert place.states() == {first: "pushed", second: "pushed"}
    place.server.call("PATCH", f"/api/tasks/{place.ids()[first]}/", {"data": data[place.ids()[first]]})
    assert place.sync().pull().n_new == 1
    assert place.answers()["annotator"].to_list() == [f"ls:{anna}"]


def test_a_webhook_wakes_with_the_secret_and_not_without(
    label_studio: LabelStudioServer, client: LabelStudio, project: int
) -> None:
    heard: list[tuple[dict[str, str], bytes]] = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            heard.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer((HOST, 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://{HOST}:{server.server_address[1]}/"
        hook = {"url": url, "project": project, "send_payload": True, "headers": {HEADER: "s3cret"}}
        label_studio.call("POST", "/api/webhooks/", hook)
        (task_id,) = push_all(client, project, questions(1)).ids.values()
        label_studio.annotate(task_id, chosen("dog"))
    finally:
        server.shutdown()
        server.server_close()
    assert [project_to_wake(headers, body, "s3cret") for headers, body in heard] == [project] * len(heard)
    assert len(heard) >= 2
    assert {project_to_wake(headers, body, "another") for headers, body in heard} == {None}
