"""A tensor file that is missing, cut short or spoilt is named, with the table and the way to mend it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from media_assets.errors import TableDamaged
from media_assets.lake.delta import Lake
from media_assets.serving.tensors import TensorReader
from media_assets.tables import TENSORS_IMAGES
from media_assets_tests.serving.tensor_lakes import SMALL, lake_at, samples, write
from media_assets_tests.serving.test_tensors import rewrite_compressed

ADVICE = r"docs/runbook\.md says \(A damaged table\).*--select tensors/images"


def only_file(lake: Lake, batch_id: str = "b.0001") -> Path:
    table = lake.table(TENSORS_IMAGES)
    assert table is not None
    (path,) = [path for path in table.file_uris() if f"batch_id={batch_id}/" in path]
    return Path(path)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def spoil(path: Path) -> None:
    """As long as before, with a footer that is none."""
    path.write_bytes(path.read_bytes()[:-200] + bytes(200))


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (Path.unlink, "is missing"),
        (cut, r"has \d+ bytes instead of \d+"),
        (lambda path: path.write_bytes(b""), "has 0 bytes instead of"),
        (spoil, "cannot be read as Parquet"),
    ],
    ids=["missing", "cut", "empty", "spoilt"],
)
def test_opening_names_the_table_the_file_and_the_way_to_mend_it(
    tmp_path: Path, damage: Callable[[Path], object], found: str
) -> None:
    lake = write(lake_at(tmp_path), samples(5) + samples(3, SMALL, "b.0002"))
    path = only_file(lake)
    damage(path)
    for spec in (None, SMALL.name):
        with pytest.raises(TableDamaged, match=rf"^tensors/images: .*b\.0001/{path.name} {found}.*{ADVICE}"):
            TensorReader(lake, spec)
    assert len(TensorReader(lake, batches=["b.0002"])) == 3, "other batches go on"


def test_a_vacuumed_version_says_that_it_is_not_the_newest(tmp_path: Path) -> None:
    lake = write(lake_at(tmp_path), samples(5))
    version = TensorReader(lake).version
    old = only_file(lake)
    write(lake, samples(2, seed=1))
    old.unlink()
    with pytest.raises(TableDamaged, match=rf"{old.name} is missing.*Version {version} is not the newest.*vacuum"):
        TensorReader(lake, version=version)
    assert len(TensorReader(lake)) == 2


@pytest.mark.parametrize("is_distant", [False, True], ids=["local", "distant"])
def test_a_file_that_vanishes_before_it_is_decoded_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_distant: bool
) -> None:
    lake = write(lake_at(tmp_path), samples(70))
    rewrite_compressed(lake)
    if is_distant:
        monkeypatch.setattr("media_assets.serving.files.TensorTable.local_path", lambda *_: None)
    reader = TensorReader(lake)
    path = only_file(lake)
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(TableDamaged, match=rf"^tensors/images: .*{path.name} is gone.*vacuum.*new reader.*{ADVICE}"):
        reader[3]
    path.write_bytes(content)
    assert reader[3].shape == (3, 6, 8), "nothing was spoilt by the failure"


def test_a_file_that_is_cut_or_spoilt_before_it_is_decoded_is_named(tmp_path: Path) -> None:
    lake = write(lake_at(tmp_path), samples(70))
    rewrite_compressed(lake)
    path = only_file(lake)
    content = path.read_bytes()
    for damage, found in ((cut, "has"), (spoil, "cannot be read as Parquet")):
        reader = TensorReader(lake)
        damage(path)
        with pytest.raises(TableDamaged, match=rf"{path.name} {found}.*{ADVICE}"):
            reader[3]
        path.write_bytes(content)


def test_pages_that_cannot_be_decoded_are_named(tmp_path: Path) -> None:
    lake = write(lake_at(tmp_path), samples(70))
    rewrite_compressed(lake)
    path = only_file(lake)
    reader = TensorReader(lake)
    content = np.frombuffer(path.read_bytes(), np.uint8).copy()
    content[100 : len(content) * 3 // 4] ^= 0xFF  # the pages; the footer stays
    path.write_bytes(content.tobytes())
    with pytest.raises(TableDamaged, match=rf"{path.name} cannot be read as Parquet.*{ADVICE}"):
        reader[3]


def test_what_is_not_the_files_fault_is_not_called_damage(tmp_path: Path) -> None:
    lake = write(lake_at(tmp_path), samples(70))
    rewrite_compressed(lake)
    reader = TensorReader(lake, scratch=tmp_path / "never made")
    with pytest.raises(FileNotFoundError, match="never made"):
        reader[3]
