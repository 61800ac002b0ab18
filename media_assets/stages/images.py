"""The path over one batch: take in → read → the videos' stills → assemble → audit → commit.

This is the whole of promise "nothing is silent, status last" in one page. Not here: Dagster (`defs/`), decoding
(`media/`), downloading (`ingest/fetch/`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from media_assets.lake.delta import Provenance
from media_assets.lake.journal import FetchJournal
from media_assets.lake.overview import is_of_other_branch
from media_assets.lake.parts import PartWriter
from media_assets.lake.publications import unfinished_publications
from media_assets.media.contact_sheet import Cell
from media_assets.stages.assemble import Assembly, StageRows, outdated_by, still_said
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
from media_assets.stages.brightness import BrightnessSample
from media_assets.stages.commit import Turns, commit_batch
from media_assets.stages.failures import Told
from media_assets.stages.intake import Intake, named_blobs, read_manifest, read_past, take_in, videos_and_pictures
from media_assets.stages.keyframes import KeyframeReader
from media_assets.stages.outage import OutageGuard
from media_assets.stages.pictures import caption_of
from media_assets.stages.reading import BatchReader
from media_assets.stages.report import BatchReport, StageReport
from media_assets.stages.rows import Reading, tensor_row
from media_assets.stages.stage import IMAGE_STAGES, KEYFRAMES, PREDICTIONS, RAW, TENSORS, Stage
from media_assets.stages.stills import StillRows, sort_out
from media_assets.stages.tensor_parts import TensorParts
from media_assets.stages.workbench import ReadOptions, Workbench
from media_assets.tables import FRAMES_KEYFRAMES, ITEM_STATUS, TENSORS_IMAGES
from media_assets.tables.columns import Status


def read_batch(
    bench: Workbench, batch_id: str, selected: Collection[Stage], options: ReadOptions, provenance: Provenance
) -> BatchReport:
    """Run the selected stages over one batch and publish the result, or nothing.

    Raises:
        NotMaterialized: the batch is not planned, or the stage before the first selected one is not done.
        Outage: more than `options.outage_share` of the batch failed for a retryable cause; nothing is published, what
            was fetched stays fetched.
        ContractBroken, ReconciliationBroken: the audit failed; nothing is published, `findings` tell what is wrong.
        RivalRun: other runs of the batch published in between, three times; the batch is not done.
        StoreFailed: the lake could not be read or written; the batch is not done, and the next run completes it.
    """
    return published_alone(batch_id, lambda: _read_batch(bench, batch_id, selected, options, provenance))


def _read_batch(
    bench: Workbench, batch_id: str, selected: Collection[Stage], options: ReadOptions, provenance: Provenance
) -> BatchReport:
    started = time.monotonic()
    stages = [stage for stage in IMAGE_STAGES if stage in selected]
    options = _whole_when_half_published(bench, batch_id, options)
    turns = Turns.seen(bench.lake, batch_id)
    turn_of_models = bench.lake.turn(PREDICTIONS.contract, batch_id)
    is_half = batch_id in unfinished_publications(bench.lake.location)
    versions = code_versions(stages, options)
    journal = FetchJournal.of(bench.lake.location, batch_id)
    of_pictures = [stage for stage in stages if stage is not KEYFRAMES]
    taken = {stage.name: versions[stage.name] for stage in of_pictures or stages}
    intake = _take_in(bench, batch_id, taken, journal, options)
    with ExitStack() as stack:
        stack.enter_context(journal)
        stack.callback(bench.blobs.close)
        parts = None
        if TENSORS in stages:
            parts = TensorParts(stack.enter_context(PartWriter(bench.lake, TENSORS_IMAGES, batch_id, "tensor")))
        brightness = BrightnessSample(len(intake.entered))
        outage = OutageGuard(batch_id, len(intake.entered), options.outage_share, options.outage_least)
        reader = _reader(bench, options, intake, stages[0], parts, brightness, journal, outage)
        readings = {reading.key: reading for reading in reader.readings()} if of_pictures else {}
        assembly = Assembly(intake, readings, versions, len(options.specs), provenance, bench.now())
        assembled = assembly.stages(of_pictures)
        stills = None
        if KEYFRAMES in stages:
            stills = _keyframes(bench, options, assembly, assembled, outage)
            assembled.append(stills.rows)
        findings = _audit(bench, intake, assembled, parts, options)
        fetched = journal if RAW in stages else None
        outdated = outdated_by(assembled, intake.past)
        staying = still_said(
            assembled, outdated, intake.past, None if is_half else _stills_before(bench, batch_id, intake)
        )
        if staying is not None:
            turns.expected[PREDICTIONS] = turn_of_models
        told = Told(batch_id, intake.past, assembly.now)
        writer = parts.writer if parts else None
        commit_batch(turns, assembled, outdated, told, writer, provenance, fetched, staying)
    report = _report(batch_id, assembled, findings, reader, readings, parts, time.monotonic() - started)
    if stills is not None:
        report = stills.told(report)
    # A replay has only some of the tensors in hand: what is known of the whole batch says more.
    return report if intake.carried else replace(report, brightness=brightness.counts())


def _stills_before(bench: Workbench, batch_id: str, intake: Intake) -> pl.DataFrame:
    """The batch's keyframes as they are; none where no model was asked about them."""
    if PREDICTIONS.name not in intake.past.statuses:
        return FRAMES_KEYFRAMES.frame([])
    stills = bench.lake.scan(FRAMES_KEYFRAMES, {"batch_id": [batch_id]})
    return stills.select("item_key", "frame_id", "blob").collect()


