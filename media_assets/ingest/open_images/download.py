"""The metadata files of a split from a URL into a folder, through the guarded downloader.

A file is downloaded beside its place, checked, and renamed into it: what lies in the folder under its own
name is whole and is not fetched again, so that a plan cut short goes on where it stood, file by file. Not
here: reading the files (`reader.py`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from media_assets.errors import ErrorCode, PlanRefused
from media_assets.ingest.fetch.addresses import AddressPolicy
from media_assets.ingest.fetch.fetch_all import fetch_all
from media_assets.ingest.fetch.items import FetchFailed, FetchRequest
from media_assets.ingest.fetch.limits import FetchLimits
from media_assets.ingest.fetch.redaction import shown
from media_assets.ingest.open_images.image_urls import canonical_split
from media_assets.ingest.open_images.layout import Role, find_file, roles_of

LIMITS = FetchLimits(max_bytes=16 << 30, total_seconds=6 * 3600.0, idle_seconds=60.0, n_connections=1)
"""Bounds of one metadata file: the largest known, the list of all images, has 3.35 GB."""

_ABSENT = (ErrorCode.NOT_FOUND, ErrorCode.FORBIDDEN)  # the public bucket says 403 of files it does not have


def is_url(metadata: str) -> bool:
    """Whether the place of the metadata is to be downloaded from, rather than a folder."""
    return metadata.lower().startswith(("http://", "https://"))


def fetch_metadata(
    base_url: str,
    split: str,
    into: Path,
    *,
    user_agent: str,
    policy: AddressPolicy | None = None,
    limits: FetchLimits = LIMITS,
    proxy: str | None = None,
) -> Path:
    """Bring the files of a split into a folder and return it, ready for `read_open_images`.

    Each file is looked for where the public bucket has it, then directly below the base. An optional file
    that is at neither place is left out.

    Args: base_url: such as `https://storage.googleapis.com/openimages/`. into: folder of the files; made if
        need be. Needs room for them (about 0.1 GB for `validation` with its
            labels, 6 GB for `train`).
        policy: which addresses may be connected to; by default public ones only.

    Raises: PlanRefused: no http(s) URL, no image list there, a download that failed, or a file with another
        header.
    """
    split = canonical_split(split)
    base = _checked_base(base_url)
    into.mkdir(parents=True, exist_ok=True)
    fetcher = _MetadataFetcher(base, into, user_agent, policy, limits, proxy)
    for role in roles_of(split):
        if find_file(into, split, role) is None and not fetcher.fetch_role(role) and role.is_required:
            urls = " or ".join(map(shown, _urls(base, role)))
            raise PlanRefused(
                f"Expected the image list of the {split} split at {urls}; there is none. Check the base URL."
            )
    return into


def _checked_base(base_url: str) -> str:
    parts = urlsplit(base_url)
    if not is_url(base_url) or not parts.hostname or parts.query or parts.fragment:
        raise PlanRefused(
            f"Expected an http(s) URL without ? or # as the base of the metadata, got {shown(base_url)!r}; such as "
            f"https://storage.googleapis.com/openimages/."
        )
    return base_url.rstrip("/") + "/"


def _urls(base: str, role: Role) -> Iterator[str]:
    for path in role.paths:
        yield base + path
        yield base + Path(path).name


@dataclass(frozen=True)
class _MetadataFetcher:
    """Fetches one file after another: the next URL is asked only when the one before had nothing."""

    base: str
    into: Path
    user_agent: str
    policy: AddressPolicy | None
    limits: FetchLimits
    proxy: str | None

    def fetch_role(self, role: Role) -> bool:
        """Whether one of the role's files is in the folder now."""
        return any(self._fetch(url, role) for url in _urls(self.base, role))

    def _fetch(self, url: str, role: Role) -> bool:
        sink = _FileSink(self.into / url.rpartition("/")[2])
        outcomes = fetch_all(
            [FetchRequest(url, url)],
            sink,
            user_agent=self.user_agent,
            limits=self.limits,
            policy=self.policy,
            proxy=self.proxy,
            spool_dir=self.into,
        )
        for outcome in outcomes:
            if not isinstance(outcome, FetchFailed):
                sink.publish(role)
                return True
            if outcome.error.code not in _ABSENT:
                raise PlanRefused(
                    f"{shown(url)} could not be fetched: {outcome.error.message}. Plan again to go on: files that are "
                    f"here are kept."
                )
        return False


class _FileSink:
    """Keeps one body under the name of its file with `.part` behind it, until `publish`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(path.name + ".part")

    async def put_if_absent(self, media_id: str, body: bytes | Path) -> None:
        """Move the spooled body beside its place (same file system: a rename), or write the small one there."""
        if isinstance(body, Path):
            os.replace(body, self._part)  # noqa: PTH105 - a rename does not wait for the disk
        else:
            self._part.write_bytes(body)  # at most what was kept in memory anyway

    def publish(self, role: Role) -> None:
        """Check the header, then give the file its name.

        Raises:
            PlanRefused: another header; the body is dropped, so that the next plan fetches it again.
        """
        try:
            role.check_header(self._part)
        except PlanRefused:
            self._part.unlink()
            raise
        with self._part.open("rb") as file:
            os.fsync(file.fileno())
        self._part.replace(self._path)
