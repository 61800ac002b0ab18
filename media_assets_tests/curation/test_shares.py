"""Shares: false alarms on stable batches are rare, real excesses are seen, and incidents neither blind nor pass."""

from __future__ import annotations

import numpy as np
import pytest

from media_assets.curation.shares import Share, UsualShare, usual_share

EXCESS = 0.01


def batches(seed: int, n_batches: int, n: int, share: float, correlation: float) -> list[Share]:
    """Hits in batches whose own shares scatter with this intraclass correlation."""
    random = np.random.default_rng(seed)
    strength = (1 - correlation) / correlation
    shares = random.beta(share * strength, (1 - share) * strength, n_batches)
    return [Share(int(hits), n) for hits in random.binomial(n, shares)]


def learned(history: list[Share]) -> UsualShare:
    usual = usual_share(history, EXCESS)
    assert usual is not None
    return usual


@pytest.mark.parametrize("n_past", [5, 20])
@pytest.mark.parametrize("n", [30, 200, 5000])
@pytest.mark.parametrize(("share", "correlation"), [(0.002, 0.001), (0.01, 0.01), (0.2, 0.02)])
def test_stable_batches_alarm_in_less_than_one_of_a_hundred(
    n_past: int, n: int, share: float, correlation: float
) -> None:
    n_alarms = 0
    for seed in range(200):
        *history, now = batches(seed, n_past + 1, n, share, correlation)
        n_alarms += learned(history).is_exceeded(now, EXCESS)
    assert n_alarms < 2


@pytest.mark.parametrize(("n", "now"), [(200, 20), (1000, 60), (5000, 250)])
def test_several_times_the_usual_share_is_seen(n: int, now: int) -> None:
    seen = [learned(batches(seed, 20, n, 0.01, 0.0005)).is_exceeded(Share(now, n), EXCESS) for seed in range(100)]
    assert sum(seen) >= 95


def test_few_items_and_few_hits_are_noise() -> None:
    usual = learned([Share(0, 1000)] * 20)
    assert not usual.is_exceeded(Share(2, 2), EXCESS)
    assert not usual.is_exceeded(Share(3, 1000), EXCESS), "three of a thousand are no percentage point"
    assert usual.is_exceeded(Share(3, 3), EXCESS)


def test_fewer_hits_than_usual_are_no_trouble() -> None:
    assert not learned([Share(500, 1000)] * 20).is_exceeded(Share(0, 1000), EXCESS)


def test_an_incident_does_not_hide_the_next_one() -> None:
    history = [*batches(1, 15, 1000, 0.01, 0.002), *[Share(400, 1000)] * 3]
    assert learned(history).is_exceeded(Share(100, 1000), EXCESS)


def test_what_has_lasted_becomes_usual() -> None:
    history = [*batches(1, 10, 1000, 0.01, 0.002), *[Share(400, 1000)] * 10]
    assert not learned(history).is_exceeded(Share(390, 1000), EXCESS)


def test_nothing_is_usual_before_five_batches() -> None:
    assert usual_share([Share(1, 100)] * 4 + [Share(0, 0)] * 9, EXCESS) is None


def test_the_limit_is_the_first_number_that_is_told() -> None:
    usual = learned(batches(3, 20, 500, 0.01, 0.003))
    limit = usual.limit(500, EXCESS)
    assert usual.is_exceeded(Share(limit, 500), EXCESS)
    assert not usual.is_exceeded(Share(limit - 1, 500), EXCESS)
    assert usual.limit(2, EXCESS) == 3, "of two items no number is"
