"""`predictions/frames` of one batch: what enters, what the models say, as rows and statuses; audited, then committed.

Nothing enters where no model is configured. What a model has said of a frame stays as it is while model and frame are
the same: a run asks only about what is new, and about what failed before. Not here: asking (`predicting.py`).
"""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from media_assets.errors import ItemError, NotMaterialized, SetupError
from media_assets.lake.delta import Provenance
from media_assets.lake.publications import unfinished_publications
from media_assets.media.contact_sheet import Cell
from media_assets.media.models.protocol import Prediction
from media_assets.media.still import StillLimits
from media_assets.stages.assemble import StageRows
from media_assets.stages.attempts import published_alone
from media_assets.stages.audit import (
    Finding,
    broken,
    contract_finding,
    reconciliation_finding,
    refuse,
    status_counts,
    status_finding,
)
from media_assets.stages.commit import Turns, commit_batch
from media_assets.stages.failures import Told
from media_assets.stages.intake import Past, going_on, read_manifest, read_past
from media_assets.stages.models import InstalledModel
from media_assets.stages.outage import OutageGuard
from media_assets.stages.predicting import OF_MODELS, FramePredicted, FramePredictor, FrameToPredict, History
from media_assets.stages.report import BatchReport, StageReport
from media_assets.stages.rows import StatusWriter
from media_assets.stages.stage import FRAMES, KEYFRAMES, PREDICTIONS
from media_assets.stages.workbench import RetryOnly, Workbench
from media_assets.tables import FRAMES_KEYFRAMES, ITEM_STATUS, PREDICTIONS_FRAMES
from media_assets.tables.columns import Status

Row = dict[str, Any]


@dataclass(frozen=True)
class PredictOptions:
    """The choices of one run over a batch; of shares and counts as in `ReadOptions`."""

    models: tuple[InstalledModel, ...] = ()
    still_limits: StillLimits = field(default_factory=StillLimits)
    again: bool = False  # ask about frames that were asked about, too
    retry_only: RetryOnly | None = None
    outage_share: float = 0.5
    outage_least: int = 3
    n_thumbnails: int = 24

    @property
    def code_version(self) -> str:
        """The stage's version, which names every model: another one is another output."""
        return PREDICTIONS.code_version + "/" + ",".join(model.name for model in self.models)


@dataclass(frozen=True)
class PredictionsReport(BatchReport):
    """What a run did with a batch, and what the models say of all of it.

    Attributes:
        labels: model → label → frames of which it is the best; the empty label: it found nothing.
        scores: model → scores of these labels, in tenths from 0 to 1.
        n_asked: frames that this run asked about.
    """

    labels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    scores: Mapping[str, Sequence[int]] = field(default_factory=dict)
    n_asked: int = 0


def predict_batch(
    bench: Workbench, batch_id: str, options: PredictOptions, provenance: Provenance
) -> PredictionsReport:
    """Ask the models about the frames of a batch and publish what they say, or nothing.

    Raises:
        NotMaterialized: the batch is not planned, or its frames are not made.
        ModelUnfit: a model cannot be used as it is described, or fails on most of the batch.
        SetupError: a replay without a model.
        Outage, ContractBroken, ReconciliationBroken, RivalRun, StoreFailed: as `read_batch`.
    """
    return published_alone(batch_id, lambda: _predict_batch(bench, batch_id, options, provenance))


