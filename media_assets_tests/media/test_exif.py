"""Few facts are read from metadata, cleaned; positions never; broken metadata harm nothing."""

import pytest
from PIL import Image

from media_assets.media.still import StillProbe, StillRequest, read_still
from media_assets_tests.media.pictures import (
    PLANTED,
    exif_bytes,
    insert_segments,
    make_avif,
    make_heic,
    make_jpeg,
    make_photo,
    save,
)


def probe(data: bytes) -> StillProbe:
    return read_still(data, StillRequest(wants_frame=False)).probe


def test_camera_and_software_are_cleaned_and_shortened() -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0131] = "  Make\x00", "Mo\x1bdel\n X", "S" * 500
    facts = probe(make_jpeg(exif=exif))
    assert (facts.camera_make, facts.camera_model) == ("Make", "Model X")
    assert facts.software == "S" * 200


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"taken": "2024:05:01 12:30:00"}, "2024-05-01T12:30:00"),
        ({"taken": "2024:05:01 12:30:00", "taken_offset": "+02:00"}, "2024-05-01T12:30:00+02:00"),
        ({"taken": "2024:05:01 12:30:00", "taken_offset": "yes"}, "2024-05-01T12:30:00"),
        ({"taken": "0000:00:00 00:00:00"}, None),
        ({"taken": "2024:13:01 12:30:00"}, None),
        ({"taken": "yesterday"}, None),
        ({}, None),
    ],
)
def test_capture_time_is_what_the_file_states_and_never_guessed(tags: dict[str, str], expected: str | None) -> None:
    assert probe(make_jpeg(exif=exif_bytes(**tags))).captured_at == expected


def test_a_position_is_told_but_not_read_out() -> None:
    facts = probe(make_jpeg(exif=exif_bytes(with_notes=True)))
    assert facts.has_location
    assert not probe(make_jpeg(exif=exif_bytes(1))).has_location
    told = repr(facts).encode()
    assert not any(note in told for note in PLANTED if b"Camera" not in note)


def test_a_position_in_xmp_is_told() -> None:
    xmp = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta exif:GPSLatitude='48,51N'/>"
    assert probe(insert_segments(make_jpeg(), (0xE1, xmp))).has_location


@pytest.mark.parametrize("block", [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0" + bytes(range(256))])
def test_broken_exif_harms_nothing(block: bytes) -> None:
    facts = probe(insert_segments(make_jpeg(), (0xE1, block)))
    assert facts.exif_orientation is None
    assert facts.captured_at is None


@pytest.mark.parametrize("orientation", [0, 9, 60000])
def test_an_orientation_that_does_not_exist_is_none(orientation: int) -> None:
    assert probe(make_jpeg(exif=exif_bytes(orientation))).exif_orientation is None


@pytest.mark.parametrize("form", ["png", "webp", "tiff", "heic", "avif"])
def test_facts_are_found_in_every_container(form: str) -> None:
    exif = exif_bytes(with_notes=True, taken="2024:05:01 12:30:00")
    match form:
        case "heic":
            data = make_heic(size=(64, 48), exif=exif)
        case "avif":
            data = make_avif(size=(64, 48), exif=exif)
        case _:
            data = save(Image.fromarray(make_photo(0, (64, 48))), form.upper(), exif=exif)
    facts = probe(data)
    assert facts.captured_at == "2024-05-01T12:30:00"
    assert facts.camera_make == "Planted-Camera"
    assert facts.has_location
