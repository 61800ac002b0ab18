"""The rows of one batch, joined from what was read now and what stays from before. Pure.

Not here: reading, auditing, or writing them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl

from media_assets.errors import ErrorCode, ItemError
from media_assets.lake.delta import Provenance
from media_assets.stages.intake import Intake, Past
from media_assets.stages.rows import Reading, StatusWriter, frame_row, raw_row, settle_duplicates
from media_assets.stages.stage import FRAMES, IMAGE_STAGES, KEYFRAMES, PREDICTIONS, RAW, TENSORS, Stage
from media_assets.tables.columns import Status

Row = dict[str, Any]


@dataclass
class StageRows:
    """What one stage will publish of a batch (tensors' bytes apart: those are on disk already)."""

    stage: Stage
    entered: tuple[str, ...]
    statuses: list[Row] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    tables: list[pl.DataFrame] = field(default_factory=list)  # instead of `rows`, where an item has many
    n_bytes: int = 0  # of the blobs that `tables` names
    frame_ids: dict[str, str] = field(default_factory=dict)  # item key → frame_id, for frames and tensors

    @property
    def going_on(self) -> tuple[str, ...]:
        """Item keys that enter the next stage."""
        return tuple(row["item_key"] for row in self.statuses if Status(row["status"]).goes_on)

    def table(self) -> pl.DataFrame:
        """Its rows as the table will hold them."""
        return pl.concat(self.tables) if self.tables else self.stage.contract.frame(self.rows)


@dataclass(frozen=True)
class Assembly:
    """Joins readings and past into the rows of each selected stage."""

    intake: Intake
    readings: dict[str, Reading]
    versions: dict[str, str]
    n_specs: int
    provenance: Provenance
    now: datetime

    def stages(self, selected: Sequence[Stage]) -> list[StageRows]:
        """The rows of every selected stage of pictures, in the order of the path."""
        make = {RAW.name: self._raw, FRAMES.name: self._frames, TENSORS.name: self._tensors}
        entered, done = tuple(self.intake.entered), []
        for stage in selected:
            rows = StageRows(stage, entered)
            make[stage.name](rows, self.writer(stage))
            done.append(rows)
            entered = rows.going_on
        return done

    def writer(self, stage: Stage) -> StatusWriter:
        """What makes the statuses of one stage."""
        intake = self.intake
        return StatusWriter(stage, self.versions[stage.name], intake.batch_id, intake.past, self.provenance, self.now)

    def _read_now(self, rows: StageRows) -> Iterator[Reading]:
        """Readings of the items that entered, in batch order; what went wrong before it was read is missing."""
        return (self.readings[key] for key in rows.entered if key in self.readings)

    def _carried(self, rows: StageRows) -> Iterator[str]:
        return (key for key in rows.entered if key in self.intake.carried)

    def _raw(self, rows: StageRows, write: StatusWriter) -> None:
        repeats = settle_duplicates(self._good_media())
        for reading in self._read_now(rows):
            if reading.error is not None:
                rows.statuses.append(write.failed(reading.key, reading.error, reading.media_id))
            elif reading.key in repeats:
                rows.statuses.append(self._repeat(write, reading.key, repeats[reading.key], reading.media_id))
            else:
                rows.statuses.append(write.done(reading.key, Status.ACCEPTED, 1, reading.media_id))
                rows.rows.append(raw_row(reading))
        for key in self._carried(rows):
            before = write.carried(key)
            assert before is not None, "only settled items are carried"
            if key in repeats and Status(before["status"]).goes_on:  # an earlier twin came back: a clean run's verdict
                before = self._repeat(write, key, repeats[key], before["blob"])
            rows.statuses.append(before)
            if Status(before["status"]).goes_on:
                rows.rows.append(self.intake.past.media[key])

    def _good_media(self) -> Iterator[tuple[int, str, str]]:
        for key, entry in self.intake.entered.items():
            reading = self.readings.get(key)
            if reading is not None and reading.error is None and reading.media_id is not None:
                yield entry.position, key, reading.media_id
            elif key in self.intake.carried:
                before = self.intake.past.status(RAW, key)
                if before is not None and before["status"] in _GOOD and before["blob"] is not None:
                    yield entry.position, key, before["blob"]

    @staticmethod
    def _repeat(write: StatusWriter, key: str, original: str, blob: str | None) -> Row:
        return write.done(key, Status.DUPLICATE, 0, blob, f"The same bytes as item {original!r} of this batch.")

    def _frames(self, rows: StageRows, write: StatusWriter) -> None:
        for reading in self._read_now(rows):
            if reading.video is not None and reading.error is None:
                rows.statuses.append(write.done(reading.key, Status.FILTERED, 0, None, _A_VIDEO))
                continue
            if (error := _read_error(reading, reading.frame is None)) is not None:
                rows.statuses.append(write.failed(reading.key, error, reading.media_id))
                continue
            assert reading.frame is not None
            converted = ", ".join(reading.frame.conversions)
            status = Status.CONVERTED if converted else Status.ACCEPTED
            rows.statuses.append(write.done(reading.key, status, 1, reading.frame_blob, converted or None))
            row = frame_row(reading)
            rows.rows.append(row)
            rows.frame_ids[reading.key] = row["frame_id"]
        for key in self._carried(rows):
            if (before := write.carried(key)) is None:
                continue
            rows.statuses.append(before)
            if Status(before["status"]).goes_on:
                rows.rows.append(self.intake.past.frames[key])
                rows.frame_ids[key] = self.intake.past.frames[key]["frame_id"]

    def _tensors(self, rows: StageRows, write: StatusWriter) -> None:
        for reading in self._read_now(rows):
            if (error := _read_error(reading, reading.frame_id is None)) is not None:
                rows.statuses.append(write.failed(reading.key, error, reading.frame_blob))
                continue
            assert reading.frame_id is not None
            rows.statuses.append(write.done(reading.key, Status.ACCEPTED, self.n_specs, None))
            rows.frame_ids[reading.key] = reading.frame_id
        for key in self._carried(rows):
            if (before := write.carried(key)) is None:
                continue
            rows.statuses.append(before)
            if Status(before["status"]).goes_on:
                rows.frame_ids[key] = self.intake.past.frames[key]["frame_id"]


def outdated_by(stages: Sequence[StageRows], past: Past) -> tuple[Stage, ...]:
    """Stages after these whose statuses speak of other items, bytes or frames than there will be.

    A stage can be made alone; what the stages after it say stays true only as long as the same goes into them.
    """
    made, outdated = {rows.stage: rows for rows in stages}, []
    for stage in IMAGE_STAGES:
        if stage.after is None or any(stage in other.line for other in made):
            continue
        before = made.get(stage.after)
        if stage.after in outdated or (before is not None and not _still_true(stage, before, past)):
            outdated.append(stage)
    return tuple(outdated)


def still_said(
    stages: Sequence[StageRows], outdated: Collection[Stage], past: Past, stills: pl.DataFrame | None
) -> StageRows | None:
    """The statuses of `predictions/frames` that stay: of items whose frames are as they were, and of those that are no
    more, which the next run over the models clears away. None where all stay.

    Args:
        stills: what `frames/keyframes` holds of the batch: item_key, frame_id, blob; None where nobody can say which
            frames the models were asked about.
    """
    if not (told := past.statuses.get(PREDICTIONS.name)):
        return None
    if stills is None or FRAMES in outdated or KEYFRAMES in outdated:
        return StageRows(PREDICTIONS, ())
    changed: set[str] = set()
    for rows in stages:
        if rows.stage is FRAMES:
            changed |= _changed(past.frames.values(), rows.rows)
        elif rows.stage is KEYFRAMES:
            new = rows.table().select("item_key", "frame_id", "blob")
            changed |= _changed(stills.iter_rows(named=True), new.iter_rows(named=True))
    if changed.isdisjoint(told):
        return None
    return StageRows(PREDICTIONS, (), [row for key, row in told.items() if key not in changed])


def _changed(before: Iterable[Row], after: Iterable[Row]) -> set[str]:
    """Items that have other frames than before."""
    had, have = _frames_of(before), _frames_of(after)
    return {key for key, frames in have.items() if had.get(key) != frames}


def _frames_of(rows: Iterable[Row]) -> dict[str, set[tuple[str, str]]]:
    frames: dict[str, set[tuple[str, str]]] = {}
    for row in rows:
        frames.setdefault(row["item_key"], set()).add((row["frame_id"], row["blob"]))
    return frames


def _still_true(stage: Stage, before: StageRows, past: Past) -> bool:
    """Whether a stage's statuses speak of what the stage before lets through now."""
    if (told := past.statuses.get(stage.name)) is None:
        return True
    column = "media_id" if before.stage is RAW else "frame_id"  # frames know both
    made_of = {row["item_key"]: row[column] for row in before.rows}
    if set(told) != set(before.going_on):
        return False
    if stage is KEYFRAMES:
        return all(row["blob"] == made_of[key] for key, row in told.items())
    return all(frame[column] == made_of[key] for key, frame in past.frames.items() if key in made_of)


_GOOD = frozenset({Status.ACCEPTED, Status.CONVERTED, Status.DUPLICATE})


_A_VIDEO = "A video: it is no still picture; its stills are in frames/keyframes."


def _read_error(reading: Reading, is_missing: bool) -> ItemError | None:
    if reading.error is None and is_missing:
        return ItemError(ErrorCode.DECODER_CRASHED, "Expected a picture from the decoder, got none. Replay the item.")
    return reading.error


def all_statuses(stages: Collection[StageRows]) -> list[Row]:
    """The status rows of every stage."""
    return [row for stage in stages for row in stage.statuses]
