"""Fetch and decode a batch: every item is read once, and only small values are remembered of it.

Bytes that are kept already are opened first; the rest is fetched while workers decode. The worker that opens kept bytes
holds them against their hash; where they are damaged the item is fetched again, if its raw file is being made at all.
Tensors leave through a callback as they are made. Not here: what the results mean for the tables (`rows`), or
committing them.
"""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from media_assets.engine.tasks import Outcome, Task, Work
from media_assets.errors import ErrorCode, ItemError
from media_assets.ingest.fetch.fetch_all import fetch_all
from media_assets.ingest.fetch.items import Fetched, FetchFailed, FetchRequest
from media_assets.ingest.inbox.landed import planned_version
from media_assets.ingest.planned_folders import planned_folder
from media_assets.lake.journal import FetchJournal, JournalEntry
from media_assets.lake.location import LakeLocation
from media_assets.media.identity import media_id as hash_of
from media_assets.media.item import ItemRead
from media_assets.media.still import StillRead, StillRequest
from media_assets.stages.intake import Entry, Intake
from media_assets.stages.outage import OutageGuard
from media_assets.stages.rows import Reading, frame_id_of
from media_assets.stages.stage import RAW, TENSORS, Stage
from media_assets.stages.workbench import ReadOptions, Workbench

READ_ITEM = Task("media_assets.media.item:read_item", StillRequest, ItemRead, takes_file=True)
READ_FRAME = Task("media_assets.media.still:read_frame", StillRequest, StillRead)

_log = logging.getLogger(__name__)

TensorSink = Callable[[Reading, tuple[bytes, ...]], None]
"""Takes the tensors of one item, in the order of the options' specs."""


