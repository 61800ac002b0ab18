"""Folders as a source: which files become items, in which order, under which keys and URIs."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_assets.errors import PlanRefused
from media_assets.ingest.fetch.local_files import path_components
from media_assets.ingest.folder import FolderCounts, folder_batch_name, folder_uri, read_folder
from media_assets.ingest.planned import PlannedItem, RejectedRow
from media_assets.tables.columns import BATCH_ID, Kind
from media_assets_tests.examples import few
from media_assets_tests.ingest.test_item_keys import path_of


def fill(root: Path, *names: str | bytes) -> None:
    for name in names:
        path = root / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_files_come_in_the_order_of_their_folders_and_names(tmp_path):
    fill(tmp_path, "b/2.jpg", "b/1.jpg", "a.jpg", "c.jpg", "b/z/0.jpg", "B.jpg")
    keys = [item.item_key for item in read_folder(tmp_path)]
    assert keys == ["B.jpg", "a.jpg", "b/1.jpg", "b/2.jpg", "b/z/0.jpg", "c.jpg"]


def test_size_and_split_are_not_declared(tmp_path):
    fill(tmp_path, "a.mp4")
    (item,) = read_folder(tmp_path, Kind.VIDEO)
    assert (item.kind, item.declared_bytes, item.split_hint) == (Kind.VIDEO, None, None)


def test_hidden_names_are_left_out_and_counted(tmp_path):
    fill(tmp_path, ".DS_Store", ".git/config", "a/.b.jpg", "a/c.jpg")
    counts = FolderCounts()
    assert [item.item_key for item in read_folder(tmp_path, counts=counts)] == ["a/c.jpg"]
    assert counts.n_hidden == 3


def test_links_and_fifos_become_items_and_are_not_followed(tmp_path):
    fill(tmp_path / "in", "real/a.jpg")
    fill(tmp_path, "outside/secret.jpg")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "out").symlink_to(tmp_path / "outside")
    (tmp_path / "in" / "dangling").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "in" / "pipe")
    keys = [item.item_key for item in read_folder(tmp_path / "in")]
    assert keys == ["dangling", "loop", "out", "pipe", "real/a.jpg"]


@pytest.mark.parametrize("name", [b"caf\xe9.jpg", b"a b%20c#d?.jpg", "東京.jpg".encode(), b"new\nline.jpg"])
def test_the_uri_leads_to_the_file_whatever_bytes_its_name_holds(tmp_path, name):
    root = tmp_path / "photos #1"
    fill(root, name)
    (item,) = read_folder(root)
    assert item.uri.startswith(folder_uri(root))
    assert item.uri.isascii()
    assert Path(os.fsdecode(unquote_to_bytes(item.uri.removeprefix("file://")))).read_bytes() == b"x"
    assert path_of(item.item_key) == name


def test_a_path_too_long_for_a_key_is_rejected_with_its_own_row_key(tmp_path):
    name = b"\xff" * 255
    folder = os.fsencode(tmp_path)
    at = os.open(folder, os.O_RDONLY)
    for _ in range(5):  # 5 x 255 bytes, three letters each once encoded
        os.mkdir(name, dir_fd=at)
        at, above = os.open(name, os.O_RDONLY, dir_fd=at), at
        os.close(above)
    for file in (b"\xff" * 250, b"\xff" * 251):
        os.close(os.open(file, os.O_CREAT | os.O_WRONLY, dir_fd=at))
    os.close(at)
    rows = list(read_folder(tmp_path))
    assert all(isinstance(row, RejectedRow) and "4096" in row.message for row in rows)
    assert len({row.row_key for row in rows}) == 2
    assert max(len(row.row_key) for row in rows) <= 4096


def test_a_folder_that_vanishes_is_a_rejected_row(tmp_path):
    fill(tmp_path, "a/1.jpg", "b/1.jpg", "c/1.jpg")
    rows = read_folder(tmp_path)
    assert next(rows).item_key == "a/1.jpg"
    (tmp_path / "b" / "1.jpg").unlink()
    (tmp_path / "b").rmdir()
    gone, last = rows
    assert isinstance(gone, RejectedRow)
    assert gone.row_key == "b"
    assert isinstance(last, PlannedItem)


def test_the_plan_is_refused_when_there_is_no_such_folder(tmp_path):
    fill(tmp_path, "file")
    for path in (tmp_path / "nowhere", tmp_path / "file"):
        with pytest.raises(PlanRefused, match="Expected a folder"):
            read_folder(path)


@pytest.mark.parametrize("name", ["photos", "Holiday-2019", "v1.2_b"])
def test_the_batch_name_is_the_folders_when_it_can_be(tmp_path, name):
    assert folder_batch_name(tmp_path / name) == f"folder.{name}"


def test_the_batch_name_is_valid_and_its_own_when_letters_are_lost(tmp_path):
    names = ["my photos", "my  photos", "東京", "大阪", "-", "..a", "x" * 61, "x" * 62, "a\n", "Ünï"]
    got = [folder_batch_name(tmp_path / name) for name in names]
    assert len(set(got)) == len(names)
    assert all(re.fullmatch(BATCH_ID.removesuffix("$"), f"{name}.0001") for name in got)
    assert re.fullmatch(r"folder\.my-photos-[0-9a-f]{8}", got[0])


def test_the_root_folder_has_a_batch_name():
    assert re.fullmatch(r"folder\.[0-9a-f]{8}", folder_batch_name(Path("/")))
    assert folder_uri(Path("/")) == "file:///"


TEXTS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=8).map(str.encode)
FILE_NAMES = st.one_of(st.binary(min_size=1, max_size=12), TEXTS).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
)


@few(15)
@given(folders=st.lists(FILE_NAMES, max_size=2), names=st.sets(FILE_NAMES, min_size=1, max_size=4))
def test_any_name_leads_back_to_its_file_and_to_no_other(folders, names):
    with tempfile.TemporaryDirectory() as made:
        root = Path(made).resolve()
        place = os.path.join(os.fsencode(root), *folders)  # noqa: PTH118 - names are bytes
        os.makedirs(place, exist_ok=True)  # noqa: PTH103
        for name in names:
            with open(os.path.join(place, name), "wb") as file:  # noqa: PTH118, PTH123
                file.write(name)
        items = list(read_folder(root))
        is_seen = not any(folder.startswith(b".") for folder in folders)
        shown = {name for name in names if is_seen and not name.startswith(b".")}
        assert {os.path.basename(path_of(item.item_key)) for item in items} == shown  # noqa: PTH119
        assert len({item.item_key for item in items}) == len(items) == len(shown)
        for item in items:
            components = path_components(item.uri, (root,))
            assert b".." not in components
            found = Path(os.fsdecode(b"/" + b"/".join(components)))
            assert found.is_relative_to(root)
            assert found.read_bytes() == path_of(item.item_key).rpartition(b"/")[2]
