"""However a run ends, its threads and processes end with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from media_assets.engine.map_items import ProcessPoolEngine, WorkerLimits
from media_assets.engine.tasks import Task, Work
from media_assets_tests.engine.processes import children_of, is_running, wait_until
from media_assets_tests.engine.tasks_for_tests import Answer, Ask

BEHAVE = Task("media_assets_tests.engine.tasks_for_tests:behave", Ask, Answer)
LIMITS = WorkerLimits(memory_bytes=1 << 30)

PARENT = """
from media_assets.engine.map_items import ProcessPoolEngine
from media_assets.engine.tasks import Task, Work
from media_assets_tests.engine.tasks_for_tests import Answer, Ask

task = Task("media_assets_tests.engine.tasks_for_tests:behave", Ask, Answer)
works = [Work(0, b"", Ask()), Work(1, b"", Ask("sleep")), Work(2, b"", Ask("sleep"))]
for outcome in ProcessPoolEngine(1).map_items(task, works):
    print("one answered", flush=True)
"""


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    before, n_open_before = children_of(os.getpid()), _n_open_files()
    yield
    assert children_of(os.getpid()) == before
    assert not [thread for thread in threading.enumerate() if thread.name == "media-assets-lane"]
    assert _n_open_files() == n_open_before


def test_ends_promptly_when_closed_with_workers_busy() -> None:
    with closing(ProcessPoolEngine(2, LIMITS).map_items(BEHAVE, _one_quick_then_slow())) as outcomes:
        assert next(outcomes).key == 0
        began = time.monotonic()
    assert time.monotonic() - began < 5


def test_ends_when_closed_before_or_after_the_work() -> None:
    outcomes = ProcessPoolEngine(1, LIMITS).map_items(BEHAVE, _one_quick_then_slow())
    outcomes.close()
    outcomes = ProcessPoolEngine(1, LIMITS).map_items(BEHAVE, [Work(0, b"", Ask())])
    assert [outcome.key for outcome in outcomes] == [0]
    outcomes.close()


def test_no_file_left_open_when_sources_are_files(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    behaviours = ["digest", "refuse", "segfault", "digest"]
    works = [Work(number, tmp_path / "file", Ask(name)) for number, name in enumerate(behaviours)]
    outcomes = list(ProcessPoolEngine(1, LIMITS).map_items(BEHAVE, works))
    assert sum(outcome.error is None for outcome in outcomes) == 2


def test_ends_when_the_consumer_raises() -> None:
    def consume() -> None:
        for _ in ProcessPoolEngine(2, LIMITS).map_items(BEHAVE, _one_quick_then_slow()):
            raise RuntimeError("the consumer gave up")

    began = time.monotonic()
    with pytest.raises(RuntimeError, match="gave up") as caught:
        consume()
    del caught  # its traceback holds the generator
    assert time.monotonic() - began < 5


def test_ends_promptly_when_works_raise_with_workers_busy() -> None:
    def works() -> Iterator[Work[int, Ask]]:
        yield from _one_quick_then_slow()
        raise KeyError("the list is broken")

    began = time.monotonic()
    with pytest.raises(KeyError, match="the list is broken"):
        list(ProcessPoolEngine(2, LIMITS).map_items(BEHAVE, works()))
    assert time.monotonic() - began < 5


def test_ends_when_interrupted() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background has it ignored
    timer = threading.Timer(1.0, os.kill, [os.getpid(), signal.SIGINT])

    def consume() -> None:
        for _ in ProcessPoolEngine(2, LIMITS).map_items(BEHAVE, _one_quick_then_slow()):
            pass

    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt) as caught:
            consume()
    finally:
        signal.signal(signal.SIGINT, before)
    del caught
    timer.join()


def test_workers_vanish_when_the_parent_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, env=_environment())
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"one answered\n"
    time.sleep(0.2)  # the worker is asleep in the next item: it would not see its channel end
    workers = children_of(parent.pid)
    assert len(workers) == 1
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert wait_until(lambda: not any(is_running(pid) for pid in workers), seconds=3)


def test_interpreter_exits_when_a_run_is_left_open() -> None:
    script = PARENT.replace("    print(", "    break\n    print(").replace("for outcome in ", "run = ", 1)
    script = script.partition("run = ")[0] + (
        "run = ProcessPoolEngine(1).map_items(task, works)\nnext(run)\nprint('leaving')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=20, env=_environment())
    assert done.stdout == b"leaving\n"
    assert done.returncode == 0, done.stderr


def _one_quick_then_slow() -> list[Work[int, Ask]]:
    return [Work(0, b"", Ask()), *(Work(number, b"", Ask("sleep")) for number in range(1, 5))]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def _n_open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
