"""A factory of test pictures, all made in code: photographic looking content in every format, mode and defect."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pillow_heif
from PIL import Image, ImageCms

Pixels = npt.NDArray[np.uint8]

GPS_NOTE = "N48.858370-E2.294481"
AUTHOR_NOTE = "Planted-Author-Jane-Doe"
PLANTED = (GPS_NOTE.encode(), AUTHOR_NOTE.encode(), b"Planted-Comment", b"Planted-Camera", b"Planted-Tail")
"""Strings hidden in the metadata of `with_metadata`; none may be found in anything published."""


@cache
def make_photo(seed: int = 0, size: tuple[int, int] = (256, 192)) -> Pixels:
    """(height, width, 3) uint8 RGB: smooth shapes, texture and grain at many scales. `size` is (width, height).

    The spectrum falls off as photographs' do, so that sharpness and aliasing show in comparisons.
    """
    width, height = size
    random = np.random.default_rng(seed)
    picture = np.full((height, width, 3), 128, np.float32)
    cells = 3
    while cells < max(width, height) / 2:
        shape = (max(2, cells * height // max(size) + 2), max(2, cells * width // max(size) + 2), 3)
        noise = 0.35 * random.normal(0, 1, shape) + random.normal(0, 1, (*shape[:2], 1))
        layer = cv2.resize(noise.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
        picture += layer.reshape(height, width, 3) * (95 / cells**0.6)
        cells *= 2
    for _ in range(6):
        centre = (int(random.integers(0, width)), int(random.integers(0, height)))
        colour = tuple(int(c) for c in random.integers(20, 236, 3))
        cv2.circle(picture, centre, max(2, int(random.integers(4, 24) * max(size) // 160)), colour, -1, cv2.LINE_AA)
    picture += random.normal(0, 2.5, (height, width, 1))
    pixels = np.clip(picture, 0, 255).astype(np.uint8)
    pixels.setflags(write=False)
    return pixels


def make_marked(size: tuple[int, int] = (96, 64)) -> Pixels:
    """Red, green, blue and black quarters (top left, top right, bottom left, bottom right): tells every turn."""
    width, height = size
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2, 0] = 255
    pixels[: height // 2, width // 2 :, 1] = 255
    pixels[height // 2 :, : width // 2, 2] = 255
    return pixels


def quarters(pixels: Pixels) -> str:
    """The colours of the quarters, row by row: `RGBK` when upright."""
    height, width = pixels.shape[:2]
    points = ((1, 1), (1, 3), (3, 1), (3, 3))
    colours = [pixels[height * y // 4, width * x // 4].astype(int) for y, x in points]
    return "".join("K" if c.max() < 100 else "RGB"[int(c.argmax())] for c in colours)


def save(image: Image.Image, form: str, **options: Any) -> bytes:
    """A Pillow picture in one of Pillow's formats."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def make_jpeg(seed: int = 0, size: tuple[int, int] = (256, 192), pixels: Pixels | None = None, **options: Any) -> bytes:
    """A JPEG, canonical unless the options (Pillow's: progressive, exif, icc_profile, comment ...) say otherwise."""
    source = make_photo(seed, size) if pixels is None else pixels
    return save(Image.fromarray(source), "JPEG", **({"quality": 90} | options))


def make_restart_jpeg(seed: int = 0, size: tuple[int, int] = (256, 192)) -> bytes:
    """A JPEG with restart markers inside its scan."""
    bgr = cv2.cvtColor(make_photo(seed, size), cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_RST_INTERVAL, 4])[1].tobytes()


def make_cmyk_jpeg(seed: int = 0, size: tuple[int, int] = (256, 192), **options: Any) -> bytes:
    """A CMYK JPEG in Adobe's inverted convention."""
    return save(Image.fromarray(make_photo(seed, size)).convert("CMYK"), "JPEG", **({"quality": 95} | options))


def make_mpo(seed: int = 0, size: tuple[int, int] = (256, 192)) -> bytes:
    """A multi-picture JPEG: two pictures in one file, as telephones make them."""
    first, second = (Image.fromarray(make_photo(s, size)) for s in (seed, seed + 1))
    return save(first, "MPO", save_all=True, append_images=[second], quality=90)


