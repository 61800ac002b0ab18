"""One mutation tried: its test runs against the mutated tree, and what pytest says becomes a verdict.

Only a test that ran and failed counts as red. That the mutant cannot be imported, that nothing was collected, or that a
fixture broke, shows nothing about the test.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from xml.etree import ElementTree

from media_assets_tests.mutants.copied_tree import CopiedTree
from media_assets_tests.mutants.mutation import Mutation

LIMIT_SECONDS = 60
_TESTS_FAILED = 1  # of pytest; 2 to 5: not collected, internal error, usage, no tests
_GRACE_SECONDS = 20  # beyond the limit of each test, for starting and for ending


class Verdict(StrEnum):
    """What became of a mutation."""

    RED = "red"
    HUNG = "red by hanging"  # the test, or the product under it, had to be killed
    SURVIVED = "survived"
    BROKEN = "proves nothing"  # red without the mutation, not collected, broken outside of the test itself


@dataclass(frozen=True)
class Trial:
    """A mutation and its verdict; `told` says what pytest said."""

    mutation: Mutation
    verdict: Verdict
    seconds: float
    told: str = ""

    @property
    def is_red(self) -> bool:
        """Whether the test did its work."""
        return self.verdict in (Verdict.RED, Verdict.HUNG)


@dataclass
class Session:
    """One run of pytest: `exit_code` is None when it had to be killed."""

    exit_code: int | None
    output: str
    failures: dict[str, str] = field(default_factory=dict)  # node id → message
    passed: set[str] = field(default_factory=set)  # in neither: skipped, or broken before or after the test itself

    def failure_of(self, test: str) -> str | None:
        """The message of a test or of one of its cases, or None where none failed."""
        return next((told for node, told in self.failures.items() if _is_case_of(node, test)), None)

    def why_not_green(self, test: str) -> str | None:
        """Why an unmutated test proves nothing, or None."""
        if self.failure_of(test) is not None:
            return "its test is red without the mutation, too"
        if any(_is_case_of(node, test) for node in self.passed):
            return None
        return "its test does not run on this machine: " + self.tail

    @property
    def tail(self) -> str:
        """The end of what was printed."""
        return self.output.strip()[-600:]


def run_tests(tree: CopiedTree, tests: Sequence[str], limit_seconds: float = LIMIT_SECONDS, *options: str) -> Session:
    """Run tests in a tree, in a process group of their own; killed when they take too long."""
    with tempfile.TemporaryDirectory(prefix="mutants-pytest-", ignore_cleanup_errors=True) as folder:
        report, printed = Path(folder, "report.xml"), Path(folder, "printed")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=line", *options]
        command += ["-o", "junit_family=xunit1", f"--junit-xml={report}", f"--basetemp={folder}/tmp"]
        command += [f"--timeout={limit_seconds:g}", *tests]
        with printed.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=tree.root,
                env=tree.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            exit_code = _ended(process, limit_seconds * len(tests) + _GRACE_SECONDS)
        session = Session(exit_code, printed.read_text("utf-8", "replace"))
        if report.is_file() and report.stat().st_size:
            _read(report, session)
        return session


def try_mutation(tree: CopiedTree, mutation: Mutation, limit_seconds: float = LIMIT_SECONDS) -> Trial:
    """Mutate, run the test until its first failure, restore."""
    started = time.monotonic()
    with tree.mutated(mutation):
        session = run_tests(tree, [mutation.test], limit_seconds, "-x")
    verdict, told = judge(session, mutation.test)
    return Trial(mutation, verdict, round(time.monotonic() - started, 1), told)


def judge(session: Session, test: str) -> tuple[Verdict, str]:
    """The verdict over a mutated session."""
    if session.exit_code is None:
        return Verdict.HUNG, "killed: no end within the limit"
    told = session.failure_of(test)
    if session.exit_code == _TESTS_FAILED and told is not None:
        return (Verdict.HUNG if told.startswith("Failed: Timeout") else Verdict.RED), told
    if session.exit_code == 0:
        return Verdict.SURVIVED, ""
    return Verdict.BROKEN, f"pytest ended with {session.exit_code} and no failure of the test: {session.tail}"


def _ended(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.returncode is None:  # too slow, or we are interrupted ourselves
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _read(report: Path, session: Session) -> None:
    for case in ElementTree.parse(report).iter("testcase"):
        node = f"{case.get('file')}::{case.get('name')}"
        if (failure := case.find("failure")) is not None:
            session.failures[node] = " ".join((failure.get("message") or "").split())[:300]
        elif case.find("error") is None and case.find("skipped") is None:
            session.passed.add(node)


def _is_case_of(node: str, test: str) -> bool:
    return node == test or node.startswith(f"{test}[")
