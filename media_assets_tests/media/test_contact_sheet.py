"""Sheets hold every cell, mark what failed, and survive any caption."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from media_assets.media.contact_sheet import _BORDERS, Cell, as_markdown_image, contact_sheet, status_bar
from media_assets_tests.media.pictures import Pixels, make_jpeg

RED, BLUE = np.array([205, 55, 50]), np.array([60, 125, 215])


def opened(jpeg: bytes) -> Pixels:
    image = Image.open(io.BytesIO(jpeg))
    assert image.format == "JPEG"
    return np.asarray(image)


def near(pixels: Pixels, colour: Pixels) -> float:
    return float((np.abs(pixels.astype(int) - colour).max(axis=-1) < 60).mean())


def test_the_sheet_has_a_place_for_every_cell() -> None:
    cells = [Cell(make_jpeg(0, (96, 72)), f"item {n}", "accepted") for n in range(10)]
    wide, narrow = opened(contact_sheet(cells)), opened(contact_sheet(cells, columns=2))
    assert wide.shape[1] == 8 * 104 + 8
    assert narrow.shape[1] == 2 * 104 + 8
    assert narrow.shape[0] > 2 * wide.shape[0]


def test_a_failed_cell_is_dark_with_a_red_cross_and_its_code() -> None:
    failed = opened(contact_sheet([Cell(None, "unsupported_format", "failed")]))[8:104, 8:104]
    fine = opened(contact_sheet([Cell(None, "unsupported_format", "accepted")]))[8:104, 8:104]
    assert near(failed, np.array([38, 38, 42])) > 0.5
    assert near(failed, RED) > 0.1
    assert near(fine, RED) < 0.01
    text = failed[64:92, 6:90]
    assert near(text, np.array([255, 205, 200])) > 0.03


def test_a_duplicate_has_a_coloured_border() -> None:
    thumbnail = make_jpeg(0, (96, 96))
    for status, is_blue in (("duplicate", True), ("accepted", False)):
        tile = opened(contact_sheet([Cell(thumbnail, "x", status)]))[8:104, 8:104]
        assert (near(tile[:2], BLUE) > 0.9) is is_blue


@pytest.mark.parametrize("thumbnail", [None, b"", b"no picture", make_jpeg()[:300]])
def test_a_thumbnail_that_does_not_decode_harms_nothing(thumbnail: bytes | None) -> None:
    assert opened(contact_sheet([Cell(thumbnail, "x", "accepted")])).shape[2] == 3


@pytest.mark.parametrize("caption", ["", "x" * 5000, "a\nb\0c", "日本語 ‮", "_" * 40, "no_spaces_" * 9])
@pytest.mark.parametrize("status", ["failed", "accepted", "something new"])
def test_any_caption_is_drawn(caption: str, status: str) -> None:
    contact_sheet([Cell(None, caption, status)], cell_px=48)


def test_boxes_are_drawn_where_they_lie_on_the_thumbnail() -> None:
    thumbnail = make_jpeg(0, (96, 48))  # lies in the middle of the tile: from row 24 on
    plain = opened(contact_sheet([Cell(thumbnail, "x", "accepted")]))[8:104, 8:104].astype(int)
    boxed = opened(contact_sheet([Cell(thumbnail, "x", "accepted", ((0.25, 0.0, 0.5, 1.0),))]))[8:104, 8:104].astype(
        int
    )
    rows, columns = np.nonzero(np.abs(boxed - plain).max(axis=2) > 60)
    assert (rows.min(), rows.max()) == (pytest.approx(24, abs=1), pytest.approx(71, abs=1))
    assert (columns.min(), columns.max()) == (pytest.approx(24, abs=1), pytest.approx(71, abs=1))


def test_a_layout_that_makes_no_sense_is_refused() -> None:
    cell = Cell(None, "x", "accepted")
    for cells, columns, side in (([], 8, 96), ([cell] * 2001, 8, 96), ([cell], 0, 96), ([cell], 8, 9000)):
        with pytest.raises(ValueError, match="expected"):
            contact_sheet(cells, columns, side)


def test_markdown_carries_the_bytes_and_escapes_the_text() -> None:
    jpeg = contact_sheet([Cell(None, "x", "failed")])
    text = as_markdown_image(jpeg, "batch [7]\n(odd)")
    assert text.startswith("![batch \\[7\\] (odd)](data:image/jpeg;base64,")
    assert base64.b64decode(text.rsplit(",", 1)[1][:-1]) == jpeg
    assert "\n" not in text
    assert as_markdown_image(b"\x89PNG\r\n", "x").startswith("![x](data:image/png;base64,")


def test_the_bar_of_a_batch_shows_each_status_by_its_share_and_the_rarest_still() -> None:
    counts = {"accepted": 9_999, "failed": 1, "duplicate": 0}
    bar = np.asarray(Image.open(io.BytesIO(status_bar(counts))).convert("RGB"))
    assert bar.shape[1] == 480
    assert near(bar[:, -3:], RED) == 1
    assert near(bar[:, :-3], RED) == 0
    even = np.asarray(Image.open(io.BytesIO(status_bar({"accepted": 5, "duplicate": 5}))).convert("RGB"))
    assert near(even[:, 240:], BLUE) == 1
    assert near(even[:, :240], BLUE) == 0


@pytest.mark.parametrize("counts", [{}, {"failed": 0}, dict.fromkeys(("accepted", *_BORDERS), 7)])
def test_the_bar_stays_below_what_the_ui_shows_without_a_click(counts: dict[str, int]) -> None:
    assert len(as_markdown_image(status_bar(counts), "one part for each status")) < 800
