"""What is no picture, or none that is opened here: each refused, under whatever name it comes."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import struct
import tarfile
from collections.abc import Iterator

from PIL import Image

from media_assets.media.sniff import HEAD_BYTES, sniff
from media_assets.media.video.opening import VIDEO_MIMES
from media_assets_tests.hostile.specimens import A_VIDEO, EMPTY, SEED, UNKNOWN, UNSUPPORTED, Specimen, archive
from media_assets_tests.media.pictures import FFCONCAT, HTML, PLAYLIST, SVG, make_jpeg, make_photo, save

_NAMES = ("jpg", "png", "gif", "webp", "tif", "heic")


def specimens() -> Iterator[Specimen]:
    """All of them, in turn under the names of the formats that are opened."""
    for number, (name, data) in enumerate(_known()):
        fate = A_VIDEO if sniff(data[:HEAD_BYTES]) in VIDEO_MIMES else UNSUPPORTED
        yield Specimen(f"strangers/{name}.{_NAMES[number % len(_NAMES)]}", data, fate)
    for number, (name, data) in enumerate(_unknown()):
        yield Specimen(f"strangers-unknown/{name}.{_NAMES[number % len(_NAMES)]}", data, UNKNOWN)
    yield Specimen("strangers/empty.jpg", b"", EMPTY)


def _known() -> Iterator[tuple[str, bytes]]:
    photo = Image.fromarray(make_photo(9, (32, 24)))
    yield "svg", SVG
    yield (
        "svg-with-a-script",
        b'<svg xmlns="http://www.w3.org/2000/svg"><script>fetch("http://127.0.0.1/")</script></svg>',
    )
    yield "svg-behind-a-comment", b"<!-- " + b"x" * 900 + b" --><svg width='9'/>"
    yield (
        "svg-with-entities",
        (
            b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">'
            b'<!ENTITY c SYSTEM "file:///etc/passwd">]><svg>&b;&c;</svg>'
        ),
    )
    yield "svg-utf-16", SVG.decode().encode("utf-16")
    yield "svg-utf-8-marked", b"\xef\xbb\xbf" + SVG
    yield "svg-with-a-prefix", b'<x:svg xmlns:x="http://www.w3.org/2000/svg"/>'
    yield "svg-compressed", gzip.compress(SVG, mtime=0)
    yield "html", HTML
    yield "html-upper-case", b"  \r\n<HTML><BODY>Not found</BODY></HTML>"
    yield "html-fragment", b"<script>alert(1)</script>"
    yield "html-redirect", b'<meta http-equiv="refresh" content="0; url=http://127.0.0.1/">'
    yield "xml", b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'
    yield "json", b'{"error": "not found"}'
    yield "text", b"404: not found\n"
    yield "text-utf-16", "nicht gefunden: äöü".encode("utf-16")
    yield "one-letter", b"x"
    yield "shell-script", b"#!/bin/sh\nrm -rf /\n"
    yield "playlist", PLAYLIST
    yield "playlist-of-itself", b"#EXTM3U\n#EXTINF:1,\nplaylist-of-itself.webp\n"
    yield "playlist-behind-a-mark", b"\xef\xbb\xbf" + PLAYLIST
    yield "concat-script", FFCONCAT
    yield "pls", b"[playlist]\nFile1=file:///etc/passwd\nNumberOfEntries=1\n"
    yield "dash", b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"/>'
    yield "sdp", b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nm=video 9 RTP/AVP 96\r\n"
    yield "pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj<<>>endobj\n"
    yield "postscript", b"%!PS-Adobe-3.0\n(%pipe%id) (r) file\n"
    yield "eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
    yield "eps-with-a-preview", b"\xc5\xd0\xd3\xc6" + struct.pack("<6I", 30, 99, 0, 0, 0, 0)
    yield "psd", b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 8, 8, 8, 3) + bytes(99)
    yield "ico", save(photo, "ICO")
    yield "icns", b"icns" + struct.pack(">I", 99) + bytes(91)
    yield "jpeg-2000", b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(99)
    yield "jpeg-2000-codestream", b"\xff\x4f\xff\x51" + bytes(99)
    yield "jpeg-xl", b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(99)
    yield "jpeg-xl-codestream", b"\xff\x0a" + bytes(99)
    yield "fits", b"SIMPLE  =                    T" + b" " * 50 + b"END" + bytes(2000)
    yield "canon-raw", b"II*\0\x10\0\0\0CR\2\0" + bytes(99)
    yield "mp4", b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + b"\0\0\0\x08free" + bytes(99)
    yield "quicktime", b"\0\0\0\x14ftypqt  \0\0\0\0qt  " + bytes(99)
    yield "3gp", b"\0\0\0\x14ftyp3gp4\0\0\0\x003gp4" + bytes(99)
    yield "m4a", b"\0\0\0\x14ftypM4A \0\0\0\0M4A " + bytes(99)
    yield "matroska", b"\x1aE\xdf\xa3\x01\0\0\0\0\0\0\x1fB\x82\x88matroska" + bytes(99)
    yield "webm", b"\x1aE\xdf\xa3\x01\0\0\0\0\0\0\x1fB\x82\x84webm" + bytes(99)
    yield "avi", b"RIFF" + struct.pack("<I", 90) + b"AVI LIST" + bytes(90)
    yield "wav", b"RIFF" + struct.pack("<I", 90) + b"WAVEfmt " + bytes(90)
    yield "flv", b"FLV\1\5\0\0\0\x09" + bytes(99)
    yield "mpeg-program", b"\0\0\1\xba" + bytes(99)
    yield "mpeg-transport", (b"G" + bytes(187)) * 4
    yield "windows-media", b"0&\xb2u\x8ef\xcf\x11" + bytes(99)
    yield "ogg", b"OggS" + bytes(99)
    yield "flac", b"fLaC" + bytes(99)
    yield "mp3", b"ID3\4\0\0\0\0\0\0" + bytes(99)
    yield "mp3-bare", b"\xff\xfb\x90\0" + bytes(99)
    yield "aac", b"\xff\xf1\x50\x80" + bytes(99)
    yield "zip", archive("strangers")
    yield "zip-empty", b"PK\5\6" + bytes(18)
    yield "gzip-bomb", gzip.compress(gzip.compress(bytes(20 * 2**20), mtime=0), mtime=0)
    yield "bzip2", bz2.compress(b"x" * 999)
    yield "xz", lzma.compress(b"x" * 999)
    yield "zstd", b"\x28\xb5\x2f\xfd" + bytes(99)
    yield "7z", b"7z\xbc\xaf\x27\x1c" + bytes(99)
    yield "rar", b"Rar!\x1a\7\1\0" + bytes(99)
    yield "tar", _tar()
    yield "elf", b"\x7fELF\2\1\1" + bytes(99)
    yield "windows-program", b"MZ\x90\0" + bytes(99)
    yield "parquet", b"PAR1" + bytes(99) + b"PAR1"
    yield "sqlite", b"SQLite format 3\0" + bytes(99)
    yield "netpbm-text", b"P3\n1 1\n255\n0 0 0\n"
    yield "xpm", b'/* XPM */\nstatic char *x[] = {"1 1 1 1", "a c #000", "a"};\n'
    yield "xbm", b"#define x_width 8\n#define x_height 8\nstatic char x_bits[] = {0};\n"
    yield "mail", b"From: a@example.com\r\nContent-Type: image/jpeg\r\n\r\n/9j/4AAQ"
    yield "data-url", b"data:image/jpeg;base64,/9j/4AAQSkZJRg=="
    yield "picture-behind-a-page", HTML + make_jpeg(0, (32, 24))[:0] + b"\n<!-- end -->"


def _unknown() -> Iterator[tuple[str, bytes]]:
    noise = random.Random(SEED)
    yield "one-byte", b"\xff"
    yield "a-zero", b"\0"
    yield "zeros", bytes(5000)
    yield "noise", b"\xde\xad" + noise.randbytes(5000)
    yield "a-byte-before-a-jpeg", b"\0" + make_jpeg(1, (32, 24))
    yield "jpeg-reversed", make_jpeg(2, (32, 24))[::-1]
    yield "jpeg-mark-cut", b"\xff\xd8"
    yield "png-mark-cut", b"\x89PNG\r\n\x1a"
    yield "png-mark-as-text", b"\x89PNG\n\n\x1a\n" + bytes(99)
    yield "riff-of-nothing", b"RIFF\4\0\0\0ABCD" + bytes(99)
    yield "ftyp-cut", b"\0\0\0\x18ftyp"
    yield "utf-32", "not found".encode("utf-32-le")[1:]
    yield "ebcdic", "nothing here: 404".encode("cp037")
    yield "latin-1", "für später".encode("latin-1")
    yield "shift-jis", "写真はありません".encode("shift-jis")
    yield "text-with-zeros", b"404\0not found\0"
    yield "targa", bytes((0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 24, 0, 1, 2, 3))
    yield "pcx", b"\x0a\5\1\x08" + bytes(200)
    yield "dds", b"DDS \x7c\0\0\0" + bytes(200)
    yield "sun-raster", b"\x59\xa6\x6a\x95" + bytes(200)
    yield "silicon-graphics", b"\x01\xda\1\1" + bytes(600)
    yield "metafile", b"\xd7\xcd\xc6\x9a" + bytes(200)
    yield "java-class", b"\xca\xfe\xba\xbe\0\0\0\x41" + bytes(99)
    yield "web-assembly", b"\0asm\1\0\0\0"
    yield "python-pickle", b"\x80\4\x95\x20\0\0\0\0\0\0\0\x8c\5posix\x94\x8c\6system\x94\x93\x94."
    yield "netpbm-binary", b"P6\n2 2\n255\n" + bytes((0, 250, 3, 255, 7, 0, 1, 2, 3, 4, 5, 6))


def _tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        info = tarfile.TarInfo("../../etc/cron.d/x")
        info.size = 4
        file.addfile(info, io.BytesIO(b"xxxx"))
    return buffer.getvalue()
