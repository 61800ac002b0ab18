"""A listing is held against what the server says of it: short pages are followed, a blind filter is told.

The server here says what the real one says with other settings, or in another version.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from media_assets.errors import LabelStudioCode, LabelStudioFailed
from media_assets.labeling.label_studio.client import LabelStudio
from media_assets.labeling.label_studio.inventory import inventory
from media_assets.labeling.label_studio.listing import details, require_times, walk
from media_assets.labeling.label_studio.push import push_all
from media_assets.labeling.label_studio.values import LabelTask
from media_assets_tests.labeling.label_studio.test_client import TOKEN

WHEN = "2026-01-01T12:00:00Z"


class Tasks:
    """The tasks of a project, as `/api/tasks` gives them: at most `largest_page` at a time, `blind` to some filters."""

    def __init__(self, n: int = 0) -> None:
        self.keys = {i: f"pets/{i:032x}@r1" for i in range(1, n + 1)}
        self.largest_page = 500
        self.blind: set[str] = set()
        self.forgets_imports = False
        self.n_imports = 0

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            self.n_imports += 1
            for document in [] if self.forgets_imports else json.loads(request.content):
                self.keys[len(self.keys) + 1] = document["data"]["task_key"]
            return httpx.Response(201, json={})
        asked = dict(request.url.params)
        found = sorted(self.keys)
        for clause in json.loads(asked["query"])["filters"]["items"]:
            found = [i for i in found if self._fits(i, clause)]
        page = found[: min(int(asked["page_size"]), self.largest_page)]
        rows = [{"id": i, "data": {"task_key": self.keys[i]}, "updated_at": WHEN} for i in page]
        return httpx.Response(200, json={"tasks": rows, "total": len(found)})

    def _fits(self, task_id: int, clause: dict[str, Any]) -> bool:
        name, value = clause["filter"].removeprefix("filter:tasks:"), clause["value"]
        if f"{name} {clause['operator']}" in self.blind:
            return False
        if name == "id":
            return task_id > value if clause["operator"] == "greater" else task_id in value
        return name == "updated_at" or self.keys[task_id] in value


Connect = Callable[[Tasks], LabelStudio]


@pytest.fixture
def connect() -> Iterator[Connect]:
    opened: list[LabelStudio] = []

    def connect(tasks: Tasks) -> LabelStudio:
        client = LabelStudio("http://127.0.0.1:1", TOKEN, wait=lambda _: None)
        client._http.close()
        client._http = httpx.Client(base_url=client.url, transport=httpx.MockTransport(tasks.answer))
        opened.append(client)
        return client

    yield connect
    for client in opened:
        client._http.close()


@pytest.mark.parametrize("n", [0, 1, 7, 8, 20, 21])
def test_every_task_is_listed_though_pages_are_shorter_than_asked_for(connect: Connect, n: int) -> None:
    tasks = Tasks(n)
    tasks.largest_page = 7
    client = connect(tasks)
    assert [task.task_id for page in walk(client, 7) for task in page] == sorted(tasks.keys)
    assert [row["id"] for row in details(client, 7, sorted(tasks.keys))] == sorted(tasks.keys)
    with inventory(client, 7) as found:
        assert len(found) == n


def test_details_of_tasks_that_are_gone_are_left_out(connect: Connect) -> None:
    tasks = Tasks(9)
    tasks.largest_page = 4
    assert [row["id"] for row in details(connect(tasks), 7, [3, 99, 5, 100, 7, 8, 9])] == [3, 5, 7, 8, 9]


def test_a_filter_by_id_that_finds_nothing_is_no_empty_project(connect: Connect) -> None:
    tasks = Tasks(3)
    tasks.blind = {"id greater"}
    client = connect(tasks)
    asked: list[Callable[[], object]] = [
        lambda: inventory(client, 7).__enter__(),
        lambda: push_all(client, 7, [LabelTask("pets/x@r1", {})]),
        lambda: require_times(client, 7),
    ]
    for ask in asked:
        with pytest.raises(LabelStudioFailed) as told:
            ask()
        assert told.value.code is LabelStudioCode.FILTER_BROKEN
    assert tasks.n_imports == 0


def test_an_import_of_which_nothing_is_found_is_told_and_not_repeated(connect: Connect) -> None:
    tasks = Tasks()
    tasks.forgets_imports = True
    with pytest.raises(LabelStudioFailed, match="has just taken") as told:
        push_all(connect(tasks), 7, [LabelTask("pets/x@r1", {})])
    assert told.value.code is LabelStudioCode.FILTER_BROKEN
    assert tasks.n_imports == 1


def test_pages_that_end_before_the_total_are_told(connect: Connect) -> None:
    tasks = Tasks(3)
    tasks.largest_page = 0
    for ask in (lambda: list(walk(connect(tasks), 7)), lambda: list(details(connect(tasks), 7, [1, 2]))):
        with pytest.raises(LabelStudioFailed, match="an empty page"):
            ask()
