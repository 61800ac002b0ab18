"""`media-assets`: thin, one function per command. Heavy imports happen inside the commands, so that help is quick.

Every command takes `--json`: one JSON document on stdout, everything else on stderr; a failure exits non-zero.
"""

from __future__ import annotations

import difflib
import gc
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from media_assets.cli_failures import Commands
from media_assets.cli_output import Output, Progressbar
from media_assets.errors import ErrorCode

if TYPE_CHECKING:
    from media_assets.defs.resources import Settings
    from media_assets.defs.runs import Launcher, RunResult
    from media_assets.ingest.planning import PlanResult
    from media_assets.stages.workbench import Progress

_NOTHING_PLANNED = "Nothing is planned yet: media-assets plan …"
_MOST_HOURS = 1_000_000  # a century: beyond it, there are no dates

_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="media-assets")
def main() -> None:
    """Media Assets: raw media in, trustworthy and versioned training sets out.

    MEDIA_ASSETS_LAKE names the lake (default ./lake); DAGSTER_HOME defaults to a folder beside it.
    """
    # Imports alone make a million objects that stay; at Python's own pace the collector looks through them for 0.4 s.
    gc.set_threshold(200_000, 50, 100)


@main.command()
@click.option("--directory", type=click.Path(path_type=Path), default=Path("demo"), show_default=True)
@click.option("--images", type=click.IntRange(30, 5000), default=60, show_default=True, help="Sample photos to make.")
@_as_json
def demo(directory: Path, images: int, as_json: bool) -> None:
    """Run the whole path on sample media, offline, and say what to look at next."""
    from media_assets.demo.walkthrough import run_demo

    run_demo(directory, images, Output(as_json))


@main.group()
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
@_as_json
def plan_open_images(
    split: str, count: int | None, batch_size: int, metadata: str, image_url: str | None, update: bool, as_json: bool
) -> None:
    """Plan batches from the Open Images CSV files (image list, labels, boxes, class names)."""
    from media_assets.defs.plans import plan_open_images as run

    output = Output(as_json)
    with Progressbar(output) as progress:
        plan = run(_checked_settings(), metadata, split, count, batch_size, image_url, progress, update=update)
    _show_plan(plan, output, {"missing_files": _listed(plan.missing_files, output)})
    if plan.missing_files and plan.n_planned:
        output.say("Items were planned without the missing files; a later plan adds to them with --update only.")
    if plan.n_changed:
        output.say(_told_of_changes(plan, update))


@plan.command("folder")
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@_batch_size
@_as_json
def plan_folder(directory: Path, batch_size: int, as_json: bool) -> None:
    """Plan batches from the files of a folder; an item's key is its path inside it."""
    from media_assets.defs.plans import plan_folder as run

    output = Output(as_json)
    with Progressbar(output) as progress:
        plan = run(_checked_settings(), directory, batch_size, progress)
    _show_plan(plan, output, {"hidden_left_out": plan.n_hidden})


@main.command()
@click.option("--batch", "batch_glob", default="*", show_default=True, help="Batches whose id matches this glob.")
@click.option("--select", "selection", multiple=True, help="Tables to make, such as tensors/images; default: all.")
@click.option("--again", is_flag=True, help="Also batches that are done already.")
@click.option("--refetch", is_flag=True, help="Ask the source again even where bytes are kept.")
@_as_json
def materialize(batch_glob: str, selection: tuple[str, ...], again: bool, refetch: bool, as_json: bool) -> None:
    """Materialize planned batches through Dagster, in this process."""
    from media_assets.defs.runs import done_batches, made_otherwise, matching_batches, stages_selected
    from media_assets.defs.tensors import statistics_are_behind

    output = Output(as_json)
    settings = _checked_settings()
    with Progressbar(output) as progress:
        launcher = _launcher(settings, progress)
        stages = stages_selected(selection)
        matching = batches = matching_batches(launcher.instance, batch_glob)
        if not (again or refetch):
            done = done_batches(settings.open_lake(), stages)
            batches = [batch for batch in batches if batch not in done]
        results = launcher.materialize(batches, stages, refetch=refetch)
        is_new = any(result.success and not result.is_of_another for result in results)
        if not selection and (is_new or (not results and statistics_are_behind(settings.open_lake()))):
            results.append(launcher.measure_statistics())
    nothing = (
        f"Nothing to do: every batch matching {batch_glob!r} is done (see --again)." if matching else _NOTHING_PLANNED
    )
    older = made_otherwise(settings.open_lake(), stages, settings.specs())
    if told := sorted({table for batch in matching for table in older.get(batch, ())}):
        n_batches = sum(batch in older for batch in matching)
        output.say(
            f"{n_batches} batches hold {', '.join(told)} as an earlier version of the program, or other TensorSpecs, "
            f"made it. They stay as they are; --again makes them anew, and replaces what other specs had made."
        )
    _show_runs(settings, results, output, nothing)


