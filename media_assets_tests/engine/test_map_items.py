"""What every engine promises, held against both of them."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media_assets.engine import process_pool
from media_assets.engine.map_items import Engine, InProcessEngine, ProcessPoolEngine, WorkerLimits
from media_assets.engine.tasks import Outcome, Task, Work
from media_assets.errors import ErrorCode, ItemError, SetupError
from media_assets_tests.engine.processes import wait_until
from media_assets_tests.engine.tasks_for_tests import Answer, Ask

BEHAVE = Task("media_assets_tests.engine.tasks_for_tests:behave", Ask, Answer)
ON_FILE = Task("media_assets_tests.engine.tasks_for_tests:behave_on_file", Ask, Answer, takes_file=True)
LIMITS = WorkerLimits(memory_bytes=1 << 30, cpu_seconds=5, wall_seconds=20, max_source_bytes=30 << 20)


@pytest.fixture(params=["in process", "pool"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine in turn."""
    if request.param == "pool":
        return ProcessPoolEngine(2, LIMITS)
    return InProcessEngine(LIMITS.max_source_bytes)


def by_key(outcomes: Iterator[Outcome[object, Answer]]) -> dict[object, Answer | ErrorCode]:
    """Outcome per key, and proof on the way that there is one per key and that it holds one thing."""
    found: dict[object, Answer | ErrorCode] = {}
    for outcome in outcomes:
        assert outcome.key not in found
        assert (outcome.response is None) != (outcome.error is None)
        assert outcome.cpu_seconds >= 0
        assert outcome.wall_seconds >= 0
        found[outcome.key] = outcome.response if outcome.response is not None else outcome.error.code
    return found


def test_works_answered_when_sources_are_bytes_and_paths(engine: Engine, tmp_path: Path) -> None:
    contents = [b"", b"abc", bytes(range(256)) * 80_000]  # the last is larger than any socket buffer
    works = []
    for number, content in enumerate(contents):
        path = tmp_path / str(number)
        path.write_bytes(content)
        works += [Work((number, "bytes"), content, Ask()), Work((number, "path"), path, Ask())]
    found = by_key(engine.map_items(BEHAVE, works))
    assert found == {
        (number, kind): Answer(hashlib.sha256(content).hexdigest(), len(content), raw=content[:10])
        for number, content in enumerate(contents)
        for kind in ("bytes", "path")
    }


def test_a_file_is_read_as_it_is_needed(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"abc")
    os.truncate(path, LIMITS.max_source_bytes)
    works = [
        *(Work((n, "path"), path, Ask("ends")) for n in range(3)),  # each from its beginning
        Work("bytes", b"abc...xyz", Ask("ends")),
        Work("empty", b"", Ask("ends")),
        Work("whole", b"abc", Ask()),
    ]
    found = by_key(engine.map_items(ON_FILE, works))
    from_path = Answer("616263000000", LIMITS.max_source_bytes, raw=b"abc")
    assert [found[n, "path"] for n in range(3)] == [from_path] * 3
    assert found["bytes"] == Answer(b"abcxyz".hex(), 9, raw=b"abc")
    assert found["empty"] == Answer("")
    assert found["whole"] == Answer(hashlib.sha256(b"abc").hexdigest(), 3, raw=b"abc")


def test_errors_of_files_have_the_same_meaning_in_every_engine(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "large").touch()
    os.truncate(tmp_path / "large", LIMITS.max_source_bytes + 1)
    works = [
        Work("missing", tmp_path / "missing", Ask()),
        Work("large", tmp_path / "large", Ask()),
        Work("large bytes", bytes(LIMITS.max_source_bytes + 1), Ask()),
        Work("bad", b"abc", Ask("refuse")),
    ]
    assert by_key(engine.map_items(ON_FILE, works)) == {
        "missing": ErrorCode.STORAGE_FAILED,
        "large": ErrorCode.TOO_MANY_BYTES,
        "large bytes": ErrorCode.TOO_MANY_BYTES,
        "bad": ErrorCode.CORRUPT,
    }


def test_a_file_that_changes_while_it_is_read_is_not_believed(tmp_path: Path) -> None:
    # in process: a worker could not change it
    path = tmp_path / "changing"
    path.write_bytes(b"abc")
    (found,) = by_key(InProcessEngine().map_items(ON_FILE, [Work(1, path, Ask("shorten", str(path)))])).values()
    assert found is ErrorCode.STORAGE_FAILED


def test_errors_have_the_same_meaning_in_every_engine(engine: Engine, tmp_path: Path) -> None:
    expected = {
        "refuse": ErrorCode.CORRUPT,
        "fail": ErrorCode.DECODER_CRASHED,
        "exit": ErrorCode.DECODER_CRASHED,
        "wrong_type": ErrorCode.DECODER_CRASHED,
        "allocate": ErrorCode.DECODER_MEMORY,
    }
    works = [Work(name, b"x", Ask(name, str(2**60) if name == "allocate" else "")) for name in expected]
    works.append(Work("missing", tmp_path / "missing", Ask()))
    works.append(Work("directory", tmp_path, Ask()))
    works.append(Work("too large", bytes(LIMITS.max_source_bytes + 1), Ask()))
    assert by_key(engine.map_items(BEHAVE, works)) == expected | {
        "missing": ErrorCode.STORAGE_FAILED,
        "directory": ErrorCode.NOT_A_REGULAR_FILE,
        "too large": ErrorCode.TOO_MANY_BYTES,
    }


