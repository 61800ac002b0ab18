"""JPEGs are walked exactly: segments, scans, end, and what is bare."""

import io

import numpy as np
import pytest
from PIL import Image

from media_assets.errors import ErrorCode, ItemError
from media_assets.media.containers.jpeg import examine_jpeg, stripped_jpeg
from media_assets_tests.media import pictures
from media_assets_tests.media.pictures import AWKWARD, awkward, insert_segments, make_jpeg

JPEGS = [name for name in AWKWARD if name.startswith("jpeg")]


def refused(data: bytes) -> ItemError:
    with pytest.raises(ItemError) as caught:
        examine_jpeg(data)
    return caught.value


@pytest.mark.parametrize("name", JPEGS)
def test_segments_cover_the_picture_without_gaps(name: str) -> None:
    data = awkward(name)
    jpeg = examine_jpeg(data)
    assert jpeg.segments[0].start == 2
    for one, following in zip(jpeg.segments, jpeg.segments[1:], strict=False):
        assert one.end == following.start
    assert data[jpeg.end - 2 : jpeg.end] == b"\xff\xd9"
    assert jpeg.segments[-1].end == jpeg.end - 2


def test_progressive_scans_and_restart_markers_are_walked() -> None:
    scans = [s for s in examine_jpeg(awkward("jpeg-progressive")).segments if s.marker == 0xDA]
    assert len(scans) > 5
    restart = awkward("jpeg-restart")
    scan = next(s for s in examine_jpeg(restart).segments if s.marker == 0xDA)
    assert b"\xff\xd3" in restart[scan.start : scan.end]


def test_the_end_is_the_first_pictures() -> None:
    clean = make_jpeg()
    for tail in (b"\0", b"\xff\xd9", clean, b"PK\3\4"):
        jpeg = examine_jpeg(clean + tail)
        assert jpeg.end == len(clean)
        assert not jpeg.structure.is_bare


@pytest.mark.parametrize(
    "segment",
    [
        (0xE1, b"Exif\0\0"),
        (0xE2, b"ICC_PROFILE\0\1\1"),
        (0xED, b"Photoshop 3.0\0"),
        (0xEB, b"JP\0\1"),
        (0xFE, b"a comment"),
        (0xE0, b"JFXX\0\x10" + b"\xff\xd8 thumbnail \xff\xd9"),
        (0xE0, b"JFIF\0\1\1\0\0\1\0\1\1\1abc"),
        (0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0"),
        (0xEE, b"Adobe\0\x64\0\0\0\0\1 and a note"),
        (0xF0, b"JPG0"),
    ],
)
def test_any_segment_that_is_not_needed_is_seen_and_dropped(segment: tuple[int, bytes]) -> None:
    clean = make_jpeg()
    data = insert_segments(clean, segment)
    assert examine_jpeg(clean).structure.is_bare
    assert not examine_jpeg(data).structure.is_bare
    stripped = stripped_jpeg(data, examine_jpeg(data))
    assert examine_jpeg(stripped).structure.is_bare
    assert segment[1][5:] not in stripped or len(segment[1]) < 8 or segment[1].startswith(b"JFIF\0\1\1\0\0\1\0\1\0\0")


def test_segments_between_scans_are_dropped() -> None:
    clean = awkward("jpeg-progressive")
    second = [s for s in examine_jpeg(clean).segments if s.marker == 0xDA][1]
    data = clean[: second.start] + b"\xff\xfe\0\x11Planted-Comment" + clean[second.start :]
    assert not examine_jpeg(data).structure.is_bare
    stripped = stripped_jpeg(data, examine_jpeg(data))
    assert b"Planted" not in stripped
    assert (np.asarray(Image.open(io.BytesIO(stripped))) == np.asarray(Image.open(io.BytesIO(clean)))).all()


def test_the_adobe_transform_survives() -> None:
    data = insert_segments(awkward("jpeg-rgb"), (0xFE, b"x"))
    stripped = stripped_jpeg(data, examine_jpeg(data))
    decoded = [np.asarray(Image.open(io.BytesIO(d)).convert("RGB")) for d in (data, stripped)]
    assert (decoded[0] == decoded[1]).all()


def test_fill_bytes_before_a_marker_are_skipped() -> None:
    clean = make_jpeg()
    filled = clean[:2] + b"\xff\xff\xff" + clean[2:]
    assert examine_jpeg(filled).structure.width_px == 256
    assert stripped_jpeg(filled, examine_jpeg(filled)) == stripped_jpeg(clean, examine_jpeg(clean))


def test_content_credentials_are_seen() -> None:
    clean = make_jpeg()
    assert not examine_jpeg(clean).structure.has_c2pa
    assert examine_jpeg(pictures.with_metadata(clean)).structure.has_c2pa


def test_what_the_decoder_does_not_know_is_unsupported() -> None:
    jpeg = make_jpeg()
    at = jpeg.index(b"\xff\xc0")
    twelve_bit = jpeg[: at + 4] + b"\x0c" + jpeg[at + 5 :]
    lossless = jpeg[: at + 1] + b"\xc3" + jpeg[at + 2 :]
    assert refused(twelve_bit).code is ErrorCode.UNSUPPORTED_FORMAT
    assert refused(lossless).code is ErrorCode.UNSUPPORTED_FORMAT
    assert "12-bit" in refused(twelve_bit).message


def test_damage_is_told_apart() -> None:
    jpeg = make_jpeg()
    assert refused(jpeg[:-1]).code is ErrorCode.TRUNCATED
    assert refused(jpeg[:100]).code is ErrorCode.TRUNCATED
    assert refused(b"\xff\xd8\xff").code is ErrorCode.TRUNCATED
    assert refused(jpeg[:2] + b"junk" + jpeg[2:]).code is ErrorCode.CORRUPT
    assert refused(jpeg[:2] + b"\xff\xd9").code is ErrorCode.CORRUPT
    assert refused(jpeg[:2] + b"\xff\xd8" + jpeg[2:]).code is ErrorCode.CORRUPT


def test_scans_and_segments_without_end_are_refused() -> None:
    jpeg = awkward("jpeg-progressive")
    scan = [s for s in examine_jpeg(jpeg).segments if s.marker == 0xDA][-1]
    many = jpeg[: scan.end] + jpeg[scan.start : scan.end] * 300 + b"\xff\xd9"
    assert "scans" in refused(many).message
    assert "segments" in refused(b"\xff\xd8" + b"\xff\xfe\0\2" * 200_000).message
