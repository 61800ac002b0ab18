"""What goes into a fetch and what comes out of it: requests, outcomes, and where bodies are put.

Not here: how a body is fetched (`downloader`, `local_files`).
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from media_assets.errors import ErrorCode, ItemError
from media_assets.ingest.fetch.answers import Validators

_DIGEST_CHARS = {"sha256": 64, "md5": 32}


@dataclass(frozen=True)
class FetchRequest:
    """One body wanted. `key` is the caller's; `declared_checksum` is `sha256:<hex>` or `md5:<hex>`.

    With `known`, a version that is here already, the body is wanted only if the source has another one. With `version`,
    which an inbox's listing told (`ingest/versions.py`), only if a file or object is still that one.
    """

    key: Hashable
    uri: str
    declared_bytes: int | None = None
    declared_checksum: str | None = None
    known: Validators | None = None
    version: str | None = None


@dataclass(frozen=True)
class Fetched:
    """One body that is in the sink now.

    `final_uri` is the request's uri; after redirects it is the last hop, without its query (a server
    may have put signatures there). `fetched_at` is UTC. `n_attempts` counts from 1.
    """

    key: Hashable
    media_id: str
    size_bytes: int
    final_uri: str
    content_type: str | None
    etag: str | None
    n_attempts: int
    fetched_at: datetime
    validators: Validators | None = None


@dataclass(frozen=True)
class FetchFailed:
    """One request that came to nothing. `media_id` names the body where it is in the sink all the same.

    `is_unchanged`: no failure, the source still has the version that the request calls known.
    """

    key: Hashable
    error: ItemError
    n_attempts: int
    media_id: str | None = None
    is_unchanged: bool = False


class BlobSink(Protocol):
    """Where bodies go, under their SHA-256."""

    async def put_if_absent(self, media_id: str, body: bytes | Path) -> None:
        """Keep a body; durable on return. A `Path` is only there until this returns.

        Raises:
            OSError: the store did not take it (the item fails as STORAGE_FAILED).
        """


def checksum_algorithm(request: FetchRequest) -> tuple[str, str] | None:
    """Algorithm and lower-case hex digest that a request declares, or None.

    Raises:
        ItemError: BAD_ROW when it is neither `sha256:` nor `md5:` with a whole digest.
    """
    if request.declared_checksum is None:
        return None
    algorithm, _, digest = request.declared_checksum.partition(":")
    n_chars = _DIGEST_CHARS.get(algorithm.lower())
    if n_chars is None or not re.fullmatch(rf"[0-9A-Fa-f]{{{n_chars}}}", digest):
        raise ItemError(
            ErrorCode.BAD_ROW,
            f"declared checksum {request.declared_checksum[:80]!r} is neither sha256:<64 hex digits> "
            "nor md5:<32 hex digits>; correct the manifest",
        )
    return algorithm.lower(), digest.lower()