def test_error_keeps_its_message_when_it_crosses_processes(engine: Engine) -> None:
    works = [Work(1, b"", Ask("refuse", "the header says 7 \x00 frames")), Work(2, b"", Ask("fail", "odd"))]
    errors = {outcome.key: outcome.error for outcome in engine.map_items(BEHAVE, works)}
    assert isinstance(errors[1], ItemError)
    assert errors[1].message == "the header says 7 \N{REPLACEMENT CHARACTER} frames"
    assert "ValueError: odd at tasks_for_tests.py:" in errors[2].message


def test_nothing_yielded_when_there_are_no_works(engine: Engine) -> None:
    assert list(engine.map_items(BEHAVE, [])) == []


def test_works_pulled_lazily_in_the_consumers_thread(engine: Engine) -> None:
    n_pulled = 0
    threads = set()

    def works() -> Iterator[Work[int, Ask]]:
        nonlocal n_pulled
        for number in range(60):
            n_pulled += 1
            threads.add(threading.get_ident())
            yield Work(number, b"x", Ask())

    n_seen, most_ahead = 0, 0
    for _ in engine.map_items(BEHAVE, works()):
        n_seen += 1
        most_ahead = max(most_ahead, n_pulled - n_seen)
    assert n_seen == 60
    assert most_ahead <= 8  # four per worker
    assert threads == {threading.get_ident()}


def test_exception_of_works_raised_after_what_was_finished(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[Any] = []
    begin = process_pool._Run.__init__

    def begin_noted(run: Any, *arguments: Any) -> None:
        runs.append(run)
        begin(run, *arguments)

    monkeypatch.setattr(process_pool._Run, "__init__", begin_noted)
    seen: list[object] = []

    def n_finished() -> int:
        return len(seen) + sum(run._outcomes.qsize() for run in runs)

    def works() -> Iterator[Work[int, Ask]]:
        yield Work(0, b"x", Ask())
        yield Work(1, b"x", Ask())
        # a worker takes as long to start as the machine is busy: wait for the answers, not for a time
        assert wait_until(lambda: n_finished() == 2, seconds=60)
        raise KeyError("the list is broken")

    def consume() -> None:
        for outcome in engine.map_items(BEHAVE, works()):
            seen.append(outcome.key)

    with pytest.raises(KeyError, match="the list is broken"):
        consume()
    assert sorted(seen) == [0, 1]


@pytest.mark.parametrize(
    "function",
    ["media_assets_tests.engine.tasks_for_tests:absent", "media_assets_tests.absent:it", "no path"],
)
def test_setup_error_when_the_function_cannot_be_imported(engine: Engine, function: str) -> None:
    task = Task(function, Ask, Answer)
    with pytest.raises(SetupError, match=r"absent|no path"):
        list(engine.map_items(task, [Work(number, b"x", Ask()) for number in range(5)]))


def test_a_function_is_made_of_its_files_once_in_each_worker(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"weights")
    task = Task("media_assets_tests.engine.tasks_for_tests:of_files", Ask, Answer, files=(tmp_path / "model",))
    answers = [outcome.response for outcome in engine.map_items(task, [Work(n, b"x", Ask()) for n in range(6)])]
    calls: dict[int, list[str]] = {}
    for answer in answers:
        assert answer is not None
        calls.setdefault(answer.pid, []).append(answer.text)
    for texts in calls.values():
        assert sorted(texts) == [f"{n + 1} {{'model': b'weights'}}" for n in range(len(texts))]
    missing = Task(task.function, Ask, Answer, files=(tmp_path / "absent",))
    with pytest.raises(SetupError, match="absent"):
        list(engine.map_items(missing, [Work(0, b"x", Ask())]))


_HARMLESS = ("digest", "refuse", "fail", "wrong_type", "print", "exit")
_HARMFUL = ("segfault", "leave", "garbage", "half", "announce", "lie", "die_if_used")


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(_HARMLESS), max_size=12))
def test_one_outcome_per_work_and_engines_equal_for_any_mix(behaviours: list[str]) -> None:
    works = [Work(number, b"%d" % number, Ask(name)) for number, name in enumerate(behaviours)]
    results = [by_key(engine.map_items(BEHAVE, works)) for engine in (InProcessEngine(), ProcessPoolEngine(1, LIMITS))]
    assert results[0].keys() == set(range(len(behaviours)))
    assert results[0] == results[1]


@settings(max_examples=8, deadline=None)
@given(st.lists(st.sampled_from(_HARMLESS + _HARMFUL), max_size=10), st.integers(1, 2))
def test_one_outcome_per_work_and_neighbours_unharmed_for_any_hostile_mix(
    behaviours: list[str], n_workers: int
) -> None:
    works = [Work(number, b"%d" % number, Ask(name)) for number, name in enumerate(behaviours)]
    found = by_key(ProcessPoolEngine(n_workers, LIMITS).map_items(BEHAVE, works))
    assert found.keys() == set(range(len(behaviours)))
    for number, name in enumerate(behaviours):
        assert (found[number] is ErrorCode.DECODER_CRASHED) == (
            name in {*_HARMFUL, "fail", "wrong_type", "exit"} - {"die_if_used"}
        ), name
        if name == "digest":
            assert found[number].text == hashlib.sha256(b"%d" % number).hexdigest()