def _predict_batch(
    bench: Workbench, batch_id: str, options: PredictOptions, provenance: Provenance
) -> PredictionsReport:
    started = time.monotonic()
    if options.retry_only is not None and not options.models:
        raise SetupError(
            f"Expected the models that failed on items of batch {batch_id}, none is configured: a replay would ask "
            f"nobody, and nothing was changed. Set MEDIA_ASSETS_MODELS as it was, then replay again."
        )
    turns = Turns.seen(bench.lake, batch_id, (FRAMES, KEYFRAMES, PREDICTIONS))
    past = read_past(bench.lake, batch_id)
    entered = _entered(bench, batch_id, past) if options.models else {}
    stored = bench.lake.scan(PREDICTIONS_FRAMES, {"batch_id": [batch_id]}).collect()
    carried = _carried(entered, stored, past, options)
    asked = [frame for key, frames in entered.items() if key not in carried for frame in frames]
    outage = OutageGuard(batch_id, len(entered), options.outage_share, options.outage_least)
    predictor = FramePredictor(
        bench,
        batch_id,
        options.models,
        options.still_limits,
        outage,
        wants_thumbnails=options.n_thumbnails > 0,
        history=_history(carried, past, options),
    )
    said = _Said(batch_id, options)
    try:
        for predicted in predictor.predictions(asked):
            said.add(predicted)
    finally:
        bench.blobs.close()
    now = bench.now()
    write = StatusWriter(PREDICTIONS, options.code_version, batch_id, past, provenance, now)
    rows = said.rows(entered, stored, carried, write)
    findings = _audited(rows)
    if rows.entered or turns.expected[PREDICTIONS] or PREDICTIONS.name in past.statuses:
        commit_batch(turns, [rows], (), Told(batch_id, past, now), None, provenance, None)
    return _report(rows, findings, said, predictor, len(asked), time.monotonic() - started)


def _entered(bench: Workbench, batch_id: str, past: Past) -> dict[str, tuple[FrameToPredict, ...]]:
    """The frames of every item that has some, in the order of the batch.

    Raises:
        NotMaterialized: they were not made, or are gone.
    """
    manifest = read_manifest(bench.lake, batch_id)
    if batch_id in unfinished_publications(bench.lake.location):
        raise NotMaterialized(
            f"Expected batch {batch_id!r} to be published as a whole, a run of it is under way or was cut short. "
            f"Materialize it first: `media-assets materialize --batch {batch_id}`."
        )
    stills = bench.lake.scan(FRAMES_KEYFRAMES, {"batch_id": [batch_id]}).sort("item_key", "pts_ticks").collect()
    frames: dict[str, list[FrameToPredict]] = {}
    for row in (*past.frames.values(), *stills.iter_rows(named=True)):
        frame = FrameToPredict(row["item_key"], row["frame_id"], row["media_id"], row["blob"])
        frames.setdefault(row["item_key"], []).append(frame)
    let_through: set[str] = set()
    for stage in (FRAMES, KEYFRAMES):
        if (keys := going_on(past, stage)) is None:
            raise NotMaterialized(
                f"Expected {stage.contract.path} of batch {batch_id!r} to be done before predictions/frames; it has no "
                f"status yet. Materialize {stage.contract.path} first, or all of them together."
            )
        for key in keys:
            promised = past.statuses[stage.name][key]["n_outputs"]
            if len(frames.get(key, ())) != promised:
                raise NotMaterialized(
                    f"Expected {promised} frames of item {key!r} of batch {batch_id!r}, {len(frames.get(key, ()))} are "
                    f"there. Materialize the batch again: `media-assets materialize --again --batch {batch_id}`."
                )
        let_through |= keys
    return {key: tuple(frames[key]) for key in manifest if key in let_through}


def _carried(
    entered: Mapping[str, Sequence[FrameToPredict]], stored: pl.DataFrame, past: Past, options: PredictOptions
) -> frozenset[str]:
    """Items that stay as they are: the same models said it of the same frames, or a replay asks for others.

    A replay leaves its neighbours as they are although other models said it: they are outdated, and not its business.
    """
    if options.again:
        return frozenset()
    told = past.statuses.get(PREDICTIONS.name, {})
    rows: dict[str, set[tuple[str, ...]]] = {}
    for key, *row in stored.select("item_key", "frame_id", "blob", "model", "model_version").iter_rows():
        rows.setdefault(key, set()).add(tuple(row))
    models = [(model.description.id, model.version) for model in options.models]
    carried = set()
    for key, frames in entered.items():
        if (status := told.get(key)) is None:
            continue
        is_neighbour = options.retry_only is not None and key not in options.retry_only.item_keys
        if status["code_version"] != options.code_version and not is_neighbour:
            continue
        if status["status"] == Status.FAILED:
            if is_neighbour:
                carried.add(key)
            continue
        of = _models_of(status["code_version"]) if is_neighbour else models
        if rows.get(key) == {(frame.frame_id, frame.blob, *model) for frame in frames for model in of}:
            carried.add(key)
    return frozenset(carried)


