"""The README's first screen is typed by a newcomer: its commands run, print what it shows, and its Python works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from media_assets_tests.docs.pages import ROOT

_BLOCK = re.compile(r"^```(?P<language>console|python)\n(?P<body>.*?)^```", re.M | re.S)
_BIN = Path(sys.executable).parent
_SET_BY_TESTS = ("MEDIA_ASSETS_LAKE", "DAGSTER_HOME")


def blocks() -> list[tuple[str, str]]:
    """(language, body) of the code blocks of the first screen."""
    screen = (ROOT / "README.md").read_text("utf-8").partition("## Five minutes")[2].partition("\n## ")[0]
    return [(block["language"], block["body"]) for block in _BLOCK.finditer(screen)]


def comparable(text: str) -> list[str]:
    """Lines without what differs from run to run: times, ports, the widths of a table."""
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", text)
    text = re.sub(r"Done in \d+ s", "Done in N s", text)
    return [re.sub(r"\s+", " ", line).strip() for line in text.splitlines()]


def run(command: list[str], folder: Path) -> str:
    """Run to the end; what it printed."""
    environment = {name: value for name, value in os.environ.items() if name not in _SET_BY_TESTS}
    environment |= {"PATH": f"{_BIN}{os.pathsep}{os.environ['PATH']}", "MEDIA_ASSETS_LAKE": "demo/lake"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def steps(console: str) -> list[tuple[str, list[str]]]:
    """(command, lines shown under it) of a console block."""
    found: list[tuple[str, list[str]]] = []
    for line in console.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif line.strip() not in ("", "…"):
            found[-1][1].append(line)
    return found


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_first_screen_works_and_prints_what_it_shows(tmp_path: Path) -> None:
    n_shown = 0
    for language, body in blocks():
        if language == "python":
            assert "tensors of version" in run([sys.executable, "-c", body], tmp_path)
            continue
        for command, shown in steps(body):
            if command == "make dev" or command.startswith("export "):
                continue
            words = command.split()
            words = ["media-assets", "demo"] if words == ["make", "demo"] else words
            printed = comparable(run(words, tmp_path))
            for line in comparable("\n".join(shown)):
                assert line in printed, f"the README shows this under `{command}`, which prints other lines"
                n_shown += 1
    assert n_shown > 10
