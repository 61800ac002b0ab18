"""The fuzzer finds what it is made to find, and nothing in a second of each target."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
from hypothesis import is_hypothesis_test
from yarl import URL

from media_assets.engine.imports import resolve
from media_assets.engine.map_items import InProcessEngine
from media_assets.ingest.fetch import addresses
from media_assets_tests.hostile import bmps, fuzz, gifs, jpegs, tiffs
from media_assets_tests.hostile.findings import Findings
from media_assets_tests.hostile.properties import PROPERTIES, fuzz_property
from media_assets_tests.ingest.fetch import test_addresses


def test_urls_and_lists_have_no_outcome_outside_of_the_closed_set(tmp_path: Path) -> None:
    for target in (fuzz.fuzz_urls, fuzz.fuzz_csv):
        found = target(1, 3, tmp_path)
        assert found.n_executions > 50
        assert found.outside == {}


def fuzz_some_pictures(folder: Path) -> Findings:
    seeds = fuzz.seeds_of([s for family in (jpegs, gifs, tiffs, bmps) for s in family.specimens()])
    return fuzz.fuzz_pictures(20, 3, folder, seeds, InProcessEngine(), n_at_most=200)


@pytest.mark.filterwarnings("ignore")
def test_pictures_have_no_outcome_outside_of_the_closed_set(tmp_path: Path) -> None:
    found = fuzz_some_pictures(tmp_path)
    assert found.n_executions == 200
    assert len(found.outcomes) > 10
    assert found.outside == {}


@pytest.mark.filterwarnings("ignore")
def test_a_defect_is_found_and_its_input_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def defective(data: bytes, request: Any) -> Any:
        raise KeyError("no ItemError")

    monkeypatch.setattr(fuzz, "read_still", defective)
    found = fuzz_some_pictures(tmp_path)
    assert len(found.outside) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_an_address_that_is_let_through_is_found_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "_why_not_global", lambda address: None)
    found = fuzz.fuzz_urls(1, 3, tmp_path)
    assert found.outside
    assert all(path.read_bytes() for path in tmp_path.iterdir())


@pytest.mark.parametrize("name", PROPERTIES)
def test_every_property_can_be_fuzzed(name: str) -> None:
    test = resolve(PROPERTIES[name])
    assert is_hypothesis_test(test)
    given = test.hypothesis._given_kwargs
    assert set(inspect.signature(test.hypothesis.inner_test).parameters) == set(given), "it takes a fixture"


def test_fuzzing_takes_as_long_as_asked_and_counts_what_it_tried(tmp_path: Path) -> None:
    found = fuzz_property("url guard", 1, 3, tmp_path)
    assert found.n_executions > 20
    assert found.outcomes["held"] > 10
    assert found.outside == {}


def test_a_property_that_does_not_hold_is_found_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_addresses, "judge_url", lambda url, policy: URL("http://user@host/"))
    found = fuzz_property("url guard", 1, 3, tmp_path)
    assert found.outside
    assert all(path.read_bytes() for path in tmp_path.iterdir())
