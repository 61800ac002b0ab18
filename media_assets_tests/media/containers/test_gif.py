"""GIF pictures are counted without decoding, within bounds."""

import pytest

from media_assets.errors import ErrorCode, ItemError
from media_assets.media.containers.gif import examine_gif
from media_assets_tests.media.pictures import awkward, make_animation, make_gif_of_many


def refused(data: bytes) -> ErrorCode:
    with pytest.raises(ItemError) as caught:
        examine_gif(data, 2000)
    return caught.value.code


@pytest.mark.parametrize("n_frames", [1, 2, 7])
def test_pictures_are_counted(n_frames: int) -> None:
    assert examine_gif(make_animation("GIF", n_frames), 2000).n_frames == n_frames


def test_counting_stops_one_beyond_the_cap() -> None:
    assert examine_gif(make_gif_of_many(100), 10).n_frames == 11


def test_credentials_are_seen() -> None:
    gif = awkward("gif")
    at = 13 + 3 * 256
    signed = gif[:at] + b"!\xff\x0bC2PA_GIF\1\0\0\x04jumb\0" + gif[at:]
    assert examine_gif(signed, 10).has_c2pa
    assert examine_gif(signed, 10).n_frames == 1
    assert not examine_gif(gif, 10).has_c2pa


def test_a_missing_end_is_forgiven_and_a_missing_picture_is_not() -> None:
    gif = awkward("gif")
    assert examine_gif(gif[:-1], 10).n_frames == 1
    assert refused(gif[:-5000]) is ErrorCode.TRUNCATED
    assert refused(gif[:20]) is ErrorCode.TRUNCATED
    assert refused(gif[: 13 + 768] + b";") is ErrorCode.CORRUPT
    assert refused(gif[: 13 + 768] + b"\x07" + gif[13 + 768 :]) is ErrorCode.CORRUPT


def test_sub_blocks_without_end_are_refused() -> None:
    head = b"GIF89a\1\0\1\0\0\0\0!\xfe"
    assert refused(head + b"\1x" * 1_100_000) is ErrorCode.CORRUPT
