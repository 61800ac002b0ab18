"""Pictures are chosen by time, over the whole duration, among those that can be decoded."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from media_assets.media.video.decoding import groups_of
from media_assets.media.video.packets import PacketIndex
from media_assets.media.video.policies import Choice, choose, decodable, parse_policy, thinned


def make_index(
    pts: Sequence[int],
    keys: Sequence[int] = (0,),
    *,
    time_base: Fraction = Fraction(1, 1000),
    duration: int = 40,
    hidden: Sequence[int] = (),
    cut: Sequence[int] = (),
) -> PacketIndex:
    """Packets in the order given; `keys`, `hidden` and `cut` by their number."""
    numbers = np.arange(len(pts))
    return PacketIndex(
        time_base=time_base,
        pts=np.array(pts, np.int64),
        duration=np.full(len(pts), duration, np.int64),
        is_key=np.isin(numbers, keys),
        is_whole=~np.isin(numbers, cut),
        is_shown=~np.isin(numbers, hidden),
        end_ns=0,
        n_untimed=0,
        fault=None,
    )


def times(policy: str, index: PacketIndex, shots: Sequence[tuple[int, int]] = ()) -> list[int]:
    return [choice.pts for choice in choose(parse_policy(policy), index, shots)]


TEN_SECONDS = make_index(range(0, 10_000, 40), keys=range(0, 250, 50))


def test_the_last_of_a_uniform_choice_is_the_last_picture() -> None:
    # a well-known sampler took the first 32 of 270 pictures for an even choice
    chosen = times("uniform:32", TEN_SECONDS)
    assert len(chosen) == 32
    assert (chosen[0], chosen[-1]) == (0, 9960)
    assert max(np.diff(chosen)) - min(np.diff(chosen)) <= 40  # even, to one picture


def test_a_uniform_choice_follows_time_and_not_numbers() -> None:
    # nine pictures in the first second, one at the end of the tenth
    index = make_index([*range(0, 900, 100), 10_000])
    assert times("uniform:3", index) == [0, 800, 10_000]


@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=60, unique=True), st.integers(1, 80))
def test_a_uniform_choice_spans_all_there_is(pts: list[int], n: int) -> None:
    chosen = times(f"uniform:{n}", make_index(sorted(pts)))
    assert len(chosen) == len(set(chosen)) <= n
    assert set(chosen) <= set(pts)
    if n > 1:
        assert (chosen[0], chosen[-1]) == (min(pts), max(pts))


def test_one_is_the_middle_and_more_than_there_are_is_all() -> None:
    assert times("uniform:1", TEN_SECONDS) == [4960]
    assert times("uniform:9", make_index([0, 40, 80])) == [0, 40, 80]


def test_every_takes_what_is_on_screen() -> None:
    assert times("every:2.5", TEN_SECONDS) == [0, 2480, 5000, 7480]
    # a picture that stands for three seconds is taken once
    assert times("every:1", make_index([0, 500, 3900])) == [0, 500]
    assert times("every:0.000000001", make_index([0, 500, 3900])) == [0, 500, 3900]


@given(st.lists(st.integers(0, 20_000), min_size=1, max_size=40, unique=True), st.integers(1, 5000))
def test_every_is_what_a_clock_would_have_seen(pts: list[int], step: int) -> None:
    index = make_index(sorted(pts))
    first, ordered = min(pts), sorted(pts)
    seen = {max(p for p in ordered if p <= t) for t in range(first, index.end, step)}
    assert times(f"every:{step / 1000}", index) == sorted(seen)


def test_codec_takes_the_key_pictures_that_are_shown() -> None:
    index = make_index([0, 40, 80, 120, 160, 200], keys=[0, 2, 4], hidden=[0, 1], cut=[4])
    assert times("codec", index) == [80]


def test_shots_give_their_middles_with_their_numbers() -> None:
    chosen = choose(parse_policy("shots"), TEN_SECONDS, [(0, 4000), (4000, 4040), (4040, 10_000)])
    assert chosen == [Choice(2000, 0), Choice(4000, 1), Choice(7000, 2)]


def test_what_precedes_the_first_key_picture_is_never_chosen() -> None:
    index = make_index(range(0, 400, 40), keys=[3])
    assert decodable(index)[0] == 120
    for policy in ("codec", "uniform:4", "every:0.1"):
        assert times(policy, index)[0] == 120
    assert times("uniform:4", make_index([0, 40], keys=[])) == []


@given(st.integers(1, 300), st.integers(1, 40))
@example(10, 3)
def test_thinning_keeps_the_ends(n: int, n_most: int) -> None:
    choices = [Choice(pts) for pts in range(n)]
    kept = thinned(choices, n_most)
    assert len(kept) == len({c.pts for c in kept}) == min(n, n_most)
    if n_most > 1:
        assert (kept[0], kept[-1]) == (choices[0], choices[-1])


@pytest.mark.parametrize(
    "text", ["", "uniform", "uniform:0", "uniform:-1", "every:0", "every:0.0", "every:1e9", "Codec"]
)
def test_another_policy_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected codec, shots, uniform:N or every:SECONDS"):
        parse_policy(text)


def test_of_two_packets_at_one_time_the_one_that_is_shown_is_decoded() -> None:
    """An edit list of several segments: the second begins within a group, whose beginning it cuts away."""
    index = make_index([0, 40, 80, 0, 40, 80, 120], keys=[0, 3], hidden=[2, 3, 4])
    assert [(group.first, group.last) for group in groups_of(index, [40])] == [(0, 1)]
    assert [(group.first, group.last) for group in groups_of(index, [80])] == [(3, 5)]
