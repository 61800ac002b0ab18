"""What enters a stage, and how each item's bytes will be reached.

Pure once the tables are read: manifest rows and the past in, one `Intake` out. Not here: touching the network.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl

from media_assets.errors import DECODER_FAULTS, NotMaterialized
from media_assets.lake.delta import Lake
from media_assets.lake.journal import JournalEntry
from media_assets.media.identity import media_id as hash_of
from media_assets.stages.stage import FRAMES, KEYFRAMES, RAW, TENSORS, Stage, stage_named
from media_assets.stages.workbench import ReadOptions
from media_assets.tables import FRAMES_IMAGES, ITEM_STATUS, MANIFEST, RAW_MEDIA
from media_assets.tables.columns import Status

Row = dict[str, Any]


@dataclass(frozen=True)
class KeptBytes:
    """Bytes that need no download."""

    blob: str  # what to open: the raw file, or the frame when only tensors are made
    media_id: str
    size_bytes: int
    fetched_at: datetime


@dataclass(frozen=True)
class Entry:
    """One item that entered. `kept` is None when its bytes must be fetched."""

    item: Row  # its manifest row
    kept: KeptBytes | None = None
    frame: Row | None = None  # its frames/images row, when only tensors are made
    spare: KeptBytes | None = None  # what stays where the source has no other bytes, which are asked for

    @property
    def key(self) -> str:
        """The item's key."""
        return str(self.item["item_key"])

    @property
    def uri_sha256(self) -> str:
        """What stands for its URI in the journal."""
        return hash_of(str(self.item["uri"]).encode())

    @property
    def position(self) -> int:
        """Place in the batch."""
        return int(self.item["position"])


@dataclass(frozen=True)
class Past:
    """What the lake already says of a batch."""

    statuses: Mapping[str, Mapping[str, Row]]  # stage name → item key → row
    media: Mapping[str, Row]  # item key → raw/media row
    frames: Mapping[str, Row]  # item key → frames/images row

    def status(self, stage: Stage, item_key: str) -> Row | None:
        """The status row of an item at a stage, or None."""
        return self.statuses.get(stage.name, {}).get(item_key)


@dataclass(frozen=True)
class Intake:
    """A batch, sorted out: what will be read, and what stays as it is."""

    batch_id: str
    entered: Mapping[str, Entry]  # everything that enters the first selected stage, in batch order
    to_read: tuple[Entry, ...]
    carried: frozenset[str]  # item keys left untouched (a replay's neighbours, and what was erased)
    past: Past = field(repr=False)
    manifest: Mapping[str, Row] = field(repr=False)


def read_manifest(lake: Lake, batch_id: str) -> dict[str, Row]:
    """The batch's manifest rows by item key, in batch order.

    Raises:
        NotMaterialized: nothing was planned under this id.
    """
    rows = lake.scan(MANIFEST, {"batch_id": [batch_id]}).sort("position").collect().to_dicts()
    if not rows:
        raise NotMaterialized(
            f"Expected a planned batch, got {batch_id!r}, of which ingest/manifest knows nothing. "
            f"Plan it with `media-assets plan …`; `media-assets status` lists what is planned."
        )
    return {row["item_key"]: row for row in rows}


def read_past(lake: Lake, batch_id: str) -> Past:
    """Statuses, raw files and frames of a batch as they stand (never the tensors' bytes)."""
    here = {"batch_id": [batch_id]}
    statuses: dict[str, dict[str, Row]] = {}
    for row in lake.scan(ITEM_STATUS, here).collect().iter_rows(named=True):
        statuses.setdefault(row["stage"], {})[row["item_key"]] = row

    def by_item(frame: pl.LazyFrame) -> dict[str, Row]:
        return {row["item_key"]: row for row in frame.collect().iter_rows(named=True)}

    return Past(statuses, by_item(lake.scan(RAW_MEDIA, here)), by_item(lake.scan(FRAMES_IMAGES, here)))


def named_blobs(past: Past, journal: Mapping[str, JournalEntry]) -> set[str]:
    """Every blob that `take_in` may want to know the size of."""
    named = {str(row["blob"]) for rows in past.statuses.values() for row in rows.values() if row["blob"] is not None}
    named |= {str(row["media_id"]) for row in past.media.values()}
    named |= {str(row["blob"]) for row in past.frames.values()}
    return named | {entry.media_id for entry in journal.values()}


def take_in(
    batch_id: str,
    manifest: Mapping[str, Row],
    past: Past,
    journal: Mapping[str, JournalEntry],
    blob_size: Callable[[str], int | None],
    versions: Mapping[str, str],
    options: ReadOptions,
) -> Intake:
    """Decide for every item whether it enters the first selected stage, and where its bytes are.

    `versions` names the selected stages, in the order of the path, with the code version that each will write. With
    `frames/keyframes` alone nothing is read here: what becomes of the videos is `keyframes.py`'s.

    Raises:
        NotMaterialized: the stage before the first selected one has not run for this batch.
    """
    first = stage_named(next(iter(versions)))
    entered = _entered(batch_id, manifest, past, first)
    if first is KEYFRAMES:
        return Intake(batch_id, entered, (), frozenset(), past, manifest)
    retry = retried(past, options)
    carried = frozenset(
        key
        for key in entered
        if (retry is not None and key not in retry and _is_settled(past, key, versions))
        or (first is RAW and _has_status(past, key, Status.ERASED))
    )
    to_read = tuple(
        _with_bytes(entry, past, journal, blob_size, first, options)
        for key, entry in entered.items()
        if key not in carried
    )
    return Intake(batch_id, entered, to_read, carried, past, manifest)


