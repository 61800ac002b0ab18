"""The list of mutations is honest: each applies, compiles and names a test that exists; no promise is without one."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from media_assets_tests.docs.pages import ROOT
from media_assets_tests.docs.test_promises import promises
from media_assets_tests.mutants.mutation import Mutation, mutations

EVERY = mutations()
LEAST = 30


def bold(promise: str) -> str:
    """The words of a promise that ARCHITECTURE.md has in bold, without the full stop."""
    return promise.split("**")[1].rstrip(".")


@cache
def functions_of(path: str) -> dict[str, set[str]]:
    """Test function → the names of its decorators."""
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {f.name: {ast.unparse(decorator).partition("(")[0] for decorator in f.decorator_list} for f in functions}


def test_there_are_many_and_each_has_a_name_and_an_effect_of_its_own() -> None:
    assert len(EVERY) >= LEAST
    assert [name for name, n in Counter(mutation.name for mutation in EVERY).items() if n > 1] == []
    effects = Counter((mutation.file, mutation.applied_to(source_of(mutation))) for mutation in EVERY)
    assert [file for (file, _), n in effects.items() if n > 1] == []


def source_of(mutation: Mutation) -> str:
    return (ROOT / mutation.file).read_text("utf-8")


@pytest.mark.parametrize("mutation", EVERY, ids=lambda mutation: mutation.name)
def test_a_mutation_breaks_the_product_in_one_place_and_names_a_test(mutation: Mutation) -> None:
    assert mutation.file.startswith("media_assets/"), "the product is broken, never a test"
    mutated = mutation.applied_to(source_of(mutation))
    assert ast.dump(ast.parse(mutated)) != ast.dump(ast.parse(source_of(mutation)))
    path, _, case = mutation.test.partition("::")
    function = case.partition("[")[0]
    assert function in functions_of(path), f"{path} has no {function}"
    decorators = functions_of(path)[function]
    assert "given" not in decorators or "example" in decorators, "what is found by chance is missed by chance"


def test_no_mutant_uses_a_name_that_is_not_there(tmp_path: Path) -> None:
    """Such a mutant would be red for a reason that has nothing to do with its promise."""
    for mutation in EVERY:
        (tmp_path / f"{mutation.name}.py").write_text(mutation.applied_to(source_of(mutation)), "utf-8")
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F821,F822,F823", str(tmp_path)]
    judged = subprocess.run(command, capture_output=True, text=True)
    assert judged.returncode == 0, judged.stdout


def test_every_promise_is_broken_by_a_mutation_and_every_mutation_breaks_one() -> None:
    promised = {bold(promise) for promise in promises()}
    assert {mutation.promise for mutation in EVERY} == promised


def test_a_mutation_whose_text_is_not_there_exactly_once_is_refused() -> None:
    mutation = Mutation("m", "p", "f.py", old="a", new="b", test="t")
    for text in ("", "a a"):
        with pytest.raises(ValueError, match="expected its old text once"):
            mutation.applied_to(text)
    assert mutation.applied_to("xax") == "xbx"
