"""A project is found by the number that its tasks were pushed under; where that leads elsewhere nothing is guessed."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest
from click.testing import CliRunner

from media_assets.cli import main
from media_assets.errors import LabelStudioCode, LabelStudioFailed
from media_assets.labeling.label_studio.client import LabelStudio
from media_assets.labeling.places import find_place, forget_pushed
from media_assets.lake.delta import Lake
from media_assets_tests.labeling.label_studio.test_client import TOKEN
from media_assets_tests.labeling.queues import NOON, US, answered, key, push, queue, states

NAME, TITLE = "real-or-fake", "Real or fake (real-or-fake)"


class Projects:
    """A Label Studio: the titles of its projects by number, and the keys of their tasks."""

    def __init__(self) -> None:
        self.titles: dict[int, str] = {}
        self.keys: dict[int, list[str]] = {}
        self.client = LabelStudio("http://127.0.0.1:1", TOKEN, n_reads=1)
        self.client._http.close()
        self.client._http = httpx.Client(base_url=self.client.url, transport=httpx.MockTransport(self._answer))

    def find(self, lake: Lake) -> int | None:
        found = find_place(lake, self.client, NAME, TITLE)
        return None if found is None else found.project_id

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path, asked = request.url.path.rstrip("/"), dict(request.url.params)
        if path == "/api/projects":
            found = [self._project(number) for number, title in self.titles.items() if asked["title"] in title]
            return httpx.Response(200, json={"results": found, "next": None})
        if path == "/api/tasks":
            of_keys, above = (each["value"] for each in json.loads(asked["query"])["filters"]["items"])
            there = enumerate(self.keys.get(int(asked["project"]), []), 1)
            rows = [
                {"id": i, "data": {"task_key": each}, "updated_at": "2026-01-01T12:00:00Z"}
                for i, each in there
                if each in of_keys and i > above
            ]
            return httpx.Response(200, json={"tasks": rows, "total": len(rows)})
        number = int(path.rpartition("/")[2])
        return httpx.Response(200, json=self._project(number)) if number in self.titles else httpx.Response(404)

    def _project(self, number: int) -> dict[str, object]:
        return {"id": number, "title": self.titles[number], "label_config": "<View/>"}


@pytest.fixture
def projects() -> Iterator[Projects]:
    projects = Projects()
    yield projects
    projects.client._http.close()


def test_before_anything_was_pushed_the_title_counts(lake: Lake, projects: Projects) -> None:
    queue(lake, [1])
    assert projects.find(lake) is None
    projects.titles = {3: f"{TITLE} of ours", 4: TITLE}
    assert projects.find(lake) == 4


def test_afterwards_the_number_counts_whatever_it_is_called(lake: Lake, projects: Projects) -> None:
    queue(lake, [1, 2])
    push(lake, [1, 2])
    projects.titles, projects.keys = {1: TITLE}, {1: [key(1)]}
    assert projects.find(lake) == 1
    projects.titles = {1: "Renamed by the lead"}
    assert projects.find(lake) == 1
    projects.titles |= {2: TITLE}
    assert projects.find(lake) == 1, "another one may be called so now"


@pytest.mark.parametrize("titles", [{}, {2: TITLE}, {1: "Other people's"}, {1: "Other people's", 2: TITLE}])
def test_a_number_that_leads_elsewhere_is_told_until_somebody_says_that_all_is_lost(
    lake: Lake, projects: Projects, titles: dict[int, str]
) -> None:
    queue(lake, [1, 2, 3])
    push(lake, [1, 2])
    answered(lake, 3)
    projects.titles, projects.keys = titles, {1: ["pets/1@r1"]}
    with pytest.raises(LabelStudioFailed, match="where 2 tasks of real-or-fake wait for answers") as told:
        projects.find(lake)
    assert told.value.code is LabelStudioCode.PROJECT_GONE
    assert forget_pushed(lake, NAME, NOON, US) == 2
    assert states(lake) == {key(1): "queued", key(2): "queued", key(3): "annotated"}
    assert forget_pushed(lake, NAME, NOON, US) == 0
    assert projects.find(lake) == (2 if 2 in titles else None)


def test_it_is_said_on_the_command_line(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    queue(lake, [1, 2])
    push(lake, [1])
    monkeypatch.setenv("MEDIA_ASSETS_LAKE", str(lake.location.root))
    done = CliRunner().invoke(main, ["labels", "forget-pushed", NAME, "--json"])
    assert (done.exit_code, json.loads(done.stdout)) == (0, {"project": NAME, "n_due": 1}), done.output
    assert states(lake) == {key(1): "queued", key(2): "queued"}
