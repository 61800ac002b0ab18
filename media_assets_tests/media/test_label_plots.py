"""The plots of the label queue: a picture for any numbers, and a reason where there are none."""

from __future__ import annotations

import io
from datetime import date, timedelta

import pytest
from PIL import Image

from media_assets.media.label_plots import agreement_png, queue_png

DAY = date(2026, 1, 1)


def opened(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    image.load()
    assert len(png) < 60_000
    return image.convert("RGB")


def colours(png: bytes) -> set[tuple[int, ...]]:
    return {colour for _, colour in opened(png).getcolors(1 << 20) or []}  # type: ignore[misc]


def test_each_state_that_has_tasks_is_drawn_in_its_colour() -> None:
    orange, green = (0xE0, 0x8A, 0x2E), (0x3A, 0x91, 0x50)
    with_tie = colours(queue_png({"real-or-fake": {"needs_adjudication": 5, "queued": 9}}, [0, 5, 400], "14 tasks"))
    assert orange in with_tie
    assert green not in with_tie
    assert green in colours(queue_png({"a": {"accepted": 3}, "b": {"queued": 1}}, [], "4 tasks"))


def test_one_day_and_many_are_drawn() -> None:
    one = agreement_png({DAY: 3}, {DAY: [1.0]}, {DAY: 0}, "3 answers")
    days = [DAY + timedelta(days=i) for i in range(60)]
    many = agreement_png(
        dict.fromkeys(days, 7), {day: [0.2, 0.9] for day in days}, dict.fromkeys(days, 1), "420 answers"
    )
    assert opened(one).size == opened(many).size
    assert (0xE0, 0x8A, 0x2E) in colours(many)
    assert opened(agreement_png({DAY: 3}, {}, {}, "nothing settled")).width > 100


def test_what_has_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at least one project"):
        queue_png({}, [], "")
    with pytest.raises(ValueError, match="expected at least one answer"):
        agreement_png({}, {}, {}, "")
