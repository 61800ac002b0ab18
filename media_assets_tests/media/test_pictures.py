"""Files are judged in order, before anything is decoded: size, magic, structure, caps."""

import os
import resource
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest
from PIL import Image

from media_assets.errors import ErrorCode, ItemError
from media_assets.media import pictures as pictures_module
from media_assets.media.pictures import StillLimits, open_picture
from media_assets_tests.hostile.tiffs import tags_of, tiff
from media_assets_tests.media import pictures


def refused(data: bytes, **limits: int) -> ItemError:
    with pytest.raises(ItemError) as caught:
        open_picture(data, StillLimits(**limits))
    return caught.value


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", ErrorCode.EMPTY),
        (bytes(5000), ErrorCode.UNKNOWN_FORMAT),
        (pictures.SVG, ErrorCode.UNSUPPORTED_FORMAT),
        (pictures.HTML, ErrorCode.UNSUPPORTED_FORMAT),
        (pictures.PLAYLIST, ErrorCode.UNSUPPORTED_FORMAT),
        (pictures.FFCONCAT, ErrorCode.UNSUPPORTED_FORMAT),
        (b"PK\3\4" + bytes(100), ErrorCode.UNSUPPORTED_FORMAT),
    ],
)
def test_what_is_no_picture_is_refused(data: bytes, code: ErrorCode) -> None:
    assert refused(data).code is code


def test_the_message_says_what_was_expected_and_what_came() -> None:
    message = refused(pictures.SVG).message
    assert "JPEG" in message
    assert "image/svg+xml" in message


@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "gif", "tiff", "bmp", "heic", "avif"])
def test_every_cap_holds_for_every_format_and_not_one_below(name: str) -> None:
    data = pictures.awkward(name)
    n_pixels = 256 * 192
    assert refused(data, max_bytes=len(data) - 1).code is ErrorCode.TOO_MANY_BYTES
    assert refused(data, max_pixels=n_pixels - 1).code is ErrorCode.TOO_MANY_PIXELS
    opened = open_picture(data, StillLimits(max_bytes=len(data), max_pixels=n_pixels, max_frames=1))
    assert opened.image.size == (256, 192)


@pytest.mark.parametrize("name", ["png-apng", "webp-animation", "gif-animation", "tiff-pages"])
def test_frames_and_frames_times_canvas_are_capped(name: str) -> None:
    data = pictures.awkward(name)
    assert open_picture(data, StillLimits(max_frames=3)).structure.n_frames == 3
    assert refused(data, max_frames=2).code is ErrorCode.TOO_MANY_FRAMES
    assert refused(data, max_total_pixels=3 * 64 * 48 - 1).code is ErrorCode.TOO_MANY_FRAMES


def test_an_avif_sequence_is_counted() -> None:
    data = pictures.make_animation("AVIF", speed=10)
    assert open_picture(data, StillLimits()).structure.n_frames == 3
    assert refused(data, max_frames=2).code is ErrorCode.TOO_MANY_FRAMES


def lying(name: str) -> bytes:
    """A small file whose header promises a picture of gigabytes."""
    data = bytearray(pictures.awkward(name))
    match name:
        case "webp-lossless":
            data[21:25] = struct.pack("<I", 0x0FFFFFFF)
        case "gif":
            data[6:10] = b"\xff\xff\xff\xff"
        case "bmp":
            data[18:26] = struct.pack("<ii", 60000, 60000)
        case "jpeg":
            at = data.index(b"\xff\xc0") + 5
            data[at : at + 4] = b"\xff\xdc\xff\xdc"
        case "avif" | "heic":
            at = data.index(b"ispe") + 8
            data[at : at + 8] = struct.pack(">II", 60000, 60000)
    return bytes(data)


