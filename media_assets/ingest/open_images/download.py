"""The metadata files of a split from a URL into a folder, through the guarded downloader.

A file is downloaded beside its place, checked, and renamed into it: what lies in the folder under its own name is
whole, so that a plan cut short goes on where it stood, file by file. Each plan asks the server whether a file is still
the same (`ETag`, `Last-Modified`), and fetches it anew where it is not or where the server does not say. Every base URL
has a folder of its own. Not here: reading the files (`reader.py`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from media_assets.errors import ErrorCode, PlanRefused
from media_assets.ingest.fetch.addresses import AddressPolicy
from media_assets.ingest.fetch.answers import Validators
from media_assets.ingest.fetch.fetch_all import fetch_all
from media_assets.ingest.fetch.items import FetchFailed, FetchRequest
from media_assets.ingest.fetch.limits import FetchLimits
from media_assets.ingest.fetch.redaction import shown
from media_assets.ingest.open_images.image_urls import canonical_split
from media_assets.ingest.open_images.layout import Role, roles_of

LIMITS = FetchLimits(max_bytes=16 << 30, total_seconds=6 * 3600.0, idle_seconds=60.0, n_connections=1)
"""Bounds of one metadata file: the largest known, the list of all images, has 3.35 GB."""

_ABSENT = (ErrorCode.NOT_FOUND, ErrorCode.FORBIDDEN)  # the public bucket says 403 of files it does not have


def is_url(metadata: str) -> bool:
    """Whether the place of the metadata is to be downloaded from, rather than a folder."""
    return metadata.lower().startswith(("http://", "https://"))


def fetch_metadata(
    base_url: str,
    split: str,
    spool: Path,
    *,
    user_agent: str,
    policy: AddressPolicy | None = None,
    limits: FetchLimits = LIMITS,
    proxy: str | None = None,
) -> Path:
    """Bring the files of a split, as the server has them now, into a folder and return it, for `read_open_images`.

    Each file is looked for where the public bucket has it, then directly below the base. An optional file
    that is at neither place (any more) is left out.

    Args:
        base_url: such as `https://storage.googleapis.com/openimages/`.
        split: as for `read_open_images`.
        spool: where the folder of each base URL lies; made if need be. Needs room for the files (about 0.1 GB for
            `validation` with its labels, 6 GB for `train`).
        user_agent: who we say we are.
        policy: which addresses may be connected to; by default public ones only.

        limits: bounds of one file.
        proxy: as for `fetch_all`.

    Raises:
        PlanRefused: no http(s) URL, no image list there, a file with another header, or a server that could not be
            asked: files that are here may be another list by now.
    """
    split = canonical_split(split)
    base = _checked_base(base_url)
    into = spool / hashlib.sha256(base.encode()).hexdigest()[:16]
    into.mkdir(parents=True, exist_ok=True)
    fetcher = _MetadataFetcher(base, into, user_agent, policy, limits, proxy)
    for role in roles_of(split):
        if not fetcher.fetch_role(role) and role.is_required:
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
        """Whether one of the role's files is in the folder now.

        Better ones that the server has no more would be read in its place: they are dropped.
        """
        is_found, gone = False, []
        for path in role.paths:
            here = _LocalFile(self.into / Path(path).name)
            if is_found := any(self._fetch(self.base + place, here, role) for place in (path, here.path.name)):
                break
            gone.append(here)
        if is_found or not role.is_required:
            for file in gone:
                file.drop()
        return is_found

    def _fetch(self, url: str, here: _LocalFile, role: Role) -> bool:
        outcomes = fetch_all(
            [FetchRequest(url, url, known=here.known(url))],
            here,
            user_agent=self.user_agent,
            limits=self.limits,
            policy=self.policy,
            proxy=self.proxy,
            spool_dir=self.into,
        )
        for outcome in outcomes:
            if not isinstance(outcome, FetchFailed):
                here.publish(role, url, outcome.validators)
                return True
            if outcome.is_unchanged:
                return True
            if outcome.error.code not in _ABSENT:
                raise PlanRefused(
                    f"{shown(url)} could not be fetched, or asked whether it has changed: {outcome.error.message}. "
                    f"Plan again to go on: files that are here and have not changed are kept. To plan from what is "
                    f"here, however old, give --metadata {self.into}"
                )
        return False


class _Copy(msgspec.Struct, frozen=True):
    """Of which version a file is a copy; lies beside it."""

    url: str
    size_bytes: int
    validators: Validators


class _LocalFile:
    """One file of the folder. A new body lies under its name with `.part` behind it, until `publish`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._part = path.with_name(path.name + ".part")
        self._note = path.with_name(path.name + ".version.json")

    def known(self, url: str) -> Validators | None:
        """The version of the whole copy of this URL that is here; None without one."""
        try:
            copy = msgspec.json.decode(self._note.read_bytes(), type=_Copy)
            is_whole = copy.url == url and self.path.stat().st_size == copy.size_bytes
        except (FileNotFoundError, msgspec.MsgspecError):
            return None
        return copy.validators if is_whole else None

    def drop(self) -> None:
        """Forget the file."""
        self._note.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    async def put_if_absent(self, media_id: str, body: bytes | Path) -> None:
        """Move the spooled body beside its place (same file system: a rename), or write the small one there."""
        if isinstance(body, Path):
            os.replace(body, self._part)  # noqa: PTH105 - a rename does not wait for the disk
        else:
            self._part.write_bytes(body)  # at most what was kept in memory anyway

    def publish(self, role: Role, url: str, validators: Validators | None) -> None:
        """Check the header, give the file its name, and note its version: at no time is a note beside another body.

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
            n_bytes = os.fstat(file.fileno()).st_size
        self._note.unlink(missing_ok=True)
        self._part.replace(self.path)
        if validators is not None:
            self._note.write_bytes(msgspec.json.encode(_Copy(url, n_bytes, validators)))
