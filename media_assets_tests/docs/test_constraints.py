"""`constraints.txt` names versions only, and names every package that an install brings."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from media_assets_tests.docs.pages import ROOT

LINE = re.compile(
    r"^(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>\d[\w.!+]*)(?: *; *(?:python_version|sys_platform)[^/@]+)?$"
)


def pin_lines() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _pinned() -> set[str]:
    return {canonicalize_name(match["name"]) for line in pin_lines() if (match := LINE.match(line))}


def _declared() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return [Requirement(line) for line in (*project["dependencies"], *project["optional-dependencies"]["dev"])]


def _brought_by(requirements: list[Requirement]) -> set[str]:
    """Every installed package that these requirements need here, themselves included."""
    waiting = [(r, extra) for r in requirements for extra in ("", *r.extras)]
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement, extra = waiting.pop()
        if (key := (canonicalize_name(requirement.name), extra)) in seen:
            continue
        try:
            needed = [Requirement(line) for line in requires(requirement.name) or []]
        except PackageNotFoundError:
            continue  # needed on another platform only
        seen.add(key)
        wanted = [r for r in needed if r.marker is None or r.marker.evaluate({"extra": extra})]
        waiting += [(r, other) for r in wanted for other in ("", *r.extras)]
    return {name for name, _ in seen}


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
    brought = _brought_by(_declared())
    assert len(brought) > len(_declared())
    assert sorted(brought - _pinned()) == []


def test_declared_dependencies_name_no_place() -> None:
    assert [str(requirement) for requirement in _declared() if requirement.url] == []
