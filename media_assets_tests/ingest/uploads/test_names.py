"""Names in the inbox: unique, harmless, and never ones that the inbox would leave alone."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from media_assets.ingest.inbox.provisional import is_provisional
from media_assets.ingest.uploads.names import landed_name

ID = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("original", "tail"),
    [
        ("cat.JPG", "-cat.jpg"),
        ("Été à la mer.png", "-Ete-a-la-mer.png"),
        ("../../etc/passwd", "-passwd"),
        ("C:\\fakepath\\dog.webp", "-dog.webp"),
        ("猫.jpg", ".jpg"),
        (".htaccess", "-htaccess"),
        ("", ""),
        ("video.mp4.part", "-video-mp4"),
        ("half.crdownload", "-half-crdownload"),
        ("name.waytoolongextension", "-name-waytoolongextension"),
        ("a" * 300 + ".jpg", "-" + "a" * 40 + ".jpg"),
        ("evil\n\x1b[31m.gif", "-evil-31m.gif"),
    ],
)
def test_the_tail_is_recognised_and_harmless(original: str, tail: str) -> None:
    assert landed_name(ID, original) == ID + tail


@given(st.text())
@example("x.tmp")
@example("x~")
@example("a/.b")
def test_any_name_is_one_plain_entry_that_the_inbox_takes(original: str) -> None:
    name = landed_name(ID, original)
    assert re.fullmatch(r"[0-9a-f]{32}(-[A-Za-z0-9-]{1,40})?(\.[a-z0-9]{1,8})?", name)
    assert not is_provisional(f"phones/{name}".encode())
