"""What the demo may empty: its own folder, never one that holds somebody's data."""

from __future__ import annotations

from pathlib import Path

import pytest

from media_assets.cli import main
from media_assets.cli_output import Output
from media_assets.demo.corpus import FEWEST_IMAGES
from media_assets.demo.walkthrough import _fresh, run_demo
from media_assets.errors import SetupError
from media_assets.lake.delta import Lake
from media_assets.lake.location import LakeLocation
from media_assets_tests.stages.batches import write_manifest

SAMPLE = {"item_key": "a", "uri": "http://127.0.0.1:4321/images/a.jpg", "source": "open-images"}
OWN = [
    {"item_key": "a.jpg", "uri": "file:///photos/a.jpg", "source": "folder"},
    {"item_key": "b", "uri": "https://elsewhere.example/b.jpg", "source": "open-images"},
    {"item_key": "b.mp4", "uri": "file:///clips/b.mp4", "source": "videos"},
]


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """A folder that a demo made, with one of its batches."""
    root = _fresh(tmp_path / "demo")
    write_manifest(Lake(LakeLocation(str(root / "lake"))), [SAMPLE], "open-images.validation.0001")
    return root


@pytest.mark.parametrize("own", OWN, ids=lambda item: str(item["item_key"]))
def test_nothing_is_deleted_when_the_demo_lake_holds_batches_of_somebody_else(demo: Path, own: dict[str, str]) -> None:
    write_manifest(Lake(LakeLocation(str(demo / "lake"))), [own], "mine.0001")
    before = sorted(demo.rglob("*"))
    with pytest.raises(SetupError, match=r"mine\.0001"):
        run_demo(demo, FEWEST_IMAGES, Output())
    assert sorted(demo.rglob("*")) == before


def test_what_a_demo_made_is_emptied(demo: Path) -> None:
    clip = {"item_key": "coast.webm", "uri": (demo / "videos" / "coast.webm").as_uri(), "source": "videos"}
    write_manifest(Lake(LakeLocation(str(demo / "lake"))), [clip], "videos.clips.0001")
    assert [path.name for path in _fresh(demo).iterdir()] == [".media-assets-demo"]


def test_a_folder_that_no_demo_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(SetupError, match="empty folder"):
        _fresh(tmp_path)


def test_the_demo_takes_every_number_of_images_that_its_option_takes() -> None:
    (option,) = (option for option in main.commands["demo"].params if option.name == "images")  # type: ignore[attr-defined]
    assert option.type.min == FEWEST_IMAGES
