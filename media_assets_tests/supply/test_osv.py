"""Ranges of advisories are evaluated as the OSV schema says, for any order of events and any spelling."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from media_assets_tests.supply.osv import findings, is_hit


def advisory(
    *events: dict[str, str], name: str = "Some.Package", ecosystem: str = "PyPI", **more: Any
) -> dict[str, Any]:
    """An advisory about one range."""
    part = {
        "package": {"name": name, "ecosystem": ecosystem},
        "ranges": [{"type": "ECOSYSTEM", "events": list(events)}],
    }
    return {"id": "PYSEC-1", "modified": "2026-01-01T00:00:00Z", "affected": [part]} | more


FROM_THE_START = {"introduced": "0"}


@pytest.mark.parametrize(
    ("events", "version", "expected"),
    [
        ([FROM_THE_START], "999", True),
        ([FROM_THE_START], "0.dev0", True),
        ([FROM_THE_START, {"fixed": "2"}], "1.9", True),
        ([FROM_THE_START, {"fixed": "2"}], "2", False),
        ([FROM_THE_START, {"fixed": "2"}], "2.0.0", False),
        ([FROM_THE_START, {"fixed": "2"}], "2rc1", True),
        ([FROM_THE_START, {"fixed": "1.10"}], "1.9", True),
        ([{"introduced": "1.2"}, {"fixed": "2"}], "1.1.9", False),
        ([{"introduced": "1.2"}, {"fixed": "2"}], "1.2", True),
        ([FROM_THE_START, {"last_affected": "2"}], "2", True),
        ([FROM_THE_START, {"last_affected": "2"}], "2.post1", False),
        ([FROM_THE_START, {"fixed": "1"}, {"introduced": "2"}, {"fixed": "3"}], "1.5", False),
        ([FROM_THE_START, {"fixed": "1"}, {"introduced": "2"}, {"fixed": "3"}], "2.5", True),
        ([{"fixed": "3"}, {"introduced": "2"}, {"fixed": "1"}, FROM_THE_START], "1.5", False),
        ([FROM_THE_START, {"fixed": "2"}, {"introduced": "2"}], "2", True),
        ([FROM_THE_START, {"limit": "2"}], "1", True),
        ([FROM_THE_START, {"limit": "2"}], "2", False),
        ([FROM_THE_START, {"limit": "2"}, {"limit": "4"}], "3", True),
        ([FROM_THE_START, {"fixed": "2"}], "1!1", False),
        ([{"introduced": "1"}, {"fixed": "2"}], "1.5+cpu", True),
        ([{"fixed": "2"}], "1", False),
        ([], "1", False),
        ([{"introduced": "1"}, {"fixed": "not a version"}], "9", True),
    ],
)
def test_a_range_is_open_between_its_events(events: list[dict[str, str]], version: str, expected: bool) -> None:
    assert is_hit(advisory(*events), "some-package", version) is expected


def test_listed_versions_are_hit_in_any_spelling() -> None:
    told = advisory()
    told["affected"][0]["versions"] = ["1.0", "2.0.0rc1", "no version"]
    assert [is_hit(told, "some_package", v) for v in ("1", "1.0.0", "2rc1", "2")] == [True, True, True, False]


def test_withdrawn_advisories_hit_nothing() -> None:
    assert not is_hit(advisory(FROM_THE_START, withdrawn="2026-02-01T00:00:00Z"), "some-package", "1")


@pytest.mark.parametrize("name", ["some-package", "Some_Package", "SOME.PACKAGE", "some--package"])
def test_names_are_compared_in_one_spelling(name: str) -> None:
    assert is_hit(advisory(FROM_THE_START), name, "1")
    assert findings([advisory(FROM_THE_START)], [(name, "1")])


def test_other_packages_and_ecosystems_are_not_hit() -> None:
    assert not is_hit(advisory(FROM_THE_START), "some-packages", "1")
    assert not is_hit(advisory(FROM_THE_START, ecosystem="npm"), "some-package", "1")


def test_ranges_over_commits_say_nothing_of_versions() -> None:
    told = advisory(FROM_THE_START)
    told["affected"][0]["ranges"][0]["type"] = "GIT"
    assert not is_hit(told, "some-package", "1")


def test_one_problem_is_told_once_with_all_its_names() -> None:
    first = advisory(FROM_THE_START, {"fixed": "2"}, aliases=["CVE-1"], summary="It\nbreaks")
    second = advisory(FROM_THE_START, {"fixed": "1.5"}) | {"id": "GHSA-1", "aliases": ["CVE-1"]}
    other = advisory({"introduced": "3"}) | {"id": "GHSA-2"}
    (finding,) = findings([first, second, other], [("some-package", "1"), ("another", "1")])
    assert str(finding) == "some-package 1: PYSEC-1 (CVE-1, GHSA-1): It breaks; fixed in 1.5, 2"


def test_only_later_versions_are_offered_as_a_fix() -> None:
    (finding,) = findings([advisory(FROM_THE_START, {"fixed": "1"}, {"introduced": "2"})], [("some-package", "3")])
    assert finding.fixed_in == ()


_numbers = st.integers(0, 3)
_versions = st.builds(
    lambda epoch, release, pre, post, dev: f"{epoch}{'.'.join(map(str, release))}{pre}{post}{dev}",
    st.sampled_from(("", "", "", "1!")),
    st.lists(_numbers, min_size=1, max_size=3),
    st.sampled_from(("", "", "a0", "b1", "rc1")),
    st.sampled_from(("", "", ".post0")),
    st.sampled_from(("", "", ".dev0")),
)


@given(
    # An event at "0" means "from the start", before 0a0 too: no bound is spelt so.
    st.lists(_versions.filter(lambda version: version != "0"), min_size=1, max_size=8, unique_by=Version),
    st.lists(st.booleans(), min_size=8, max_size=8),
    st.booleans(),
    st.booleans(),
    _versions,
    st.randoms(use_true_random=False),
)
def test_a_version_is_hit_when_it_lies_in_one_of_the_intervals(
    bounds: list[str], are_last: list[bool], from_the_start: bool, is_cut: bool, asked: str, noise: random.Random
) -> None:
    """Intervals are made first and events from them; which interval a version lies in is asked of PEP 440 alone."""
    ordered = sorted(bounds, key=Version)
    begins: list[str | None] = [None, *ordered[1::2]] if from_the_start else [*ordered[::2]]
    ends = ordered[::2] if from_the_start else ordered[1::2]
    at, expected, events = Version(asked), False, []
    for number, begin in enumerate(begins):
        end, is_last = (ends[number], are_last[number]) if number < len(ends) else (None, False)
        after = begin is None or at >= Version(begin)
        before = end is None or (at <= Version(end) if is_last else at < Version(end))
        expected = expected or (after and before)
        events.append({"introduced": "0" if begin is None else begin})
        if end is not None:
            events.append({"last_affected" if is_last else "fixed": end})
    assert all(Version(a) < Version(b) for a, b in pairwise(ordered))
    noise.shuffle(events)
    split = [events] if is_cut else [events[:1], events]  # a second range that is open from one of the events on
    told = advisory(*events)
    if not is_cut and "introduced" in events[0]:
        told["affected"][0]["ranges"] = [{"type": "ECOSYSTEM", "events": part} for part in split]
        expected = expected or events[0]["introduced"] == "0" or at >= Version(events[0]["introduced"])
    assert is_hit(told, "some-package", asked) is expected


@given(st.lists(_versions, min_size=1, max_size=5), _versions)
def test_a_listed_version_is_hit_and_no_other(listed: list[str], asked: str) -> None:
    told = advisory()
    told["affected"][0]["versions"] = listed
    assert is_hit(told, "some-package", asked) is (Version(asked) in set(map(Version, listed)))
