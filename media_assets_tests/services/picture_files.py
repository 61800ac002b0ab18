"""Pictures small enough for a repository: trimmed, scaled, and saved as PNG with a palette or as WebP.

Not here: making them (`pictures.py`).
"""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

MAX_BYTES = 195_000
MAX_WIDTH_PX = 1400
_N_COLOURS = 255
_QUALITIES = (90, 85, 80, 70, 60, 50)


def save_picture(image: Image.Image, path: Path) -> Path:
    """Write a picture, at most 1400 pixels wide and 195 kB: a PNG where that is enough, else a WebP.

    `path` has no suffix; the path that was written has.

    Raises:
        ValueError: it does not fit at the lowest quality either.
    """
    if image.width > MAX_WIDTH_PX:
        height = round(image.height * MAX_WIDTH_PX / image.width)
        image = image.resize((MAX_WIDTH_PX, height), Image.Resampling.LANCZOS)
    data, suffix = _png(image), ".png"
    for quality in _QUALITIES if len(data) > MAX_BYTES else ():
        data, suffix = _webp(image, quality), ".webp"
        if len(data) <= MAX_BYTES:
            break
    if len(data) > MAX_BYTES:
        raise ValueError(f"expected at most {MAX_BYTES} bytes for {path.name}, got {len(data)}; show less in it")
    written = path.with_suffix(suffix)
    written.write_bytes(data)
    return written


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    few = image.convert("RGB").quantize(_N_COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    few.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _webp(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "WEBP", quality=quality, method=6)
    return buffer.getvalue()
