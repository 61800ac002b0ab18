"""`frames/keyframes` of one batch: what became of each video, joined with what stays from before, as rows.

Not here: making the stills (`keyframes.py`), auditing or writing the rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from media_assets.lake.delta import Lake
from media_assets.media.contact_sheet import Cell
from media_assets.media.video.policies import parse_policy
from media_assets.stages.assemble import StageRows
from media_assets.stages.intake import Intake, retried
from media_assets.stages.keyframes import VideoStills
from media_assets.stages.rows import StatusWriter
from media_assets.stages.stage import KEYFRAMES
from media_assets.stages.workbench import ReadOptions
from media_assets.tables import FRAMES_KEYFRAMES
from media_assets.tables.columns import Kind, Status

Row = dict[str, Any]

_A_PICTURE = "A picture: it is no video; its frame is in frames/images."


@dataclass(frozen=True)
class Entrants:
    """What enters `frames/keyframes`: the batch's accepted items, and which of them stay as they are."""

    media: Mapping[str, Row]  # item key → raw/media row, in batch order
    carried: frozenset[str]
    stored: pl.DataFrame = field(repr=False)  # the rows of carried videos

    @property
    def videos(self) -> dict[str, str]:
        """Item key → media_id of the videos to read."""
        return {
            key: row["media_id"]
            for key, row in self.media.items()
            if row["kind"] == Kind.VIDEO.value and key not in self.carried
        }


def sort_out(lake: Lake, intake: Intake, media: Mapping[str, Row], version: str, options: ReadOptions) -> Entrants:
    """What stays is what a replay was not asked for, as long as it is this code's and its rows are all there."""
    retry, told = retried(intake.past, options), intake.past.statuses.get(KEYFRAMES.name, {})
    settled: set[str] = set()
    if retry is not None:
        settled = {
            key
            for key, row in media.items()
            if key not in retry
            and key in told
            and told[key]["code_version"] == version
            and told[key]["blob"] == row["media_id"]
        }
    going_on = {key for key in settled if Status(told[key]["status"]).goes_on}
    if not going_on:
        return Entrants(media, frozenset(settled), FRAMES_KEYFRAMES.frame([]))
    stored = lake.scan(FRAMES_KEYFRAMES, {"batch_id": [intake.batch_id]}).collect()
    n_stored = Counter(stored["item_key"].to_list())
    lost = {key for key in going_on if n_stored[key] != told[key]["n_outputs"]}
    kept = stored.filter(pl.col("item_key").is_in(list(going_on - lost)))
    return Entrants(media, frozenset(settled - lost), kept)


@dataclass
class StillRows:
    """Gathers the rows of `frames/keyframes` video by video; each video's rows are small columns at once."""

    batch_id: str
    options: ReadOptions
    write: StatusWriter
    _cells: list[Cell] = field(default_factory=list)
    _statuses: dict[str, Row] = field(default_factory=dict)
    _tables: dict[str, pl.DataFrame] = field(default_factory=dict)
    _n_bytes: int = 0

    def add(self, video: VideoStills) -> None:
        """Take in what became of one video."""
        key, blob = video.item_key, video.media_id
        if video.error is not None:
            self._statuses[key] = self.write.failed(key, video.error, blob)
            self._cells.append(Cell(None, video.error.code.value, Status.FAILED.value))
            return
        told = _converted(video)
        status = Status.CONVERTED if told else Status.ACCEPTED
        self._statuses[key] = self.write.done(key, status, len(video.stills), blob, told)
        self._tables[key] = FRAMES_KEYFRAMES.frame(list(self._rows(video)))
        self._n_bytes += video.n_bytes
        self._cells += (
            Cell(still.thumbnail, f"{still.planned.pts_ns / 1e9:.2f} s {key}", status.value)
            for still in video.stills
            if still.thumbnail is not None
        )

    def shown(self) -> tuple[Cell, ...]:
        """Stills for the contact sheet, failed videos first; as many as a run makes."""
        by_rank = sorted(self._cells, key=lambda cell: Status(cell.status).rank)
        return tuple(by_rank[: self.options.n_thumbnails])

    def gathered(self, entrants: Entrants) -> StageRows:
        """All of the batch, in its order."""
        rows = StageRows(KEYFRAMES, tuple(entrants.media), n_bytes=self._n_bytes)
        for key, media in entrants.media.items():
            if key in entrants.carried:
                status = self.write.carried(key)
            elif media["kind"] != Kind.VIDEO.value:
                status = self.write.done(key, Status.FILTERED, 0, media["media_id"], _A_PICTURE)
            else:
                status = self._statuses.get(key)
            if status is not None:  # the audit tells of an item without one
                rows.statuses.append(status)
        rows.tables = [self._tables[key] for key in entrants.media if key in self._tables]
        if entrants.stored.height:
            rows.tables.append(entrants.stored)
        return rows

    def _rows(self, video: VideoStills) -> Iterator[Row]:
        policy = self.options.keyframes.policy
        reason = parse_policy(policy).reason
        for still in video.stills:
            planned = still.planned
            yield {
                "batch_id": self.batch_id,
                "frame_id": planned.frame_id(video.media_id),
                "item_key": video.item_key,
                "media_id": video.media_id,
                "pts_ns": planned.pts_ns,
                "pts_ticks": planned.pts_ticks,
                "time_base": video.time_base,
                "frame_number": planned.frame_number,
                "policy": policy,
                "reason": reason,
                "shot": planned.shot,
                "blob": still.blob,
                "blob_mime": "image/png",
                "width_px": still.width_px,
                "height_px": still.height_px,
                "conversions": list(still.conversions),
            }


def _converted(video: VideoStills) -> str | None:
    """What the stills do not hold of the video; None where they hold all that was chosen."""
    told = sorted({name for still in video.stills for name in still.conversions})
    if video.n_undecodable:
        told.append(f"{video.n_undecodable} chosen pictures do not decode ({video.complaint})")
    return ", ".join(told) or None
