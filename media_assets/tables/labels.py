"""Contracts of `labels`: what people are asked, what each of them answered, and what is held to be so."""

from __future__ import annotations

from typing import Annotated, Any

import pandera.polars as pa
import polars as pl

from media_assets.tables.columns import SHA256, batch_id_column, column
from media_assets.tables.contract import TableContract

PROJECT = r"^[a-z0-9][a-z0-9_-]{0,62}$"
SUBJECT_ID = r"^[0-9a-f]{32}([0-9a-f]{32})?$"
TASK_KEY = r"^[a-z0-9][a-z0-9_-]{0,62}/[0-9a-f]{32}([0-9a-f]{32})?@r[1-9][0-9]*$"

LABEL_STATES = ("queued", "pushed", "annotated", "agreed", "needs_adjudication", "accepted", "withdrawn")


def _task_key_column() -> Any:
    return column("The question: `{project}/{subject_id}@r{round}`, unique over all batches", str_matches=TASK_KEY)


def _project_column() -> Any:
    return column("The labelling project, as in its TOML file", str_matches=PROJECT)


class QueueModel(pa.DataFrameModel):
    """One question about one frame or video, in one round, and how far it is."""

    task_key: str = _task_key_column()
    batch_id: str = batch_id_column()
    project: str = _project_column()
    subject: str = column("What is asked about", isin=["frame", "video"])
    subject_id: str = column("`frame_id` of the frame, or `media_id` of the video", str_matches=SUBJECT_ID)
    item_key: str = column("The manifest's item", str_length={"min_value": 1, "max_value": 4096})
    media_id: str = column("The raw file it shows or is", str_matches=SHA256)
    blob: str = column("SHA-256 of what annotators are shown", str_matches=SHA256)
    media_type: str = column("Type of that blob", str_matches=r"^(image|video)/[a-z0-9.+-]+$")
    round: pl.Int64 = column("1-based; asking again from the start is another round", ge=1)
    state: str = column("How far it is", isin=list(LABEL_STATES))
    priority: pl.Float64 = column("0 to 1; the greater, the sooner", ge=0, le=1)
    annotators: pl.Int64 = column("How many people are to answer", ge=1)
    is_gold: bool = column("Whether an expert's answer is wanted, to hold the annotators against")
    reason: str = column("Why it is in this state, in a few words", str_length={"min_value": 1, "max_value": 200})
    queued_at: Annotated[pl.Datetime, "us", "UTC"] = column("When it was first queued, UTC")
    state_at: Annotated[pl.Datetime, "us", "UTC"] = column("When it came into this state, UTC")
    ls_project_id: pl.Int64 = column("Label Studio's number of the project", nullable=True, ge=1)
    ls_task_id: pl.Int64 = column("Label Studio's number of the task, as read back", nullable=True, ge=1)
    pushed_at: Annotated[pl.Datetime, "us", "UTC"] = column(
        "When it was last found in Label Studio after a push, UTC", nullable=True
    )

    class Config:
        """Columns exactly as declared."""

        strict = True
        ordered = True


LABELS_QUEUE = TableContract(
    key=("labels", "queue"),
    model=QueueModel,
    primary_key=("batch_id", "task_key"),
    partition_by=("batch_id",),
    description="What people are asked, how soon, and how far each question is. One question per project, frame or "
    "video, and round, over all batches.",
)


class AnnotationModel(pa.DataFrameModel):
    """One version of one person's answer. Nothing is ever changed or removed here but by an erasure."""

    annotation_id: str = column(
        "`ls:{project}:{when it was made}:{number}`: Label Studio gives numbers away again",
        str_length={"min_value": 1, "max_value": 200},
    )
    version: str = column("SHA-256 of what was answered, deletion included", str_matches=SHA256)
    task_key: str = _task_key_column()
    batch_id: str = batch_id_column()
    project: str = _project_column()
    round: pl.Int64 = column("The task's round", ge=1)
    annotator: str = column("Who answered, as Label Studio numbers people: `ls:7`", str_length={"min_value": 1})
    value: str = column("The answer: Label Studio's `result`, as canonical JSON", str_length={"min_value": 2})
    label: str = column("The label, where the answer is one", nullable=True)
    is_deleted: bool = column("Whether the person took it back: the last version of an answer")
    is_gold: bool = column("Whether it is an expert's: Label Studio's `ground_truth`")
    lead_time_seconds: pl.Float64 = column("Time that the person spent on it", nullable=True, ge=0)
    created_at: Annotated[pl.Datetime, "us", "UTC"] = column("When it was first submitted, UTC")
    updated_at: Annotated[pl.Datetime, "us", "UTC"] = column("When this version was submitted, UTC")
    seen_at: Annotated[pl.Datetime, "us", "UTC"] = column("When this version was first read here, UTC")

    class Config:
        """Columns exactly as declared."""

        strict = True
        ordered = True


LABELS_ANNOTATIONS = TableContract(
    key=("labels", "annotations"),
    model=AnnotationModel,
    primary_key=("batch_id", "annotation_id", "version"),
    partition_by=("batch_id",),
    description="Every version of every answer, with its annotator: append-only history.",
)


class ConsensusModel(pa.DataFrameModel):
    """What the answers about one subject come to, in its latest round that was answered."""

    batch_id: str = batch_id_column()
    project: str = _project_column()
    subject_id: str = column("`frame_id` of the frame, or `media_id` of the video", str_matches=SUBJECT_ID)
    task_key: str = _task_key_column()
    round: pl.Int64 = column("The task's round", ge=1)
    n_annotators: pl.Int64 = column("People whose answers count", ge=1)
    agreement: pl.Float64 = column("Mean agreement of two of them, 0 to 1; 1 for one alone", ge=0, le=1)
    method: str = column(
        "`gold`: an expert's answer; `majority`: more than half of the people", isin=["gold", "majority"]
    )
    is_tie: bool = column("Whether no answer has more than half of the people: nothing is settled, and none is drawn")
    value: str = column(
        "The settled answer, as canonical JSON; null: it is a tie", nullable=True, str_length={"min_value": 2}
    )
    label: str = column("The settled label, where the answer is one", nullable=True)
    settled_at: Annotated[pl.Datetime, "us", "UTC"] = column(
        "When the last answer that counts was submitted, UTC: the same however often it is computed"
    )

    class Config:
        """Columns exactly as declared."""

        strict = True
        ordered = True


LABELS_CONSENSUS = TableContract(
    key=("labels", "consensus"),
    model=ConsensusModel,
    primary_key=("batch_id", "project", "subject_id"),
    partition_by=("batch_id",),
    description="What the answers about a frame or video come to, with how far people agree. A tie is nobody's answer.",
)
