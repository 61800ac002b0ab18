"""The drills of `make chaos` in sizes of seconds, so that every change is held against them."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from media_assets.ingest.fetch import addresses
from media_assets_tests.chaos import clock, fuzz, rivals
from media_assets_tests.chaos.__main__ import DRILLS
from media_assets_tests.chaos.calls import ERROR, LOST_COMMIT, LOST_REPLY, TORN
from media_assets_tests.chaos.points import make_scenes, named_cases, play
from media_assets_tests.chaos.result import Options, Result
from media_assets_tests.chaos.storage import Trial, make_trials
from media_assets_tests.hostile.fuzz import fuzz_csv, fuzz_urls
from media_assets_tests.shelf import Shelf
from media_assets_tests.stages.test_kills import POINTS

SMALL = Options(small=True)
FAILING_CALLS = (
    *((ERROR, name) for name in ("put", "get", "delete", "open table", "scan table", "write table")),
    *((ERROR, name) for name in ("write file", "close file", "commit files")),
    *((ERROR, name) for name in ("append to journal", "clear journal", "read blob")),
    *((LOST_REPLY, name) for name in ("put", "write table", "commit files")),
    *((LOST_COMMIT, name) for name in ("write table", "commit files")),
    *((TORN, name) for name in ("put", "append to journal", "write file")),
)


def require_held(result: Result) -> None:
    assert result.is_held, result.broken
    assert (result.lost, result.twice) == (0, 0)


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    return make_trials(tmp_path_factory.mktemp("storage"), 8)["first run"]


@pytest.mark.parametrize(("kind", "call"), FAILING_CALLS)
def test_a_failing_call_is_visible_and_the_next_run_ends_like_a_clean_one(trial: Trial, kind: str, call: str) -> None:
    finding = trial.fail(kind, 2 if call in ("put", "write table") else 1, only=call)
    assert finding.hit == call, "the call was not made"
    assert not finding.silent
    assert (finding.unmended, finding.verdict) == ("", "")
    assert finding.raised in ("", "StoreFailed"), "whatever a store throws is told in our own words"


@pytest.mark.slow
def test_the_next_run_ends_like_a_clean_one_when_killed_at_any_named_point(tmp_path: Path) -> None:
    result = Result("kills", 1)
    with Shelf() as first, Shelf() as second:
        first_run, replay = make_scenes(tmp_path, (first, second), 8)
        others = [*POINTS, *(point for point in replay.points if not point.startswith(("before end", "after beg")))]
        cases = [
            *(case for case in named_cases([first_run], 1, 1) if case.point not in POINTS),
            *(case for case in named_cases([replay], 1, 1) if case.point not in others),
        ]
        play([case for case in cases if case.occurrence == case.scene.points[case.point]], result)
    require_held(result)
    assert result.kills >= 15


def test_nothing_is_lost_or_doubled_when_four_processes_backfill_the_same_batches(tmp_path: Path) -> None:
    result = rivals.run(tmp_path, SMALL)
    require_held(result)
    assert result.detail["lost_races"] == 0


def test_the_tables_are_the_same_when_the_clock_jumps(tmp_path: Path) -> None:
    require_held(clock.run(tmp_path, SMALL))


@pytest.mark.parametrize("name", DRILLS)
def test_every_drill_can_be_begun(name: str) -> None:
    assert callable(import_module(f"media_assets_tests.chaos.{name.replace('-', '_')}").run)


def test_fuzzing_is_a_drill_that_a_crash_breaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(seconds: float, seed: int, folder: Path) -> dict[str, object]:
        names = {"urls": fuzz_urls(seconds, seed, folder), "csv": fuzz_csv(seconds, seed, folder)}
        targets = {name: target.summary() for name, target in names.items()}
        n_outside = sum(target["outside"] for target in targets.values())
        n_executions = sum(target["executions"] for target in targets.values())
        return {"seconds": seconds, "executions": n_executions, "outside": n_outside, "targets": targets}

    monkeypatch.setattr(fuzz, "fuzz", found)  # two quick targets of the same shape
    options = Options(small=True, fuzz_seconds=0.5)
    result = fuzz.run(tmp_path, options)
    require_held(result)
    assert result.figures["seconds"] == 0.5
    assert result.figures["examples"] > 50
    assert result.figures["crashes"] == 0
    monkeypatch.setattr(addresses, "_why_not_global", lambda address: None)
    result = fuzz.run(tmp_path, options)
    assert not result.is_held
    assert result.figures["crashes"] > 0
    assert "urls: [" in result.broken[0]
