"""Small files in the real Open Images formats, for tests: made by code, awkward on purpose."""

from __future__ import annotations

import csv
import hashlib
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

IMAGE_HEADER = (
    "ImageID,Subset,OriginalURL,OriginalLandingURL,License,AuthorProfileURL,Author,Title,OriginalSize,"
    "OriginalMD5,Thumbnail300KURL,Rotation"
)
LABEL_HEADER = "ImageID,Source,LabelName,Confidence"
BOX_HEADER = (
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"
)
XCLICK_HEADER = ",XClick1X,XClick2X,XClick3X,XClick4X,XClick1Y,XClick2Y,XClick3Y,XClick4Y"
LICENCE = "https://creativecommons.org/licenses/by/2.0/"
CLASSES = {"/m/01g317": "Person", "/m/050k8": "Mobile phone", "/g/11b5m0": 'Tie, "bow"'}

TITLES = (
    "Plain",
    "Paris, in spring",
    'The "old" house',
    "two\nlines",
    "Straße – 東京 🗼",
    "",
    ",",
    '"',
)


@dataclass(frozen=True)
class Row:
    """One line of an image list; the defaults are those of a plain image."""

    image_id: str
    subset: str = "validation"
    title: str = "Plain"
    author: str = "Ada Müller, Jr."
    profile_url: str = "https://www.flickr.com/people/ada/"
    rotation: str = "0.0"
    licence: str = LICENCE

    def fields(self) -> list[str]:
        """The twelve columns."""
        md5 = b64encode(hashlib.md5(self.image_id.encode(), usedforsecurity=False).digest()).decode()
        base = f"https://farm1.staticflickr.com/{self.image_id}"
        landing = f"https://www.flickr.com/photos/ada/{self.image_id}"
        thumbnail = f"{base}_z.jpg" if int(self.image_id, 16) % 3 else ""
        left = [self.image_id, self.subset, f"{base}_o.jpg", landing, self.licence, self.profile_url]
        return [*left, self.author, self.title, "1234567", md5, thumbnail, self.rotation]


def image_id(number: int) -> str:
    """16 hex digits with leading zeros, in no order that the numbers have."""
    return f"{(number * 0x9E3779B97F4A7C15) % (1 << 60):016x}"


@dataclass
class OpenImagesFiles:
    """A metadata folder being filled; every method writes one file and returns its path."""

    root: Path
    split: str = "validation"
    written: list[Path] = field(default_factory=list)

    def images(self, rows: Iterable[Row], name: str | None = None, bom: bool = False) -> Path:
        """The image list, quoted only where it must be, as the real one is."""
        path = self._new(name or f"{self.split}-images-with-rotation.csv")
        with path.open("w", encoding="utf-8-sig" if bom else "utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(IMAGE_HEADER.split(","))
            writer.writerows(row.fields() for row in rows)
        return path

    def labels(self, rows: Iterable[Sequence[object]], name: str | None = None) -> Path:
        """Human image labels: (image id, source, label name, confidence)."""
        short = "val" if self.split == "validation" else self.split
        return self._lines(name or f"oidv7-{short}-annotations-human-imagelabels.csv", LABEL_HEADER, rows)

    def boxes(self, rows: Iterable[Sequence[object]], name: str | None = None, has_xclick: bool = False) -> Path:
        """Boxes, thirteen values a row in the file's order: XMin, XMax, YMin, YMax."""
        default = "oidv6-train" if self.split == "train" else self.split
        header = BOX_HEADER + (XCLICK_HEADER if has_xclick else "")
        rows = ([*row, *[0.5] * 8] for row in rows) if has_xclick else rows
        return self._lines(name or f"{default}-annotations-bbox.csv", header, rows)

    def classes(self, classes: dict[str, str] | None = None, has_header: bool = True) -> Path:
        """Class descriptions; the v5 file has no header."""
        path = self._new("oidv7-class-descriptions.csv" if has_header else "class-descriptions-boxable.csv")
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([["LabelName", "DisplayName"]] * has_header)
            writer.writerows((classes if classes is not None else CLASSES).items())
        return path

    def _lines(self, name: str, header: str, rows: Iterable[Sequence[object]]) -> Path:
        path = self._new(name)
        with path.open("w", encoding="utf-8") as file:
            file.write(header + "\n")
            file.writelines(",".join(map(str, row)) + "\n" for row in rows)
        return path

    def _new(self, name: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self.written.append(path)
        return path


def small_split(root: Path, n_images: int = 12, split: str = "validation") -> OpenImagesFiles:
    """A whole small split: awkward titles, every rotation, labels of both kinds in shuffled order, boxes, classes."""
    files = OpenImagesFiles(root, split)
    rotations = ("0.0", "90.0", "180.0", "270.0", "")
    ids = [image_id(number) for number in range(n_images)]
    files.images(
        Row(id_, split, title=TITLES[n % len(TITLES)], rotation=rotations[n % len(rotations)])
        for n, id_ in enumerate(ids)
    )
    names = sorted(CLASSES)
    files.labels((id_, "verification", name, n % 2) for n, name in enumerate(names) for id_ in sorted(ids))
    files.boxes((id_, "xclick", names[0], 1, 0.1, 0.6, 0.2, 0.9, 0, 1, 0, -1, 0) for id_ in ids[::-2])
    files.classes()
    return files
