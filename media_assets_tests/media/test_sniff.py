"""Files are told by magic; disguises are named, so that they can be refused with a reason."""

import struct

import pytest

from media_assets.media.sniff import STILL_MIMES, sniff
from media_assets_tests.media import pictures


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    content = major + b"\0\0\0\0" + b"".join(compatible)
    return struct.pack(">I", len(content) + 8) + b"ftyp" + content + bytes(40)


@pytest.mark.parametrize("name", pictures.AWKWARD)
def test_stills_are_known_by_their_bytes(name: str) -> None:
    family = name.split("-")[0]
    assert sniff(pictures.awkward(name)) == f"image/{family}"
    assert sniff(pictures.awkward(name)) in STILL_MIMES


@pytest.mark.parametrize(
    ("head", "mime"),
    [
        (pictures.SVG, "image/svg+xml"),
        (b"\xef\xbb\xbf <svg width='1'>", "image/svg+xml"),
        ("<svg/>  <svg >".encode("utf-16"), "image/svg+xml"),
        (b"<?xml version='1.0'?><note/>", "application/xml"),
        (pictures.HTML, "text/html"),
        (b"\n\n  <!-- hi --> <HTML lang=en>", "text/html"),
        (b"<script>alert(1)</script>", "text/html"),
        (pictures.PLAYLIST, "application/vnd.apple.mpegurl"),
        (pictures.FFCONCAT, "application/x-ffconcat"),
        (b"%PDF-1.7\n", "application/pdf"),
        (b"PK\3\4rest", "application/zip"),
        (b"\x1f\x8b\x08", "application/gzip"),
        (ftyp(b"isom", b"mp41"), "video/mp4"),
        (ftyp(b"qt  "), "video/quicktime"),
        (ftyp(b"M4A "), "audio/mp4"),
        (b"\x1aE\xdf\xa3\x9fB\x82\x84webm", "video/webm"),
        (b"\x1aE\xdf\xa3\x9fB\x82\x88matroska", "video/x-matroska"),
        (b"RIFF\0\0\0\0WAVEfmt ", "audio/wav"),
        ((b"G" + bytes(187)) * 3, "video/mp2t"),
        (b"%!PS-Adobe", "application/postscript"),
        (b"not found, sorry", "text/plain"),
        ("Größe".encode(), "text/plain"),
    ],
)
def test_what_is_refused_has_a_name(head: bytes, mime: str) -> None:
    assert sniff(head) == mime
    assert mime not in STILL_MIMES


@pytest.mark.parametrize(
    ("head", "mime"),
    [
        (ftyp(b"heic", b"mif1"), "image/heic"),
        (ftyp(b"heix"), "image/heic"),
        (ftyp(b"hevc", b"msf1"), "image/heic"),
        (ftyp(b"avif", b"mif1"), "image/avif"),
        (ftyp(b"avis"), "image/avif"),
        (ftyp(b"mif1", b"miaf", b"avif"), "image/avif"),
        (ftyp(b"mif1", b"heic"), "image/heic"),
        (ftyp(b"msf1", b"hevc"), "image/heic"),
        (ftyp(b"mif1", b"jpeg"), "image/heif"),
    ],
)
def test_iso_base_media_is_told_by_all_its_brands(head: bytes, mime: str) -> None:
    assert sniff(head) == mime


@pytest.mark.parametrize("head", [b"", b"\0" * 64, b"\x93\x01\x02\xfe\xdc", b"BM\0\0\1", b"RIFF\0\0\0\0????", b"   \n"])
def test_bytes_of_no_known_kind_have_no_name(head: bytes) -> None:
    assert sniff(head) is None


def test_only_the_head_is_looked_at() -> None:
    assert sniff(b"<!--" + b"x" * 5000 + b"--><svg >") == "application/xml"