@main.command()
@click.option("--batch", "batch_glob", default="*", show_default=True, help="Batches whose id matches this glob.")
@_as_json
def status(batch_glob: str, as_json: bool) -> None:
    """Per batch and stage: expected, accepted, converted, duplicate, filtered, failed, erased, pending."""
    from fnmatch import fnmatchcase

    from media_assets.lake.overview import batch_overview
    from media_assets.lake.publications import unfinished_publications

    lake, output = _usable_settings().open_lake(), Output(as_json)
    every = batch_overview(lake).to_dicts()
    rows = [row for row in every if fnmatchcase(row["batch_id"], batch_glob)]
    half = sorted(key for key in unfinished_publications(lake.location) if fnmatchcase(key, batch_glob))
    known = {row["batch_id"]: None for row in every}
    nothing = f"No batch matches {batch_glob!r}; there are {len(known)}, such as {next(iter(known))}." if known else ""
    output.table("Batches", rows, nothing or _NOTHING_PLANNED, {"half_published": half})
    if half:
        told = ", ".join(half)
        output.say(f"Half published (now, or by a process that died): {told}. media-assets materialize completes them.")


@main.group("dead-letters")
def dead_letters() -> None:
    """See, understand and replay what failed."""


def _known_code(ctx: click.Context, option: click.Parameter, code: str | None) -> str | None:
    return _one_of(code, [known.value for known in ErrorCode])


def _known_stage(ctx: click.Context, option: click.Parameter, stage: str | None) -> str | None:
    if stage is None:
        return None
    from media_assets.lake.overview import STAGES

    return _one_of(stage.replace("/", "."), ["ingest.manifest", *STAGES])


