"""Pictures of one batch against the batches before it: what was usual is a pale band, this batch a strong mark.

Drawn by Pillow: a few milliseconds each, where importing matplotlib would cost a run a second. Not here: judging.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from PIL import Image, ImageDraw, ImageFont

_SCALE = 2  # drawn twice as large, for smooth edges
_WIDTH_PX, _LEFT_PX, _RIGHT_PX, _TITLE_PX, _ROW_PX, _LEGEND_PX = 520, 150, 60, 24, 22, 26
_PLOT_PX = 110
_PAPER, _INK, _FAINT, _GRID = (255, 255, 255), (52, 52, 56), (120, 120, 126), (228, 228, 226)
_BAND, _PAST, _GOOD, _BAD = (198, 226, 205), (110, 165, 125), (40, 120, 70), (205, 55, 50)
_MOST_BARS = 12

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Bar:
    """One category: its share now, usually, and the band of the past; all 0 to 1."""

    name: str
    now: float
    usual: float
    low: float
    high: float


def share_png(now: float, past: Sequence[float], limit: float | None, title: str) -> bytes:
    """PNG of the share of this batch after those of past ones, the oldest first, with the usual band up to the limit.

    Raises:
        ValueError: a share outside 0 to 1.
    """
    _require_shares([now, *past, *([] if limit is None else [limit])])
    canvas = _Canvas(_TITLE_PX + _PLOT_PX + _LEGEND_PX + 8, title)
    top, bottom, left, right = _TITLE_PX + 6, _TITLE_PX + _PLOT_PX, 56, _WIDTH_PX - _RIGHT_PX
    most = 1.15 * max([now, *past, limit or 0.0, 0.01])

    def y(share: float) -> float:
        return bottom - (bottom - top) * share / most

    if limit is not None:
        canvas.box(left, y(min(limit, most)), right, bottom, _BAND)
    for share in (0.0, most / 1.15):
        canvas.line(left, y(share), right, y(share), _GRID)
        canvas.text(4, y(share) - 7, f"{share:.1%}", _FAINT)
    step = (right - left) / (len(past) + 1)
    for number, share in enumerate(past):
        canvas.dot(left + step * (number + 0.5), y(share), 3, _PAST)
    is_high = limit is not None and now >= limit
    canvas.dot(right - step / 2, y(now), 5.5, _BAD if is_high else _GOOD)
    canvas.text(right + 6, y(now) - 7, f"{now:.1%}", _BAD if is_high else _GOOD)
    canvas.legend([("past batches", _PAST), ("no news up to here", _BAND), ("this batch", _BAD if is_high else _GOOD)])
    return canvas.png()


def bars_png(bars: Sequence[Bar], is_drifted: bool, title: str) -> bytes:
    """PNG of each category's share: a band for the past (the middle 80 %), a tick for the usual, a dot for now.

    The twelve that differ most are drawn, in their order.

    Raises:
        ValueError: no bars, or a share outside 0 to 1.
    """
    if not bars:
        raise ValueError("expected at least one category, got none; judge the batch first")
    _require_shares([share for bar in bars for share in (bar.now, bar.usual, bar.low, bar.high)])
    widest = sorted(bars, key=lambda bar: -abs(bar.now - bar.usual))[:_MOST_BARS]
    shown = [bar for bar in bars if bar in widest]
    canvas = _Canvas(_TITLE_PX + _ROW_PX * len(shown) + _LEGEND_PX + 8, title)
    left, right = _LEFT_PX, _WIDTH_PX - _RIGHT_PX
    most = max(0.02, *(share for bar in shown for share in (bar.now, bar.high, bar.usual)))

    def x(share: float) -> float:
        return left + (right - left) * share / most

    mark = _BAD if is_drifted else _GOOD
    for number, bar in enumerate(shown):
        top = _TITLE_PX + 4 + number * _ROW_PX
        middle = top + _ROW_PX / 2 - 2
        canvas.text(6, top + 2, _shortened(bar.name, 24), _INK)
        canvas.line(left, middle, right, middle, _GRID)
        canvas.box(x(bar.low) - 1, top + 3, x(bar.high) + 1, top + _ROW_PX - 7, _BAND)
        canvas.box(x(bar.usual) - 1, top + 1, x(bar.usual) + 1, top + _ROW_PX - 5, _PAST)
        colour = mark if not bar.low <= bar.now <= bar.high else _GOOD
        canvas.dot(x(bar.now), middle, 5, colour)
        canvas.text(right + 8, top + 2, f"{bar.now:.1%}", colour)
    canvas.legend([("past batches", _BAND), ("usual", _PAST), ("this batch", mark)])
    return canvas.png()


class _Canvas:
    """A white sheet that is drawn on in pixels of the final picture."""

    def __init__(self, height_px: int, title: str) -> None:
        self._image = Image.new("RGB", (_WIDTH_PX * _SCALE, height_px * _SCALE), _PAPER)
        self._draw = ImageDraw.Draw(self._image)
        self._height_px = height_px
        self.text(6, 4, title, _INK)

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        self._draw.rectangle(self._scaled(left, min(top, bottom), right, max(top, bottom)), fill=colour)

    def line(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        self._draw.line(self._scaled(left, top, right, bottom), fill=colour, width=_SCALE)

    def dot(self, x: float, y: float, radius: float, colour: Colour) -> None:
        self._draw.ellipse(self._scaled(x - radius, y - radius, x + radius, y + radius), fill=colour)

    def text(self, left: float, top: float, text: str, colour: Colour) -> None:
        printable = "".join(c if c.isprintable() else " " for c in text)
        self._draw.text((left * _SCALE, top * _SCALE), printable, colour, font=_font())

    def legend(self, entries: Sequence[tuple[str, Colour]]) -> None:
        x, y = 6.0, self._height_px - _LEGEND_PX + 4.0
        for text, colour in entries:
            self.box(x, y + 3, x + 9, y + 12, colour)
            self.text(x + 14, y, text, _FAINT)
            x += 14 + self._draw.textlength(text, font=_font()) / _SCALE + 18

    def png(self) -> bytes:
        small = self._image.resize((_WIDTH_PX, self._height_px), Image.Resampling.BOX)
        buffer = io.BytesIO()
        small.quantize(32).save(buffer, "PNG", optimize=True)
        return buffer.getvalue()

    def _scaled(self, *numbers: float) -> tuple[float, float, float, float]:
        left, top, right, bottom = (number * _SCALE for number in numbers)
        return left, top, right, bottom


def _require_shares(shares: Sequence[float]) -> None:
    if not all(0 <= share <= 1 for share in shares):
        raise ValueError(f"expected shares of 0 to 1, got {[share for share in shares if not 0 <= share <= 1]}")


def _shortened(text: str, n: int) -> str:
    return text if len(text) <= n else f"{text[: n // 2]}…{text[-(n // 2 - 1) :]}"


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(11 * _SCALE)
