"""The verdicts of all checks together, on healthy batches and on batches that differ in one way each."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from media_assets.curation.drift import CHECKS, judge
from media_assets.curation.profile import BatchProfile, aspect_counts, brightness_counts, side_counts
from media_assets_tests.curation.profiles import healthy

HISTORY = [healthy(seed) for seed in range(20)]
USUAL = healthy(99)


def drifted(profile: BatchProfile, history: list[BatchProfile] = HISTORY) -> set[str]:
    """Names of the checks that do not pass."""
    return {name for name, verdict in judge(profile, history).items() if not verdict.passed}


def test_healthy_batches_raise_less_than_one_alarm_in_a_hundred_for_each_check() -> None:
    alarms = Counter[str]()
    for seed in range(150):
        first = 1000 + 30 * seed
        alarms.update(drifted(healthy(first + 20), [healthy(first + at) for at in range(20)]))
    assert all(n <= 1 for n in alarms.values()), alarms


@pytest.mark.parametrize(
    ("check", "changed"),
    [
        ("failures_are_usual", replace(USUAL, n_failed=25)),
        ("duplicates_are_usual", replace(USUAL, n_duplicates=40)),
        ("mime_mix_is_usual", replace(USUAL, mimes={"image/jpeg": 60, "image/png": 139})),
        ("mime_mix_is_usual", replace(USUAL, mimes={"image/jpeg": 140, "image/png": 35, "image/heic": 25})),
        ("licence_mix_is_usual", replace(USUAL, licences={"not stated": 200})),
        ("dimensions_are_usual", replace(USUAL, longer_sides=side_counts(np.full(200, 150.0)))),
        ("dimensions_are_usual", replace(USUAL, aspects=aspect_counts(np.full(200, 0.4)))),
        ("brightness_is_usual", replace(USUAL, brightness=brightness_counts(np.full(200, 0.02)))),
    ],
)
def test_what_differs_is_told_by_its_check_alone(check: str, changed: BatchProfile) -> None:
    assert drifted(USUAL) == set()
    assert drifted(changed) == {check}
    verdict = judge(changed, HISTORY)[check]
    assert not verdict.is_error
    assert verdict.told.startswith("Expected ")
    assert verdict.numbers["probability"] < 1e-4  # type: ignore[operator]
    assert verdict.groups or verdict.limit is not None, "there is something to draw"


def test_a_young_source_learns_and_says_so() -> None:
    verdicts = judge(USUAL, HISTORY[:4])
    assert all(verdict.passed for verdict in verdicts.values())
    assert "Learning: 4 of at least 5" in verdicts["failures_are_usual"].told
    assert {verdicts[check.name].state for check in CHECKS[1:]} == {"learning"}


def test_small_batches_do_not_alarm_on_noise() -> None:
    for seed in range(200):
        assert drifted(healthy(5000 + seed, n=12)) == set(), seed


def test_batches_of_nothing_are_judged_without_an_error() -> None:
    empty = BatchProfile("a.0001", "test", USUAL.planned_at, 0, 0, 0)
    assert drifted(empty) == set()
    assert drifted(empty, [empty] * 20) == set()
    assert drifted(USUAL, [empty] * 20) == set()


def test_names_are_those_of_dagster_checks_and_come_once() -> None:
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() for name in names)


def test_a_profile_is_its_row() -> None:
    assert BatchProfile.of_row(USUAL.row()) == USUAL
