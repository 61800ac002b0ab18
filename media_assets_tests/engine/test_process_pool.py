"""The pool under crashing, hanging, hungry and lying workers: each costs one item."""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter
from dataclasses import replace

import pytest

from media_assets.engine import worker_process
from media_assets.engine.map_items import ProcessPoolEngine, WorkerLimits
from media_assets.engine.starts import Starts
from media_assets.engine.tasks import Outcome, Task, Work
from media_assets.errors import ErrorCode, SetupError
from media_assets_tests.engine.processes import children_of
from media_assets_tests.engine.tasks_for_tests import Answer, Ask

BEHAVE = Task("media_assets_tests.engine.tasks_for_tests:behave", Ask, Answer)
PID = Task("media_assets_tests.engine.tasks_for_tests:pid_only", Ask, Answer)
LIMITS = WorkerLimits(memory_bytes=1 << 30, cpu_seconds=5, wall_seconds=20, max_reply_bytes=1 << 20)


def among_neighbours(
    behaviour: str, argument: str = "", limits: WorkerLimits = LIMITS, n_workers: int = 2
) -> Outcome[int, Answer]:
    """The outcome of one item of that behaviour amid twenty good ones, proven unharmed on the way."""
    works = [Work(number, b"%d" % number, Ask()) for number in range(21)]
    works[10] = Work(10, b"10", Ask(behaviour, argument))
    before = children_of(os.getpid())
    outcomes = {outcome.key: outcome for outcome in ProcessPoolEngine(n_workers, limits).map_items(BEHAVE, works)}
    assert sorted(outcomes) == list(range(21))
    for number in set(range(21)) - {10}:
        assert outcomes[number].response is not None
        assert outcomes[number].response.text == hashlib.sha256(b"%d" % number).hexdigest()
    assert children_of(os.getpid()) == before
    return outcomes[10]


@pytest.mark.parametrize(
    ("behaviour", "argument", "told"),
    [
        ("segfault", "", "killed by SIGSEGV"),
        ("leave", "7", "ended with status 7"),
        ("half", "", "ended with status 0"),
        ("print_and_die", "", "killed by SIGABRT"),
        ("lie", "", "something else"),
        ("garbage", "", "something else"),
        ("garbage", "93c0", "something else"),  # an array cut short
        ("garbage", "81a6" + "6e756d626572" + "a2ffff", "something else"),  # a string that is not UTF-8
        ("garbage", "91" * 5000, "something else"),  # very deep
        ("answer_another", "", "it answers item 1000000"),
        ("announce", "", "it announced 4611686018427387904"),
        ("large", str(2 << 20), "at most 1048576 bytes"),
    ],
)
def test_one_item_lost_when_a_worker_crashes_or_talks_nonsense(behaviour: str, argument: str, told: str) -> None:
    outcome = among_neighbours(behaviour, argument)
    assert outcome.error is not None
    assert outcome.error.code is ErrorCode.DECODER_CRASHED
    assert told in outcome.error.message


def test_last_words_told_when_a_worker_crashes() -> None:
    error = among_neighbours("print_and_die").error
    assert error is not None
    assert "tasks_for_tests.py" in error.message
    assert "_print_and_die" in error.message
    assert error.message.isprintable()


@pytest.mark.parametrize("behaviour", ["sleep", "stop"])
def test_one_item_lost_when_a_worker_hangs(behaviour: str) -> None:
    outcome = among_neighbours(behaviour, limits=replace(LIMITS, wall_seconds=1.0))
    assert outcome.error is not None
    assert outcome.error.code is ErrorCode.DECODER_TIMEOUT
    assert "wall clock" in outcome.error.message
    assert 1.0 <= outcome.wall_seconds < 10


def test_one_item_lost_when_a_worker_spins() -> None:
    outcome = among_neighbours("spin", limits=replace(LIMITS, cpu_seconds=0.2))
    assert outcome.error is not None
    assert outcome.error.code is ErrorCode.DECODER_TIMEOUT
    assert "CPU limit" in outcome.error.message
    assert 0.2 <= outcome.cpu_seconds <= 2.5


def test_one_item_lost_when_a_worker_wants_too_much_memory() -> None:
    outcome = among_neighbours("allocate", str(2 << 30))
    assert outcome.error is not None
    assert outcome.error.code is ErrorCode.DECODER_MEMORY


def test_one_item_lost_when_a_worker_closes_its_channel() -> None:
    outcome = among_neighbours("close_channel")
    assert outcome.error is not None
    assert outcome.error.code is ErrorCode.DECODER_CRASHED
    assert "closed its channel" in outcome.error.message


