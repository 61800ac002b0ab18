"""A publication counts as cut short from its beginning to its clean end."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import obstore
import pytest
from obstore.store import LocalStore, MemoryStore

from media_assets.lake.publications import Publications

ALL = ("raw.media", "frames.images", "tensors.images")


@pytest.fixture(params=["local", "memory"])
def publications(request: pytest.FixtureRequest, tmp_path: Path) -> Publications:
    return Publications(LocalStore(tmp_path) if request.param == "local" else MemoryStore())


def cut_short(publications: Publications, batch_id: str, stages: tuple[str, ...] = ALL) -> None:
    with suppress(RuntimeError), publications.under_way(batch_id, stages):
        raise RuntimeError("the process dies")


def test_a_batch_is_unfinished_until_its_publication_ends(publications: Publications) -> None:
    assert publications.unfinished() == set()
    with publications.under_way("s.validation.0001", ALL):
        assert publications.unfinished() == {"s.validation.0001"}
    assert publications.unfinished() == set()


def test_only_a_publication_of_all_that_was_begun_ends_one_that_was_cut_short(publications: Publications) -> None:
    cut_short(publications, "a.0001")
    cut_short(publications, "a.00011", ("raw.media",))
    with publications.under_way("a.0001", ["tensors.images"]):
        pass
    assert publications.unfinished() == {"a.0001", "a.00011"}
    with publications.under_way("a.0001", ALL):
        pass
    assert publications.unfinished() == {"a.00011"}


def test_a_rivals_publication_is_not_ended_by_ours(publications: Publications) -> None:
    ours = publications.under_way("a.0001", ALL)
    with ours:
        cut_short(publications, "a.0001")  # it began after ours
    assert publications.unfinished() == {"a.0001"}


def test_two_rivals_both_end_when_one_takes_the_others_mark_for_one_that_was_cut_short(
    publications: Publications,
) -> None:
    with publications.under_way("a.0001", ALL) as mark:
        with publications.under_way("a.0001", ALL):
            pass
        assert publications.unfinished() == set()
        mark()  # before its next commit
        assert publications.unfinished() == {"a.0001"}
        with publications.under_way("a.0001", ALL):
            pass
    assert publications.unfinished() == set()


def test_a_mark_says_all_in_its_name_so_that_it_cannot_be_half_written(publications: Publications) -> None:
    cut_short(publications, "a.0001", ("raw.media", "frames.images"))
    (page,) = obstore.list(publications.store)
    (entry,) = page
    assert entry["size"] == 0
    with publications.under_way("a.0001", ["raw.media"]):
        pass
    assert publications.unfinished() == {"a.0001"}, "frames are still half published"
    with publications.under_way("a.0001", ["frames.images", "raw.media"]):
        pass
    assert publications.unfinished() == set()
