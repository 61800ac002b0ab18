"""The generated pages are current and complete."""

from __future__ import annotations

import re

import pytest

from media_assets.errors import ErrorCode, LabelStudioCode, ModelCode, StoreCode
from media_assets.tables import ALL_TABLES
from media_assets_tests.docs import generate
from media_assets_tests.docs.error_guide import LABEL_STUDIO_CODES, MODEL_CODES, SECTIONS, STORE_CODES


def test_pages_are_current() -> None:
    assert generate.stale() == [], "run `make docs` and commit what it wrote"


def test_every_error_code_has_exactly_one_row() -> None:
    parts = re.split("\n## (A model that cannot be used|The object store|Label Studio)\n", generate.errors_page())
    kinds = {"A model that cannot be used": ModelCode, "The object store": StoreCode, "Label Studio": LabelStudioCode}
    assert set(parts[1::2]) == set(kinds)
    pages = [(parts[0], ErrorCode), *((page, kinds[name]) for name, page in zip(parts[1::2], parts[2::2], strict=True))]
    for part, codes in pages:
        got = [line.split("`")[1] for line in part.splitlines() if line.startswith("| `")]
        assert sorted(got) == sorted(code.value for code in codes), "describe it in error_guide.py"


def test_every_error_code_says_what_happened_and_what_to_do() -> None:
    for rows in (*SECTIONS.values(), MODEL_CODES, STORE_CODES, LABEL_STUDIO_CODES):
        for code, advice in rows.items():
            assert len(advice.meaning.split()) >= 4, code
            assert len(advice.what_to_do.split()) >= 4, code


def test_every_contract_is_among_all_tables() -> None:
    assert generate.contracts() == list(ALL_TABLES), "add the contract to media_assets.tables.ALL_TABLES"


def test_every_column_is_described() -> None:
    page = generate.tables_page()
    for table in ALL_TABLES:
        section = page.split(f"\n## {table.path}\n")[1].split("\n## ")[0]
        for column, description in table.column_descriptions.items():
            assert f"| `{column}` |" in section
            assert description, f"{table.name}.{column} has no description"


def test_check_tells_of_a_stale_page(monkeypatch: pytest.MonkeyPatch) -> None:
    path = generate.ROOT / "docs" / "errors.md"
    monkeypatch.setattr(generate, "pages", lambda: {path: "something else"})
    assert generate.main(["--check"]) == 1
    monkeypatch.setattr(generate, "pages", lambda: {path: path.read_text("utf-8")})
    assert generate.main(["--check"]) == 0
