"""The watermark: nothing that changed while a pull looked elsewhere is ever passed over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from media_assets.labeling.label_studio.pull import _next_watermark, annotations_of

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
    told = [each | {"completed_by": 7}, each | {"completed_by": {"id": 8}}, each | {"unique_id": "u"}]
    found = annotations_of(row | {"annotations": told}, 3)
    assert [answer.annotator for answer in found] == ["ls:7", "ls:8", "unknown"]
    assert [answer.annotation_id for answer in found] == ["ls:3:5", "ls:3:5", "u"]
