"""What is deleted, by everything that is sent: the real server is asked in the service tests."""

from __future__ import annotations

import json
from typing import Any

import pytest

from media_assets.labeling.label_studio.client import LabelStudio, OutcomeUnknown
from media_assets.labeling.label_studio.sweep import _delete, delete_untouched, is_touched
from media_assets_tests.labeling.label_studio.test_client import TOKEN, Scripted, server

__all__ = ["server"]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"id": 1, "annotations": [], "drafts": [], "total_annotations": 0, "cancelled_annotations": 0}, False),
        ({"id": 1}, False),
        ({"id": 1, "total_annotations": 1}, True),
        ({"id": 1, "cancelled_annotations": 1}, True),
        ({"id": 1, "annotations": [{"id": 1}], "total_annotations": 0}, True),
        ({"id": 1, "drafts": [{"id": 1}]}, True),
    ],
)
def test_whatever_shows_that_somebody_was_there_counts(row: dict[str, Any], expected: bool) -> None:
    assert is_touched(row) is expected


def test_an_empty_list_is_never_sent_since_it_means_all_tasks(server: Scripted) -> None:
    with LabelStudio(server.url, TOKEN) as client, pytest.raises(ValueError, match="takes an empty list for all tasks"):
        _delete(client, 7, [])
    assert server.heard == []


def test_the_server_is_told_to_delete_only_what_nobody_has_answered(server: Scripted) -> None:
    with LabelStudio(server.url, TOKEN) as client:
        _delete(client, 7, [1, 2])
    (sent,) = server.bodies
    assert sent["selectedItems"] == {"all": False, "included": [1, 2]}
    told = {each["filter"]: (each["operator"], each["value"]) for each in sent["filters"]["items"]}
    assert told == {
        "filter:tasks:total_annotations": ("equal", 0),
        "filter:tasks:cancelled_annotations": ("equal", 0),
        "filter:tasks:draft_exists": ("equal", "False"),
    }
    assert sent["filters"]["conjunction"] == "and"


@pytest.mark.parametrize("found", [[1, 2], []])
def test_nothing_is_deleted_where_the_server_does_not_know_drafts(server: Scripted, found: list[int]) -> None:
    """Then both questions, for tasks with drafts and without, are answered alike: with everything, or with nothing."""
    rows: list[dict[str, Any]] = [{"id": i, "data": {}, "updated_at": "2026-01-01T00:00:00Z"} for i in (1, 2)]
    everything: tuple[int, dict[str, str], bytes] = (200, {}, json.dumps({"tasks": rows, "total": 2}).encode())
    alike = everything if found else (200, {}, b'{"tasks": [], "total": 0}')
    server.answers = [everything, alike, alike, everything]
    with LabelStudio(server.url, TOKEN) as client:
        assert delete_untouched(client, 7, [1, 2]) == ((), (1, 2))
    assert [method for method, *_ in server.heard] == ["GET"] * 4


def test_a_deletion_that_is_never_answered_is_told(server: Scripted) -> None:
    server.answers = [(502, {}, b"")] * 9
    with LabelStudio(server.url, TOKEN, wait=lambda _: None) as client, pytest.raises(OutcomeUnknown):
        _delete(client, 7, [1])
    assert len(server.heard) == 3
