"""Only who knows the secret wakes, and all that a hint can do is wake."""

from __future__ import annotations

import json

import pytest

from media_assets.labeling.label_studio.webhook import HEADER, MAX_BODY_BYTES, project_to_wake

SECRET = "a-long-s3cret"
GOOD = {"action": "ANNOTATION_CREATED", "project": {"id": 7}, "annotation": {"id": 1}}


def test_a_hint_with_the_secret_names_its_project() -> None:
    assert project_to_wake({HEADER: SECRET}, json.dumps(GOOD).encode(), SECRET) == 7


@pytest.mark.parametrize("headers", [{}, {HEADER: ""}, {HEADER: "a-long-s3cre"}, {HEADER: SECRET + "x"}, {HEADER: "é"}])
def test_a_hint_without_it_is_nothing(headers: dict[str, str]) -> None:
    assert project_to_wake(headers, json.dumps(GOOD).encode(), SECRET) is None


def test_without_a_secret_nobody_is_let_in() -> None:
    assert project_to_wake({HEADER: ""}, json.dumps(GOOD).encode(), "") is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        json.dumps(GOOD | {"action": "PROJECT_DELETED"}).encode(),
        json.dumps(GOOD | {"project": 7}).encode(),
        json.dumps(GOOD | {"project": {"id": True}}).encode(),
        json.dumps(GOOD | {"project": {"id": -1}}).encode(),
        json.dumps(GOOD | {"action": ["x"]}).encode(),
        json.dumps(GOOD).encode() + b" " * MAX_BODY_BYTES,
    ],
)
def test_what_is_no_hint_wakes_nobody(body: bytes) -> None:
    assert project_to_wake({HEADER: SECRET}, body, SECRET) is None
