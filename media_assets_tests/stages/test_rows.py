"""Duplicates and statuses, pure."""

from __future__ import annotations

from types import SimpleNamespace

from hypothesis import example, given
from hypothesis import strategies as st

from media_assets.stages.rows import settle_duplicates

ITEMS = st.lists(st.sampled_from("abcdef"), max_size=20)


@given(ITEMS, st.randoms())
@example(["same", "same"], SimpleNamespace(shuffle=list.reverse))
def test_duplicates_do_not_depend_on_the_order_of_arrival(media: list[str], random: object) -> None:
    items = [(position, f"item-{position}", media_id) for position, media_id in enumerate(media)]
    shuffled = list(items)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert settle_duplicates(shuffled) == settle_duplicates(items)


@given(ITEMS)
def test_exactly_one_original_is_left_of_each_content_and_it_is_the_earliest(media: list[str]) -> None:
    items = [(position, f"item-{position}", media_id) for position, media_id in enumerate(media)]
    repeats = settle_duplicates(items)
    originals = [(position, media_id) for position, key, media_id in items if key not in repeats]
    assert sorted(media_id for _, media_id in originals) == sorted(set(media))
    assert all(media.index(media_id) == position for position, media_id in originals)
    assert all(media[int(first.split("-")[1])] == media[int(key.split("-")[1])] for key, first in repeats.items())
