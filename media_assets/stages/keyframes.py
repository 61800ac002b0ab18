"""The stills of a batch's videos: planned, decoded in parts, and stored as they come.

A few videos are under way at a time, and of each only small values are remembered: memory is bounded by the parts that
the workers hold, not by a video or the batch. Not here: what the results mean for the tables (`stills.py`), choosing or
decoding (`media/video/`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import msgspec

from media_assets.engine.tasks import Outcome, Task, Work
from media_assets.errors import ErrorCode, ItemError
from media_assets.media.identity import media_id as hash_of
from media_assets.media.video.reading import (
    EncodedStill,
    PartRequest,
    PlannedStill,
    VideoPart,
    VideoPlan,
    VideoRequest,
)
from media_assets.stages.outage import OutageGuard
from media_assets.stages.workbench import ReadOptions, Workbench

PLAN_VIDEO = Task("media_assets.media.video.reading:plan_video", VideoRequest, VideoPlan, takes_file=True)
READ_PART = Task("media_assets.media.video.reading:read_part", PartRequest, VideoPart, takes_file=True)

AT_ONCE = 64
"""Videos that are under way together: their plans are in memory, and their parts keep every worker busy."""

THUMBNAILS_PER_VIDEO = 4


@dataclass(frozen=True)
class KeptStill:
    """A still whose PNG is in the blob store."""

    planned: PlannedStill
    blob: str
    width_px: int
    height_px: int
    conversions: tuple[str, ...]
    thumbnail: bytes | None


@dataclass
class VideoStills:
    """What became of one video: `error`, or its stills by time; and how many of the chosen pictures do not decode."""

    item_key: str
    media_id: str
    error: ItemError | None = None
    time_base: str = ""
    stills: list[KeptStill] = field(default_factory=list)
    n_undecodable: int = 0
    complaint: str | None = None  # what was said of the first of these
    n_bytes: int = 0  # of the stills' blobs


@dataclass
class _UnderWay:
    """A planned video; its stills come in any order."""

    video: VideoStills
    planned: dict[int, PlannedStill]
    parts: tuple[PartRequest, ...]
    undecodable: dict[int, str] = field(default_factory=dict)

    def settle(self) -> VideoStills:
        """The video with its stills in order."""
        video = self.video
        video.stills.sort(key=lambda still: still.planned.pts_ticks)
        video.n_undecodable += len(self.undecodable)
        if self.undecodable:
            video.complaint = self.undecodable[min(self.undecodable)]
        if video.error is None and not video.stills:
            video.error = ItemError(
                ErrorCode.CORRUPT,
                f"Expected {len(self.planned)} pictures, none of them decodes ({video.complaint}). "
                f"Ask its source for another copy.",
            )
        if video.error is not None:
            video.stills.clear()
        return video


@dataclass
class KeyframeReader:
    """Makes the stills of videos whose bytes are kept. Use it once.

    `proven`: item keys whose bytes this run has held against their hash already.
    """

    bench: Workbench
    options: ReadOptions
    batch_id: str
    outage: OutageGuard
    proven: Collection[str]
    n_done_before: int = 0  # items that the run read before: progress goes on from there
    n_done: int = 0
    cpu_seconds: float = 0.0
    n_damaged: int = 0
    _n_thumbnails: int = 0

    def read(self, videos: Mapping[str, str]) -> Iterator[VideoStills]:
        """What became of each of these videos, item key → media_id."""
        n_in_all = self.n_done_before + len(videos)
        left = iter(videos.items())
        while window := [VideoStills(key, media_id) for key, media_id in islice(left, AT_ONCE)]:
            for video in self._window(window):
                self.n_done += 1
                self.bench.progress(self.batch_id, self.n_done_before + self.n_done, n_in_all)
                if video.error is not None:
                    self.outage.note(video.error)
                yield video

    def _window(self, videos: list[VideoStills]) -> Iterator[VideoStills]:
        under_way: list[_UnderWay] = []
        with closing(self.bench.engine.map_items(PLAN_VIDEO, self._plans(videos))) as outcomes:
            for plan in outcomes:
                self._planned(plan, under_way)
        with closing(self.bench.engine.map_items(READ_PART, self._parts(under_way))) as outcomes:
            for part in outcomes:
                self._keep(part)
        planned = {each.video.item_key for each in under_way}
        yield from (video for video in videos if video.item_key not in planned)
        yield from (each.settle() for each in under_way)

    def _plans(self, videos: Iterable[VideoStills]) -> Iterator[Work[VideoStills, VideoRequest]]:
        for video in videos:
            if (source := self._source(video)) is not None:
                expected = None if video.item_key in self.proven else video.media_id
                yield Work(video, source, VideoRequest(self.options.keyframes, expected))

    def _planned(self, outcome: Outcome[VideoStills, VideoPlan], under_way: list[_UnderWay]) -> None:
        video, plan = outcome.key, outcome.response
        self.cpu_seconds += outcome.cpu_seconds
        if plan is None:
            video.error = self._told(outcome.error)
            return
        video.time_base = plan.time_base
        video.n_undecodable, video.complaint = plan.counts.n_undecodable, plan.counts.complaint
        under_way.append(_UnderWay(video, {still.pts_ticks: still for still in plan.stills}, plan.parts))

    def _parts(self, under_way: Iterable[_UnderWay]) -> Iterator[Work[_UnderWay, PartRequest]]:
        for each in under_way:
            for number, part in enumerate(each.parts):
                if each.video.error is not None:
                    break  # one part failed: the video has
                if (source := self._source(each.video)) is None:
                    break
                yield Work(each, source, part if number else self._with_thumbnails(part, len(each.planned)))

    def _with_thumbnails(self, part: PartRequest, n_stills: int) -> PartRequest:
        wanted = min(n_stills, THUMBNAILS_PER_VIDEO, max(0, self.options.n_thumbnails - self._n_thumbnails))
        self._n_thumbnails += wanted
        return msgspec.structs.replace(part, n_thumbnails=wanted)

    def _keep(self, outcome: Outcome[_UnderWay, VideoPart]) -> None:
        each, part = outcome.key, outcome.response
        self.cpu_seconds += outcome.cpu_seconds
        if part is None:
            each.video.error = each.video.error or self._told(outcome.error)
            return
        each.undecodable |= part.undecodable
        try:
            for still in part.stills:
                each.video.stills.append(self._kept(each.planned[still.pts_ticks], still))
                each.video.n_bytes += len(still.png)
        except OSError as error:
            each.video.error = ItemError(ErrorCode.STORAGE_FAILED, f"Expected to keep a still, got: {error}.")

    def _kept(self, planned: PlannedStill, still: EncodedStill) -> KeptStill:
        blob = hash_of(still.png)
        self.bench.blobs.put(blob, still.png)
        return KeptStill(planned, blob, still.width_px, still.height_px, still.conversions, still.thumbnail)

    def _source(self, video: VideoStills) -> bytes | Path | None:
        """What a worker can open; None where the store did not give it, which is the video's error then."""
        try:
            return self.bench.blobs.source(video.media_id)
        except OSError as error:
            told = f"Expected to read blob {video.media_id}, got: {error}."
            video.error = ItemError(ErrorCode.STORAGE_FAILED, told)
            return None

    def _told(self, error: ItemError | None) -> ItemError:
        if error is None:
            return ItemError(ErrorCode.DECODER_CRASHED, "Expected stills from the decoder, got none. Replay the item.")
        if error.code is not ErrorCode.BLOB_DAMAGED:
            return error
        self.n_damaged += 1
        return ItemError(
            error.code,
            f"{error.message} Replay the item (`media-assets dead-letters replay --code {error.code.value}`): its raw "
            f"file is then fetched again.",
        )
