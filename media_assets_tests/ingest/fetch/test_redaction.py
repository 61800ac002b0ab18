"""How URLs are shown in messages."""

from __future__ import annotations

import pytest

from media_assets.ingest.fetch.redaction import shown


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