def code_versions(stages: Sequence[Stage], options: ReadOptions) -> dict[str, str]:
    """Stage name → code version; the tensors' also names the specs, and the keyframes' their choice: another one is
    another output.
    """
    chosen = options.keyframes
    apart = "" if chosen.near_identical_levels is None else f"/{chosen.near_identical_levels}"
    made_by = {
        TENSORS: "/" + ",".join(spec.name for spec in options.specs),
        KEYFRAMES: f"/{chosen.policy}/{chosen.max_frames}{apart}",
    }
    return {stage.name: stage.code_version + made_by.get(stage, "") for stage in stages}


def _whole_when_half_published(bench: Workbench, batch_id: str, options: ReadOptions) -> ReadOptions:
    """A replay leaves its neighbours as their statuses say they are; after a crash their rows may say otherwise."""
    if options.retry_only is not None and batch_id in unfinished_publications(bench.lake.location):
        return replace(options, retry_only=None)
    return options


def _take_in(
    bench: Workbench, batch_id: str, versions: dict[str, str], journal: FetchJournal, options: ReadOptions
) -> Intake:
    manifest = read_manifest(bench.lake, batch_id)
    past = read_past(bench.lake, batch_id)
    fetched = journal.entries()
    sizes = bench.blobs.sizes(named_blobs(past, fetched))
    intake = take_in(batch_id, manifest, past, fetched, sizes, versions, options)
    bench.blobs.read_ahead(entry.kept.blob for entry in intake.to_read if entry.kept is not None)
    return intake


def _reader(
    bench: Workbench,
    options: ReadOptions,
    intake: Intake,
    first: Stage,
    parts: TensorParts | None,
    brightness: BrightnessSample,
    journal: FetchJournal,
    outage: OutageGuard,
) -> BatchReader:
    def keep_tensors(reading: Reading, tensors: tuple[bytes, ...]) -> None:
        assert parts is not None, "tensors were asked for"
        assert reading.frame_id is not None, "a tensor is made of a frame"
        size_px = reading.upright_size_px
        brightness.add(reading.entry.position, options.specs[0], tensors[0])
        for spec, tensor in zip(options.specs, tensors, strict=True):
            parts.append(tensor_row(intake.batch_id, reading.frame_id, spec, spec.shape_for(*size_px), tensor))

    return BatchReader(bench, options, intake, first, parts is not None, journal, keep_tensors, outage)


@dataclass
class _Stills:
    """The batch's keyframes, and what reading them took."""

    reader: KeyframeReader
    rows: StageRows
    cells: tuple[Cell, ...]

    def told(self, report: BatchReport) -> BatchReport:
        """A report with these in it."""
        return replace(
            report,
            n_read=max(report.n_read, self.reader.n_done),  # with `raw/media` the videos were counted already
            decode_cpu_seconds=report.decode_cpu_seconds + self.reader.cpu_seconds,
            n_damaged_blobs=report.n_damaged_blobs + self.reader.n_damaged,
            cells_of_stills=self.cells,
        )


