"""Item keys of paths: reversible and injective for any bytes, unchanged for ordinary names."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from media_assets.ingest.item_keys import item_key_of


def path_of(item_key: str) -> bytes:
    """The path behind an item key: what `item_key_of` promises to be possible."""
    if item_key.startswith("%//"):
        return unquote_to_bytes(item_key.removeprefix("%//"))
    return item_key.encode("utf-8")


@given(st.binary(max_size=40))
@example(b"")
@example(b"%//a")
@example(b"%2F%2F")
@example(b"a//b")
@example(b"\xff/\n%")
def test_a_path_comes_back_from_its_key(path):
    key = item_key_of(path)
    assert key
    assert path_of(key) == path
    assert key.encode("utf-8").decode("utf-8") == key


@given(
    st.lists(st.sampled_from([b"%", b"/", b"F", b"2", b"a", b"\xff", b"\n", "é".encode()]), max_size=6),
    st.lists(st.sampled_from([b"%", b"/", b"F", b"2", b"a", b"\xff", b"\n", "é".encode()]), max_size=6),
)
def test_two_paths_never_share_a_key(left, right):
    left, right = b"".join(left), b"".join(right)
    assert (item_key_of(left) == item_key_of(right)) == (left == right)


@pytest.mark.parametrize("path", ["a.jpg", "a/b c/%41.jpg", "100%.png", "東京/🗼.jpg", "'\"\\"])
def test_an_ordinary_path_is_its_own_key(path):
    assert item_key_of(path.encode()) == path


@pytest.mark.parametrize("path", [b"\xff.jpg", b"a\nb", b"\x1b[2J", "a\u2028b".encode(), b"a\x00"])
def test_a_path_is_escaped_when_it_could_not_be_shown(path):
    assert item_key_of(path).startswith("%//")
    assert item_key_of(path).isascii()
