"""A copy of the checkout to break things in: what git tracks, and nothing else. The checkout is never written to."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from media_assets_tests.mutants.mutation import Mutation

_ASK = "from media_assets_tests.mutants.whereabouts import main; main()"


@dataclass
class CopiedTree:
    """The copy, and how it is made the one that Python imports."""

    root: Path
    _last_mtime: int = 0

    def environment(self) -> dict[str, str]:
        """Of every process that runs in the copy: it comes before the checkout, which is installed as editable."""
        kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONDONTWRITEBYTECODE", "PYTEST_ADDOPTS")}
        return kept | {"PYTHONPATH": str(self.root)}

    def require_imported(self) -> None:
        """Refuse to go on when tests, their worker processes or their children would import another tree.

        Raises:
            RuntimeError: naming who imports what.
        """
        command = [sys.executable, "-c", _ASK]
        asked = subprocess.run(command, cwd=self.root, env=self.environment(), capture_output=True, text=True)
        if asked.returncode:
            raise RuntimeError(f"expected to be told what is imported in {self.root}, got:\n{asked.stderr[-2000:]}")
        for who, place in json.loads(asked.stdout).items():
            if not Path(place).resolve().is_relative_to(self.root.resolve()):
                raise RuntimeError(f"expected the {who} to import media_assets from {self.root}, it takes {place}")

    @contextmanager
    def mutated(self, mutation: Mutation) -> Iterator[None]:
        """The tree with one mutation in it, for the time of the block."""
        path = self.root / mutation.file
        text = path.read_text("utf-8")
        self._write(path, mutation.applied_to(text))
        try:
            yield
        finally:
            self._write(path, text)

    def _write(self, path: Path, text: str) -> None:
        """Each time with a later second: Python knows stale bytecode by a file's size and whole second alone."""
        path.write_text(text, "utf-8")
        self._last_mtime = max(int(path.stat().st_mtime), self._last_mtime) + 1
        os.utime(path, (self._last_mtime, self._last_mtime))


def copy_tracked(checkout: Path, to: Path) -> CopiedTree:
    """Copy the tracked files of a checkout as they lie there now.

    Raises:
        RuntimeError: it is no git checkout.
    """
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=checkout, capture_output=True)
    if listed.returncode:
        raise RuntimeError(f"expected a git checkout in {checkout}: {os.fsdecode(listed.stderr).strip()}")
    for name in filter(None, os.fsdecode(listed.stdout).split("\0")):
        source, target = checkout / name, to / name
        if source.is_file():  # else it was deleted since
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    return CopiedTree(to)