def _keyframes(
    bench: Workbench, options: ReadOptions, assembly: Assembly, assembled: Sequence[StageRows], outage: OutageGuard
) -> _Stills:
    intake = assembly.intake
    raw = next((rows for rows in assembled if rows.stage is RAW), None)
    if raw is None:
        media = videos_and_pictures(intake)
    else:
        made = {str(row["item_key"]): row for row in raw.rows}
        media = {key: made[key] for key in intake.entered if key in made}
    entrants = sort_out(bench.lake, intake, media, assembly.versions[KEYFRAMES.name], options)
    stills = StillRows(intake.batch_id, options, assembly.writer(KEYFRAMES))
    proven = frozenset(key for key, reading in assembly.readings.items() if reading.video is not None)
    reader = KeyframeReader(bench, options, intake.batch_id, outage, proven, len(assembly.readings))
    for video in reader.read(entrants.videos):
        stills.add(video)
    return _Stills(reader, stills.gathered(entrants), stills.shown())


def _audit(
    bench: Workbench,
    intake: Intake,
    stages: Sequence[StageRows],
    parts: TensorParts | None,
    options: ReadOptions,
) -> tuple[Finding, ...]:
    findings: list[Finding] = []
    for rows in stages:
        contract = rows.stage.contract
        statuses = ITEM_STATUS.frame(rows.statuses)
        if rows.stage is TENSORS:
            assert parts is not None
            spec_names = [spec.name for spec in options.specs]
            parts.settle(bench.lake, intake.batch_id, set(rows.frame_ids.values()), spec_names)
            findings.append(parts.finding())
            per_item = {key: parts.n_rows(frame) for key, frame in rows.frame_ids.items()}
        else:
            table = rows.table()
            findings.append(contract_finding(contract, table))
            per_item = dict(Counter(map(str, table["item_key"].to_list())))
        findings.append(reconciliation_finding(contract, rows.entered, statuses, per_item))
        findings.append(status_finding(statuses))
    refuse(broken(findings), findings)
    return tuple(findings)


def _report(
    batch_id: str,
    stages: Sequence[StageRows],
    findings: tuple[Finding, ...],
    reader: BatchReader,
    readings: dict[str, Reading],
    parts: TensorParts | None,
    seconds: float,
) -> BatchReport:
    return BatchReport(
        batch_id=batch_id,
        stages={rows.stage.contract.path: _stage_report(rows, parts) for rows in stages},
        findings=findings,
        n_read=len(readings),
        n_downloaded=reader.n_downloaded,
        n_downloaded_bytes=reader.n_downloaded_bytes,
        seconds=seconds,
        decode_cpu_seconds=reader.decode_cpu_seconds,
        n_damaged_blobs=reader.n_damaged,
        cells=tuple(_cells(stages, readings, reader.options.n_thumbnails)),
    )


def _stage_report(rows: StageRows, parts: TensorParts | None) -> StageReport:
    codes = Counter(row["error_code"] for row in rows.statuses if row["error_code"])
    n_rows, n_bytes = len(rows.rows), sum(row.get("size_bytes", 0) for row in rows.rows)
    if rows.tables:
        n_rows, n_bytes = sum(table.height for table in rows.tables), rows.n_bytes
    if rows.stage is TENSORS and parts is not None:
        n_rows, n_bytes = parts.n_rows_in_all, parts.n_bytes
    counts = status_counts(row["status"] for row in rows.statuses)
    return StageReport(rows.stage.contract.path, len(rows.entered), n_rows, counts, dict(codes), n_bytes)


def _cells(stages: Sequence[StageRows], readings: dict[str, Reading], n_cells: int) -> Iterator[Cell]:
    """Pictures of what was read, the failed ones first: they are what a person wants to see."""
    verdicts: dict[str, dict[str, Any]] = {}
    for row in (row for rows in stages for row in rows.statuses):
        if is_of_other_branch(row["stage"], row["status"]):
            continue
        before = verdicts.setdefault(row["item_key"], row)
        if Status(row["status"]).rank < Status(before["status"]).rank:
            verdicts[row["item_key"]] = row
    shown = [reading for reading in readings.values() if reading.key in verdicts]
    shown.sort(key=lambda r: (Status(verdicts[r.key]["status"]).rank, r.thumbnail is None, r.entry.position))
    for reading in shown[:n_cells]:
        verdict = verdicts[reading.key]
        yield Cell(reading.thumbnail, caption_of(verdict), verdict["status"])
