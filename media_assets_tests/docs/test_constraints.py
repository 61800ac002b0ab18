"""`constraints.txt` names versions only, and names every package that an install brings."""

from __future__ import annotations

import re

import pytest
from packaging.utils import canonicalize_name

from media_assets_tests.docs.pages import ROOT
from media_assets_tests.supply import closure

LINE = re.compile(
    r"^(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>\d[\w.!+]*)(?: *; *(?:python_version|sys_platform)[^/@]+)?$"
)


def pin_lines() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _pinned() -> set[str]:
    return {canonicalize_name(match["name"]) for line in pin_lines() if (match := LINE.match(line))}


def test_every_line_is_a_version_and_nothing_else() -> None:
    assert [line for line in pin_lines() if not LINE.match(line)] == []


@pytest.mark.parametrize(
    "line",
    [
        "a>=1",
        "a",
        "a @ https://example.org/a.whl",
        "-e .",
        "--index-url https://example.org",
        "a==1 --hash=sha256:0",
    ],
)
def test_other_lines_are_found(line: str) -> None:
    assert not LINE.match(line)


def test_names_are_unique_and_sorted() -> None:
    names = [canonicalize_name(line.split("==")[0]) for line in pin_lines()]
    assert names == sorted(set(names))


def test_every_package_an_install_brings_is_pinned() -> None:
    declared = [requirement for group in closure.declared().values() for requirement in group]
    brought = closure.brought_by(declared)
    assert len(brought) > len(declared)
    assert sorted(brought - _pinned()) == []


def test_declared_dependencies_name_no_place() -> None:
    assert [str(r) for group in closure.declared().values() for r in group if r.url] == []