def _one_of(given: str | None, known: list[str]) -> str | None:
    """What was given, if it is known: a slip would look like "nothing failed"."""
    if given is not None and given not in known:
        near = difflib.get_close_matches(given, known, 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise click.BadParameter(f"expected one of {', '.join(known)}, got {given!r}.{hint}")
    return given


def _letter_filter(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(
        [
            click.option("--stage", callback=_known_stage, help="Such as raw/media."),
            click.option("--code", callback=_known_code, help="Error code, such as not_found."),
            click.option("--batch", help="Batch id, or a glob."),
            click.option(
                "--older-than-hours", type=click.FloatRange(0, _MOST_HOURS), help="Last failure at least so long ago."
            ),
        ]
    ):
        command = option(command)
    return command


@dead_letters.command("list")
@_letter_filter
@_as_json
def list_letters(
    stage: str | None, code: str | None, batch: str | None, older_than_hours: float | None, as_json: bool
) -> None:
    """List the items whose latest status is `failed`."""
    letters = _letters(stage, code, batch, None, older_than_hours)
    columns = ["batch_id", "item_key", "stage", "error_code", "attempts", "last_failed_at", "message"]
    rows = letters if as_json else [{name: row[name] for name in columns} for row in letters]
    Output(as_json).table(f"{len(rows)} dead letters", rows, empty="No dead letters.")


@dead_letters.command("show")
@click.argument("item_key")
@_as_json
def show_letter(item_key: str, as_json: bool) -> None:
    """Show everything that is known of one failed item."""
    letters = _letters(None, None, None, item_key, None)
    if not letters:
        raise click.BadParameter(f"expected the key of a failed item, got {item_key!r}; see `dead-letters list`.")
    Output(as_json).records(letters)


@dead_letters.command("replay")
@_letter_filter
@click.option("--item", help="Only this item.")
@_as_json
def replay_letters(
    stage: str | None,
    code: str | None,
    batch: str | None,
    older_than_hours: float | None,
    item: str | None,
    as_json: bool,
) -> None:
    """Try the failed items again, and only them."""
    output = Output(as_json)
    letters = _letters(stage, code, batch, item, older_than_hours)
    items: dict[str, list[str]] = {}
    for row in letters:
        if row["stage"] != "ingest.manifest":
            items.setdefault(row["batch_id"], []).append(row["item_key"])
    if n_lines := sum(row["stage"] == "ingest.manifest" for row in letters):
        output.say(f"{n_lines} bad lines of lists cannot be replayed: mend the list, then plan it again.")
    settings = _checked_settings()
    with Progressbar(output) as progress:
        launcher = _launcher(settings, progress)
        results = launcher.replay(items)
        if any(result.success and not result.is_of_another for result in results):
            results.append(launcher.measure_statistics())
    facts = _replayed(items, _letters(None, None, batch, None, None))
    _show_runs(settings, results, output, "Nothing to replay: no dead letter matches.", facts)
    if items:
        output.say("Replayed {replayed}: {came_back} came back, {still_failed} failed again.".format(**facts))


@main.command()
@click.argument("sql")
@_as_json
def query(sql: str, as_json: bool) -> None:
    """Query every table of the lake with DuckDB, each as stage.table. Read only."""
    from media_assets.lake.sql import run_query

    columns, rows = run_query(_usable_settings().open_lake(), sql)
    Output(as_json).query(columns, rows)


@main.command("clean-up")
@click.option(
    "--older-than-hours",
    type=click.FloatRange(24, _MOST_HOURS),
    default=168,
    show_default=True,
    help="Last written so long ago: longer than any run lasts.",
)
@click.option("--delete", is_flag=True, help="Delete them; without it they are only counted.")
@_as_json
def clean_up(older_than_hours: float, delete: bool, as_json: bool) -> None:
    """Count, or delete, files of killed runs that no table refers to."""
    from media_assets.lake.leftovers import delete_leftovers, find_leftovers

    lake = _usable_settings().open_lake()
    leftovers = find_leftovers(lake, timedelta(hours=older_than_hours))
    if delete:
        delete_leftovers(lake, leftovers)
    rows = [
        {
            "folder": folder,
            "files": len(files := [file for file in leftovers if file.folder == folder]),
            "bytes": sum(file.size_bytes for file in files),
            "oldest": min(file.modified_at for file in files),
            "deleted": delete,
        }
        for folder in sorted({file.folder for file in leftovers})
    ]
    Output(as_json).table("Leftovers", rows, empty="Nothing was left behind.")


@main.command()
@_as_json
def doctor(as_json: bool) -> None:
    """Check whether this machine, the store and the configuration are fit."""
    from media_assets.defs.doctor import examine_all

    verdicts = list(examine_all(_settings()))
    rows = [
        {"check": v.check, "passed": v.passed, "detail": v.detail, "advice": "" if v.passed else v.advice}
        for v in verdicts
    ]
    Output(as_json).table("Doctor", rows, empty="")
    if not all(v.passed for v in verdicts):
        raise SystemExit(1)


def _settings() -> Settings:
    from media_assets.defs.resources import Settings

    return Settings.from_environment()


def _usable_settings() -> Settings:
    """The settings, once the lake's store has answered: what cannot be reached is told before any work."""
    settings = _settings()
    settings.location().storage.require_usable()
    return settings


def _checked_settings() -> Settings:
    """The same, for commands that start work: what is wrong with any setting is said before anything begins."""
    settings = _usable_settings()
    settings.check()
    return settings


def _launcher(settings: Settings, progress: Progress) -> Launcher:
    from media_assets.defs.resources import open_instance
    from media_assets.defs.runs import Launcher

    launcher = Launcher(settings, open_instance(settings), progress)
    gc.set_threshold(50_000, 20, 100)  # all is imported; what the runs leave is to be found sooner
    return launcher


def _letters(
    stage: str | None, code: str | None, batch: str | None, item: str | None, older_than_hours: float | None
) -> list[dict[str, Any]]:
    from media_assets.lake.overview import DeadLetterFilter, dead_letters

    age = None if older_than_hours is None else timedelta(hours=older_than_hours)
    return dead_letters(_usable_settings().open_lake(), DeadLetterFilter(stage, code, batch, item, age)).to_dicts()


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


def _replayed(items: dict[str, list[str]], left: list[dict[str, Any]]) -> dict[str, int]:
    """What a replay brought: how many items were tried, came back, and failed again."""
    failed = {(row["batch_id"], row["item_key"]) for row in left}
    tried = {(batch_id, key) for batch_id, keys in items.items() for key in keys}
    return {
        "replayed": len(tried),
        "came_back": len(tried - failed),
        "still_failed": len(tried & failed),
    }


def _show_runs(
    settings: Settings,
    results: list[RunResult],
    output: Output,
    nothing: str,
    facts: dict[str, int] | None = None,
) -> None:
    from media_assets.defs.runs import batch_results

    rows = batch_results(settings.open_lake(), results)
    shown = (
        rows if output.as_json else [{k: v for k, v in row.items() if k not in ("run_id", "erased")} for row in rows]
    )
    output.table("Batches", shown, nothing, facts)
    if not all(result.success for result in results):
        raise SystemExit(1)
    if n_failed := sum(row["failed"] for row in rows):
        output.say(f"{n_failed} items are dead letters: media-assets dead-letters list")


if __name__ == "__main__":
    main()