def insert_segments(jpeg: bytes, *segments: tuple[int, bytes]) -> bytes:
    """A JPEG with further segments (marker byte, payload) right after its start."""
    made = b"".join(bytes((0xFF, m)) + struct.pack(">H", len(p) + 2) + p for m, p in segments)
    return jpeg[:2] + made + jpeg[2:]


def exif_bytes(orientation: int | None = None, with_notes: bool = False, **tags: str) -> bytes:
    """An EXIF block; `with_notes` plants a position, an author and a camera."""
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    if with_notes:
        exif[0x010F], exif[0x0110], exif[0x0131] = (
            "Planted-Camera",
            "Planted-Camera\x07 X1",
            "Planted-Camera Soft",
        )
        exif[0x013B] = AUTHOR_NOTE
        exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 30.1), 3: "E", 4: (2.0, 17.0, 40.1), 27: GPS_NOTE})
    times = {"taken": 0x9003, "taken_offset": 0x9011}
    exif.get_ifd(0x8769).update({times[name]: value for name, value in tags.items()})
    return exif.tobytes()


def with_metadata(jpeg: bytes) -> bytes:
    """A JPEG with planted EXIF, XMP, IPTC, a comment, a C2PA segment, and bytes behind its end."""
    return (
        insert_segments(
            jpeg,
            (0xE1, exif_bytes(with_notes=True, taken="2024:05:01 12:30:00")),
            (0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>" + AUTHOR_NOTE.encode() + b"</x:xmpmeta>"),
            (0xED, b"Photoshop 3.0\0" + AUTHOR_NOTE.encode()),
            (0xEB, b"JP\0\1\0\0\0\1\0\0\0\x20jumb\0\0\0\x18jumdc2pa" + AUTHOR_NOTE.encode()),
            (0xFE, b"Planted-Comment"),
        )
        + b"Planted-Tail"
    )


def make_zip_tail(jpeg: bytes) -> bytes:
    """A polyglot: a picture for a viewer, an archive for an unpacker."""
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("payload.txt", "Planted-Tail" * 10)
    return jpeg + buffer.getvalue()


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """One PNG chunk with its checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def make_png(seed: int = 0, size: tuple[int, int] = (256, 192), mode: str = "RGB", **options: Any) -> bytes:
    """An 8-bit PNG in any mode that Pillow can write."""
    return save(Image.fromarray(make_photo(seed, size)).convert(mode), "PNG", **options)


def make_png16(values: npt.NDArray[np.uint16], *extra: tuple[bytes, bytes]) -> bytes:
    """A 16-bit PNG of (height, width) or (height, width, 2..4) values, with extra chunks before the data."""
    height, width = values.shape[:2]
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[1 if values.ndim == 2 else values.shape[2]]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)),
            *(png_chunk(kind, content) for kind, content in extra),
            png_chunk(b"IDAT", zlib.compress(rows)),
            png_chunk(b"IEND", b""),
        )
    )


def make_png_bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """A PNG of some dozen bytes whose header promises billions of pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(3000))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        png_chunk(kind, content) for kind, content in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    )


def make_rgba(seed: int = 0, size: tuple[int, int] = (256, 192)) -> Image.Image:
    """A photo whose left half is fully transparent over hidden magenta, with a soft edge."""
    pixels = np.dstack([make_photo(seed, size), np.full(size[::-1], 255, np.uint8)])
    half = size[0] // 2
    pixels[:, :half] = (255, 0, 255, 0)
    pixels[:, half : half + 8, 3] = 128
    return Image.fromarray(pixels)


def make_animation(form: str, n_frames: int = 3, size: tuple[int, int] = (64, 48), **options: Any) -> bytes:
    """GIF, WEBP, PNG, TIFF or AVIF with several pictures, all different."""
    pictures = [Image.fromarray(make_photo(seed, size)) for seed in range(n_frames)]
    return save(pictures[0], form, save_all=True, append_images=pictures[1:], **options)


