"""Sample metadata: real headers, and rows that a CSV parser gives back unchanged."""

from __future__ import annotations

import base64
import csv
import re
from pathlib import Path

import pytest

from media_assets.demo.open_images_csv import (
    AUTHORS,
    BOXES,
    CLASS_IDS,
    CLASSES,
    HUMAN_LABELS,
    IMAGE_LIST,
    TITLES,
    Box,
    Entry,
    awkward,
    image_ids,
    write_metadata,
)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ids = image_ids(len(TITLES), seed=3)
    boxes = [Box("Tree", 0.1, 0.4, 0.25, 0.75, is_group_of=True)]
    entries = [
        Entry(i, ("Sky", "Tree"), ("Person",), boxes, "" if place == 0 else "90.0", *awkward(place, 0))
        for place, i in enumerate(ids)
    ]
    write_metadata(tmp_path, entries)
    return tmp_path


def test_headers_are_the_published_ones_when_written(folder: Path) -> None:
    heads = {name: (folder / name).read_text(encoding="utf-8").split("\n")[0] for name in (IMAGE_LIST, BOXES)}

    assert heads[IMAGE_LIST] == (
        "ImageID,Subset,OriginalURL,OriginalLandingURL,License,AuthorProfileURL,Author,Title,"
        "OriginalSize,OriginalMD5,Thumbnail300KURL,Rotation"
    )
    assert heads[BOXES] == (
        "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"
    )


def test_titles_and_authors_come_back_unchanged_when_parsed(folder: Path) -> None:
    parsed = rows(folder / IMAGE_LIST)

    assert [row["Title"] for row in parsed] == list(TITLES)
    assert [row["Author"] for row in parsed] == [AUTHORS[i % len(AUTHORS)] for i in range(len(TITLES))]
    assert any("," in title and '"' in title for title in TITLES)
    assert any(not title.isascii() for title in TITLES)


def test_image_rows_look_real_when_parsed(folder: Path) -> None:
    for row in rows(folder / IMAGE_LIST):
        assert re.fullmatch(r"[0-9a-f]{16}", row["ImageID"])
        assert row["Subset"] == "validation"
        assert len(base64.b64decode(row["OriginalMD5"], validate=True)) == 16
        assert row["OriginalMD5"].endswith("==")
        assert int(row["OriginalSize"]) > 0
        assert ".example/" in row["OriginalURL"], "no made-up address may lead to a real photo"
        assert len(row) == 12
        assert None not in (*row, *row.values()), "neither more nor fewer cells than columns"


def test_labels_and_boxes_name_known_classes_when_parsed(folder: Path) -> None:
    known = {row["LabelName"] for row in rows(folder / CLASSES)}
    labels, boxes = rows(folder / HUMAN_LABELS), rows(folder / BOXES)

    assert known == set(CLASS_IDS.values())
    assert {row["LabelName"] for row in labels + boxes} <= known
    assert {(row["LabelName"], row["Confidence"]) for row in labels} == {
        (CLASS_IDS["Sky"], "1"), (CLASS_IDS["Tree"], "1"), (CLASS_IDS["Person"], "0"),
    }  # fmt: skip
    assert [boxes[0][side] for side in ("XMin", "XMax", "YMin", "YMax", "IsGroupOf", "IsInside")] == [
        "0.1", "0.4", "0.25", "0.75", "1", "0",
    ]  # fmt: skip


def test_image_ids_hold_type_guessing_traps_when_listed() -> None:
    ids = image_ids(50, seed=1)

    assert ids == sorted(set(ids))
    assert len(ids) == 50
    assert any(i.startswith("0000") for i in ids)
    assert any(i.isdigit() for i in ids)
    assert any(re.fullmatch(r"\d+e\d+", i) for i in ids)
    assert ids == image_ids(50, seed=1)
    assert ids != image_ids(50, seed=2)