@pytest.mark.parametrize("name", ["webp-lossless", "gif", "bmp", "jpeg", "avif", "heic"])
def test_a_lying_header_is_refused_without_allocating(name: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    error = refused(lying(name))
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert error.code in (ErrorCode.TOO_MANY_PIXELS, ErrorCode.CORRUPT)
    if name not in ("avif", "heic"):
        assert error.code is ErrorCode.TOO_MANY_PIXELS
    assert grown_kib < 64 * 1024


def test_the_webp_decoder_is_not_even_made_for_a_canvas_over_the_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would allocate the whole canvas when it is made; 156 million pixels are below Pillow's own error line."""
    data = bytearray(pictures.awkward("webp-lossless"))
    data[21:25] = struct.pack("<I", (12_999) | (11_999 << 14))

    def must_not_be_made(_: object) -> Image.Image:
        raise AssertionError

    monkeypatch.setitem(pictures_module._OPENERS, "image/webp", must_not_be_made)
    assert refused(bytes(data)).code is ErrorCode.TOO_MANY_PIXELS


def test_a_png_bomb_is_refused_at_once() -> None:
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refused(pictures.make_png_bomb()).code is ErrorCode.TOO_MANY_PIXELS
    assert time.perf_counter() - start < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_pillows_own_warning_line_is_no_line_of_ours() -> None:
    """95 million pixels: Pillow warns from 89 on, our cap is 100."""
    opened = open_picture(pictures.make_png_bomb(9500, 10_000), StillLimits())
    assert opened.image.size == (9500, 10_000)


def test_a_gif_of_a_million_frames_is_refused_without_walking_it() -> None:
    data = pictures.make_gif_of_many(1_000_000)
    start = time.perf_counter()
    assert refused(data).code is ErrorCode.TOO_MANY_FRAMES
    assert time.perf_counter() - start < 1


def test_a_text_chunk_bomb_is_refused() -> None:
    bomb = zlib.compress(bytes(8 * 1024 * 1024))
    png = pictures.make_png()
    data = png[:33] + pictures.png_chunk(b"zTXt", b"note\0\0" + bomb) + png[33:]
    assert refused(data).code is ErrorCode.CORRUPT


def test_a_multi_picture_jpeg_counts_as_one() -> None:
    assert open_picture(pictures.make_mpo(), StillLimits(max_frames=1)).structure.n_frames == 1


def test_limits_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        StillLimits(max_frames=0)
    with pytest.raises(ValueError, match="at most"):
        StillLimits(max_pixels=10**9)


def test_global_state_of_pillow_is_left_alone() -> None:
    # In a process of its own: other modules that were imported into this one register readers on purpose.
    code = (
        "import media_assets.media.still; from PIL import Image; "
        "assert Image.MAX_IMAGE_PIXELS == 89_478_485 and 'HEIF' not in Image.OPEN"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


IN_PLANES = {"t284": (3, 2), "t273": (4, (8, 72, 136)), "t279": (4, (64, 64, 64))}
IN_TILES = {"t273": None, "t278": None, "t279": None, "t322": (3, 16), "t323": (3, 16)}


@pytest.mark.parametrize(
    ("size", "tags"),
    [
        ((8, 8), {}),
        ((8, 8), {"t278": (4, 3), "t273": (4, (8, 80, 152)), "t279": (4, (72, 72, 48))}),
        ((8, 4), {"t274": (3, 6)}),
        ((8, 8), IN_PLANES),
        ((24, 20), IN_TILES | {"t324": (4, (8,) * 4), "t325": (4, (768,) * 4)}),
        ((8, 8), {"t278": (4, 2**32 - 1)}),
    ],
)
def test_a_tiff_is_whole_when_strips_tiles_or_planes_cover_it(size: tuple[int, int], tags: dict[str, object]) -> None:
    assert open_picture(tiff(tags_of(*size, **tags), bytes(900)), StillLimits()).mime == "image/tiff"


@pytest.mark.parametrize(
    ("size", "tags"),
    [
        ((8, 8), {"t278": (4, 3), "t273": (4, (8, 80)), "t279": (4, (72, 72))}),
        ((8, 4), {"t278": (4, 1), "t274": (3, 6)}),
        ((8, 8), IN_PLANES | {"t273": (4, (8, 72)), "t279": (4, (64, 64))}),
        ((8, 8), IN_PLANES | {"t273": (4, 8), "t279": (4, 64)}),
        ((24, 20), IN_TILES | {"t324": (4, (8,) * 3), "t325": (4, (768,) * 3)}),
    ],
)
def test_a_tiff_is_cut_off_when_they_do_not(size: tuple[int, int], tags: dict[str, object]) -> None:
    assert refused(tiff(tags_of(*size, **tags), bytes(900))).code is ErrorCode.TRUNCATED


def test_heic_alone_is_not_opened_when_pillow_heif_was_removed(tmp_path: Path) -> None:
    """In a process of its own, which cannot import it: who must not pass on what its wheel carries removes it."""
    code = """
import sys
sys.modules["pillow_heif"] = None  # importing it fails
from media_assets.media.still import StillRequest, read_still
from media_assets.errors import ItemError
data = sys.stdin.buffer.read()
size = int.from_bytes(data[:8], "big")
heic, png = data[8 : 8 + size], data[8 + size :]
assert read_still(png, StillRequest()).frame is not None
try:
    read_still(heic, StillRequest())
except ItemError as error:
    print(error.code.value, error.message)
import media_assets.definitions, media_assets.demo.oddities
from media_assets.defs.doctor import examine_all
from media_assets.defs.resources import Settings
print([v.detail for v in examine_all(Settings(lake=sys.argv[1], n_workers=0)) if "format" in v.check])
"""
    heic, png = pictures.make_heic(1, (64, 48)), pictures.make_png(1, (64, 48))
    sent = len(heic).to_bytes(8, "big") + heic + png
    environment = os.environ | {"DAGSTER_HOME": str(tmp_path / "dagster_home")}
    command = [sys.executable, "-c", code, str(tmp_path / "lake")]
    done = subprocess.run(command, input=sent, capture_output=True, env=environment, timeout=60, check=False)
    told = done.stdout.decode()
    assert told.startswith("unsupported_format got image/heic, and pillow-heif"), done.stderr.decode()
    assert "HEIC is not opened: pillow-heif is not installed" in told
