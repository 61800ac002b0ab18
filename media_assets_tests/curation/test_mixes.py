"""Mixes: false alarms on stable batches are rare, shifts are seen, and one that always varies has no usual mix."""

from __future__ import annotations

import numpy as np
import pytest

from media_assets.curation.mixes import RARE, Comparison, compare_categories, compare_histograms

NAMES = ("a", "b", "c", "d")
SHARES = np.array([0.6, 0.25, 0.1, 0.05])


def mixes(seed: int, n_batches: int, n: int, correlation: float, shares: np.ndarray = SHARES) -> list[dict[str, int]]:
    """Counts by name in batches whose own mixes scatter with this intraclass correlation."""
    random = np.random.default_rng(seed)
    rows = (random.multinomial(n, random.dirichlet(shares * (1 - correlation) / correlation)) for _ in range(n_batches))
    return [dict(zip(NAMES, row.tolist(), strict=False)) for row in rows]


def compared(now: dict[str, int], history: list[dict[str, int]]) -> Comparison:
    comparison = compare_categories(now, history)
    assert comparison is not None
    return comparison


@pytest.mark.parametrize("n_past", [5, 20])
@pytest.mark.parametrize(("n", "correlation"), [(30, 0.001), (200, 0.02), (5000, 0.01)])
def test_stable_batches_alarm_in_less_than_one_of_a_hundred(n_past: int, n: int, correlation: float) -> None:
    n_alarms = 0
    for seed in range(200):
        *history, now = mixes(seed, n_past + 1, n, correlation)
        n_alarms += compared(now, history).has_drifted()
    assert n_alarms < 2


@pytest.mark.parametrize("n", [200, 5000])
def test_a_shift_of_a_third_is_seen(n: int) -> None:
    shifted = {"a": int(0.3 * n), "b": int(0.5 * n), "c": int(0.1 * n), "d": int(0.1 * n)}
    assert all(compared(shifted, mixes(seed, 20, n, 0.003)).has_drifted() for seed in range(30))


def test_a_new_category_is_seen_and_named() -> None:
    comparison = compared({"a": 120, "b": 50, "heic": 30}, mixes(1, 20, 200, 0.003))
    assert comparison.has_drifted()
    assert comparison.widest.name == RARE
    assert comparison.widest.now == pytest.approx(0.15)


def test_a_category_that_is_gone_is_seen() -> None:
    assert compared({"a": 150, "c": 35, "d": 15}, mixes(1, 20, 200, 0.003)).has_drifted()


def test_small_differences_in_many_items_do_not_matter() -> None:
    assert not compared({"a": 63_000, "b": 23_000, "c": 9_500, "d": 4_500}, mixes(1, 20, 100_000, 0.0001)).has_drifted()


def test_a_source_whose_batches_are_each_of_one_kind_has_no_usual_mix() -> None:
    history = [{"a": 200} if number % 3 else {"b": 200} for number in range(20)]
    assert not compared({"b": 200}, history).has_drifted()


def test_too_little_to_judge_is_no_verdict() -> None:
    history = mixes(1, 20, 200, 0.003)
    assert compare_categories({"a": 19}, history) is None
    assert compare_categories({"a": 200}, history[:4]) is None
    assert compare_categories({}, []) is None
    assert compare_histograms((), [()] * 20, ("0", "1")) is None


BINS = tuple(str(number) for number in range(16))


def histograms(seed: int, n_batches: int, centre: float) -> list[tuple[int, ...]]:
    random = np.random.default_rng(seed)
    rows = (random.normal(centre, 2, 200).clip(0, 15.9).astype(int) for _ in range(n_batches))
    return [tuple(np.bincount(row, minlength=16).tolist()) for row in rows]


def test_a_histogram_that_moves_is_seen_and_one_that_stays_is_not() -> None:
    history = histograms(1, 20, 8)
    stays, moves = histograms(2, 1, 8)[0], histograms(3, 1, 10)[0]
    same, other = compare_histograms(stays, history, BINS), compare_histograms(moves, history, BINS)
    assert same is not None
    assert other is not None
    assert (same.has_drifted(), other.has_drifted()) == (False, True)
    assert sum(group.usual for group in other.groups) == pytest.approx(1, abs=0.01)


def test_pictures_of_one_size_that_become_smaller_are_seen() -> None:
    history = [(0, 0, 0, 200, 0, *[0] * 11)] * 20
    comparison = compare_histograms((0, 200, 0, 0, 0, *[0] * 11), history, BINS)
    assert comparison is not None
    assert comparison.has_drifted()
    assert comparison.groups[0].name == "3 to 4"
