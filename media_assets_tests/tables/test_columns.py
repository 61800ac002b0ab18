"""The closed vocabularies: their values are stored, so they never change."""

from __future__ import annotations

from media_assets.tables.columns import Kind, Status


def test_the_values_are_those_that_are_stored() -> None:
    assert [status.value for status in Status] == [
        "accepted",
        "converted",
        "duplicate",
        "filtered",
        "failed",
        "erased",
    ]
    assert [kind.value for kind in Kind] == ["image", "video", "audio", "text"]


def test_only_accepted_and_converted_items_enter_the_next_stage() -> None:
    assert {status for status in Status if status.goes_on} == {Status.ACCEPTED, Status.CONVERTED}
