"""The watermark: nothing that changed while a pull looked elsewhere is ever passed over."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from media_assets.labeling.label_studio.client import LabelStudio
from media_assets.labeling.label_studio.pull import _next_watermark, annotation_id, annotations_of, is_gone
from media_assets_tests.labeling.label_studio.test_client import TOKEN, Scripted, server

__all__ = ["server"]

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
EARLIER, LATER = NOON - timedelta(minutes=5), NOON + timedelta(minutes=5)


@pytest.mark.parametrize(
    ("since", "latest", "started", "expected"),
    [
        (None, None, NOON, None),
        (EARLIER, None, NOON, EARLIER),
        (None, EARLIER, NOON, EARLIER),
        (None, LATER, NOON, NOON),
        (EARLIER, LATER, NOON, NOON),
        (LATER, NOON, EARLIER, LATER),
        (None, NOON, None, NOON),
    ],
)
def test_the_next_watermark_is_never_after_the_beginning(
    since: datetime | None, latest: datetime | None, started: datetime | None, expected: datetime | None
) -> None:
    assert _next_watermark(since, latest, started) == expected


def test_people_are_numbered_in_whichever_form_the_server_writes_them() -> None:
    each = {"id": 5, "result": [], "created_at": NOON.isoformat(), "updated_at": NOON.isoformat()}
    row = {"id": 1, "data": {"task_key": "a"}}
    told = [each | {"completed_by": 7}, each | {"completed_by": {"id": 8}}, each]
    found = annotations_of(row | {"annotations": told}, 3)
    assert [answer.annotator for answer in found] == ["ls:7", "ls:8", "unknown"]
    assert {answer.annotation_id for answer in found} == {"ls:3:20260101T120000000000Z:5"}


MADE = {"id": 5, "created_at": "2026-01-01T12:00:00.250000Z", "was_cancelled": False}
THERE, NOWHERE = (200, {}, b'{"id": 3, "title": "Pets", "label_config": "<View/>"}'), (404, {}, b"{}")


def told(answer: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, json.dumps(answer).encode()


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([told(MADE)], False),
        ([told(MADE | {"created_at": "2026-01-01T13:00:00.250000+01:00"})], False),
        ([told(MADE | {"was_cancelled": True})], True),
        ([told(MADE | {"created_at": "2026-02-01T12:00:00Z"})], True),
        ([NOWHERE, THERE], True),
        ([NOWHERE, NOWHERE], False),
    ],
    ids=["there", "in another zone", "skipped", "another with its number", "deleted", "the project is not there"],
)
def test_an_answer_is_gone_when_its_number_is_another_answers(
    server: Scripted, answers: list[tuple[int, dict[str, str], bytes]], expected: bool
) -> None:
    server.answers = answers
    with LabelStudio(server.url, TOKEN) as client:
        assert is_gone(client, annotation_id(3, MADE)) is expected
