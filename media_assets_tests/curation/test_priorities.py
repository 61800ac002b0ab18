"""What is asked first: by the formula that is written down, whatever the order of the rows."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from media_assets.curation.priorities import Weights, due, in_order, pick

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SCHEMA = {"frame_id": pl.String, "uncertainty": pl.Float64, "perceptual_hash": pl.UInt64}
EVEN = Weights(1, 1, 0)


def frames(*rows: tuple[str, float | None, int | None]) -> pl.DataFrame:
    return pl.DataFrame(rows, SCHEMA, orient="row")


def picked(*rows: tuple[str, float | None, int | None], n: int = 99, weights: Weights = EVEN) -> list[tuple[Any, Any]]:
    return [(name, round(score, 6)) for name, score in pick(frames(*rows), n, weights)["frame_id", "priority"].rows()]


def test_the_uncertain_come_first_and_what_was_not_predicted_is_between() -> None:
    rows = (("a", 0.1, None), ("b", None, None), ("c", 0.9, None))
    assert picked(*rows) == [("c", 0.7), ("b", 0.5), ("a", 0.3)]


def test_what_looks_like_one_picked_before_comes_last() -> None:
    far = 0xFFFF_FFFF_0000_0000
    rows = (("a", 0.8, 0), ("b", 0.8, 1), ("c", 0.4, far))
    assert picked(*rows) == [("a", 0.9), ("c", 0.7), ("b", round((0.8 + 1 / 32) / 2, 6))]


def test_only_proportions_of_weights_matter() -> None:
    rows = (("a", 0.8, 0), ("b", 0.3, 255), ("c", 0.4, 3))
    assert picked(*rows, weights=Weights(2, 1, 0)) == picked(*rows, weights=Weights(0.2, 0.1, 5))


@pytest.mark.parametrize("weights", [(-1, 1, 0), (0, 0, 1), (1, -1, 1), (1, 1, -0.1)])
def test_weights_that_order_nothing_are_refused(weights: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="expected weights"):
        Weights(*weights)


_rows = st.lists(
    st.tuples(
        st.uuids().map(lambda each: each.hex),
        st.none() | st.floats(0, 1),
        st.none() | st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, 3, 2**64 - 1]),
    ),
    max_size=12,
    unique_by=lambda row: row[0],
)


@settings(max_examples=60, deadline=None)
@given(_rows, st.integers(0, 14), st.randoms(use_true_random=False))
@example([("b", 0.5, 7), ("a", 0.5, 7), ("c", None, None)], 2, random.Random(3))
def test_any_order_of_rows_gives_one_order_of_frames(rows: list[Any], n: int, shuffler: random.Random) -> None:
    first = picked(*rows, n=n)
    shuffled = list(rows)
    shuffler.shuffle(shuffled)
    assert picked(*shuffled, n=n) == first
    assert len(first) == min(n, len(rows))
    assert len({name for name, _ in first}) == len(first)
    scores = [score for _, score in first]
    assert scores == sorted(scores, reverse=True), "who is picked later stands no higher"
    assert all(0 <= score <= 1 for score in scores)
    assert picked(*rows)[:n] == first, "asking for fewer asks for the first of them"


def test_two_hundred_of_a_hundred_thousand_take_little_time() -> None:
    generator = random.Random(1)
    many = pl.DataFrame(
        {
            "frame_id": [f"{i:032x}" for i in range(100_000)],
            "uncertainty": [generator.random() for _ in range(100_000)],
            "perceptual_hash": pl.Series([generator.getrandbits(64) for _ in range(100_000)], dtype=pl.UInt64),
        }
    )
    began = time.process_time()
    assert pick(many, 200, Weights()).height == 200
    assert time.process_time() - began < 5  # 0.3 s where nothing else runs


def task(name: str, priority: float, days: float = 0, state: str = "queued", pushed: float | None = None) -> Any:
    pushed_at = None if pushed is None else NOON - timedelta(hours=pushed)
    return (name, priority, NOON - timedelta(days=days), state, pushed_at)


def queue(*rows: Any) -> pl.DataFrame:
    moment = pl.Datetime("us", "UTC")
    schema = {"task_key": pl.String, "priority": pl.Float64, "queued_at": moment, "state": pl.String}
    return pl.DataFrame(rows, schema | {"pushed_at": moment}, orient="row")


def names(frame: pl.DataFrame) -> list[str]:
    return frame["task_key"].to_list()


def test_who_waits_long_comes_forward_and_equal_ones_go_by_age_and_name() -> None:
    rows = queue(task("b", 0.5), task("a", 0.5), task("old", 0.45, 30), task("older", 0.5, 300), task("best", 0.9))
    assert names(in_order(rows, NOON, Weights())) == ["best", "older", "old", "a", "b"]
    assert names(in_order(rows, NOON, Weights(1, 0, 0))) == ["best", "older", "a", "b", "old"]


def test_a_day_has_a_budget_that_what_was_pushed_on_it_uses_up() -> None:
    rows = queue(
        task("a", 0.9),
        task("b", 0.8),
        task("c", 0.7),
        task("today", 1.0, 1, "accepted", pushed=11.5),
        task("yesterday", 1.0, 1, "pushed", pushed=12.5),
    )
    assert names(due(rows, NOON, 3, Weights())) == ["a", "b"]
    assert names(due(rows, NOON, 1, Weights())) == []
    assert names(due(rows, NOON, 0, Weights())) == []
    assert names(due(rows, NOON + timedelta(days=1), 3, Weights())) == ["a", "b", "c"]
