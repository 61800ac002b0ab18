"""What an asset tells in the Dagster UI: schema and lineage of its columns, counts and pictures of a materialization.

Derived from the contracts and from a batch's report; nothing is written by hand twice.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from media_assets.media.contact_sheet import Cell, as_markdown_image, contact_sheet, status_bar
from media_assets.stages.audit import Finding
from media_assets.stages.predictions import PredictionsReport
from media_assets.stages.report import BatchReport, StageReport
from media_assets.tables import (
    FRAMES_IMAGES,
    FRAMES_KEYFRAMES,
    LABELS_ANNOTATIONS,
    LABELS_CONSENSUS,
    LABELS_QUEUE,
    MANIFEST,
    PREDICTIONS_FRAMES,
    RAW_MEDIA,
    TENSORS_HISTOGRAMS,
    TENSORS_IMAGES,
    TENSORS_STATISTICS,
    TableContract,
)

Metadata = dict[str, Any]

_LINEAGE: dict[str, dict[str, list[tuple[TableContract, str]]]] = {
    RAW_MEDIA.path: {
        name: [(MANIFEST, name)] for name in ("batch_id", "item_key", "source", "uri", "licence", "attribution")
    }
    | {name: [(MANIFEST, "uri")] for name in ("media_id", "mime", "size_bytes", "width_px", "height_px")},
    FRAMES_IMAGES.path: {
        "batch_id": [(RAW_MEDIA, "batch_id")],
        "item_key": [(RAW_MEDIA, "item_key")],
        "media_id": [(RAW_MEDIA, "media_id")],
        "frame_id": [(RAW_MEDIA, "media_id"), (MANIFEST, "rotation_degrees")],
        "blob": [(RAW_MEDIA, "media_id")],
        "width_px": [
            (RAW_MEDIA, "width_px"),
            (RAW_MEDIA, "exif_orientation"),
            (MANIFEST, "rotation_degrees"),
        ],
        "height_px": [
            (RAW_MEDIA, "height_px"),
            (RAW_MEDIA, "exif_orientation"),
            (MANIFEST, "rotation_degrees"),
        ],
        "turned_degrees": [(MANIFEST, "rotation_degrees")],
    },
    FRAMES_KEYFRAMES.path: {
        name: [(RAW_MEDIA, source)]
        for source, names in {
            "batch_id": ("batch_id",),
            "item_key": ("item_key",),
            "media_id": ("media_id", "frame_id", "blob", "pts_ns", "pts_ticks", "time_base", "frame_number", "shot"),
            "width_px": ("width_px",),
            "height_px": ("height_px",),
        }.items()
        for name in names
    },
    TENSORS_IMAGES.path: {
        "batch_id": [(FRAMES_IMAGES, "batch_id")],
        "frame_id": [(FRAMES_IMAGES, "frame_id")],
        "tensor": [(FRAMES_IMAGES, "blob")],
    },
    PREDICTIONS_FRAMES.path: {
        name: [(table, source) for table in (FRAMES_IMAGES, FRAMES_KEYFRAMES)]
        for name, source in {
            "batch_id": "batch_id",
            "item_key": "item_key",
            "frame_id": "frame_id",
            "blob": "blob",
            "label": "blob",
            "score": "blob",
            "uncertainty": "blob",
            "regions": "blob",
        }.items()
    },
    TENSORS_HISTOGRAMS.path: {
        name: [(TENSORS_IMAGES, name)] for name in ("batch_id", "spec", "layout", "dtype", "scale", "mean", "std")
    }
    | {"n_tensors": [(TENSORS_IMAGES, "frame_id")], "histogram": [(TENSORS_IMAGES, "tensor")]},
    TENSORS_STATISTICS.path: {
        name: [(TENSORS_HISTOGRAMS, name)] for name in ("spec", "channel", "n_tensors", "histogram")
    }
    | {name: [(TENSORS_HISTOGRAMS, "histogram")] for name in ("n_values", "mean", "std")},
    LABELS_QUEUE.path: {
        name: [(FRAMES_IMAGES, source), (FRAMES_KEYFRAMES, source)]
        for name, source in {
            "batch_id": "batch_id",
            "item_key": "item_key",
            "subject_id": "frame_id",
            "media_id": "media_id",
            "blob": "blob",
            "media_type": "blob_mime",
        }.items()
    },
    LABELS_CONSENSUS.path: {
        name: [(LABELS_ANNOTATIONS, name)] for name in ("batch_id", "project", "task_key", "round", "value", "label")
    }
    | {
        "n_annotators": [(LABELS_ANNOTATIONS, "annotator")],
        "agreement": [(LABELS_ANNOTATIONS, "value")],
        "settled_at": [(LABELS_ANNOTATIONS, "updated_at")],
    },
}


def asset_key(contract: TableContract) -> dg.AssetKey:
    """Asset key = Delta path = contract name."""
    return dg.AssetKey(list(contract.key))


def column_schema(contract: TableContract) -> dg.TableSchema:
    """The table's columns with types, units and nullability."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name,
                type=str(kind),
                description=contract.column_descriptions[name],
                constraints=dg.TableColumnConstraints(nullable=name in contract.nullable),
            )
            for name, kind in contract.schema.items()
        ]
    )


def definition_metadata(contract: TableContract) -> Metadata:
    """What is known of a table before anything is materialized."""
    metadata: Metadata = {
        "dagster/column_schema": column_schema(contract),
        "dagster/table_name": contract.name,
        "key": ", ".join(contract.primary_key),
        "partitions": ", ".join(contract.partition_by) or "none",
    }
    if lineage := column_lineage(contract):
        metadata["dagster/column_lineage"] = lineage
    return metadata


