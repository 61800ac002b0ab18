"""Which files are opened, and that nothing hangs on the others."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from media_assets.engine.sources import open_source, read_exactly, read_source
from media_assets.errors import ErrorCode, ItemError


def refused(source: bytes | Path, max_bytes: int = 100) -> ErrorCode:
    """The code with which reading fails."""
    with pytest.raises(ItemError) as caught:
        read_source(source, max_bytes)
    return caught.value.code


def test_bytes_read_when_at_the_cap(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    assert read_source(path, 100) == b"x" * 100 == read_source(b"x" * 100, 100)


def test_refused_when_over_the_cap(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 101)
    assert refused(path) is ErrorCode.TOO_MANY_BYTES
    assert refused(b"x" * 101) is ErrorCode.TOO_MANY_BYTES


def test_refused_without_waiting_when_not_a_regular_file(tmp_path: Path) -> None:
    fifo, link, listening = tmp_path / "fifo", tmp_path / "link", tmp_path / "socket"
    os.mkfifo(fifo)
    link.symlink_to(tmp_path / "target")
    (tmp_path / "target").write_bytes(b"x")
    assert refused(fifo) is ErrorCode.NOT_A_REGULAR_FILE
    assert refused(tmp_path) is ErrorCode.NOT_A_REGULAR_FILE
    assert refused(Path("/dev/zero")) is ErrorCode.NOT_A_REGULAR_FILE
    assert refused(link) is ErrorCode.SYMLINK_REFUSED
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(listening))
        assert refused(listening) is ErrorCode.NOT_A_REGULAR_FILE


@pytest.mark.parametrize("name", ["missing", "nul\x00byte", "x" * 300])
def test_storage_failed_when_there_is_no_such_file(tmp_path: Path, name: str) -> None:
    assert refused(tmp_path / name) is ErrorCode.STORAGE_FAILED


@pytest.mark.parametrize("change", [b"short", b"longer than it was"])
def test_storage_failed_when_the_file_changes_while_read(tmp_path: Path, change: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    fd, n_bytes = open_source(path, 100)
    try:
        assert read_exactly(fd, n_bytes) == b"0123456789"
        path.write_bytes(change)
        with pytest.raises(ItemError, match="changed while it was read"):
            read_exactly(fd, n_bytes)
    finally:
        os.close(fd)