@dataclass
class BatchReader:
    """Reads the items of one intake. Use it once."""

    bench: Workbench
    options: ReadOptions
    intake: Intake
    first: Stage
    wants_tensors: bool
    journal: FetchJournal
    on_tensors: TensorSink
    outage: OutageGuard
    n_downloaded: int = 0
    n_downloaded_bytes: int = 0
    decode_cpu_seconds: float = 0.0
    n_damaged: int = 0  # items whose kept bytes were no longer what was kept
    _n_done: int = 0
    _damaged: list[Reading] = field(default_factory=list)  # to be fetched again
    _aside: queue.SimpleQueue[Reading] = field(default_factory=queue.SimpleQueue)  # done without a worker
    _leaders: dict[tuple[str, int | None], Reading] = field(default_factory=dict)
    _followers: list[tuple[Reading, Reading]] = field(default_factory=list)
    _n_thumbnails: int = 0

    def readings(self) -> Iterator[Reading]:
        """One `Reading` per item to read, in the order in which they are finished."""
        yield from self._pass(self._works())
        if self._damaged:
            yield from self._pass(self._read_again())
        for reading, leader in self._followers:
            yield _like(reading, leader)
        self.bench.progress(self.intake.batch_id, len(self.intake.to_read), len(self.intake.to_read))

    def _pass(self, works: Generator[Work[Reading, StillRequest], None, None]) -> Iterator[Reading]:
        # Both are closed when this ends early: the engine ends its workers, and `works` ends the downloads.
        with closing(works), closing(self._outcomes(works)) as outcomes:
            for outcome in outcomes:
                finished = self._finished(outcome)
                done = [*([] if finished is None else [finished]), *self._set_aside()]
                self._n_done += len(done)
                self.bench.progress(self.intake.batch_id, self._n_done, len(self.intake.to_read))
                yield from done
        yield from self._set_aside()

    def _outcomes(
        self, works: Iterable[Work[Reading, StillRequest]]
    ) -> Generator[Outcome[Reading, ItemRead] | Outcome[Reading, StillRead], None, None]:
        if self.first is TENSORS:
            return self.bench.engine.map_items(READ_FRAME, works)
        return self.bench.engine.map_items(READ_ITEM, works)

    def _works(self) -> Generator[Work[Reading, StillRequest], None, None]:
        """What the workers open, pulled as they become free."""
        missing: dict[str, Entry] = {}
        for entry in self.intake.to_read:
            if entry.kept is None:
                missing[entry.key] = entry
                continue
            reading = Reading(entry, entry.kept.media_id, entry.kept.size_bytes, entry.kept.fetched_at)
            yield from self._work(reading, entry.kept.blob, is_kept=True)
        if self.first is not RAW:
            for entry in missing.values():
                self._fail(Reading(entry), _unusable(ErrorCode.STORAGE_FAILED, "The kept blob is gone."))
        elif missing:
            yield from self._fetched(missing)

    def _read_again(self) -> Generator[Work[Reading, StillRequest], None, None]:
        """The items whose kept bytes are damaged, from their source; and those that waited for the same bytes."""
        damaged, self._damaged = self._damaged, []
        keys = {reading.key for reading in damaged}
        self._leaders = {place: leader for place, leader in self._leaders.items() if leader.key not in keys}
        waiting = [reading for reading, leader in self._followers if leader.key in keys]
        self._followers = [pair for pair in self._followers if pair[1].key not in keys]
        missing: dict[str, Entry] = {}
        for reading in (*damaged, *waiting):
            spare = reading.entry.spare
            if spare is not None and spare.blob == reading.media_id:  # damaged, and the source gave nothing
                self._fail(reading, _unusable(ErrorCode.BLOB_DAMAGED, "The kept bytes are damaged."))
            elif reading.entry.kept is None:  # fetched meanwhile, and stored whole in place of the damaged blob
                assert reading.media_id is not None, "what was fetched has a name"
                yield from self._work(reading, reading.media_id, is_kept=False)
            else:
                missing[reading.key] = reading.entry
        if missing:
            self.n_damaged += len(missing)
            _log.warning("%s: %d kept blobs are damaged; fetching again", self.intake.batch_id, len(missing))
            yield from self._fetched(missing)

    def _fetched(self, missing: dict[str, Entry]) -> Iterator[Work[Reading, StillRequest]]:
        settings = self.bench.fetch

        def journal(kept: Fetched) -> None:
            uri = missing[str(kept.key)].uri_sha256
            self.journal.append(JournalEntry(str(kept.key), uri, kept.media_id, kept.size_bytes, kept.fetched_at))

        results = fetch_all(
            (_request(entry) for entry in missing.values()),
            self.bench.blobs,
            limits=settings.limits,
            policy=settings.policy,
            proxy=settings.proxy,
            user_agent=settings.user_agent,
            local_roots=(*settings.local_roots, *_folder_roots(self.bench.lake.location, self.intake.batch_id)),
            bucket_roots=settings.bucket_roots,
            on_kept=journal,
        )
        with closing(results):
            yield from self._opened(results, missing)

    def _opened(
        self, results: Iterable[Fetched | FetchFailed], missing: dict[str, Entry]
    ) -> Iterator[Work[Reading, StillRequest]]:
        for result in results:
            entry = missing[str(result.key)]
            if not isinstance(result, Fetched):
                if (spare := entry.spare) is not None:
                    reading = Reading(entry, spare.media_id, spare.size_bytes, spare.fetched_at)
                    yield from self._work(reading, spare.blob, is_kept=True)
                    continue
                self._fail(Reading(entry, result.media_id), _not_fetched(entry, result.error))
                continue
            self.n_downloaded += 1
            self.n_downloaded_bytes += result.size_bytes
            reading = Reading(entry, result.media_id, result.size_bytes, result.fetched_at)
            yield from self._work(reading, result.media_id, is_kept=False)

    def _work(self, reading: Reading, blob: str, *, is_kept: bool) -> Iterator[Work[Reading, StillRequest]]:
        """The work of opening one blob, unless the same bytes are being opened for another item already."""
        rotation = reading.entry.item["rotation_degrees"]
        leader = self._leaders.setdefault((blob, rotation), reading)
        if leader is not reading:
            self._followers.append((reading, leader))
            return
        try:
            source = self.bench.blobs.source(blob)
        except OSError as error:
            self._fail(reading, ItemError(ErrorCode.STORAGE_FAILED, f"Expected to read blob {blob}, got: {error}."))
            return
        self._n_thumbnails += 1
        yield Work(reading, source, self._still_request(rotation, blob if is_kept else None))

    def _still_request(self, rotation: int | None, expected_sha256: str | None) -> StillRequest:
        return StillRequest(
            rotation_degrees=rotation,
            wants_frame=self.first is not TENSORS,
            specs=self.options.specs if self.wants_tensors else (),
            wants_thumbnail=self._n_thumbnails <= self.options.n_thumbnails,
            limits=self.options.still_limits,
            background=self.options.background,
            expected_sha256=expected_sha256,
        )

    def _fail(self, reading: Reading, error: ItemError) -> None:
        """Give an item out as failed, without a worker."""
        self.outage.note(error)
        reading.error = error
        self._aside.put(reading)

    def _set_aside(self) -> list[Reading]:
        done = []
        while not self._aside.empty():
            done.append(self._aside.get())
        return done

    def _finished(self, outcome: Outcome[Reading, ItemRead] | Outcome[Reading, StillRead]) -> Reading | None:
        """The item's reading; None where it has to be fetched again first."""
        reading = outcome.key
        self.decode_cpu_seconds += outcome.cpu_seconds
        error = outcome.error
        if error is not None and error.code is ErrorCode.BLOB_DAMAGED:
            if self.first is RAW:
                self._damaged.append(reading)
                return None
            self.n_damaged += 1
            error = _unusable(error.code, error.message)
        if error is not None or outcome.response is None:
            reading.error = error
            if error is not None:
                self.outage.note(error)
            return reading
        read = outcome.response
        if isinstance(read, ItemRead):
            if read.still is None:
                reading.video = read.video
                return reading
            read = read.still
        reading.probe, reading.thumbnail = read.probe, read.thumbnail
        try:
            self._keep_frame(reading, read)
        except OSError as error:
            reading.error = ItemError(ErrorCode.STORAGE_FAILED, f"Expected to keep the frame, got: {error}.")
            self.outage.note(reading.error)
            return reading
        if read.tensors:
            self.on_tensors(reading, read.tensors)
        return reading

    def _keep_frame(self, reading: Reading, read: StillRead) -> None:
        if self.first is TENSORS:
            assert reading.entry.frame is not None, "items enter the tensors stage with their frame"
            reading.frame_id = reading.entry.frame["frame_id"]
            return
        assert read.frame is not None, "a frame was asked for"
        assert reading.media_id is not None, "what was opened has a name"
        reading.frame_id = frame_id_of(reading.media_id, read.frame)
        reading.frame_blob = reading.media_id
        if read.frame.data is not None:
            reading.frame_blob = hash_of(read.frame.data)
            self.bench.blobs.put(reading.frame_blob, read.frame.data)
        reading.frame = msgspec.structs.replace(read.frame, data=None)


