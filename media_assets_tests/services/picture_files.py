"""Pictures small enough for a repository: at most 1400 pixels wide, as WebP, exact where that fits.

Not here: making them (`pictures.py`).
"""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

MAX_BYTES = 195_000
MAX_WIDTH_PX = 1400
_QUALITIES = (90, 85, 80, 70, 60, 50)


def save_picture(image: Image.Image, path: Path) -> None:
    """Write a picture as WebP of at most 195 kB: without loss where that fits, else as good as fits.

    Raises:
        ValueError: it does not fit at the lowest quality either.
    """
    if image.width > MAX_WIDTH_PX:
        height = round(image.height * MAX_WIDTH_PX / image.width)
        image = image.resize((MAX_WIDTH_PX, height), Image.Resampling.LANCZOS)
    data = _webp(image, None)
    for quality in _QUALITIES if len(data) > MAX_BYTES else ():
        data = _webp(image, quality)
        if len(data) <= MAX_BYTES:
            break
    if len(data) > MAX_BYTES:
        raise ValueError(f"expected at most {MAX_BYTES} bytes for {path.name}, got {len(data)}; show less in it")
    path.write_bytes(data)


def _webp(image: Image.Image, quality: int | None) -> bytes:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "WEBP", lossless=quality is None, quality=quality or 100, method=6)
    return buffer.getvalue()