def make_gif_of_many(n_frames: int) -> bytes:
    """A GIF of one-pixel frames: some bytes each, so a million of them fit in a small file."""
    frame = b",\0\0\0\0\1\0\1\0\0\2\2\x44\1\0"
    return b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff" + frame * n_frames + b";"


def make_heic(seed: int = 0, size: tuple[int, int] = (256, 192), pixels: Pixels | None = None, **options: Any) -> bytes:
    """A HEIC; `exif=exif_bytes(6)` makes the container turn itself."""
    buffer = io.BytesIO()
    source = make_photo(seed, size) if pixels is None else pixels
    pillow_heif.from_pillow(Image.fromarray(source)).save(buffer, **({"quality": 90} | options))
    return buffer.getvalue()


def make_avif(seed: int = 0, size: tuple[int, int] = (256, 192), pixels: Pixels | None = None, **options: Any) -> bytes:
    """An AVIF, quickly encoded."""
    source = make_photo(seed, size) if pixels is None else pixels
    return save(Image.fromarray(source), "AVIF", **({"speed": 10, "quality": 90} | options))


def srgb_profile() -> bytes:
    """The ICC profile of sRGB, as LittleCMS writes it."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def matrix_profile(
    red: tuple[float, float, float] = (0.51512, 0.24120, -0.00105),
    green: tuple[float, float, float] = (0.29198, 0.69225, 0.04189),
    blue: tuple[float, float, float] = (0.15710, 0.06657, 0.78407),
    gamma: float = 2.2,
    white: tuple[float, float, float] = (0.9642, 1.0, 0.8249),
    device: bytes = b"mntr",
) -> bytes:
    """A hand-built ICC v2 matrix profile (ICC.1:2001-04); the default colorants are Display P3's, adapted to D50."""

    def fixed(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    def xyz(values: tuple[float, float, float]) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(fixed(v) for v in values)

    text = b"Test Wide Gamut\0"
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(4 + 4 + 2 + 1 + 67),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": xyz(white),
        b"rXYZ": xyz(red),
        b"gXYZ": xyz(green),
        b"bXYZ": xyz(blue),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    return _profile(b"RGB ", tags, device)


def gray_profile(gamma: float = 1.8) -> bytes:
    """A hand-built ICC v2 profile for gray pictures with a plain gamma."""
    text = b"Test Gray\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": b"XYZ \0\0\0\0" + struct.pack(">iii", 63190, 65536, 54061),
        b"kTRC": b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)),
    }
    return _profile(b"GRAY", tags)


