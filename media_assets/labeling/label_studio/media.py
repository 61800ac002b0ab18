"""What annotators see: connecting the folder or the bucket that pictures and videos lie in.

A store is connected, never synchronized, which would make a task of every file. Not here: the addresses in the tasks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from media_assets.errors import LabelStudioFailed
from media_assets.labeling.label_studio.client import LabelStudio, NotSent, OutcomeUnknown

_N_ATTEMPTS = 4


@dataclass(frozen=True)
class S3Store:
    """A bucket as the server reaches it. With `presign` the annotator's browser is sent to the bucket itself, else the
    server hands the bytes through. Keys that are not given are those of the server's own surroundings.
    """

    bucket: str
    prefix: str = ""
    endpoint: str = ""
    region: str = ""
    presign: bool = False
    key: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    token: str = field(default="", repr=False)


def connect_folder(client: LabelStudio, project: int, path: str) -> None:
    """Let a project show the files below a folder of the server's machine.

    The folder lies below the server's LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT, and is not that folder itself.

    Raises:
        LabelStudioFailed: the server refuses it; its message says why.
    """
    _connect(client, "localfiles", {"project": project, "path": path, "use_blob_urls": True, "title": "media-assets"})


def connect_bucket(client: LabelStudio, project: int, store: S3Store) -> None:
    """Let a project show the objects of a bucket.

    Raises:
        LabelStudioFailed: the server does not reach it; its message says why.
    """
    body = {
        "project": project,
        "title": "media-assets",
        "bucket": store.bucket,
        "prefix": store.prefix or None,
        "use_blob_urls": True,
        "presign": store.presign,
        "recursive_scan": True,
        "s3_endpoint": store.endpoint or None,
        "region_name": store.region or None,
        "aws_access_key_id": store.key or None,
        "aws_secret_access_key": store.secret or None,
        "aws_session_token": store.token or None,
    }
    _connect(client, "s3", {name: value for name, value in body.items() if value is not None})


def local_address(path: str) -> str:
    """What stands in a task for a file; `path` is relative to the server's document root."""
    return f"/data/local-files/?d={quote(path)}"


def _connect(client: LabelStudio, kind: str, body: Mapping[str, Any]) -> None:
    place = [name for name in ("path", "bucket", "prefix", "presign") if name in body]
    failure: LabelStudioFailed | None = None
    for attempt in range(_N_ATTEMPTS):
        stores = client.read(f"/api/storages/{kind}/", {"project": body["project"]})
        rows = stores["results"] if isinstance(stores, dict) else stores
        if any(all(row.get(name) == body[name] for name in place) for row in rows):
            return
        try:
            client.write("POST", f"/api/storages/{kind}/", body)
            return
        except (NotSent, OutcomeUnknown) as error:
            failure = error
            client.wait(2.0**attempt)
    assert failure is not None
    raise failure
