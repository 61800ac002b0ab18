"""Every relative link and image of the documentation leads somewhere."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import pytest

from media_assets_tests.docs.pages import ROOT, anchors, link_targets, markdown_pages, project_files


def broken_links(page: Path) -> list[str]:
    broken = []
    for target in link_targets(page.read_text("utf-8")):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = unquote(target).partition("#")
        file = (page.parent / path).resolve() if path else page
        if not (file.is_dir() or file in KNOWN or file == page):
            broken.append(f"{target}: no such file in the project")
        elif anchor and file.suffix == ".md" and anchor not in anchors(file.read_text("utf-8")):
            broken.append(f"{target}: no such heading")
    return broken


KNOWN = frozenset(project_files())


@pytest.mark.parametrize("page", markdown_pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_relative_links_resolve(page: Path) -> None:
    assert broken_links(page) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        '# One\n[a](nowhere.md) ![b](no.png) [c](#two) [d](#one) `[e](code.md)` <img src="no.svg">', "utf-8"
    )
    got = [line.split(":")[0] for line in broken_links(page)]
    assert got == ["nowhere.md", "no.png", "#two", "no.svg"]


def test_every_page_a_newcomer_needs_is_there() -> None:
    names = {page.relative_to(ROOT).as_posix() for page in markdown_pages()}
    assert {
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "docs/errors.md",
        "docs/tables.md",
    } <= names


def test_every_decision_record_is_linked_from_the_architecture() -> None:
    linked = set(link_targets((ROOT / "ARCHITECTURE.md").read_text("utf-8")))
    records = {f"docs/adr/{path.name}" for path in (ROOT / "docs/adr").glob("[0-9]*.md") if path.name[:4] != "0000"}
    assert records
    assert records <= linked