def _profile(space: bytes, tags: dict[bytes, bytes], device: bytes = b"mntr") -> bytes:
    table, body = struct.pack(">I", len(tags)), b""
    offset = 128 + 4 + 12 * len(tags)
    for kind, content in tags.items():
        table += kind + struct.pack(">II", offset + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    size = offset + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"\0\0\0\0", 0x02100000, device, space, b"XYZ ")
    header += struct.pack(">6H4s", 2024, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + struct.pack(">iii", 63190, 65536, 54061)
    return header + bytes(128 - len(header)) + table + body


SVG = b'<?xml version="1.0"?>\n<!-- a picture -->\n<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
HTML = b"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>"
PLAYLIST = b"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:10,\nfile:///etc/passwd\n"
FFCONCAT = b"ffconcat version 1.0\nfile '/etc/passwd'\n"


AWKWARD: dict[str, Callable[[], bytes]] = {
    "jpeg": make_jpeg,
    "jpeg-progressive": lambda: make_jpeg(1, progressive=True),
    "jpeg-gray": lambda: save(Image.fromarray(make_photo(2)).convert("L"), "JPEG"),
    "jpeg-444": lambda: make_jpeg(3, subsampling=0),
    "jpeg-rgb": lambda: make_jpeg(3, keep_rgb=True),
    "jpeg-restart": make_restart_jpeg,
    "jpeg-metadata": lambda: with_metadata(make_jpeg(4)),
    "jpeg-progressive-metadata": lambda: with_metadata(make_jpeg(4, progressive=True)),
    "jpeg-turned": lambda: make_jpeg(5, exif=exif_bytes(6)),
    "jpeg-srgb-icc": lambda: make_jpeg(6, icc_profile=srgb_profile()),
    "jpeg-wide-icc": lambda: make_jpeg(6, icc_profile=matrix_profile()),
    "jpeg-broken-icc": lambda: make_jpeg(6, icc_profile=b"not a profile"),
    "jpeg-cmyk": make_cmyk_jpeg,
    "jpeg-mpo": make_mpo,
    "jpeg-zip": lambda: make_zip_tail(make_jpeg(7)),
    "jpeg-odd-size": lambda: make_jpeg(8, (641, 479)),
    "jpeg-large": lambda: make_jpeg(9, (1600, 1200)),
    "jpeg-tiny": lambda: make_jpeg(8, (3, 2)),
    "png": make_png,
    "png-gray": lambda: make_png(1, mode="L"),
    "png-1-bit": lambda: make_png(1, mode="1"),
    "png-palette": lambda: make_png(2, mode="P"),
    "png-palette-clear": lambda: make_png(2, mode="P", transparency=3),
    "png-rgba": lambda: save(make_rgba(), "PNG"),
    "png-la": lambda: save(make_rgba().convert("LA"), "PNG"),
    "png-opaque-rgba": lambda: make_png(3, mode="RGBA"),
    "png-gray16": lambda: make_png16(make_photo(4)[:, :, 0].astype(np.uint16) * 257),
    "png-rgb16": lambda: make_png16(make_photo(4).astype(np.uint16) * 257),
    "png-comment": lambda: _commented_png(),
    "png-apng": lambda: make_animation("PNG"),
    "webp": lambda: save(Image.fromarray(make_photo(1)), "WEBP", quality=85),
    "webp-lossless": lambda: save(Image.fromarray(make_photo(1)), "WEBP", lossless=True, method=0),
    "webp-rgba": lambda: save(make_rgba(), "WEBP", lossless=True, method=0),
    "webp-animation": lambda: make_animation("WEBP", method=0),
    "gif": lambda: save(Image.fromarray(make_photo(2)), "GIF"),
    "gif-animation": lambda: make_animation("GIF"),
    "tiff": lambda: save(Image.fromarray(make_photo(3)), "TIFF"),
    "tiff-lzw": lambda: save(Image.fromarray(make_photo(3)), "TIFF", compression="tiff_lzw"),
    "tiff-cmyk": lambda: save(Image.fromarray(make_photo(3)).convert("CMYK"), "TIFF"),
    "tiff-lab": lambda: save(_as_lab(make_photo(3)), "TIFF"),
    "tiff-gray16": lambda: save(Image.fromarray(make_photo(4)[:, :, 0].astype(np.uint16) * 257), "TIFF"),
    "tiff-float": lambda: save(Image.fromarray(make_photo(4)[:, :, 0].astype(np.float32) / 255), "TIFF"),
    "tiff-pages": lambda: make_animation("TIFF"),
    "bmp": lambda: save(Image.fromarray(make_photo(5)), "BMP"),
    "heic": make_heic,
    "heic-turned": lambda: make_heic(1, exif=exif_bytes(6)),
    "avif": make_avif,
    "avif-turned": lambda: make_avif(1, exif=exif_bytes(6)),
}
"""Every kind of picture that is read, by name."""


def _commented_png() -> bytes:
    from PIL.PngImagePlugin import PngInfo

    notes = PngInfo()
    notes.add_text("Author", AUTHOR_NOTE)
    notes.add_text("Comment", "Planted-Comment", zip=False)
    return make_png(5, pnginfo=notes)


def _as_lab(pixels: Pixels) -> Image.Image:
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    converted = ImageCms.applyTransform(Image.fromarray(pixels), to_lab)
    assert converted is not None
    return converted


@cache
def awkward(name: str) -> bytes:
    """One picture of `AWKWARD`, made once."""
    return AWKWARD[name]()
