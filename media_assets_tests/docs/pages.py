"""Reading the project's own files: which belong to it, and the links and commands in its Markdown pages.

Not here: any judgement about them (the tests beside this file).
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_NOT_OURS = {
    ".git",
    ".venv",
    ".label-studio",
    "build",
    "dist",
    "lake",
    "dagster_home",
    "demo",
    "node_modules",
    "__pycache__",
}
_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\S*)[^\n]*\n(?P<body>.*?)^(?P=indent)```", re.M | re.S)
_LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_HTML_LINK = re.compile(r"<(?:img|source|a)\b[^>]*?\b(?:src|srcset|href)=\"([^\"]+)\"")
_REFERENCE = re.compile(r"^\[[^\]]+\]:\s*(\S+)", re.M)
_INLINE_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_SHELL_LANGUAGES = {"console", "sh", "bash", "shell"}
_SEPARATORS = {"|", "||", "&&", ";", "&", ">", ">>", "<", "2>", "2>&1"}


@dataclass(frozen=True)
class Command:
    """One `media-assets` command as a page writes it; `is_whole`: to be typed, not a mention in prose."""

    page: str
    arguments: tuple[str, ...]
    is_whole: bool

    def __str__(self) -> str:
        return f"{self.page}: media-assets {shlex.join(self.arguments)}"


def project_files() -> list[Path]:
    """Every file that is tracked, or untracked and not ignored; without git, all but the known outputs."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        paths = [ROOT / name for name in listed.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        paths = [path for path in ROOT.rglob("*") if not _is_output(path.relative_to(ROOT))]
    return sorted({path for path in paths if path.is_file() and not path.is_symlink()})


def _is_output(path: Path) -> bool:
    return any(part in _NOT_OURS or part.endswith(("_cache", ".egg-info", ".pyc")) for part in path.parts)


def markdown_pages() -> list[Path]:
    """The pages a reader is meant to read: those at the root, and all under `docs/`."""
    return [p for p in project_files() if p.suffix == ".md" and (p.parent == ROOT or ROOT / "docs" in p.parents)]


def link_targets(text: str) -> Iterator[str]:
    """Where every link and image of a page leads, outside code."""
    prose = _INLINE_CODE.sub("", _FENCE.sub("", text))
    for pattern in (_LINK, _HTML_LINK, _REFERENCE):
        yield from pattern.findall(prose)


def anchors(text: str) -> set[str]:
    """The anchors that a page's headings give, by GitHub's rule."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6}\s+(.+?)\s*#*$", _FENCE.sub("", text), re.M):
        bare = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)).lower().replace(" ", "-")
        n_before = sum(1 for name in found if name == bare or re.fullmatch(re.escape(bare) + r"-\d+", name))
        found.add(f"{bare}-{n_before}" if n_before else bare)
    return found


def shell_lines(text: str) -> Iterator[str]:
    """The lines to be typed in a page's shell blocks: of a `console` block those after `$ `, else all."""
    for block in _FENCE.finditer(text):
        if block["language"] not in _SHELL_LANGUAGES:
            continue
        typed = re.sub(r"\\\n\s*", " ", block["body"]).splitlines()
        for line in (raw.strip() for raw in typed):
            if block["language"] == "console" and not line.startswith("$ "):
                continue
            if line and not line.startswith("#"):
                yield line.removeprefix("$ ")


def commands(page: Path) -> Iterator[Command]:
    """Every `media-assets` command of a page: typed in a shell block, or named in prose."""
    name, text = page.relative_to(ROOT).as_posix(), page.read_text("utf-8")
    for line in shell_lines(text):
        for words in _simple_commands(line):
            if Path(words[0]).name == "media-assets":
                yield Command(name, tuple(words[1:]), is_whole=True)
    for code in _INLINE_CODE.findall(_FENCE.sub("", text)):
        if code.startswith("media-assets "):
            yield Command(name, tuple(code.split()[1:]), is_whole=False)


def _simple_commands(line: str) -> Iterator[list[str]]:
    """A shell line cut at pipes, lists and redirections; leading `NAME=value` words are dropped."""
    words: list[str] = []
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    for word in [*lexer, ";"]:
        if word in _SEPARATORS:
            if words:
                yield words
            words = []
        elif words or not re.match(r"^[A-Za-z_]\w*=", word):
            words.append(word)
