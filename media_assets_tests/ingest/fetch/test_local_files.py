"""Reading `file://` URIs: links, odd files, huge files, and files that change."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_assets.errors import ErrorCode, ItemError
from media_assets.ingest.fetch import local_files
from media_assets.ingest.fetch.body import Body
from media_assets.ingest.fetch.fetch_all import FetchRequest
from media_assets.ingest.fetch.local_files import file_version
from media_assets_tests.ingest.fetch.running import QUICK, code, failed, fetched

BODY = b"picture" * 10_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    real = tmp_path.resolve() / "photos"
    real.mkdir()
    (real / "a.jpg").write_bytes(BODY)
    return real


def uri(path: Path) -> str:
    return "file://" + quote(os.fsencode(path))


def test_file_is_read_when_its_folder_is_allowed(folder: Path) -> None:
    outcome, body = fetched(uri(folder / "a.jpg"), local_roots=(folder,))
    assert (body, outcome.final_uri, outcome.n_attempts) == (BODY, uri(folder / "a.jpg"), 1)
    for spelling in (f"file://localhost{folder}/a.jpg", f"file:{folder}/a.jpg", f"FILE://{folder}//a.jpg"):
        assert fetched(spelling, local_roots=(folder,))[1] == BODY


def test_file_is_spooled_when_it_is_large(folder: Path, tmp_path: Path) -> None:
    limits = replace(QUICK, memory_bytes=1_000)
    spool = tmp_path / "spool"
    assert fetched(uri(folder / "a.jpg"), local_roots=(folder,), limits=limits, spool_dir=spool)[1] == BODY
    assert list(spool.iterdir()) == []


@pytest.mark.parametrize("name", ["ä b.jpg", "100%.jpg", "q?x#y.jpg", "new\nline", b"latin-\xe9.jpg", b"\xff\xfe"])
def test_file_is_read_when_its_name_is_odd(folder: Path, name: str | bytes) -> None:
    path = folder / os.fsdecode(name)
    path.write_bytes(BODY)
    assert fetched(uri(path), local_roots=(folder,))[1] == BODY
    if isinstance(name, bytes):  # not quoted, as a listing of a folder gives it
        assert fetched(f"file://{path}", local_roots=(folder,))[1] == BODY


def test_file_is_refused_when_no_folder_is_configured(folder: Path) -> None:
    found = failed(uri(folder / "a.jpg"))
    assert found.error.code is ErrorCode.URL_REFUSED
    assert "local roots" in found.error.message


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: uri(folder.parent / "photos-2" / "a.jpg"),
        lambda folder: uri(folder.parent / "other.jpg"),
        lambda folder: f"file://{folder}/../secret",
        lambda folder: f"file://{folder}/%2e%2e/secret",
        lambda folder: f"file://{folder}/./a.jpg",
        lambda folder: f"file://{folder}/..%2fsecret",
        lambda folder: f"file://{folder}%2Fa.jpg",
        lambda folder: f"file://{folder}/a.jpg%00.png",
        lambda folder: f"file://{folder}/a.jpg?x",
        lambda folder: f"file://{folder}/a.jpg#x",
        lambda folder: f"file://{folder}/",
        lambda folder: f"file://otherhost{folder}/a.jpg",
        lambda folder: f"file://127.0.0.1{folder}/a.jpg",
        lambda folder: "file:a.jpg",
        lambda folder: "file:///",
        lambda folder: "file://",
        lambda folder: "file:",
        lambda folder: "file:///etc/passwd",
    ],
)
def test_uri_is_refused_when_it_leads_out_or_is_malformed(folder: Path, make: Callable[[Path], str]) -> None:
    (folder.parent / "secret").write_bytes(b"secret")
    assert code(make(folder), local_roots=(folder,)) is ErrorCode.URL_REFUSED


def test_link_is_refused_wherever_it_is_in_the_path(folder: Path) -> None:
    (folder / "link.jpg").symlink_to(folder / "a.jpg")
    (folder / "dangling").symlink_to(folder / "nothing")
    (folder / "inside").symlink_to(folder)
    (folder.parent / "root-link").symlink_to(folder)
    for path, root in (
        (folder / "link.jpg", folder),
        (folder / "dangling", folder),
        (folder / "inside" / "a.jpg", folder),
        (folder.parent / "root-link" / "a.jpg", folder.parent / "root-link"),
    ):
        assert code(uri(path), local_roots=(root,)) is ErrorCode.SYMLINK_REFUSED


def test_odd_files_are_refused_and_never_hang(folder: Path) -> None:
    os.mkfifo(folder / "fifo")
    (folder / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
        for name in ("fifo", "folder", "socket"):
            assert code(uri(folder / name), local_roots=(folder,)) is ErrorCode.NOT_A_REGULAR_FILE
    assert code("file:///dev/zero", local_roots=(Path("/dev"),)) is ErrorCode.NOT_A_REGULAR_FILE


def test_file_is_missing_when_a_part_of_its_path_is(folder: Path) -> None:
    for path in (folder / "b.jpg", folder / "no" / "a.jpg", folder / "a.jpg" / "b", folder / ("x" * 300)):
        assert code(uri(path), local_roots=(folder,)) is ErrorCode.NOT_FOUND


def test_permission_errors_are_forbidden(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "a.jpg").chmod(0)
    if os.geteuid() == 0:  # nothing is forbidden to root: let the kernel's answer be played
        monkeypatch.setattr(local_files.os, "open", _forbidden)
    assert code(uri(folder / "a.jpg"), local_roots=(folder,)) is ErrorCode.FORBIDDEN


def _forbidden(*_: object, **__: object) -> int:
    raise PermissionError(13, "Permission denied")


def test_sparse_giant_is_refused_before_it_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (folder / "giant").open("wb") as file:
        file.truncate(2**40)
    monkeypatch.setattr(local_files.os, "read", None)
    assert code(uri(folder / "giant"), local_roots=(folder,)) is ErrorCode.TOO_MANY_BYTES


def test_empty_file_is_empty_and_declarations_hold(folder: Path) -> None:
    (folder / "empty").touch()
    assert code(uri(folder / "empty"), local_roots=(folder,)) is ErrorCode.EMPTY
    request = FetchRequest(0, uri(folder / "a.jpg"), declared_bytes=1)
    assert code(request, local_roots=(folder,)) is ErrorCode.CHECKSUM_MISMATCH


def _growing(path: Path, times: int) -> Callable[[Body, bytes], None]:
    """`Body.append` that lets the file grow after each of the first reads."""
    real = Body.append
    left = [times]

    def append(self: Body, chunk: bytes) -> None:
        real(self, chunk)
        if left[0]:
            left[0] -= 1
            with path.open("ab") as file:
                file.write(b"more")
            os.utime(path, ns=(0, left[0] * 10**9))

    return append


def test_file_is_read_again_when_it_changed_meanwhile(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Body, "append", _growing(folder / "a.jpg", 1))
    outcome, body = fetched(uri(folder / "a.jpg"), local_roots=(folder,))
    assert (body, outcome.n_attempts) == (BODY + b"more", 2)


def test_file_is_truncated_when_it_never_stops_changing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Body, "append", _growing(folder / "a.jpg", 1_000))
    found = failed(uri(folder / "a.jpg"), local_roots=(folder,), limits=replace(QUICK, max_attempts=2))
    assert (found.error.code, found.n_attempts) == (ErrorCode.TRUNCATED_BODY, 2)


def test_a_file_that_was_replaced_since_it_was_listed_is_not_taken_for_it(folder: Path) -> None:
    listed = file_version((folder / "a.jpg").stat())
    request = FetchRequest("a", uri(folder / "a.jpg"), version=listed)
    _, body = fetched(request, local_roots=(folder,))
    assert body == BODY
    (folder / "a.jpg").write_bytes(b"other")
    found = failed(request, local_roots=(folder,))
    assert (found.error.code, found.n_attempts) == (ErrorCode.CHECKSUM_MISMATCH, 1)
    assert "item of its own" in found.error.message


def n_handles() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_handle_is_left_open(folder: Path) -> None:
    (folder / "link").symlink_to("a.jpg")
    before = n_handles()
    for _ in range(3):
        code(uri(folder / "link"), local_roots=(folder,))
        code(uri(folder / "none"), local_roots=(folder,))
        fetched(uri(folder / "a.jpg"), local_roots=(folder,))
    assert n_handles() <= before + 1


ROOT = Path("/srv/photos")
_PARTS = st.sampled_from(
    [
        "/",
        "//",
        ".",
        "..",
        "%2e%2e",
        "%2F",
        "%00",
        "srv",
        "photos",
        "srv/photos/",
        "a.jpg",
        "\\",
        "?",
        "#",
        "~",
        "\udcff",
        "é",
    ]
)


@given(st.one_of(st.text(max_size=60), st.lists(_PARTS, max_size=9).map("".join)).map(lambda rest: f"file:{rest}"))
def test_a_uri_names_a_file_below_its_root_or_is_refused(uri: str) -> None:
    try:
        names = local_files.path_components(uri, (ROOT,))
    except ItemError as error:
        code = error.code
    except UnicodeEncodeError:
        assert any("\ud800" <= c <= "\udfff" and not "\udc80" <= c <= "\udcff" for c in uri)
        return
    else:
        assert names[:2] == [b"srv", b"photos"]
        assert len(names) > 2
        assert not {b"", b".", b".."} & set(names)
        assert not any(b"/" in name or b"\0" in name for name in names)
        return
    assert code is ErrorCode.URL_REFUSED
