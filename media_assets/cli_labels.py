"""`media-assets labels …`: what people are asked, and how far it is. Thin, as `cli.py` is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from media_assets.cli_context import (
    NOTHING_PLANNED,
    checked_settings,
    current_settings,
    json_option,
    open_launcher,
    usable_settings,
)
from media_assets.cli_output import Output, Progressbar

if TYPE_CHECKING:
    from media_assets.tables import TableContract

_NONE_ON = "No labelling project is on: MEDIA_ASSETS_LABEL_PROJECTS=real-or-fake, for one; see docs/labels.md"

batch_option = click.option("--batch", "batch_glob", default="*", help="Batches whose id matches this glob.")


@click.group()
def labels() -> None:
    """Ask people about frames and videos, and settle what they answer."""


@labels.command()
@json_option
def status(as_json: bool) -> None:
    """Show each project's tasks by state, what is left of today's budget, and how far people agree."""
    from media_assets.labeling.overview import status_rows

    settings = usable_settings()
    rows = status_rows(settings.open_lake(), settings.projects(), datetime.now(UTC))
    # For people: what is nothing in every row is left out, and the widest name is short.
    names = [name for name in (rows[0] if rows else ()) if name == "left_today" or any(row[name] for row in rows)]
    short = {"needs_adjudication": "ties", "answers_7_days": "answers", "mean_agreement": "agreement"}
    told = [{short.get(name, name): "–" if row[name] is None else row[name] for name in names} for row in rows]
    Output(as_json).table("Label tasks", rows if as_json else told, _NONE_ON)


@labels.command()
@json_option
def projects(as_json: bool) -> None:
    """List the projects that come along and those that are on; each is held against Label Studio's own rules."""
    from media_assets.labeling.project_files import open_project, require_valid, shipped_projects

    on = {project.name: project for project in current_settings().projects()}
    found = {name: open_project(name) for name in shipped_projects()} | on
    rows = []
    for name, project in sorted(found.items()):
        require_valid(project)
        row = {"project": name, "is_on": name in on, "asks": project.title, "kind": project.kind.value}
        row |= {"subject": project.subject, "annotators": project.annotators, "per_day": project.per_day}
        rows.append(row | {"labels": ", ".join(project.labels)})
    Output(as_json).table("Labelling projects", rows, _NONE_ON)


@labels.command()
@batch_option
@json_option
def queue(batch_glob: str, as_json: bool) -> None:
    """Queue the best stills and videos of batches for the projects that are on; again, it changes nothing."""
    from media_assets.tables import LABELS_QUEUE

    _materialize(batch_glob, as_json, LABELS_QUEUE)


@labels.command()
@batch_option
@json_option
def settle(batch_glob: str, as_json: bool) -> None:
    """Settle what people answered about batches, and move their tasks on."""
    from media_assets.tables import LABELS_CONSENSUS

    _materialize(batch_glob, as_json, LABELS_CONSENSUS)


def _materialize(batch_glob: str, as_json: bool, contract: TableContract) -> None:
    from media_assets.defs.runs import matching_batches
    from media_assets.errors import SetupError

    settings = checked_settings()
    if not settings.projects():
        raise SetupError(_NONE_ON)
    output = Output(as_json)
    with Progressbar(output) as progress:
        launcher = open_launcher(settings, progress)
        results = launcher.label(matching_batches(launcher.instance, batch_glob), contract)
    rows = [
        {"batch_id": result.batch_ids[0], "result": "done" if result.success else "FAILED", "error": result.error or ""}
        for result in results
    ]
    output.table("Batches", rows, NOTHING_PLANNED)
    if not all(result.success for result in results):
        raise SystemExit(1)