def _models_of(code_version: str) -> list[tuple[str, ...]]:
    """(id, version) of the models that a code version names."""
    return [tuple(name.split("@", 1)) for name in code_version.partition("/")[2].split(",")]


def _history(carried: frozenset[str], past: Past, options: PredictOptions) -> History:
    told = past.statuses.get(PREDICTIONS.name, {})
    same = {key: row for key, row in told.items() if row["code_version"] == options.code_version}
    n_accepted = sum(key in carried and Status(row["status"]).goes_on for key, row in same.items())
    return History(n_accepted, frozenset(key for key, row in same.items() if row["error_code"] in OF_MODELS))


@dataclass
class _Said:
    """Gathers what the models say, frame by frame."""

    batch_id: str
    options: PredictOptions
    _rows: dict[str, dict[str, list[Row]]] = field(default_factory=dict)  # item → frame → rows
    _errors: dict[str, dict[str, ItemError]] = field(default_factory=dict)
    _least_sure: list[tuple[float, int, Cell]] = field(default_factory=list)

    def add(self, predicted: FramePredicted) -> None:
        """Take in what became of one frame."""
        frame = predicted.frame
        if predicted.error is not None:
            self._errors.setdefault(frame.item_key, {})[frame.frame_id] = predicted.error
            return
        self._rows.setdefault(frame.item_key, {})[frame.frame_id] = [
            self._row(frame, model, prediction)
            for model, prediction in zip(self.options.models, predicted.predictions, strict=True)
        ]
        self._show(predicted)

    def _row(self, frame: FrameToPredict, model: InstalledModel, prediction: Prediction) -> Row:
        best = prediction.best
        return {
            "batch_id": self.batch_id,
            "frame_id": frame.frame_id,
            "item_key": frame.item_key,
            "model": model.description.id,
            "model_version": model.version,
            "task": model.description.task,
            "label": None if best is None else best.label,
            "score": None if best is None else best.score,
            "uncertainty": prediction.uncertainty,
            "regions": [
                {"label": r.label, "score": r.score, "x": r.x, "y": r.y, "width": r.width, "height": r.height}
                for r in prediction.regions
            ],
            "blob": frame.blob,
        }

    def _show(self, predicted: FramePredicted) -> None:
        """Keep the thumbnail of a frame of which a model is less sure than of those that are kept."""
        doubts = [(p.uncertainty or 0.0, p) for p in predicted.predictions]
        if predicted.thumbnail is None or not doubts:
            return
        doubt, said = max(doubts, key=lambda each: each[0])
        caption = "nothing" if said.best is None else f"{said.best.label} {said.best.score:.2f}"
        boxes = tuple(
            (r.x, r.y, r.width, r.height)
            for r in said.regions
            if r.x is not None and r.y is not None and r.width is not None and r.height is not None
        )
        cell = Cell(predicted.thumbnail, caption, Status.ACCEPTED.value, boxes)
        entry = (doubt, -int(predicted.frame.frame_id, 16), cell)
        if len(self._least_sure) < self.options.n_thumbnails:
            heapq.heappush(self._least_sure, entry)
        elif entry[:2] > self._least_sure[0][:2]:
            heapq.heapreplace(self._least_sure, entry)

    def cells(self) -> tuple[Cell, ...]:
        """The frames of which a model was least sure, of those that were asked about; the least sure one first."""
        return tuple(cell for _, _, cell in sorted(self._least_sure, key=lambda each: each[:2], reverse=True))

    def rows(
        self,
        entered: Mapping[str, Sequence[FrameToPredict]],
        stored: pl.DataFrame,
        carried: frozenset[str],
        write: StatusWriter,
    ) -> StageRows:
        """All of the batch, in its order."""
        rows = StageRows(PREDICTIONS, tuple(entered))
        stays: list[str] = []
        for key, frames in entered.items():
            if key in carried:
                status = write.carried(key)
                if status is not None and Status(status["status"]).goes_on:  # a killed run may have left other rows
                    stays.append(key)
            elif errors := self._errors.get(key):
                first = next(frame for frame in frames if frame.frame_id in errors)
                status = write.failed(key, errors[first.frame_id], frames[0].media_id)
            else:
                status = self._done(key, frames, write)
                rows.rows += self._in_order(key, frames)
            if status is not None:  # the audit tells of an item without one
                rows.statuses.append(status)
        rows.tables = [stored.filter(pl.col("item_key").is_in(stays)), PREDICTIONS_FRAMES.frame(rows.rows)]
        return rows

    def _done(self, key: str, frames: Sequence[FrameToPredict], write: StatusWriter) -> Row | None:
        if len(self._rows.get(key, ())) != len(frames):
            return None
        n_outputs = len(frames) * len(self.options.models)
        return write.done(key, Status.ACCEPTED, n_outputs, frames[0].media_id)

    def _in_order(self, key: str, frames: Sequence[FrameToPredict]) -> Iterator[Row]:
        by_frame = self._rows.get(key, {})
        for frame in frames:
            yield from by_frame.get(frame.frame_id, ())


