"""Formats that fail: as a whole at once, more often than usual, and those that always did."""

from __future__ import annotations

from dataclasses import replace

import pytest

from media_assets.curation.formats import FormatFailure, failing_formats
from media_assets.curation.profile import BatchProfile, FormatCount, claimed_format, most_frequent
from media_assets_tests.curation.profiles import healthy

HISTORY = [healthy(seed) for seed in range(20)]


def with_format(name: str, n: int, n_failed: int, profile: BatchProfile | None = None) -> BatchProfile:
    """A healthy batch that also holds another format."""
    base = profile or healthy(99)
    extra = FormatCount(name, n, n_failed, "corrupt" if n_failed else None)
    others = tuple(each for each in base.formats if each.format != name)
    return replace(base, formats=(*others, extra), n_items=base.n_items + n, n_failed=base.n_failed + n_failed)


def failing(profile: BatchProfile, history: list[BatchProfile]) -> FormatFailure | None:
    found = failing_formats(profile, history)
    assert len(found) <= 1
    return found[0] if found else None


@pytest.mark.parametrize("history", [HISTORY, HISTORY[:2], []], ids=["known", "young", "none"])
def test_a_new_format_that_fails_as_a_whole_is_an_error_whatever_is_known(history: list[BatchProfile]) -> None:
    failure = failing(with_format("heic", 20, 20), history)
    assert failure is not None
    assert failure.is_error
    assert failure.is_new
    assert str(failure) == "20 of 20 .heic failed, mostly corrupt (new here)"


def test_three_of_three_are_a_whole_and_two_are_noise() -> None:
    assert failing(with_format("heic", 3, 3), []) is not None
    assert failing(with_format("heic", 2, 2), HISTORY) is None
    assert failing(with_format("heic", 4, 2), []) is None


def test_a_healthy_new_format_is_no_failure() -> None:
    assert failing(with_format("heic", 40, 0), HISTORY) is None


def test_a_new_format_that_fails_more_often_than_its_source_is_a_warning() -> None:
    failure = failing(with_format("heic", 200, 60), HISTORY)
    assert failure is not None
    assert not failure.is_error


def test_a_known_format_that_is_suddenly_lost_is_an_error() -> None:
    failure = failing(with_format("png", 40, 40), HISTORY)
    assert failure is not None
    assert failure.is_error
    assert not failure.is_new
    assert "usually 0.0%" in str(failure)


def test_it_stays_an_error_while_it_lasts_and_a_warning_once_it_always_was() -> None:
    lost = [with_format("heic", 20, 20, healthy(seed)) for seed in range(20)]
    during, long_after = failing(with_format("heic", 20, 20), [*HISTORY[:11], *lost[:9]]), failing(lost[0], lost)
    assert during is not None
    assert during.is_error
    assert long_after is not None
    assert not long_after.is_error
    assert "as in the batches before" in str(long_after)


def test_healthy_batches_hardly_ever_alarm() -> None:
    n_alarms = sum(bool(failing_formats(healthy(1000 + seed), HISTORY)) for seed in range(300))
    assert n_alarms == 0


@pytest.mark.parametrize(
    ("name", "claimed"),
    [
        ("a/b.JPG", "jpeg"),
        ("x.heic@3f2a9c1b", "heic"),
        ("x.tif", "tiff"),
        ("archive.tar.gz", "gz"),
        ("image", "none"),
        ("a.b/c", "none"),
        ("x.verylongending", "none"),
        ("", "none"),
    ],
)
def test_the_claimed_format_is_the_ending(name: str, claimed: str) -> None:
    assert claimed_format(name) == claimed


def test_a_profile_does_not_grow_with_the_number_of_names() -> None:
    kept = most_frequent({f"n{i}": 1 + (i == 7) for i in range(1000)} | {"other": 3})
    assert len(kept) <= 31
    assert sum(kept.values()) == 1004
    assert next(iter(kept)) == "other"