@pytest.mark.parametrize("behaviour", ["print", "answer_twice"])
def test_answer_intact_when_the_function_prints_or_a_stray_frame_follows(behaviour: str) -> None:
    assert among_neighbours(behaviour, n_workers=1).error is None


def test_next_item_not_blamed_when_a_stray_frame_meets_it() -> None:
    works = [Work(0, b"", Ask("answer_twice")), Work(1, b"", Ask("sleep", "0.3"))]
    outcomes = {outcome.key: outcome for outcome in ProcessPoolEngine(1, LIMITS).map_items(BEHAVE, works)}
    assert outcomes[0].error is None
    assert outcomes[1].error is None


def test_item_not_blamed_when_only_a_used_worker_crashes_on_it() -> None:
    works = [Work(number, b"x", Ask("die_if_used")) for number in range(4)]
    outcomes = list(ProcessPoolEngine(1, LIMITS).map_items(BEHAVE, works))
    assert sorted(outcome.key for outcome in outcomes) == [0, 1, 2, 3]
    assert all(outcome.response == Answer("fresh", 1) for outcome in outcomes)


def test_every_item_answered_when_all_crash() -> None:
    works = [Work(number, b"", Ask("segfault")) for number in range(8)]
    outcomes = list(ProcessPoolEngine(2, LIMITS).map_items(BEHAVE, works))
    assert sorted(outcome.key for outcome in outcomes) == list(range(8))
    assert all(outcome.error and outcome.error.code is ErrorCode.DECODER_CRASHED for outcome in outcomes)


def test_worker_replaced_when_it_has_served_its_items() -> None:
    engine = ProcessPoolEngine(1, replace(LIMITS, items_per_worker=3))
    served = Counter(outcome.response.pid for outcome in engine.map_items(PID, _works(7)) if outcome.response)
    assert sorted(served.values()) == [1, 3, 3]


def test_items_run_at_the_same_time_when_there_are_two_workers() -> None:
    works = [Work(number, b"", Ask("sleep", "0.3")) for number in range(2)]
    outcomes = list(ProcessPoolEngine(2, LIMITS).map_items(BEHAVE, works))
    assert len({outcome.response.pid for outcome in outcomes if outcome.response}) == 2


def test_setup_error_when_workers_cannot_start() -> None:
    engine = ProcessPoolEngine(2, replace(LIMITS, memory_bytes=8 << 20))
    began = time.monotonic()
    with pytest.raises(SetupError, match=r"3 in a row did not start.*raise WorkerLimits.memory_bytes"):
        list(engine.map_items(PID, _works(5)))
    assert time.monotonic() - began < 10


def test_setup_error_when_a_type_cannot_be_imported() -> None:
    class Local(Ask, frozen=True):
        pass

    with pytest.raises(SetupError, match="top level"):
        list(ProcessPoolEngine(1, LIMITS).map_items(Task(PID.function, Local, Answer), [Work(1, b"", Local())]))


@pytest.mark.parametrize("name", ["memory_bytes", "cpu_seconds", "wall_seconds", "items_per_worker"])
def test_limits_refused_when_not_positive(name: str) -> None:
    with pytest.raises(SetupError, match=name):
        WorkerLimits(**{name: 0})
    with pytest.raises(SetupError, match="at least 1 worker"):
        ProcessPoolEngine(0)


def test_same_outcomes_when_processes_cannot_be_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "_open_pidfd", lambda pid: None)
    crashed = among_neighbours("segfault").error
    hung = among_neighbours("sleep", limits=replace(LIMITS, wall_seconds=1.0)).error
    assert crashed is not None
    assert hung is not None
    assert "killed by SIGSEGV" in crashed.message
    assert hung.code is ErrorCode.DECODER_TIMEOUT


def test_warned_once_when_protections_are_missing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told = Starts.succeeded
    monkeypatch.setattr(Starts, "succeeded", lambda starts, missing: told(starts, ["tcp (landlock)"]))
    engine = ProcessPoolEngine(1, LIMITS)
    for _ in range(2):
        assert len(list(engine.map_items(PID, _works(1)))) == 1
    assert engine.missing_protections == {"tcp (landlock)"}
    assert [record.message for record in caplog.records if "tcp (landlock)" in record.message] == [
        "this machine cannot confine decoders fully; missing: tcp (landlock)"
    ]


def _works(n_works: int) -> list[Work[int, Ask]]:
    return [Work(number, b"x", Ask()) for number in range(n_works)]
