"""What must never be in the tree: large files, pickle, package indexes, somebody's paths, unfinished work."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from media_assets_tests.docs.pages import ROOT, project_files

LARGEST_FILE_BYTES = 200_000
UNSAFE_MODULES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX)\b")
PERSONAL_PATH = re.compile(r"(?<![\w.])(/root|/home/[a-z]\w*|/Users/\w+|[A-Z]:\\Users\\\w+)[/\\]")
LOCK_FILES = {
    "uv.lock",
    "poetry.lock",
    "pdm.lock",
    "Pipfile.lock",
    "pylock.toml",
    "package-lock.json",
    "yarn.lock",
}
INDEX = re.compile(r"pythonhosted|pypi\.org|registry\.npmjs|--(?:extra-)?index-url|--find-links|git\+\w+://", re.I)


def _texts() -> list[tuple[str, str]]:
    """Name and content of every text file but the tests in this folder, which name what is forbidden."""
    texts = []
    for path in project_files():
        if path.parent == Path(__file__).parent:
            continue
        content = path.read_bytes()
        if b"\0" not in content[:8192]:
            texts.append((path.relative_to(ROOT).as_posix(), content.decode("utf-8", "replace")))
    return texts


def unsafe_imports(source: str) -> set[str]:
    """Modules imported by this source that can run code when they load data."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            is_off = isinstance(node.value, ast.Constant) and node.value.value is False
            found |= set() if is_off else {"pickle"}
    return found & UNSAFE_MODULES


def test_files_are_small() -> None:
    large = {str(path.relative_to(ROOT)): path.stat().st_size for path in project_files()}
    assert large, "no file was found at all"
    assert {name: size for name, size in large.items() if size > LARGEST_FILE_BYTES} == {}


def test_nothing_loads_pickles_outside_of_tests() -> None:
    sources = {name: text for name, text in _texts() if name.endswith(".py")}
    got = {name: unsafe_imports(text) for name, text in sources.items() if not name.startswith("media_assets_tests/")}
    assert {name: modules for name, modules in got.items() if modules} == {}


@pytest.mark.parametrize(
    "source", ["import pickle", "from pickle import loads", "import a, dill", "np.load(f, allow_pickle=True)"]
)
def test_an_unsafe_import_is_found(source: str) -> None:
    assert unsafe_imports(source)


@pytest.mark.parametrize("source", ["import json", "np.load(f, allow_pickle=False)", "'import pickle'"])
def test_a_safe_source_is_let_through(source: str) -> None:
    assert not unsafe_imports(source)


def test_no_package_index_is_named() -> None:
    assert [path.name for path in project_files() if path.name in LOCK_FILES] == []
    assert [name for name, text in _texts() if INDEX.search(text)] == []


def test_no_personal_path_is_named() -> None:
    checkout = f"{ROOT}/" if len(ROOT.parts) > 2 else None
    got = [name for name, text in _texts() if PERSONAL_PATH.search(text) or (checkout and checkout in text)]
    assert got == []


def test_no_work_is_marked_unfinished() -> None:
    assert [name for name, text in _texts() if UNFINISHED.search(text)] == []


@pytest.mark.parametrize("text", ["# TODO: later", "FIXME"])
def test_an_unfinished_mark_is_found(text: str) -> None:
    assert UNFINISHED.search(text)


@pytest.mark.parametrize("text", ["open('/home/ann/x.jpg')", "cd /root/clone", "C:\\Users\\ann\\x"])
def test_a_personal_path_is_found(text: str) -> None:
    assert PERSONAL_PATH.search(text)
