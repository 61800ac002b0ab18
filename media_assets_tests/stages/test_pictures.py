"""Contact sheets of a batch, while it is read and from what the lake holds: the same items, marked the same way."""

from __future__ import annotations

import pytest

from media_assets.media.contact_sheet import Cell
from media_assets.stages.pictures import batch_cells
from media_assets_tests.stages.batches import BATCH, Case
from media_assets_tests.stages.conftest import KEYS

FAILED = [("not_found", "failed"), ("truncated", "failed")]


@pytest.fixture(params=["while it is read", "from the lake"])
def cells(case: Case, request: pytest.FixtureRequest) -> list[Cell]:
    report = case.run(n_thumbnails=len(KEYS))
    return list(report.cells) if request.param == "while it is read" else batch_cells(case.bench, BATCH)


def test_failed_items_come_first_with_their_code_then_what_was_converted(cells: list[Cell]) -> None:
    assert len(cells) == len(KEYS)
    assert sorted((cell.caption, cell.status) for cell in cells[:2]) == FAILED
    assert [cell.status for cell in cells[2:]] == ["converted", "duplicate", *["accepted"] * 4]


def test_a_repeat_shows_the_picture_that_it_repeats(cells: list[Cell]) -> None:
    (repeat,) = [cell for cell in cells if cell.status == "duplicate"]
    (original,) = [cell for cell in cells if cell.caption == "1.jpg"]
    assert repeat.caption == "repeat.jpg"
    assert repeat.thumbnail is not None
    assert repeat.thumbnail == original.thumbnail


def test_only_failed_items_have_no_picture(cells: list[Cell]) -> None:
    assert all((cell.thumbnail is None) == (cell.status == "failed") for cell in cells)