def retried(past: Past, options: ReadOptions) -> frozenset[str] | None:
    """The items that a replay tries again; None: it is no replay."""
    return None if options.retry_only is None else _with_repeats(past, options.retry_only.item_keys)


def videos_and_pictures(intake: Intake) -> dict[str, Row]:
    """The `raw/media` rows of what enters `frames/keyframes`, in batch order, as the lake has them.

    Raises:
        NotMaterialized: `raw/media` has not run for this batch.
    """
    entered = _entered(intake.batch_id, intake.manifest, intake.past, KEYFRAMES)
    return {key: intake.past.media[key] for key in entered}


def _entered(batch_id: str, manifest: Mapping[str, Row], past: Past, first: Stage) -> dict[str, Entry]:
    if (before := first.after) is None:
        return {key: Entry(item) for key, item in manifest.items()}
    let_through = going_on(past, before)
    if let_through is None:
        raise NotMaterialized(
            f"Expected {before.contract.path} of batch {batch_id!r} to be done before {first.contract.path}; it has no "
            f"status yet. Materialize {before.contract.path} first, or all of them together."
        )
    rows = past.media if before is RAW else past.frames
    if lost := sorted(let_through - set(rows)):
        raise NotMaterialized(
            f"Expected the rows of {len(let_through)} items in {before.contract.path} of batch {batch_id!r}, "
            f"{len(lost)} of them are not there, such as {lost[0]!r}. Materialize the batch again: "
            f"`media-assets materialize --again --batch {batch_id}`."
        )
    return {
        key: Entry(item, frame=past.frames[key] if first is TENSORS else None)
        for key, item in manifest.items()
        if key in let_through
    }


def going_on(past: Past, stage: Stage) -> set[str] | None:
    """Items that a stage let through; None where it is not done. What nothing entered is done without a status."""
    statuses = past.statuses.get(stage.name)
    if statuses is not None:
        return {key for key, row in statuses.items() if Status(row["status"]).goes_on}
    is_empty = stage.after is RAW and going_on(past, RAW) == set()
    return set() if is_empty else None


def _with_repeats(past: Past, retried: Collection[str]) -> frozenset[str]:
    """The items to try again, and the repeats of their bytes: should an original be gone, a repeat takes its place."""
    statuses = past.statuses.get(RAW.name, {})
    blobs = {statuses[key]["blob"] for key in retried if key in statuses} - {None}
    repeats = (k for k, row in statuses.items() if row["status"] == Status.DUPLICATE and row["blob"] in blobs)
    return frozenset((*retried, *repeats))


def _with_bytes(
    entry: Entry,
    past: Past,
    journal: Mapping[str, JournalEntry],
    blob_size: Callable[[str], int | None],
    first: Stage,
    options: ReadOptions,
) -> Entry:
    media = past.media.get(entry.key)
    if first is TENSORS:
        frame = past.frames[entry.key]
        kept = _from_blob(frame["blob"], blob_size, entry, past)
    elif first is FRAMES and media is not None:
        kept = _from_blob(media["media_id"], blob_size, entry, past)
    else:
        kept = None if options.refetch else _already_fetched(entry, past, journal, blob_size)
        if options.retry_only is not None and _was_refused_as_video(past, entry.key):
            return Entry(entry.item, None, entry.frame, spare=kept)
    return Entry(entry.item, kept, entry.frame)


def _already_fetched(
    entry: Entry, past: Past, journal: Mapping[str, JournalEntry], blob_size: Callable[[str], int | None]
) -> KeptBytes | None:
    status = past.status(RAW, entry.key)
    refused = status["blob"] if status is not None and not _bytes_were_good(status) else None
    written = journal.get(entry.key)
    if (
        written is not None
        and written.uri_sha256 == entry.uri_sha256
        and blob_size(written.media_id) == written.size_bytes
        # A run that was killed while it asked again may have got the very bytes that were refused before.
        and written.media_id != refused
    ):
        return KeptBytes(written.media_id, written.media_id, written.size_bytes, written.fetched_at)
    if status is None or status["blob"] in (None, refused):
        return None
    return _from_blob(status["blob"], blob_size, entry, past)


def _was_refused_as_video(past: Past, item_key: str) -> bool:
    """Whether a whole file turned out to hold no pictures that decode: a replay then asks its source for another."""
    status = past.status(KEYFRAMES, item_key)
    return status is not None and not status["is_retryable"] and not _bytes_were_good(status)


def _bytes_were_good(status: Row) -> bool:
    return status["status"] != Status.FAILED or status["error_code"] in DECODER_FAULTS


def _from_blob(blob: str, blob_size: Callable[[str], int | None], entry: Entry, past: Past) -> KeptBytes | None:
    size = blob_size(blob)
    if size is None:
        return None
    media = past.media.get(entry.key)
    if media is not None:
        return KeptBytes(blob, media["media_id"], media["size_bytes"], media["fetched_at"])
    status = past.status(RAW, entry.key)
    fetched_at = status["updated_at"] if status is not None else entry.item["planned_at"]
    return KeptBytes(blob, blob, size, fetched_at)


def _is_settled(past: Past, item_key: str, versions: Mapping[str, str]) -> bool:
    """Whether every selected stage already says, by the same code, what became of the item."""
    for stage, version in versions.items():
        row = past.statuses.get(stage, {}).get(item_key)
        if row is None or row["code_version"] != version:
            return False
        if not Status(row["status"]).goes_on:
            return True
        if item_key not in (past.media if stage == RAW.name else past.frames):
            return False  # its row is lost
    return True


def _has_status(past: Past, item_key: str, status: Status) -> bool:
    row = past.status(RAW, item_key)
    return row is not None and row["status"] == status
