"""Which files of this machine a batch may read: those below the folder that it was planned from."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from media_assets.errors import PlanRefused
from media_assets.ingest.folder import folder_uri, read_folder
from media_assets.ingest.planned_folders import claim_folder, planned_folder
from media_assets.ingest.planning import plan_batches
from media_assets.lake.delta import Provenance
from media_assets_tests.ingest.test_planning import Registry
from media_assets_tests.media.pictures import make_jpeg
from media_assets_tests.stages.batches import BATCH, Case, make_bench, write_manifest

NAME = BATCH.rpartition(".")[0]
REFUSED = "failed/url_refused"


def make_photos(folder: Path, *names: str | bytes) -> Path:
    for number, name in enumerate(names):
        path = folder / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_jpeg(number, (96, 64)))
    return folder


def plan(case: Case, folder: Path) -> None:
    plan_batches(
        case.bench.lake,
        Registry(),
        source="folder",
        name=NAME,
        items=read_folder(folder),
        folder_uri=folder_uri(folder),
        provenance=Provenance("plan", "1"),
    )


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(make_bench(tmp_path / "lake"))


def test_files_of_the_planned_folder_are_read_whatever_they_are_called(case: Case, tmp_path: Path) -> None:
    folder = make_photos(tmp_path / "my 100% photos", "a.jpg", "sub/b c.jpg", b"bad\xff.jpg", b"sub/\xfe.jpg")
    plan(case, folder)
    case.run()
    assert len(case.statuses()) == 4
    assert set(case.statuses().values()) == {"accepted"}
    assert planned_folder(case.bench.lake.location, BATCH) == folder, "not a folder above it, whatever the keys"


def test_no_other_file_is_read_whatever_a_row_says(case: Case, tmp_path: Path) -> None:
    folder = make_photos(tmp_path / "photos", "a.jpg")
    make_photos(tmp_path, "secret.jpg", "photos-2/b.jpg", "other/c.jpg")
    plan(case, folder)
    uris = {
        "a.jpg": folder / "a.jpg",
        "secret.jpg": tmp_path / "secret.jpg",
        "b.jpg": tmp_path / "photos-2" / "b.jpg",
        "other/c.jpg": tmp_path / "other" / "c.jpg",
        "%//x/y.jpg": tmp_path / "secret.jpg",
    }
    rows = [{"item_key": key, "uri": path.as_uri(), "source": "folder"} for key, path in uris.items()]
    write_manifest(case.bench.lake, [*rows, {"item_key": "up", "uri": f"{folder.as_uri()}/../secret.jpg"}])
    case.run()
    assert case.statuses() == dict.fromkeys((*uris, "up"), REFUSED) | {"a.jpg": "accepted"}


def test_no_file_is_read_for_a_list_that_is_no_planned_folder(case: Case, tmp_path: Path) -> None:
    folder = make_photos(tmp_path / "photos", "a.jpg")
    claim_folder(case.bench.lake.location, f"{NAME}.0001", folder_uri(folder))
    claim_folder(case.bench.lake.location, "folder.photos", folder_uri(folder))
    write_manifest(case.bench.lake, [{"item_key": "a.jpg", "uri": (folder / "a.jpg").as_uri(), "source": "folder"}])
    case.run()
    assert case.statuses() == {"a.jpg": REFUSED}


def test_planning_again_opens_a_folder_that_an_older_version_planned(case: Case, tmp_path: Path) -> None:
    folder = make_photos(tmp_path / "photos", "a.jpg")
    plan(case, folder)
    shutil.rmtree(tmp_path / "lake" / "planned-folders")
    case.run()
    assert case.statuses() == {"a.jpg": REFUSED}
    plan(case, folder)
    case.run(retry=["a.jpg"])
    assert case.statuses() == {"a.jpg": "accepted"}


def test_a_folder_of_the_same_name_is_refused_and_opens_nothing(case: Case, tmp_path: Path) -> None:
    one, other = make_photos(tmp_path / "1" / "photos", "a.jpg"), make_photos(tmp_path / "2" / "photos", "b.jpg")
    location = case.bench.lake.location
    claim_folder(location, NAME, folder_uri(one))  # planned at the same time: no row of it is to be seen yet
    claim_folder(location, NAME, folder_uri(one))
    with pytest.raises(PlanRefused, match="another name"):
        plan(case, other)
    assert planned_folder(location, BATCH) == one

    shutil.rmtree(tmp_path / "lake" / "planned-folders")
    plan(case, one)
    shutil.rmtree(tmp_path / "lake" / "planned-folders")
    with pytest.raises(PlanRefused, match="another name"):
        plan(case, other)
    assert planned_folder(location, BATCH) is None


def test_a_record_that_a_power_cut_emptied_opens_nothing_until_the_folder_is_planned_again(
    case: Case, tmp_path: Path
) -> None:
    folder = make_photos(tmp_path / "photos", "a.jpg")
    plan(case, folder)
    (tmp_path / "lake" / "planned-folders" / NAME).write_bytes(b"")
    assert planned_folder(case.bench.lake.location, BATCH) is None
    plan(case, folder)
    assert planned_folder(case.bench.lake.location, BATCH) == folder


def test_looking_for_a_planned_folder_makes_none(case: Case, tmp_path: Path) -> None:
    assert planned_folder(case.bench.lake.location, BATCH) is None
    assert not (tmp_path / "lake" / "planned-folders").exists()