def _folder_roots(location: LakeLocation, batch_id: str) -> tuple[Path, ...]:
    """The folder that the batch was planned from: its files may be read, and nothing beside them."""
    folder = planned_folder(location, batch_id)
    return () if folder is None else (folder,)


def _request(entry: Entry) -> FetchRequest:
    item = entry.item
    return FetchRequest(
        entry.key,
        item["uri"],
        item["declared_bytes"],
        item["declared_checksum"],
        version=planned_version(item["source"], entry.key),
    )


def _unusable(code: ErrorCode, what: str) -> ItemError:
    """What a kept blob that cannot be opened means where only later tables are made: nothing can be fetched here."""
    return ItemError(
        code,
        f"{what} Replay the item (`media-assets dead-letters replay --code {code.value}`), or materialize all tables "
        f"of the batch again (`--again`): the frame is then made from the raw file, and that is fetched again where it "
        f"is bad, too.",
    )


def _not_fetched(entry: Entry, error: ItemError) -> ItemError:
    if entry.kept is None:
        return error
    return ItemError(error.code, f"The kept bytes are damaged, and fetching them again failed: {error.message}")


def _like(reading: Reading, leader: Reading) -> Reading:
    """The reading of an item whose bytes were read for another item of the batch."""
    reading.error, reading.probe, reading.frame = leader.error, leader.probe, leader.frame
    reading.video = leader.video
    reading.thumbnail = leader.thumbnail
    reading.frame_blob, reading.frame_id = leader.frame_blob, leader.frame_id
    return reading
