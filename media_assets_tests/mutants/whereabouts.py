"""Where `media_assets` is imported from: here, in a sandboxed worker, and in a Python that starts somewhere else."""

from __future__ import annotations

import json
import subprocess
import sys

import msgspec

import media_assets
from media_assets.engine.process_pool import ProcessPoolEngine
from media_assets.engine.tasks import Task, Work


class Question(msgspec.Struct, frozen=True):
    """Nothing more to say."""


class Place(msgspec.Struct, frozen=True):
    """A module's file."""

    path: str


def place(data: bytes, question: Question) -> Place:
    """Where this process has the package from."""
    return Place(str(media_assets.__file__))


def main() -> None:
    """Tell all three, as JSON."""
    task = Task("media_assets_tests.mutants.whereabouts:place", Question, Place)
    (outcome,) = ProcessPoolEngine(1).map_items(task, [Work("", b"", Question())])
    assert outcome.response is not None, outcome.error
    command = [sys.executable, "-c", "import media_assets; print(media_assets.__file__)"]
    child = subprocess.run(command, cwd="/", capture_output=True, text=True, check=True).stdout.strip()
    print(json.dumps({"tests": media_assets.__file__, "worker": outcome.response.path, "child": child}))