def _audited(rows: StageRows) -> tuple[Finding, ...]:
    table, statuses = rows.table(), ITEM_STATUS.frame(rows.statuses)
    per_item = dict(Counter(map(str, table["item_key"].to_list())))
    findings = (
        contract_finding(PREDICTIONS_FRAMES, table),
        reconciliation_finding(PREDICTIONS_FRAMES, rows.entered, statuses, per_item),
        status_finding(statuses),
    )
    refuse(broken(findings), findings)
    return findings


def _report(
    rows: StageRows,
    findings: tuple[Finding, ...],
    said: _Said,
    predictor: FramePredictor,
    n_asked: int,
    seconds: float,
) -> PredictionsReport:
    table = rows.table()
    codes = Counter(row["error_code"] for row in rows.statuses if row["error_code"])
    counts = status_counts(row["status"] for row in rows.statuses)
    stage = StageReport(PREDICTIONS_FRAMES.path, len(rows.entered), table.height, counts, dict(codes), 0)
    return PredictionsReport(
        batch_id=said.batch_id,
        stages={PREDICTIONS_FRAMES.path: stage},
        findings=findings,
        n_read=n_asked,
        n_downloaded=0,
        n_downloaded_bytes=0,
        seconds=seconds,
        decode_cpu_seconds=predictor.cpu_seconds,
        n_damaged_blobs=codes["blob_damaged"],
        cells=said.cells(),
        labels=_labels(table),
        scores=_scores(table),
        n_asked=n_asked,
    )


def _labels(table: pl.DataFrame) -> dict[str, dict[str, int]]:
    counted = (
        table.group_by("model", pl.col("label").fill_null(""))
        .len("n")
        .sort("model", "n", "label", descending=[False, True, False])
    )
    labels: dict[str, dict[str, int]] = {}
    for model, label, n in counted.iter_rows():
        labels.setdefault(model, {})[label] = n
    return labels


def _scores(table: pl.DataFrame) -> dict[str, list[int]]:
    scores: dict[str, list[int]] = {}
    for model, score in table.select("model", "score").iter_rows():
        tenths = scores.setdefault(model, [0] * 10)
        if score is not None:
            tenths[min(int(score * 10), 9)] += 1
    return scores
