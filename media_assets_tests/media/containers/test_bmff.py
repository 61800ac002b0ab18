"""HEIC and AVIF boxes tell depth, turns, colours, credentials and truncation before anything is decoded."""

import struct

import pytest

from media_assets.errors import ErrorCode, ItemError
from media_assets.media.containers.bmff import examine_bmff
from media_assets_tests.media.pictures import awkward, exif_bytes, make_avif, make_heic


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content


@pytest.mark.parametrize("name", ["heic", "avif"])
def test_a_plain_file_is_plain(name: str) -> None:
    structure = examine_bmff(awkward(name))
    assert structure.bit_depth == 8
    assert (structure.turns_itself, structure.has_c2pa, structure.has_foreign_colour) == (False,) * 3


@pytest.mark.parametrize(("orientation", "swaps"), [(2, False), (3, False), (6, True), (8, True)])
def test_a_file_that_turns_itself_is_seen(orientation: int, swaps: bool) -> None:
    for data in (make_heic(exif=exif_bytes(orientation)), make_avif(exif=exif_bytes(orientation))):
        structure = examine_bmff(data)
        assert structure.turns_itself
        assert structure.swaps_sides is swaps


def test_depth_is_that_of_the_codec() -> None:
    def with_property(content: bytes) -> bytes:
        return box(b"meta", bytes(4) + box(b"iprp", box(b"ipco", content)))

    assert examine_bmff(with_property(box(b"av1C", b"\x81\0\x40\0"))).bit_depth == 10
    assert examine_bmff(with_property(box(b"av1C", b"\x81\0\x60\0"))).bit_depth == 12
    assert examine_bmff(with_property(box(b"hvcC", bytes(17) + b"\xfa"))).bit_depth == 10


def test_foreign_colours_are_those_outside_of_any_profile() -> None:
    def with_colours(*profiles: bytes) -> bytes:
        properties = b"".join(box(b"colr", p) for p in profiles)
        return box(b"meta", bytes(4) + box(b"iprp", box(b"ipco", properties)))

    hdr = b"nclx\0\x09\0\x10\0\x09\x80"
    assert examine_bmff(with_colours(hdr)).has_foreign_colour
    assert not examine_bmff(with_colours(b"nclx\0\x01\0\x0d\0\x06\x80")).has_foreign_colour
    assert not examine_bmff(with_colours(hdr, b"prof" + bytes(128))).has_foreign_colour


def test_credentials_are_seen() -> None:
    avif = awkward("avif")
    assert examine_bmff(avif + box(b"uuid", bytes.fromhex("d8fec3d61b0e483c92975828877ec481"))).has_c2pa
    assert examine_bmff(avif + box(b"jumb", b"")).has_c2pa
    assert not examine_bmff(avif + box(b"uuid", bytes(16))).has_c2pa


@pytest.mark.parametrize("name", ["heic", "avif"])
def test_a_cut_file_is_seen_by_its_boxes(name: str) -> None:
    data = awkward(name)
    for cut in (len(data) - 1, len(data) // 2, 200):
        with pytest.raises(ItemError) as caught:
            examine_bmff(data[:cut])
        assert caught.value.code is ErrorCode.TRUNCATED


def test_boxes_without_end_are_refused() -> None:
    with pytest.raises(ItemError) as caught:
        examine_bmff(box(b"free", b"") * 100_001)
    assert caught.value.code is ErrorCode.CORRUPT


def test_a_box_smaller_than_its_head_ends_the_walk() -> None:
    assert examine_bmff(b"\0\0\0\4meta" + bytes(20)).bit_depth is None


@pytest.mark.parametrize("name", ["heic", "avif"])
def test_bytes_behind_the_picture_that_are_no_box_are_passed_over(name: str) -> None:
    for tail in (b"PK\3\4 an archive behind it", b"\xff" * 40):
        assert examine_bmff(awkward(name) + tail) == examine_bmff(awkward(name))


def test_a_box_that_was_cut_off_is_no_tail() -> None:
    data = awkward("heic")
    for tail in (struct.pack(">I", 99) + b"free", struct.pack(">I", 99) + b"mdat" + bytes(9)):
        with pytest.raises(ItemError) as caught:
            examine_bmff(data + tail)
        assert caught.value.code is ErrorCode.TRUNCATED
    with pytest.raises(ItemError) as caught:  # nothing is whole before it
        examine_bmff(box(b"ftyp", b"heic\0\0\0\0") + b"PK\3\4 an archive")
    assert caught.value.code is ErrorCode.TRUNCATED
