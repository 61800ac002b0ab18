"""A process tree's memory and CPU are those of its members, each counted once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from benchmarks.process_tree import ProcessTree, _has_memory_of, descendants

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

_BUSY = "import sys; held = bytearray(150_000_000); x = sum(range(20_000_000)); sys.stdin.read()"


def test_a_child_is_found_and_counted() -> None:
    with subprocess.Popen([sys.executable, "-c", _BUSY], stdin=subprocess.PIPE) as child:
        assert child.pid in descendants(os.getpid())
        with ProcessTree(child.pid, interval_seconds=0.02) as tree:
            enough = threading.Event()
            while tree.cpu_seconds < 0.2 or tree.peak_bytes < 150_000_000:
                assert not enough.wait(0.02)
        child.communicate()
    assert tree.peak_bytes < 400_000_000


def test_a_child_with_memory_of_its_own_is_told_from_one_that_borrows_it() -> None:
    assert _has_memory_of(os.getpid(), os.getpid())
    assert not _has_memory_of(os.getpid(), os.getppid())
    assert not _has_memory_of(os.getpid(), 0)
