"""The lists that data sets publish: every video is there once, in one split, and known by what it was made from."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from media_assets.errors import PlanRefused
from media_assets.ingest.planned import PlannedItem, RejectedRow
from media_assets.ingest.videos.addresses import MediaBase
from media_assets.ingest.videos.published import METHODS
from media_assets.ingest.videos.reader import read_videos

BASE = MediaBase.of("https://example.org/ff")
PAIRS = {"train": [["071", "054"], ["087", "081"]], "val": [["953", "974"]], "test": [["000", "003"]]}


def write(folder: Path, name: str, content: object) -> Path:
    path = folder / name
    path.write_text(json.dumps(content))
    return path


def read(path: Path, base: MediaBase | None = BASE, **more: Any) -> list[Any]:
    return list(read_videos(path, base, **more))


def test_a_pair_is_two_originals_and_two_fakes_of_each_method(tmp_path: Path) -> None:
    items = read(write(tmp_path, "val.json", PAIRS["val"]), methods=["Deepfakes"])
    assert [(i.item_key, i.subject_id, i.original_id, [label["name"] for label in i.labels]) for i in items] == [
        ("original_sequences/youtube/c23/videos/953.mp4", "faceforensics:953", "faceforensics:953", ["real"]),
        ("original_sequences/youtube/c23/videos/974.mp4", "faceforensics:974", "faceforensics:974", ["real"]),
        (
            "manipulated_sequences/Deepfakes/c23/videos/953_974.mp4",
            "faceforensics:974",
            "faceforensics:953",
            ["fake", "Deepfakes"],
        ),
        (
            "manipulated_sequences/Deepfakes/c23/videos/974_953.mp4",
            "faceforensics:953",
            "faceforensics:974",
            ["fake", "Deepfakes"],
        ),
    ]
    assert {item.split_hint for item in items} == {"validation"}
    assert items[2].uri == "https://example.org/ff/manipulated_sequences/Deepfakes/c23/videos/953_974.mp4"


def test_the_counts_are_those_of_the_lists_and_no_video_is_in_two_splits(tmp_path: Path) -> None:
    # a well-known reader puts a fake that it does not find into train, val and test
    items = [item for name, pairs in PAIRS.items() for item in read(write(tmp_path, f"{name}.json", pairs))]
    assert Counter(item.split_hint for item in items) == {"train": 24, "validation": 12, "test": 12}
    assert len({item.item_key for item in items}) == len(items) == 4 * (2 + 2 * len(METHODS))
    sides: dict[str, set[str]] = {}
    for item in items:
        for name in (item.subject_id, item.original_id):
            sides.setdefault(name, set()).add(item.split_hint)
    assert all(len(side) == 1 for side in sides.values())


def test_a_bad_pair_costs_no_other(tmp_path: Path) -> None:
    pairs = [["001", "002"], ["3", "004"], ["005"], [5, 6], ["007", "007"], ["../", "008"], ["009", "010"]]
    got = read(write(tmp_path, "train.json", pairs), methods=[])
    assert [row.row_key for row in got if isinstance(row, RejectedRow)] == [f"train.json[{n}]" for n in (1, 2, 3, 4, 5)]
    assert len([row for row in got if isinstance(row, PlannedItem)]) == 4


def test_unknown_choices_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "train.json", PAIRS["train"])
    for more in ({"methods": ["FaceSwapped"]}, {"compression": "c99"}, {"base": None}):
        with pytest.raises(PlanRefused):
            read(path, **more)


DFDC = {
    "aaa.mp4": {"label": "FAKE", "split": "train", "original": "bbb.mp4"},
    "bbb.mp4": {"label": "REAL", "split": "train"},
    "ccc.mp4": {"label": "REAL", "split": "train", "original": None},
    "ddd.mp4": {"label": "fake", "set": "test", "original": "ccc.mp4"},
}


def test_dfdc_knows_originals_that_are_missing_or_null(tmp_path: Path) -> None:
    items = read(write(tmp_path, "metadata.json", DFDC))
    assert [(i.item_key, i.original_id, i.split_hint, i.labels[0]["name"]) for i in items] == [
        ("aaa.mp4", "dfdc:bbb.mp4", "train", "fake"),
        ("bbb.mp4", "dfdc:bbb.mp4", "train", "real"),
        ("ccc.mp4", "dfdc:ccc.mp4", "train", "real"),
        ("ddd.mp4", "dfdc:ccc.mp4", "test", "fake"),
    ]


def test_a_bad_entry_costs_no_other(tmp_path: Path) -> None:
    bad = {
        "e.mp4": {"label": "MAYBE"},
        "f.mp4": {},
        "../g.mp4": {"label": "REAL"},
        "h.mp4": {"label": "FAKE", "original": 7},
    }
    got = read(write(tmp_path, "metadata.json", bad | DFDC))
    assert [row.row_key for row in got if isinstance(row, RejectedRow)] == [f"metadata.json[{name}]" for name in bad]
    assert len(got) == len(bad) + len(DFDC)


def test_one_entry_of_another_shape_costs_itself_only(tmp_path: Path) -> None:
    pairs = read(write(tmp_path, "train.json", [["071", "054"], "071_054"]), methods=["Deepfakes"])
    assert [type(row) for row in pairs] == [PlannedItem] * 4 + [RejectedRow]
    real = {"label": "REAL"}
    entries = {"a.mp4": real, "b.mp4": 3, "c" * 5000 + ".mp4": real, "d\n.mp4": real}
    files = read(write(tmp_path, "metadata.json", entries))
    assert [type(row) for row in files] == [PlannedItem, *[RejectedRow] * 3]
