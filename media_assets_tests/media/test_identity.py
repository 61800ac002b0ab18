"""Names are a function of content alone, and never change."""

import pytest

from media_assets.errors import ErrorCode, ItemError
from media_assets.media.identity import frame_id, media_id, require_same


def test_media_id_is_the_sha256_of_the_bytes() -> None:
    assert media_id(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_frame_id_has_not_changed() -> None:
    """Stored in tables: these values are for ever."""
    assert frame_id(media_id(b"abc")) == "c5373cce9db57c08f8c75bc0bee407ce"


def test_frame_id_differs_when_any_part_differs() -> None:
    names = {
        frame_id("a" * 64),
        frame_id("b" * 64),
        frame_id("a" * 64, pts_ns=1),
        frame_id("a" * 64, turned_degrees=90),
        frame_id("a" * 64, pts_ns=90),
    }
    assert len(names) == 5
    assert all(len(name) == 32 and set(name) <= set("0123456789abcdef") for name in names)


def test_kept_bytes_are_refused_when_they_are_not_what_was_kept() -> None:
    name = media_id(b"kept")
    require_same(b"kept", name)
    require_same(b"anything", None)
    for damaged in (b"kepT", b"kep", b"kept.", b""):
        with pytest.raises(ItemError, match=name) as caught:
            require_same(damaged, name)
        assert caught.value.code is ErrorCode.BLOB_DAMAGED
