"""The fuzzer finds what it is made to find, and nothing in a second of each target."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from media_assets.engine.map_items import InProcessEngine
from media_assets.ingest.fetch import addresses
from media_assets_tests.hostile import bmps, fuzz, gifs, jpegs, tiffs


def test_urls_and_lists_have_no_outcome_outside_of_the_closed_set(tmp_path: Path) -> None:
    for target in (fuzz.fuzz_urls, fuzz.fuzz_csv):
        found = target(1, 3, tmp_path)
        assert found.n_executions > 50
        assert found.outside == {}


def fuzz_some_pictures(folder: Path) -> fuzz.Findings:
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
