"""Known problems of pinned versions are out of reach: each entry is for the version that is pinned, and has a test."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from media_assets.media import pictures
from media_assets.media.sniff import STILL_MIMES
from media_assets_tests.docs.pages import ROOT
from media_assets_tests.supply import closure
from media_assets_tests.supply.problems import PROBLEMS, Problem

_PIXEL_FUNCTIONS = {
    *("GaussianBlur", "LUT", "add", "addWeighted", "calcHist", "circle", "convertFp16", "cvtColor", "imencode"),
    *("merge", "remap", "resize", "setNumThreads", "split", "dnn.NMSBoxesBatched"),
}
"""What of OpenCV may be called: it takes arrays and gives arrays or bytes. Nothing here opens a file or decodes one."""


@pytest.mark.parametrize(
    "problem", PROBLEMS, ids=lambda problem: f"{problem.package}-{problem.test.rpartition('::')[2]}"
)
def test_a_problem_is_one_of_the_pinned_version_and_its_mitigation_has_a_test(problem: Problem) -> None:
    name, version = closure.pinned()[canonicalize_name(problem.package)]
    assert (name, version) == (problem.package, problem.version), "raised: look at the problem again, then at its entry"
    path, _, test = problem.test.partition("::")
    assert f"def {test}(" in (ROOT / path).read_text("utf-8")


def sources() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((ROOT / "media_assets").rglob("*.py")):
        yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text("utf-8"))


def opencv_names(tree: ast.Module) -> set[str]:
    """What a module takes from OpenCV, constants left out."""
    taken = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "cv2"
    }
    within = {
        f"{node.value.attr}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute)
        if isinstance(node.value.value, ast.Name) and node.value.value.id == "cv2"
    }
    taken = within | (taken - {name.partition(".")[0] for name in within})
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "cv2":
            taken |= {alias.name for alias in node.names}
        if isinstance(node, ast.Import):
            taken |= {
                a.asname or a.name for a in node.names if a.name.startswith("cv2") and (a.asname or "." in a.name)
            }
    return {name for name in taken if not re.fullmatch(r"[A-Z][A-Z0-9_]*", name) or name == "LUT"}


def test_opencv_is_given_pixels_only() -> None:
    taken = {name: opencv_names(tree) for name, tree in sources()}
    assert set().union(*taken.values()) >= {"resize", "LUT"}
    assert {name: more for name, names in taken.items() if (more := names - _PIXEL_FUNCTIONS)} == {}


@pytest.mark.parametrize(
    "line",
    [
        "cv2.VideoCapture(x)",
        "from cv2 import imread",
        "import cv2 as c",
        "import cv2.dnn",
        "cv2.dnn.readNet(x)",
        "net = cv2.dnn",
    ],
)
def test_another_use_of_opencv_is_found(line: str) -> None:
    assert opencv_names(ast.parse(line)) - _PIXEL_FUNCTIONS


def test_no_other_reader_of_pillow_is_reached() -> None:
    assert pictures._OPENERS.keys() == STILL_MIMES
    opened = [
        (name, [keyword.arg for keyword in node.keywords])
        for name, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Image.open")
    ]
    assert opened, "the contact sheet opens its own thumbnails"
    assert [name for name, keywords in opened if "formats" not in keywords] == []


def test_the_ui_listens_on_this_machine_only() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    started = [line for line in makefile.splitlines() if "dagster dev" in line]
    assert started
    assert all("--host 127.0.0.1 " in line for line in started)
    assert not [
        p
        for p in Path(ROOT / "media_assets").rglob("*")
        if p.suffix in (".py", ".yaml") and b"0.0.0.0:" in p.read_bytes()
    ]
