"""Open Images as a source: the real CSV files in, items with their labels out, in the order of the image
list.

Not here: where the files lie (`layout.py`), what a row means (`image_rows.py`, `annotation_lines.py`),
fetching the files (`download.py`).
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

from media_assets.errors import ItemError, PlanRefused
from media_assets.ingest.csv_rows import BadRecord, physical_lines, records
from media_assets.ingest.open_images.annotations import Annotations
from media_assets.ingest.open_images.image_rows import IMAGE_COLUMNS, item_of_row
from media_assets.ingest.open_images.image_urls import (
    DEFAULT_IMAGE_URL,
    canonical_split,
    checked_template,
)
from media_assets.ingest.open_images.layout import MetadataFiles, find_files, holds_all_splits, roles_of
from media_assets.ingest.planned import PlannedItem, RejectedRow

SOURCE = "open-images"
_N_ROWS_PER_LOOKUP = 2000
_CLASS_ID = re.compile(r"/[mg]/")


def batch_name(split: str) -> str:
    """What the batch ids of a split begin with: `open-images.validation`."""
    return f"{SOURCE}.{canonical_split(split)}"


def read_open_images(
    metadata: Path,
    split: str,
    count: int | None = None,
    image_url: str = DEFAULT_IMAGE_URL,
    *,
    spool: Path | None = None,
    memory_limit: str = "256MB",
) -> Iterator[PlannedItem | RejectedRow]:
    """The items of a split, in the order of its image list, with licence, credit and every label known of
    them.

    Labels, boxes and class names are optional; `missing_files` tells which were not found. A bad row of any of the
    files is yielded as rejected; a bad label leaves its image planned without it. Memory is bounded by
    `memory_limit` plus a fixed amount: the label files are sorted on disk.

    Args:
        metadata: folder of the CSV files, side by side or in the public bucket's layout.
        split: `train`, `validation` (or `val`), `test`.
        count: the first so many good rows of the list; None for all.
        image_url: template with `{image_id}` and perhaps `{split}`.
        spool: where the temporary database lies; a full split needs some gigabytes there.
        memory_limit: of the temporary database, as DuckDB takes it.

    Raises: PlanRefused: no such split, a template that cannot be used, no image list, or another header.
        Raised by the
            call itself, not by the first item.
    """
    split, template = canonical_split(split), checked_template(image_url)
    if count is not None and count < 0:
        raise PlanRefused(f"Expected a count of 0 or more, got {count}.")
    files = find_files(metadata, split)
    return _items_with_labels(files, split, template, count, spool, memory_limit)


def missing_files(metadata: Path, split: str) -> tuple[str, ...]:
    """The optional files that are not there, each as its role and its best name: `labels (oidv7-...csv)`.

    Raises:
        PlanRefused: as `read_open_images`.
    """
    split = canonical_split(split)
    names = {role.name: Path(role.paths[0]).name for role in roles_of(split)}
    return tuple(f"{role} ({names[role]})" for role in find_files(metadata, split).missing)


def _items_with_labels(
    files: MetadataFiles, split: str, template: str, count: int | None, spool: Path | None, memory_limit: str
) -> Iterator[PlannedItem | RejectedRow]:
    sources = [path for path in (files.labels, files.boxes) if path is not None]
    if not sources:
        yield from _listed(files.images, split, template, count)
        return
    display_names, bad_classes = _classes(files.classes)
    yield from bad_classes
    with Annotations(spool, memory_limit) as annotations:
        listed = _listed(files.images, split, template, count)
        annotations.want(row.item_key for row in listed if isinstance(row, PlannedItem))
        for path in sources:
            yield from annotations.load(path)
        annotations.sort()
        place = 0
        rows = _listed(files.images, split, template, count)
        while chunk := list(islice(rows, _N_ROWS_PER_LOOKUP)):
            n_items = sum(isinstance(row, PlannedItem) for row in chunk)
            labels = annotations.of(place, place + n_items, display_names)
            place += n_items
            for row in chunk:
                if isinstance(row, PlannedItem):
                    yield replace(row, labels=tuple(labels.get(row.item_key, ())))
                else:
                    yield row


def _listed(images: Path, split: str, template: str, count: int | None) -> Iterator[PlannedItem | RejectedRow]:
    """Items of the image list without labels; ends after `count` good ones."""
    n_items = 0
    with closing(_image_rows(images, split, template)) as rows:
        while count is None or n_items < count:
            if (row := next(rows, None)) is None:
                return
            n_items += isinstance(row, PlannedItem)
            yield row


def _image_rows(images: Path, split: str, template: str) -> Generator[PlannedItem | RejectedRow, None, None]:
    has_all_splits = holds_all_splits(images)
    with images.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        rows = records(physical_lines(file), len(IMAGE_COLUMNS))
        next(rows, None)  # the header, which was checked
        for record in rows:
            row_key = f"{images.name}:{record.line}"
            if isinstance(record, BadRecord):
                yield RejectedRow(row_key, record.message)
                continue
            try:
                item = item_of_row(record.fields, split, template)
            except ItemError as error:
                yield RejectedRow(row_key, error.message)
                continue
            if item is not None:
                yield item
            elif not has_all_splits:
                yield RejectedRow(row_key, f"expected a Subset of {split} in this file, got {record.fields[1]!r}")


def _classes(path: Path | None) -> tuple[dict[str, str], list[RejectedRow]]:
    """Class id to display name. Some files have no header: a first line that is no class is taken for one."""
    names: dict[str, str] = {}
    rejected: list[RejectedRow] = []
    if path is None:
        return names, rejected
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        for record in records(physical_lines(file), 2):
            if isinstance(record, BadRecord):
                rejected.append(RejectedRow(f"{path.name}:{record.line}", record.message))
            elif _CLASS_ID.match(record.fields[0]):
                names[record.fields[0]] = record.fields[1].strip()
            elif record.line > 1:
                message = f"expected a class such as /m/01g317, got {record.fields[0][:60]!r}"
                rejected.append(RejectedRow(f"{path.name}:{record.line}", message))
    return names, rejected