def column_lineage(contract: TableContract) -> dg.TableColumnLineage | None:
    """Which column was made from which; None when nothing is upstream."""
    columns = _LINEAGE.get(contract.path)
    if columns is None:
        return None
    return dg.TableColumnLineage(
        {
            name: [dg.TableColumnDep(asset_key(source), column) for source, column in sources]
            for name, sources in columns.items()
        }
    )


def sheet_of(batch_id: str, cells: Sequence[Cell]) -> str | None:
    """The contact sheet of a batch as Markdown; None where nothing was read. Drawing takes 50 ms: do it once."""
    return as_markdown_image(contact_sheet(cells), f"{batch_id} contact sheet") if cells else None


def batch_metadata(report: BatchReport, stage: StageReport, sheet: str | None) -> Metadata:
    """What one materialization of one batch tells; `sheet` is the batch's `sheet_of`."""
    bar = as_markdown_image(status_bar(stage.counts), "one part for each status")
    told = " · ".join(f"**{n}** {status}" for status, n in stage.counts.items() if n)
    metadata: Metadata = {"items": dg.MetadataValue.md(f"{bar}\n\n{told or 'no items'}")}
    if sheet is not None:
        metadata["contact_sheet"] = dg.MetadataValue.md(sheet)
    if stage.codes:
        metadata["failures_by_code"] = dg.MetadataValue.json(dict(stage.codes))
    metadata |= {
        "entered": stage.n_entered,
        **stage.counts,
        "dagster/partition_row_count": stage.n_rows,
        "bytes": stage.n_bytes,
        "images_per_s": round(report.images_per_s, 1),
        "seconds": round(report.seconds, 2),
        "decode_cpu_seconds": round(report.decode_cpu_seconds, 2),
        "downloaded": report.n_downloaded,
        "downloaded_bytes": report.n_downloaded_bytes,
    }
    if report.n_damaged_blobs:
        metadata["damaged_blobs"] = report.n_damaged_blobs
    return metadata


def predictions_metadata(
    report: PredictionsReport, stage: StageReport, models: Sequence[str], sheet: str | None
) -> Metadata:
    """What one materialization of `predictions/frames` of one batch tells; `sheet` shows frames of little certainty."""
    bar = as_markdown_image(status_bar(stage.counts), "one part for each status")
    told = " · ".join(f"**{n}** {status}" for status, n in stage.counts.items() if n)
    metadata: Metadata = {"items": dg.MetadataValue.md(f"{bar}\n\n{told or 'no items'}")}
    if sheet is not None:
        metadata["least_sure"] = dg.MetadataValue.md(sheet)
    if stage.codes:
        metadata["failures_by_code"] = dg.MetadataValue.json(dict(stage.codes))
    for model, labels in report.labels.items():
        metadata[f"{model} labels"] = dg.MetadataValue.md(_labels_table(labels))
        metadata[f"{model} scores"] = _bars(report.scores[model])
    return metadata | {
        "models": ", ".join(models) or "none is configured",
        "entered": stage.n_entered,
        **stage.counts,
        "dagster/partition_row_count": stage.n_rows,
        "frames_asked": report.n_asked,
        "seconds": round(report.seconds, 2),
        "model_cpu_seconds": round(report.decode_cpu_seconds, 2),
    }


_MOST_LABELS = 20


def _labels_table(labels: Mapping[str, int]) -> str:
    rows = [f"| {_in_cell(label) or '(nothing found)'} | {n} |" for label, n in list(labels.items())[:_MOST_LABELS]]
    if (n_more := len(labels) - len(rows)) > 0:
        rows.append(f"| and {n_more} more | {sum(list(labels.values())[_MOST_LABELS:])} |")
    return "\n".join(["| best label | frames |", "| --- | --- |", *rows])


def _in_cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())


def _bars(tenths: Sequence[int]) -> str:
    """Counts of scores from 0 to 1 as one line, each tenth a bar that is as high as its share of the fullest."""
    highest = max([*tenths, 1])
    return "0 " + "".join("·▁▂▃▄▅▆▇█"[-(-n * 8 // highest)] for n in tenths) + " 1"


def finding_metadata(findings: Mapping[str, Finding]) -> Metadata:
    """What a check verified; by batch where there are several, since Dagster plots plain numbers only."""
    details = {
        batch_id: {
            key: value if isinstance(value, int | float) else str(value) for key, value in finding.detail.items()
        }
        for batch_id, finding in findings.items()
    }
    if len(details) == 1:
        return dict(*details.values())
    return {batch_id: dg.MetadataValue.json(detail) for batch_id, detail in details.items()}


def failures_metadata(stages: Mapping[str, StageReport]) -> Metadata:
    """How much of one batch failed and why, or the shares of several, and what to do next."""
    shares = {batch_id: round(failed_share(stage), 4) for batch_id, stage in stages.items()}
    if len(stages) > 1:
        return {"failed_share": shares, "next": "media-assets dead-letters list"}
    ((batch_id, stage),) = stages.items()
    return {
        "failed_share": shares[batch_id],
        "failed": stage.counts["failed"],
        "entered": stage.n_entered,
        "failures_by_code": dg.MetadataValue.json(dict(stage.codes)),
        "next": f"media-assets dead-letters list --batch {shlex.quote(batch_id)}",
    }


def failed_share(stage: StageReport) -> float:
    """The part of what entered that became dead letters, 0 to 1."""
    return stage.counts["failed"] / max(stage.n_entered, 1)
