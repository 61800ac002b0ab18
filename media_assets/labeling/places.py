"""Where a project lies in Label Studio: by the number that its tasks were pushed under, and by title only before that.

A title may be changed on either side; the number may lead to nothing, or to other people's project where the address or
the token is another server's. Then nothing is guessed. Not here: asking Label Studio (`label_studio/projects.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from media_assets.curation.label_states import LabelActor, LabelMove, LabelState
from media_assets.errors import LabelStudioCode, LabelStudioFailed
from media_assets.labeling.label_studio.client import LabelStudio, NotFound
from media_assets.labeling.label_studio.listing import ask
from media_assets.labeling.label_studio.projects import Project, find_project, read_project
from media_assets.labeling.queue import TaskMove, apply_moves
from media_assets.lake.delta import Lake, Provenance
from media_assets.tables import LABELS_QUEUE

_N_ASKED = 20


@dataclass(frozen=True)
class _Known:
    """The number of the last push; some of the tasks that are there, and how many of them nobody has answered yet."""

    project_id: int
    task_keys: list[str]
    n_pushed: int


def find_place(lake: Lake, client: LabelStudio, name: str, title: str) -> Project | None:
    """The project that a queue's tasks were pushed into, whatever it is called; by its title where there are none.

    Raises:
        LabelStudioFailed: `project_gone`: tasks wait for answers in a project that is not there, or is another one now.
    """
    if (known := _known(lake, name)) is None:
        return find_project(client, title)
    try:
        found = read_project(client, known.project_id)
        if found.title == title or any(ask(client, known.project_id, known.task_keys)):
            return found
        told = f"{found.title!r}, in which none of them are"
    except NotFound:
        told = "none"
    if known.n_pushed:
        raise LabelStudioFailed(
            LabelStudioCode.PROJECT_GONE,
            f"expected the project {known.project_id} of {client.url}, where {known.n_pushed} tasks of {name} wait for "
            f"answers, got {told}. Is it the same server and organization? If what was pushed there is really lost, "
            f"`media-assets labels forget-pushed {name}` makes these tasks due again.",
        )
    return find_project(client, title)


def forget_pushed(lake: Lake, name: str, at: datetime, provenance: Provenance) -> int:
    """Make every task due again that waits for answers; how many. What was answered stays."""
    is_pushed = (pl.col("project") == name) & (pl.col("state") == LabelState.PUSHED)
    keys = lake.scan(LABELS_QUEUE).filter(is_pushed).select("task_key").collect()["task_key"]
    told = "said to be lost in Label Studio"
    moves = [TaskMove(key, LabelMove.LOSE, LabelActor.SYNC, told) for key in keys]
    return apply_moves(lake, moves, at, provenance).n_made


def _known(lake: Lake, name: str) -> _Known | None:
    is_there = pl.col("ls_project_id").is_not_null() & pl.col("ls_task_id").is_not_null()
    rows = lake.scan(LABELS_QUEUE).filter((pl.col("project") == name) & is_there)
    told = rows.select("task_key", "state", "ls_project_id", "pushed_at").collect()
    told = told.sort("pushed_at", descending=True, nulls_last=True)
    if told.is_empty():
        return None
    number = int(told["ls_project_id"][0])
    there = told.filter(pl.col("ls_project_id") == number)
    n_pushed = there.filter(pl.col("state") == LabelState.PUSHED).height
    return _Known(number, there["task_key"].head(_N_ASKED).to_list(), n_pushed)
