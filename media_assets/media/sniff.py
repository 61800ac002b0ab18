"""What a file is, by its first bytes; names and declared types are never asked.

Here: magic numbers, and the few texts that matter (SVG, HTML, playlists). Not here: whether the rest of the
file keeps what its beginning promises (`containers/`, `pictures.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable

HEAD_BYTES = 4096
"""How much of a file is looked at."""

STILL_MIMES = frozenset(
    {
        "image/jpeg",
        "image/png",
        "image/webp",
        "image/gif",
        "image/tiff",
        "image/bmp",
        "image/heic",
        "image/avif",
    }
)
"""The stills that are opened; everything else that has a name is named in order to be refused."""

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0\x10\0\0\0CR", "image/x-canon-cr2"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"II+\0\x08\0\0\0", "image/tiff"),
    (b"MM\0+\0\x08\0\0", "image/tiff"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "image/jxl"),
    (b"\xff\x0a", "image/jxl"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "image/jp2"),
    (b"\xff\x4f\xff\x51", "image/jp2"),
    (b"8BPS", "image/vnd.adobe.photoshop"),
    (b"\0\0\1\0", "image/vnd.microsoft.icon"),
    (b"icns", "image/icns"),
    (b"SIMPLE  =", "image/fits"),
    (b"%PDF-", "application/pdf"),
    (b"%!PS", "application/postscript"),
    (b"\xc5\xd0\xd3\xc6", "application/postscript"),
    (b"PK\3\4", "application/zip"),
    (b"PK\5\6", "application/zip"),
    (b"\x1f\x8b", "application/gzip"),
    (b"BZh", "application/x-bzip2"),
    (b"\xfd7zXZ\0", "application/x-xz"),
    (b"\x28\xb5\x2f\xfd", "application/zstd"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a\7", "application/vnd.rar"),
    (b"\x7fELF", "application/x-executable"),
    (b"MZ", "application/x-executable"),
    (b"PAR1", "application/vnd.apache.parquet"),
    (b"SQLite format 3\0", "application/vnd.sqlite3"),
    (b"OggS", "application/ogg"),
    (b"fLaC", "audio/flac"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"),
    (b"\xff\xf1", "audio/aac"),
    (b"\xff\xf9", "audio/aac"),
    (b"FLV\1", "video/x-flv"),
    (b"\0\0\1\xba", "video/mpeg"),
    (b"\0\0\1\xb3", "video/mpeg"),
    (b"0&\xb2u\x8ef\xcf\x11", "video/x-ms-asf"),
)

_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}

_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_QUICKTIME_BRANDS = frozenset({b"qt  "})
_AUDIO_BRANDS = frozenset({b"M4A ", b"M4B ", b"M4P "})
_GENERIC_STILL_BRANDS = frozenset({b"mif1", b"mif2", b"msf1", b"miaf"})

_SVG = re.compile(rb"<(?:[a-z0-9]+:)?svg[\s>]")
_HTML = re.compile(
    rb"^\s*(?:<!--.*?-->\s*)*<(?:!doctype html|html|head|body|script|iframe|title|meta|table|div|p)[\s>]",
    re.S,
)


def sniff(head: bytes) -> str | None:
    """MIME type by magic of the first 4096 bytes; None when nothing is recognised.

    ISO base media files are told apart by their `ftyp` brands, compatible ones included, since ``mif1`` and
    ``msf1`` hold HEIC and AVIF alike.
    """
    head = head[:HEAD_BYTES]
    for magic, mime in _MAGIC:
        if head.startswith(magic):
            return mime
    for look in _STRUCTURED:
        if (found := look(head)) is not None:
            return found
    return _text(head)


def _riff(head: bytes) -> str | None:
    return _RIFF.get(head[8:12]) if head[:4] in (b"RIFF", b"RF64") else None


def _bmp(head: bytes) -> str | None:
    # "BM" alone is too common a beginning: the size of the DIB header is a small closed set
    sizes = (12, 16, 40, 52, 56, 64, 108, 124)
    is_bmp = head[:2] == b"BM" and len(head) >= 18 and int.from_bytes(head[14:18], "little") in sizes
    return "image/bmp" if is_bmp else None


def _iso_base_media(head: bytes) -> str | None:
    if head[4:8] != b"ftyp" or len(head) < 12:
        return None
    size = int.from_bytes(head[:4], "big")
    compatible = head[16 : min(size, len(head))]
    major = head[8:12]
    brands = [major, *(compatible[i : i + 4] for i in range(0, len(compatible) - 3, 4))]
    if major in _AVIF_BRANDS:
        return "image/avif"
    if major in _HEIC_BRANDS:
        return "image/heic"
    if major in _GENERIC_STILL_BRANDS:
        return _generic_still(frozenset(brands))
    if major in _QUICKTIME_BRANDS:
        return "video/quicktime"
    return "audio/mp4" if major in _AUDIO_BRANDS else "video/mp4"


def _generic_still(brands: frozenset[bytes]) -> str:
    if brands & _AVIF_BRANDS:
        return "image/avif"
    return "image/heic" if brands & _HEIC_BRANDS else "image/heif"


def _matroska(head: bytes) -> str | None:
    if head[:4] != b"\x1aE\xdf\xa3":
        return None
    return "video/webm" if b"webm" in head[:64] else "video/x-matroska"


def _transport_stream(head: bytes) -> str | None:
    is_stream = len(head) > 376 and head[0] == head[188] == head[376] == 0x47
    return "video/mp2t" if is_stream else None


def _tar(head: bytes) -> str | None:
    return "application/x-tar" if head[257:262] == b"ustar" else None


_STRUCTURED: tuple[Callable[[bytes], str | None], ...] = (
    _riff,
    _bmp,
    _iso_base_media,
    _matroska,
    _transport_stream,
    _tar,
)


def _text(head: bytes) -> str | None:
    text = _as_utf8(head)
    if text is None or not text.strip():
        return None
    start = text.lstrip().lower()
    if start.startswith(b"#extm3u"):
        return "application/vnd.apple.mpegurl"
    if start.startswith(b"ffconcat"):
        return "application/x-ffconcat"
    if _HTML.match(start):
        return "text/html"
    if start.startswith(b"<"):
        return "image/svg+xml" if _SVG.search(start) else "application/xml"
    return "text/plain"


def _as_utf8(head: bytes) -> bytes | None:
    """The head as UTF-8 without byte order mark, or None where it is not text."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        head = head.decode("utf-16", "ignore").encode()
    text = head.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    if len(head) == HEAD_BYTES:
        text = text[:-4]  # the head may end within a character
    is_strange = any("\udc80" <= c <= "\udcff" or (c < " " and c not in "\t\n\r\f\x1b") for c in text)
    return None if is_strange else text.encode("utf-8")
