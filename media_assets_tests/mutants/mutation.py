"""What a mutation is, and where all of them are written down: `list/*.toml`, one file a layer.

Not here: running the tests against them (`trial.py`).
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

LIST = Path(__file__).parent / "list"


@dataclass(frozen=True)
class Mutation:
    """One promise broken in one place of the source, and the one test that has to go red."""

    name: str  # what is broken, in words with hyphens
    promise: str  # as ARCHITECTURE.md has it in bold
    file: str
    old: str  # occurs exactly once in the file
    new: str
    test: str  # pytest node id; without parameters it is red when one of its cases is

    def applied_to(self, text: str) -> str:
        """The mutated text of the file.

        Raises:
            ValueError: the old text does not occur exactly once.
        """
        if (n_found := text.count(self.old)) != 1:
            raise ValueError(f"{self.name}: expected its old text once in {self.file}, found it {n_found} times")
        return text.replace(self.old, self.new)


def mutations(folder: Path = LIST) -> list[Mutation]:
    """Every mutation, file by file, in the order in which they are written."""
    return [
        Mutation(**entry)
        for path in sorted(folder.glob("*.toml"))
        for entry in tomllib.loads(path.read_text("utf-8"))["mutation"]
    ]
