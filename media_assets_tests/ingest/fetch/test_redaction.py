"""How URLs are shown in messages."""

from __future__ import annotations

import re
from importlib import resources

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_assets.ingest.fetch.redaction import place_of, shown


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://host:8080/a/b.jpg", "http://host:8080/a/b.jpg"),
        ("https://host/a?sig=secret&x=1", "https://host/a?…"),
        ("https://host/a#secret", "https://host/a"),
        ("https://host/a#secret?secret", "https://host/a"),
        ("http://user:secret@host/a", "http://…@host/a"),
        ("http://user:secret@secret@host/a", "http://…@host/a"),
        ("http://user:sec/ret@host/a", "http://…/ret@host/a"),
        ("http://user:sec?ret@host/a", "http://…?…"),
        ("user:secret@host/a", "…@host/a"),
        ("https://medium.com/@me/a", "https://medium.com/@me/a"),
        ("http://[::1]:80/a", "http://[::1]:80/a"),
        ("file:///data/a%20b", "file:///data/a%20b"),
        ("http://host/\x1b[31m\u202eb", "http://host/�[31m�b"),
        ("", ""),
    ],
)
def test_url_is_shown_without_secrets(url: str, expected: str) -> None:
    assert shown(url) == expected


def test_url_is_cut_when_it_is_long() -> None:
    assert len(shown("http://host/" + "a" * 10_000)) < 250


KEPT = [
    ("http://host:8080/a/b.jpg", "http://host:8080/a/b.jpg"),
    ("https://host/a?sig=secret&x=1", "https://host/a"),
    ("https://host/a#secret?secret", "https://host/a"),
    ("https://host?secret", "https://host"),
    ("http://user:secret@host/a", "http://…"),
    ("http://secret@host/a", "http://…"),
    ("http://user:sec/ret@host/a", "http://…"),
    ("http://user:sec?ret@host/a", "http://…"),
    ("user:secret@host/a", "user:…"),
    ("https://medium.com/@me/a", "https://medium.com/@me/a"),
    ("http://[::1]:80/a?b", "http://[::1]:80/a"),
    ("file:///data/a%20b%3Fc.jpg", "file:///data/a%20b%3Fc.jpg"),
    ("secret", "…"),
]


@pytest.mark.parametrize(("uri", "expected"), KEPT)
def test_a_uri_is_kept_without_secrets(uri: str, expected: str) -> None:
    assert place_of(uri) == expected


@given(st.text(alphabet="hHt:/?#@[]0.é\nsecret", max_size=30))
def test_the_mart_and_the_tables_keep_the_same_of_a_uri(uri: str) -> None:
    mart = resources.files("dbt_like_sql").joinpath("marts/dead_letters.sql").read_text("utf-8")
    case = re.search(r"case\n.*?end as uri", mart, re.DOTALL)
    assert case is not None
    with duckdb.connect() as connection:
        (row,) = connection.execute(f"select {case[0]} from (select ? as uri) as m", [uri]).fetchall()
    assert row[0] == place_of(uri)
