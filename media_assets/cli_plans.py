"""`media-assets plan …`: one function per source. Not here: what a plan does (`defs/plans.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from media_assets.cli_context import checked_settings, json_option
from media_assets.cli_output import Output, Progressbar

if TYPE_CHECKING:
    from media_assets.ingest.planning import PlanResult


@click.group()
def plan() -> None:
    """Plan ingest batches: write what is expected to ingest/manifest."""


_batch_size = click.option(
    "--batch-size",
    type=click.IntRange(1, 100_000),
    default=5000,
    show_default=True,
    help="Items per ingest batch.",
)


@plan.command("open-images")
@click.option("--split", required=True, help="train, validation (or val), test.")
@click.option("--count", type=click.IntRange(1), help="Only the first COUNT images of the list.")
@_batch_size
@click.option(
    "--metadata",
    default="https://storage.googleapis.com/openimages/",
    show_default=True,
    help="Folder or URL with the CSV files.",
)
@click.option("--image-url", help="URL template with {image_id} and {split}; default: the public bucket's layout.")
@click.option("--update", is_flag=True, help="Correct planned items that failed or never ran, as the list says now.")
@json_option
def plan_open_images(
    split: str, count: int | None, batch_size: int, metadata: str, image_url: str | None, update: bool, as_json: bool
) -> None:
    """Plan batches from the Open Images CSV files (image list, labels, boxes, class names)."""
    from media_assets.defs.plans import plan_open_images as run

    output = Output(as_json)
    with Progressbar(output) as progress:
        plan = run(checked_settings(), metadata, split, count, batch_size, image_url, progress, update=update)
    _show_plan(plan, output, {"missing_files": _listed(plan.missing_files, output)})
    if plan.missing_files and plan.n_planned:
        output.say("Items were planned without the missing files; a later plan adds to them with --update only.")
    if plan.n_changed:
        output.say(_told_of_changes(plan, update))


@plan.command("folder")
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@_batch_size
@json_option
def plan_folder(directory: Path, batch_size: int, as_json: bool) -> None:
    """Plan batches from the files of a folder; an item's key is its path inside it."""
    from media_assets.defs.plans import plan_folder as run

    output = Output(as_json)
    with Progressbar(output) as progress:
        plan = run(checked_settings(), directory, batch_size, progress)
    _show_plan(plan, output, {"hidden_left_out": plan.n_hidden})


@plan.command("videos")
@click.argument("catalog", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--media", help="Folder or URL that relative paths and published lists are below of.")
@click.option("--name", help="Name of the list; default: that of the file.")
@click.option("--method", "methods", multiple=True, help="FaceForensics++: only this method; may be repeated.")
@click.option("--compression", default="c23", show_default=True, help="FaceForensics++: raw, c23 or c40.")
@click.option(
    "--batch-size", type=click.IntRange(1, 100_000), default=200, show_default=True, help="Videos per ingest batch."
)
@click.option("--update", is_flag=True, help="Correct planned items that failed or never ran, as the list says now.")
@json_option
def plan_videos(
    catalog: Path,
    media: str | None,
    name: str | None,
    methods: tuple[str, ...],
    compression: str,
    batch_size: int,
    update: bool,
    as_json: bool,
) -> None:
    """Plan batches from a catalog of videos: CSV, JSON Lines or Parquet, or a list of FaceForensics++ or DFDC."""
    from media_assets.defs.plans import plan_videos as run
    from media_assets.ingest.videos.published import METHODS

    output = Output(as_json)
    with Progressbar(output) as progress:
        plan = run(
            checked_settings(),
            catalog,
            media,
            name,
            batch_size,
            methods or METHODS,
            compression,
            progress,
            update=update,
        )
    _show_plan(plan, output, {"ignored_columns": _listed(plan.ignored_columns, output)})
    if plan.n_changed:
        output.say(_told_of_changes(plan, update))


def _show_plan(plan: PlanResult, output: Output, more: dict[str, object]) -> None:
    output.records(
        [
            {
                "read": plan.n_read,
                "planned": plan.n_planned,
                "already_planned": plan.n_already_planned,
                "rejected": plan.n_rejected,
                "changed": plan.n_changed,
                "changed_examples": _listed(plan.changed_examples, output),
                "updated": plan.n_updated,
                "left": plan.n_left,
                **more,
                "new_batches": _listed(plan.batch_ids, output),
                "next": "media-assets materialize" if plan.batch_ids else "media-assets status",
            }
        ]
    )


def _told_of_changes(plan: PlanResult, update: bool) -> str:
    examples = "; ".join(plan.changed_examples)
    told = f"The list says something else now of {plan.n_changed} planned items ({examples})"
    if not update:
        return f"{told}. They were left as planned: --update corrects those that failed or never ran."
    return (
        f"{told}: {plan.n_updated} were updated, {plan.n_left} left, since their bytes are kept or being published. "
        f"What failed before: media-assets dead-letters replay."
    )


def _listed(names: Sequence[str], output: Output) -> Sequence[str] | str:
    """Names as JSON takes them, or as a person does: the first, the last, and how many there are."""
    if output.as_json:
        return list(names)
    if len(names) > 4:
        return f"{names[0]} … {names[-1]} ({len(names)})"
    return ", ".join(names) or "none"
