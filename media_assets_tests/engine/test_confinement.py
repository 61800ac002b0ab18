"""What a taken-over worker can still do: none of the following, each tried from inside a real one."""

from __future__ import annotations

import ast
import os
import socket
from pathlib import Path

import pytest

from media_assets.engine import landlock, syscall_filter
from media_assets.engine.map_items import ProcessPoolEngine, WorkerLimits
from media_assets.engine.tasks import Task, Work
from media_assets_tests.engine.tasks_for_tests import Answer, Ask

BEHAVE = Task("media_assets_tests.engine.tasks_for_tests:behave", Ask, Answer)
LIMITS = WorkerLimits(memory_bytes=1 << 30, cpu_seconds=5, wall_seconds=20)
needs_landlock = pytest.mark.skipif(landlock.version() < 6, reason="this kernel has no Landlock 6")
REFUSED = "refused: PermissionError"


def inside(behaviour: str, argument: str = "") -> str:
    """What the behaviour has to tell from a worker."""
    engine = ProcessPoolEngine(1, LIMITS)
    (outcome,) = engine.map_items(BEHAVE, [Work(1, b"", Ask(behaviour, argument))])
    assert outcome.response is not None, outcome.error
    return outcome.response.text


def test_no_secret_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret")
    monkeypatch.setenv("MEDIA_ASSETS_LAKE", "planted-lake")
    found = inside("environment")
    assert "planted" not in found
    names = {line.partition("=")[0] for line in found.splitlines()}
    assert names <= {
        "PYTHONPATH",
        "PYTHONUTF8",
        "LC_CTYPE",
        "LD_LIBRARY_PATH",
        "ORT_DISABLE_TELEMETRY",
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENCV_FOR_THREADS_NUM",
        "MALLOC_MMAP_THRESHOLD_",
        "MALLOC_TRIM_THRESHOLD_",
    }


def test_resources_limited() -> None:
    found = ast.literal_eval(inside("limits"))
    assert found["AS"] == LIMITS.memory_bytes
    assert found["CORE"] == found["FSIZE"] == 0
    assert found["NOFILE"] <= 64
    assert 5 <= found["CPU"] <= 8
    assert found["cwd"] == "/"
    assert found["sid"] is True
    assert found["no_new_privileges"] == 1


@needs_landlock
def test_every_protection_held_on_this_machine() -> None:
    engine = ProcessPoolEngine(1, LIMITS)
    list(engine.map_items(BEHAVE, [Work(1, b"", Ask())]))
    assert engine.missing_protections == frozenset()


@needs_landlock
def test_files_neither_read_nor_written_nor_removed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("planted")
    assert inside("read_file", str(secret)) == REFUSED
    assert inside("read_file", "/etc/passwd") == REFUSED
    assert inside("read_file", f"/proc/{os.getpid()}/environ") == REFUSED
    assert inside("write_file", str(secret)) == REFUSED
    assert inside("write_file", str(tmp_path / "new")) == REFUSED
    assert inside("delete_file", str(secret)) == REFUSED
    assert inside("make_directory", str(tmp_path / "folder")) == REFUSED
    assert secret.read_text() == "planted"
    assert sorted(tmp_path.iterdir()) == [secret]


def test_network_out_of_reach() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert inside("connect", str(server.getsockname()[1])) == REFUSED
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        assert inside("datagram", str(receiver.getsockname()[1])) == REFUSED


def test_no_process_or_program_started() -> None:
    assert inside("fork") == REFUSED
    assert inside("execute") == REFUSED


@needs_landlock
def test_no_signal_reaches_the_parent() -> None:
    assert inside("signal_parent") == REFUSED


@pytest.mark.parametrize("module", ["colorsys", "numpy", "PIL.WebPImagePlugin"])
def test_libraries_still_imported_late(module: str) -> None:
    assert inside("late_import", module) == "imported"


def test_threads_still_started() -> None:
    assert inside("thread") == "1"


def test_missing_protections_named_when_the_kernel_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "version", lambda: 0)
    monkeypatch.setattr(syscall_filter, "_ARCHITECTURES", {})
    assert [name.split()[0] for name in landlock.restrict([])] == ["file", "tcp", "signals"]
    assert syscall_filter.restrict() == ["sockets, processes (seccomp)"]
