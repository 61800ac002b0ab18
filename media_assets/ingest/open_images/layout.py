"""Which files of Open Images hold what, what they are called, and where they lie.

Label files say `val` where image lists and the bucket say `validation`; the mapping is done here, once. Names
and folders are those of https://storage.googleapis.com/openimages/. A folder with all files side by side is
as good. Not here: reading their rows.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from media_assets.errors import PlanRefused
from media_assets.ingest.open_images.annotation_lines import BOX_COLUMNS, EXTRA_COLUMN_PREFIX, LABEL_COLUMNS
from media_assets.ingest.open_images.image_rows import IMAGE_COLUMNS

PUBLIC_BASE_URL = "https://storage.googleapis.com/openimages/"
_MAX_HEADER_BYTES = 4096


@dataclass(frozen=True)
class Role:
    """What a file is for, its known paths below the public base (the best first), and its header.

    Columns behind `columns` may be there when they begin with `extra_prefix`. Class files need no header.
    """

    name: str
    paths: tuple[str, ...]
    columns: tuple[str, ...] = ()
    extra_prefix: str | None = None
    is_required: bool = False

    def check_header(self, path: Path) -> None:
        """Refuse a file that is not what it is called.

        Raises:
            PlanRefused: its header has other columns.
        """
        got = file_header(path)
        extra = got[len(self.columns) :]
        is_known = not extra or (
            self.extra_prefix is not None and all(column.startswith(self.extra_prefix) for column in extra)
        )
        if self.columns and not (got[: len(self.columns)] == self.columns and is_known):
            raise PlanRefused(
                f"{path}: expected the columns {','.join(self.columns)}, got {','.join(got)[:500]!r}. "
                f"Download the file again, or name the right folder."
            )


@dataclass(frozen=True)
class MetadataFiles:
    """The files found for one split; `missing` names the optional ones that were not, by role."""

    images: Path
    labels: Path | None
    boxes: Path | None
    classes: Path | None
    missing: tuple[str, ...]


def roles_of(split: str) -> tuple[Role, ...]:
    """The roles images, labels, boxes and classes of a canonical split, with their public paths."""
    short = "val" if split == "validation" else split
    is_train = split == "train"
    images = (
        (
            "2018_04/train/train-images-boxable-with-rotation.csv",
            "v6/oidv6-train-images-with-labels-with-rotation.csv",
        )
        if is_train
        else (f"2018_04/{split}/{split}-images-with-rotation.csv",)
    )
    labels = (
        f"v7/oidv7-{short}-annotations-human-imagelabels.csv",
        f"v5/{split}-annotations-human-imagelabels.csv",
        f"v5/{split}-annotations-human-imagelabels-boxable.csv",
    )
    boxes = ("v6/oidv6-train-annotations-bbox.csv",) if is_train else (f"v5/{split}-annotations-bbox.csv",)
    classes = (
        "v7/oidv7-class-descriptions.csv",
        "v7/oidv7-class-descriptions-boxable.csv",
        "v6/oidv6-class-descriptions.csv",
        "v5/class-descriptions.csv",
        "v5/class-descriptions-boxable.csv",
    )
    return (
        Role("images", (*images, "2018_04/image_ids_and_rotation.csv"), IMAGE_COLUMNS, is_required=True),
        Role("labels", labels, LABEL_COLUMNS),
        Role("boxes", boxes, BOX_COLUMNS, EXTRA_COLUMN_PREFIX),
        Role("classes", classes),
    )


def find_files(metadata: Path, split: str) -> MetadataFiles:
    """The files of a canonical split in a folder: side by side, or in the bucket's layout.

    Raises:
        PlanRefused: there is no image list, or a file's header is not that of the format.
    """
    found: dict[str, Path | None] = {}
    for role in roles_of(split):
        path = find_file(metadata, split, role)
        if path is None and role.is_required:
            raise PlanRefused(_no_image_list(metadata, split, role))
        if path is not None:
            role.check_header(path)
        found[role.name] = path
    images = found["images"]
    assert images is not None
    missing = tuple(name for name, path in found.items() if path is None)
    return MetadataFiles(images, found["labels"], found["boxes"], found["classes"], missing)


def find_file(metadata: Path, split: str, role: Role) -> Path | None:
    """The best file of a role in a folder, or None."""
    return next((path for path in _places(metadata, split, role) if path.is_file()), None)


def holds_all_splits(images: Path) -> bool:
    """Whether an image list holds every split, so that rows of the others are no mistake."""
    return images.name == "image_ids_and_rotation.csv"


def file_header(path: Path) -> tuple[str, ...]:
    """The first line's columns; undecodable bytes are replaced, a byte-order mark is dropped."""
    with path.open("rb") as file:
        line = file.readline(_MAX_HEADER_BYTES).decode("utf-8-sig", errors="replace")
    try:
        return tuple(next(csv.reader([line.strip("\r\n")]), []))
    except csv.Error:
        return (line,)


def _places(metadata: Path, split: str, role: Role) -> Iterator[Path]:
    """Every place where a role's file may lie: the best name first, for each name all folders."""
    for public in map(Path, role.paths):
        folders = dict.fromkeys(["", split, str(public.parent), public.parts[0], "2018_04", "v5", "v6", "v7"])
        yield from (metadata / folder / public.name for folder in folders)


def _no_image_list(metadata: Path, split: str, role: Role) -> str:
    names = ", ".join(Path(path).name for path in role.paths)
    return (
        f"Expected the image list of the {split} split in {metadata}, found none of: {names} (also looked in "
        f"{split}/, 2018_04/, 2018_04/{split}/, v5/, v6/, v7/). Download {PUBLIC_BASE_URL}{role.paths[0]} into "
        f"that folder, or give {PUBLIC_BASE_URL} itself as the metadata."
    )
