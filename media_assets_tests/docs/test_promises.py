"""Every promise of the architecture page names tests, and each of these exists where its link leads."""

from __future__ import annotations

import re

import pytest

from media_assets_tests.docs.pages import ROOT

_ROW = re.compile(r"^\| (?P<promise>\*\*.+?\*\*.*?) \| (?P<tests>.+) \|$", re.M)
_TEST = re.compile(r"\[`(?P<name>\w+)`\]\((?P<path>media_assets_tests/[\w/]+\.py)\)")


def promises() -> dict[str, list[tuple[str, str]]]:
    """Promise → (path, test name) of the tests that hold it."""
    section = (ROOT / "ARCHITECTURE.md").read_text("utf-8").partition("## Promises")[2].partition("\n## ")[0]
    return {
        row["promise"]: [(test["path"], f"test_{test['name']}") for test in _TEST.finditer(row["tests"])]
        for row in _ROW.finditer(section)
    }


def test_there_are_promises() -> None:
    assert len(promises()) >= 8


@pytest.mark.parametrize("promise", promises())
def test_a_promise_names_tests_that_exist(promise: str) -> None:
    tests = promises()[promise]
    assert tests, "a promise counts once a test holds it"
    for path, name in tests:
        assert f"def {name}(" in (ROOT / path).read_text("utf-8"), f"{path} has no {name}"
