"""Where an inbox is: a folder of this machine, or a prefix of a bucket.

Not here: listing it (`folder.py`, `bucket.py`).
"""

from __future__ import annotations

from pathlib import Path

from media_assets.errors import SetupError
from media_assets.ingest.fetch.buckets import BucketRoot, is_s3_uri
from media_assets.lake.location import LakeLocation
from media_assets.lake.s3_options import S3Options


def inbox_place(text: str, options: S3Options, lake: LakeLocation) -> Path | BucketRoot:
    """The place that `MEDIA_ASSETS_INBOX` names.

    Raises:
        SetupError: it names none, or lies inside the lake, or the lake inside it: the lake's own files would arrive.
    """
    if is_s3_uri(text):
        root = _bucket(text, options)
        is_apart = lake.is_local or _are_apart(root.url, f"{lake.root}/")
    elif "://" in text:
        raise SetupError("Expected a folder or s3://bucket/prefix in MEDIA_ASSETS_INBOX, got another URL.")
    else:
        folder = Path(text).resolve()
        is_apart = not lake.is_local or _are_apart(f"{folder}/", f"{lake.path.resolve()}/")
    if not is_apart:
        raise SetupError(
            f"Expected an inbox beside the lake {lake.root}, got one that holds it or lies in it. Set "
            f"MEDIA_ASSETS_INBOX to another place."
        )
    return root if is_s3_uri(text) else folder


def _bucket(text: str, options: S3Options) -> BucketRoot:
    try:
        return BucketRoot.of(text, options)
    except SetupError as error:
        raise SetupError(f"MEDIA_ASSETS_INBOX: {error}") from None


def _are_apart(one: str, other: str) -> bool:
    return not (one.startswith(other) or other.startswith(one))
