"""A batch at a glance: thumbnails in a grid, with failed, converted, filtered and duplicate items marked.

Here: drawing. Not here: making the thumbnails (`frames.py`), or choosing which items are shown.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from functools import cache

import msgspec
from PIL import Image, ImageDraw, ImageFont

from media_assets.media.boundary import DECODER_EXCEPTIONS

_MAX_CELLS = 2000
_GAP_PX, _BORDER_PX, _CAPTION_PX, _LEGEND_PX = 8, 3, 15, 26
_PAPER, _TILE, _FAILED_TILE = (250, 250, 248), (232, 232, 229), (38, 38, 42)
_INK, _FAINT, _RED, _ERROR_INK = (52, 52, 56), (140, 140, 145), (205, 55, 50), (255, 205, 200)
_BORDERS = {
    "failed": _RED,
    "converted": (235, 150, 30),
    "duplicate": (60, 125, 215),
    "filtered": (150, 105, 190),
    "erased": (120, 120, 125),
}
_BOX = (80, 250, 120)
_GREEN, _LEAST_PX = (70, 160, 95), 3  # the bar of a batch
_QUALITY = 80

Colour = tuple[int, int, int]


class Cell(msgspec.Struct, frozen=True):
    """One item: its thumbnail (JPEG or PNG; None for failed items), a short text, and its status.

    For a failed item the caption is its error code, drawn into the tile. `boxes` are drawn onto the thumbnail: left,
    top, width and height, as fractions 0..1 of it.
    """

    thumbnail: bytes | None
    caption: str
    status: str
    boxes: tuple[tuple[float, float, float, float], ...] = ()


def contact_sheet(cells: Sequence[Cell], columns: int = 8, cell_px: int = 96) -> bytes:
    """JPEG of all cells, row by row, with a legend of the statuses that occur.

    Raises:
        ValueError: no cells, more than 2000 of them, or a layout smaller than 1 column of 32 pixels.
    """
    if not 1 <= len(cells) <= _MAX_CELLS:
        raise ValueError(f"expected 1 to {_MAX_CELLS} cells, got {len(cells)}; show a sample of the batch")
    if columns < 1 or not 32 <= cell_px <= 512:
        raise ValueError(f"expected at least 1 column of 32 to 512 pixels, got {columns} of {cell_px}")
    columns = min(columns, len(cells))
    n_rows = -(-len(cells) // columns)
    step_x, step_y = cell_px + _GAP_PX, cell_px + _CAPTION_PX + _GAP_PX
    sheet = Image.new("RGB", (columns * step_x + _GAP_PX, n_rows * step_y + _GAP_PX + _LEGEND_PX), _PAPER)
    for index, cell in enumerate(cells):
        row, column = divmod(index, columns)
        _draw_cell(sheet, cell, _GAP_PX + column * step_x, _GAP_PX + row * step_y, cell_px)
    _draw_legend(sheet, cells)
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return buffer.getvalue()


def status_bar(counts: Mapping[str, int], width_px: int = 480, height_px: int = 12) -> bytes:
    """PNG of one bar cut by status, failed items last; a few hundred bytes, so that it is shown without a click.

    Every status that occurs gets at least 3 pixels: one failed item of ten thousand is seen.
    """
    shown = {status: counts.get(status, 0) for status in ("accepted", *reversed(_BORDERS))}
    shown = {status: n for status, n in shown.items() if n > 0}
    bar = Image.new("RGB", (width_px, height_px), _TILE)
    draw, total = ImageDraw.Draw(bar), max(sum(shown.values()), 1)
    free_px, left = width_px - _LEAST_PX * len(shown), 0.0
    for status, n in shown.items():
        right = left + _LEAST_PX + free_px * n / total
        draw.rectangle((round(left), 0, round(right) - 1, height_px - 1), fill=_BORDERS.get(status, _GREEN))
        left = right
    buffer = io.BytesIO()
    bar.quantize(8).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def as_markdown_image(jpeg: bytes, alt: str) -> str:
    """A Markdown image that carries its own bytes, for places that cannot fetch a file."""
    text = " ".join(alt.split()).replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
    kind = "png" if jpeg.startswith(b"\x89PNG") else "jpeg"
    return f"![{text}](data:image/{kind};base64,{base64.b64encode(jpeg).decode('ascii')})"


def _draw_cell(sheet: Image.Image, cell: Cell, left: int, top: int, side: int) -> None:
    draw = ImageDraw.Draw(sheet)
    is_failed = cell.status == "failed"
    box = (left, top, left + side - 1, top + side - 1)
    draw.rectangle(box, fill=_FAILED_TILE if is_failed else _TILE)
    picture = None if is_failed else _thumbnail(cell.thumbnail, side)
    if picture is not None:
        _draw_boxes(picture, cell.boxes)
        sheet.paste(picture, (left + (side - picture.width) // 2, top + (side - picture.height) // 2))
    elif is_failed:
        _draw_failure(draw, cell.caption, left, top, side)
    else:
        _draw_centred(draw, "no picture", left, top + side // 2 - 7, side, _FAINT)
    if colour := _BORDERS.get(cell.status):
        draw.rectangle(box, outline=colour, width=_BORDER_PX)
    caption = cell.status if is_failed else cell.caption
    _draw_centred(draw, caption, left, top + side + 1, side, _RED if is_failed else _INK)


def _thumbnail(data: bytes | None, side: int) -> Image.Image | None:
    """The thumbnail, fitted into the tile; None where there is none or it does not decode."""
    if data is None:
        return None
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
            picture = image.convert("RGB")
    except DECODER_EXCEPTIONS:
        return None
    if max(picture.size) > side:
        picture.thumbnail((side, side), Image.Resampling.BICUBIC)
    return picture


def _draw_boxes(picture: Image.Image, boxes: Sequence[tuple[float, float, float, float]]) -> None:
    draw = ImageDraw.Draw(picture)
    for x, y, width, height in boxes:
        left, top = round(x * (picture.width - 1)), round(y * (picture.height - 1))
        right, bottom = round((x + width) * (picture.width - 1)), round((y + height) * (picture.height - 1))
        draw.rectangle((left, top, max(left, right), max(top, bottom)), outline=_BOX)


def _draw_failure(draw: ImageDraw.ImageDraw, code: str, left: int, top: int, side: int) -> None:
    inset, height = side // 4, side * 5 // 8
    x0, x1 = left + inset, left + side - inset
    y0, y1 = top + side // 10, top + height - side // 20
    for line in ((x0, y0, x1, y1), (x0, y1, x1, y0)):
        draw.line(line, fill=_RED, width=max(3, side // 16))
    lines = _wrapped(draw, code, side - 12)
    for number, text in enumerate(lines):
        _draw_centred(draw, text, left, top + height + 2 + number * 13, side, _ERROR_INK)


def _wrapped(draw: ImageDraw.ImageDraw, code: str, width: int) -> list[str]:
    """At most two lines, broken at underscores or spaces."""
    words = code.replace("_", " ").split()
    first: list[str] = []
    while words and draw.textlength(" ".join([*first, words[0]]), font=_font(11)) <= width:
        first.append(words.pop(0))
    if not first and words:
        first.append(words.pop(0))
    return [" ".join(first), *([" ".join(words)] if words else [])]


def _draw_centred(draw: ImageDraw.ImageDraw, text: str, left: int, top: int, width: int, colour: Colour) -> None:
    text = _shortened(draw, text, width)
    draw.text((left + (width - draw.textlength(text, font=_font(11))) / 2, top), text, colour, font=_font(11))


def _shortened(draw: ImageDraw.ImageDraw, text: str, width: int) -> str:
    """One line without control characters that fits the width; an ellipsis in its middle where it did not."""
    text = "".join(c if c.isprintable() else " " for c in text[:200])
    if draw.textlength(text, font=_font(11)) <= width:
        return text
    for n_kept in range(len(text) - 1, 1, -1):
        shorter = text[: (n_kept + 1) // 2] + "…" + text[len(text) - n_kept // 2 :]
        if draw.textlength(shorter, font=_font(11)) <= width:
            return shorter
    return "…"


def _draw_legend(sheet: Image.Image, cells: Sequence[Cell]) -> None:
    draw = ImageDraw.Draw(sheet)
    x, y = float(_GAP_PX), sheet.height - _LEGEND_PX + 4
    for status in dict.fromkeys(("accepted", *_BORDERS, *(c.status for c in cells))):
        n_cells = sum(c.status == status for c in cells)
        if not n_cells:
            continue
        draw.rectangle((x, y + 2, x + 9, y + 11), fill=_BORDERS.get(status, _FAINT))
        text = f"{status} {n_cells}"
        draw.text((x + 14, y), text, _INK, font=_font(11))
        x += 14 + draw.textlength(text, font=_font(11)) + 16


@cache
def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size_px)
