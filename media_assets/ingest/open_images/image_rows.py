"""One row of an Open Images image list as an item. Pure.

Format: storage.googleapis.com/openimages, file `*-images-with-rotation.csv` and its like; the twelve columns
are the same in every one. `OriginalSize` and `OriginalMD5` (base64 of the binary MD5) describe the Flickr
original, never the mirror's re-encoded file, and so are never declared of it. Not here: splitting a file into
rows (`csv_rows.py`).
"""

from __future__ import annotations

import re

from media_assets.errors import ErrorCode, ItemError
from media_assets.ingest.open_images.image_urls import SPLITS, image_uri
from media_assets.ingest.planned import PlannedItem
from media_assets.tables.columns import Kind

IMAGE_COLUMNS = (
    "ImageID",
    "Subset",
    "OriginalURL",
    "OriginalLandingURL",
    "License",
    "AuthorProfileURL",
    "Author",
    "Title",
    "OriginalSize",
    "OriginalMD5",
    "Thumbnail300KURL",
    "Rotation",
)
IMAGE_ID = re.compile(r"[0-9a-fA-F]{16}")  # 64 bits as text: an integer would lose the leading zeros
_ROTATIONS = {0.0: 0, 90.0: 90, 180.0: 180, 270.0: 270}


def item_of_row(fields: list[str], split: str, template: str) -> PlannedItem | None:
    """The item of a row, or None for an image of another split.

    Args:
        fields: twelve texts, in the order of `IMAGE_COLUMNS`.
        split: `train`, `validation` or `test`.
        template: a checked image URL template.

    Raises:
        ItemError: `bad_row`; a column does not hold what the format promises.
    """
    row = dict(zip(IMAGE_COLUMNS, fields, strict=True))
    image_id, subset = row["ImageID"], row["Subset"]
    if not IMAGE_ID.fullmatch(image_id):
        raise ItemError(ErrorCode.BAD_ROW, f"expected an ImageID of 16 hex digits, got {image_id[:60]!r}")
    if subset not in SPLITS:
        raise ItemError(ErrorCode.BAD_ROW, f"expected a Subset of {', '.join(SPLITS)}, got {subset[:60]!r}")
    if subset != split:
        return None
    return PlannedItem(
        item_key=image_id,
        uri=image_uri(template, split, image_id),
        kind=Kind.IMAGE,
        licence=row["License"].strip() or None,
        attribution=attribution_of(row["Title"], row["Author"], row["AuthorProfileURL"]),
        landing_uri=row["OriginalLandingURL"].strip() or None,
        rotation_degrees=rotation_degrees_of(row["Rotation"]),
        split_hint=split,
    )


def rotation_degrees_of(text: str) -> int | None:
    """0, 90, 180 or 270; None where the column is empty: unknown, which is not 0.

    Raises:
        ItemError: `bad_row`; any other value.
    """
    if not text.strip():
        return None
    try:
        return _ROTATIONS[float(text)]
    except (ValueError, KeyError):
        raise ItemError(
            ErrorCode.BAD_ROW, f"expected a Rotation of 0.0, 90.0, 180.0, 270.0 or nothing, got {text[:60]!r}"
        ) from None


def attribution_of(title: str, author: str, profile_url: str) -> str | None:
    """Whom to credit, on one line: `"Title" by Author (profile)`; None when all three are empty."""
    title, author, profile_url = (" ".join(text.split()) for text in (title, author, profile_url))
    parts = [
        f'"{title}"' if title else "",
        f"by {author}" if author else "",
        f"({profile_url})" if profile_url else "",
    ]
    return " ".join(filter(None, parts)) or None
