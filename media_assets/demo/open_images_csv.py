"""Open Images metadata in its real file formats, for sample sets.

Lives here: the four CSV files of a split (image list, human image labels, boxes, class names): their names,
headers and row layout, and believable rows. Columns as published for Open Images V7 and its 2018_04 image
lists. Hosts end in `.example`, which is reserved and never resolves: a sample list must not lead to anybody's
real photos. Not here: pictures (`photos`), reading such lists (the Open Images source).
"""

from __future__ import annotations

import base64
import csv
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

IMAGE_LIST = "validation-images-with-rotation.csv"
HUMAN_LABELS = "oidv7-val-annotations-human-imagelabels.csv"
BOXES = "validation-annotations-bbox.csv"
CLASSES = "oidv7-class-descriptions.csv"

IMAGE_COLUMNS = (
    "ImageID", "Subset", "OriginalURL", "OriginalLandingURL", "License", "AuthorProfileURL", "Author",
    "Title", "OriginalSize", "OriginalMD5", "Thumbnail300KURL", "Rotation",
)  # fmt: skip
LABEL_COLUMNS = ("ImageID", "Source", "LabelName", "Confidence")
BOX_COLUMNS = (
    "ImageID", "Source", "LabelName", "Confidence", "XMin", "XMax", "YMin", "YMax",
    "IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside",
)  # fmt: skip

CLASS_IDS = {
    "Building": "/m/0cgh4",
    "Cloud": "/m/0csby",
    "Flower": "/m/0c9ph5",
    "Forest": "/m/02zr8",
    "Hat": "/m/02dl1y",
    "Human face": "/m/0dzct",
    "Lake": "/m/04h4w",
    "Landscape": "/m/025s3q0",
    "Mountain": "/m/09d_r",
    "Nature": "/m/05h0n",
    "Night": "/m/01d74z",
    "Person": "/m/01g317",
    "Plant": "/m/05s2s",
    "Sea": "/m/06npx",
    "Sky": "/m/01bqvp",
    "Skyscraper": "/m/079cl",
    "Tree": "/m/07j7r",
    "Water": "/m/0838f",
}
"""Display name to class id, as in `oidv7-class-descriptions.csv`."""

CC_BY = "https://creativecommons.org/licenses/by/2.0/"

AUTHORS = (
    "Ada Sample", "Jörg Müller-Lüdenscheidt", 'Bob "Lens" O\'Neil', "山田 花子", "Acme Photo, Inc.", "zoë",
    "Иван Петров", "Test, Author, Jr.", "m.k.", "أمينة",
)  # fmt: skip
TITLES = (
    "Morning at the lake", "Dunes, day 3", '"Golden" hour', "DSC_0042.JPG", 'Lights, "out" of focus, again',
    "Ölberg — Abend", "夜の街", "IMG_2031", "=SUM(A1:A9)", "", "Sunset; the end, finally", "Été à la mer 🌊",
    "<b>bold</b> & co", "Zürich 5 o'clock", "غروب", "#42, really", "  spaces around  ", "100% sky",
)  # fmt: skip
"""Titles as people write them: commas, quotes, markup, formulas, many scripts, nothing at all."""


@dataclass(frozen=True)
class Box:
    """One annotated box; sides as shares 0..1 of the upright picture's width and height."""

    name: str
    x_min: float
    x_max: float
    y_min: float
    y_max: float
    is_group_of: bool = False
    is_truncated: bool = False
    is_inside: bool = False


@dataclass(frozen=True)
class Entry:
    """What the metadata says of one image. Labels are display names; `absent`: verified not to be there."""

    image_id: str
    present: Sequence[str] = ()
    absent: Sequence[str] = ()
    boxes: Sequence[Box] = ()
    rotation: str = "0.0"  # degrees counter-clockwise, or empty: unknown
    title: str = ""
    author: str = "Ada Sample"
    licence: str = CC_BY
    landing_url: str = ""


def awkward(index: int, seed: int) -> tuple[str, str]:
    """Title and author of the `index`-th image; every title and author comes up in turn."""
    return TITLES[(index + seed) % len(TITLES)], AUTHORS[(index + seed) % len(AUTHORS)]


def _image_row(entry: Entry) -> list[str]:
    digest = hashlib.sha256(f"original of {entry.image_id}".encode()).digest()
    number = int.from_bytes(digest[:8], "big")
    photo_id = number % 10**11
    host = f"https://farm{number % 9 + 1}.staticflickr.example"
    stem = f"{host}/{number % 8999 + 1000}/{photo_id}_{entry.image_id[:10]}"
    user = f"{number % 10**8}@N0{number % 9}"
    return [
        entry.image_id,
        "validation",
        f"{stem}_o.jpg",
        entry.landing_url or f"https://www.flickr.example/photos/{user}/{photo_id}",
        entry.licence,
        f"https://www.flickr.example/people/{user}/",
        entry.author,
        entry.title,
        str(400_000 + number % 4_000_000),  # of the original, never of the served file
        base64.b64encode(digest[:16]).decode(),  # likewise: 24 characters ending ==
        "" if number % 40 == 0 else f"{stem}_z.jpg",  # about 2.5 % have none
        entry.rotation,
    ]


def _label_rows(entry: Entry) -> Iterable[list[str]]:
    for i, (name, confidence) in enumerate([(n, "1") for n in entry.present] + [(n, "0") for n in entry.absent]):
        yield [
            entry.image_id,
            ("verification", "crowdsource-verification")[i % 2],
            CLASS_IDS[name],
            confidence,
        ]


def _box_rows(entry: Entry) -> Iterable[list[str]]:
    for box in entry.boxes:
        sides = [f"{side:.6g}" for side in (box.x_min, box.x_max, box.y_min, box.y_max)]
        flags = [str(int(flag)) for flag in (False, box.is_truncated, box.is_group_of, False, box.is_inside)]
        yield [entry.image_id, "xclick", CLASS_IDS[box.name], "1", *sides, *flags]


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def write_metadata(folder: Path, entries: Sequence[Entry]) -> None:
    """Writes the four files into `folder` (made if missing), rows in the order of `entries`."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / IMAGE_LIST, IMAGE_COLUMNS, (_image_row(e) for e in entries))
    _write(folder / HUMAN_LABELS, LABEL_COLUMNS, (row for e in entries for row in _label_rows(e)))
    _write(folder / BOXES, BOX_COLUMNS, (row for e in entries for row in _box_rows(e)))
    classes = sorted((class_id, name) for name, class_id in CLASS_IDS.items())
    _write(folder / CLASSES, ("LabelName", "DisplayName"), classes)


def image_ids(n: int, seed: int) -> list[str]:
    """`n` distinct ids of 16 hex digits, ascending as in the real lists.

    The first four are traps for readers that guess types: leading zeros, digits only, and digits around one
    `e`, which parse as numbers and are none.
    """
    traps = ["0000000000000042", "0000123456789012", "1234567890123456", "12e4567890123456"]
    digits = np.random.default_rng([seed, 0x1D5]).integers(0, 2**64, n + 16, np.uint64)
    free = (f"{value:016x}" for value in digits.tolist())
    return sorted(list(dict.fromkeys([*traps, *free]))[:n])
