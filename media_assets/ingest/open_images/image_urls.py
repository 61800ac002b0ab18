"""The split names and image URLs of Open Images. Pure text.

Not here: fetching them.
"""

from __future__ import annotations

import string

from media_assets.errors import PlanRefused
from media_assets.ingest.fetch.redaction import shown

DEFAULT_IMAGE_URL = "https://open-images-dataset.s3.amazonaws.com/{split}/{image_id}.jpg"
"""The public mirror (cvdfoundation/open-images-dataset)."""

SPLITS = ("train", "validation", "test")
_SCHEMES = ("http://", "https://", "file://")
_FIELDS = {"split", "image_id"}


def canonical_split(split: str) -> str:
    """`train`, `validation` or `test`; `val`, as label files say, is `validation`.

    Raises:
        PlanRefused: Open Images has no such split.
    """
    name = "validation" if split == "val" else split
    if name not in SPLITS:
        raise PlanRefused(f"Expected a split of Open Images ({', '.join(SPLITS)}), got {split!r}.")
    return name


def checked_template(template: str) -> str:
    """The template, if it can name every image.

    Raises:
        PlanRefused: it is no http, https or file URL, lacks `{image_id}`, or holds another field.
    """
    problem = _problem(template)
    if problem:
        raise PlanRefused(
            f"Expected an image URL template such as {DEFAULT_IMAGE_URL}, got {shown(template)!r}: {problem}."
        )
    return template


def image_uri(template: str, split: str, image_id: str) -> str:
    """Where the bytes of an image are. The template was checked before."""
    return template.replace("{split}", split).replace("{image_id}", image_id)


def _problem(template: str) -> str | None:
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        return str(error)
    names = [name for _, name, _, _ in parts if name is not None]
    if unknown := sorted(set(names) - _FIELDS):
        return f"unknown field {unknown[0]!r}; only {{split}} and {{image_id}} are filled in"
    if any(spec or conversion for _, _, spec, conversion in parts) or "{{" in template or "}}" in template:
        return "fields take no format, and braces stand for fields only"
    if "image_id" not in names:
        return "it lacks {image_id}, so that every image would have the same address"
    if not template.startswith(_SCHEMES):
        return "it must begin with http://, https:// or file://"
    if any(letter.isspace() or not letter.isprintable() for letter in template):
        return "it holds white space or control characters"
    return None
