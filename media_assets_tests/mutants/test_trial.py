"""The runner says what it saw: only a test that ran and failed is red, and nothing but the copy is ever changed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from media_assets_tests.docs.pages import ROOT
from media_assets_tests.mutants.__main__ import try_all
from media_assets_tests.mutants.copied_tree import CopiedTree, copy_tracked
from media_assets_tests.mutants.mutation import Mutation
from media_assets_tests.mutants.trial import Session, Verdict, judge, try_mutation

SOURCE = "import time\n\n\ndef double(number):\n    return 2 * number\n"
TESTS = """
import pytest
from product import double


@pytest.fixture
def doubled():
    return [double(n) for n in (1, 2)]


@pytest.mark.parametrize("number", [0, 1])
def test_watchful(number):
    assert double(number) == number + number


def test_asleep():
    assert double(0) == 0


def test_with_a_fixture(doubled):
    assert doubled == [2, 4]


def test_red_anyway():
    assert double(1) == 3
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> CopiedTree:
    """A product of one function, and tests of different worth."""
    root = tmp_path_factory.mktemp("tree")
    (root / "product.py").write_text(SOURCE)
    (root / "test_product.py").write_text(TESTS)
    return CopiedTree(root)


def mutation(test: str, new: str = "return 3 * number", old: str = "return 2 * number") -> Mutation:
    return Mutation(test, "A promise", "product.py", old, new, f"test_product.py::{test}")


def test_only_what_a_test_noticed_is_red(tree: CopiedTree) -> None:
    """A wrong result is noticed by one test and not by the other; a test that was red before proves nothing."""
    chosen = [mutation("test_watchful"), mutation("test_asleep"), mutation("test_red_anyway")]
    trials = list(try_all(tree, chosen, 20))
    assert [trial.verdict for trial in trials] == [Verdict.RED, Verdict.SURVIVED, Verdict.BROKEN]
    assert [trial.is_red for trial in trials] == [True, False, False]
    assert "red without the mutation" in trials[2].told
    assert (tree.root / "product.py").read_text() == SOURCE


@pytest.mark.parametrize(
    ("test", "old", "new", "told"),
    [
        ("test_watchful", "import time", "import there_is_no_such_module", "ended with 4"),
        ("test_missing", "return 2", "return 3", "ended with 4"),
        ("test_with_a_fixture", "return 2 * number", "raise ValueError", "no failure of the test"),
    ],
    ids=["the mutant cannot be imported", "there is no such test", "a fixture broke"],
)
def test_what_did_not_fail_as_a_test_is_no_kill(tree: CopiedTree, test: str, old: str, new: str, told: str) -> None:
    trial = try_mutation(tree, mutation(test, new, old), 20)
    assert trial.verdict is Verdict.BROKEN
    assert told in trial.told
    assert not trial.is_red


def test_a_mutant_that_hangs_is_ended_and_said_to_hang(tree: CopiedTree) -> None:
    trial = try_mutation(tree, mutation("test_watchful", "time.sleep(60)"), 1)
    assert trial.verdict is Verdict.HUNG
    assert trial.is_red
    assert trial.seconds < 30


def test_a_session_that_had_to_be_killed_hung() -> None:
    assert judge(Session(None, ""), "test_x.py::test_x")[0] is Verdict.HUNG


def is_checkout() -> bool:
    try:
        return subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(not is_checkout(), reason="what is copied is what git tracks, and this is no git checkout")
def test_the_copy_is_what_everybody_imports_and_holds_what_is_tracked_only(tmp_path: Path) -> None:
    tree = copy_tracked(ROOT, tmp_path)
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    there = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert there == {name for name in tracked.splitlines() if (ROOT / name).is_file()}
    tree.require_imported()
    (tmp_path / "media_assets").rename(tmp_path / "elsewhere")  # then the checkout is, which is installed
    with pytest.raises(RuntimeError, match="to import media_assets from"):
        tree.require_imported()


def test_what_is_no_checkout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="git checkout"):
        copy_tracked(tmp_path, tmp_path / "copy")


def test_the_command_names_what_it_would_do() -> None:
    command = [sys.executable, "-m", "media_assets_tests.mutants", "--list"]
    lines = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(lines) >= 30
    assert all(len(line.split("\t")) == 3 for line in lines)
