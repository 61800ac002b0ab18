"""`media-assets`: thin, one function per command. Heavy imports happen inside the commands, so that help is quick.

Every command takes `--json`: one JSON document on stdout, everything else on stderr; a failure exits non-zero.
"""

from __future__ import annotations

import gc
from datetime import timedelta
from pathlib import Path

import click

from media_assets.cli_alerts import alerts
from media_assets.cli_context import (
    MOST_HOURS,
    NOTHING_PLANNED,
    checked_settings,
    current_settings,
    json_option,
    open_launcher,
    show_runs,
    usable_settings,
)
from media_assets.cli_dead_letters import dead_letters
from media_assets.cli_failed_batches import rows_of_failed
from media_assets.cli_failures import Commands
from media_assets.cli_label_studio import forget_pushed, pull, push, serve_hints
from media_assets.cli_labels import labels
from media_assets.cli_output import Output, Progressbar
from media_assets.cli_plans import plan
from media_assets.cli_uploads import serve_uploads, upload_token


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
@json_option
def demo(directory: Path, images: int, as_json: bool) -> None:
    """Run the whole path on sample media, offline, and say what to look at next."""
    from media_assets.demo.walkthrough import run_demo

    run_demo(directory, images, Output(as_json))


@main.command()
@click.option("--batch", "batch_glob", default="*", show_default=True, help="Batches whose id matches this glob.")
@click.option("--select", "selection", multiple=True, help="Tables to make, such as tensors/images; default: all.")
@click.option("--again", is_flag=True, help="Also batches that are done already.")
@click.option("--refetch", is_flag=True, help="Ask the source again even where bytes are kept.")
@click.option("--failed", is_flag=True, help="Only batches whose last run failed (see status).")
@click.option("--outdated", is_flag=True, help="Only tables that earlier code, or other specs, made; from kept bytes.")
@click.option("--accept-failures", is_flag=True, help="Failures that may pass are no outage: make them dead letters.")
@json_option
def materialize(
    batch_glob: str,
    selection: tuple[str, ...],
    again: bool,
    refetch: bool,
    failed: bool,
    outdated: bool,
    accept_failures: bool,
    as_json: bool,
) -> None:
    """Materialize planned batches through Dagster, in this process."""
    from media_assets.defs.failed_batches import failed_batches
    from media_assets.defs.runs import RunResult, made_otherwise, matching_batches, stages_selected
    from media_assets.defs.tensors import statistics_are_behind
    from media_assets.stages.done import done_batches, made_in_part
    from media_assets.stages.stage import KEYFRAMES, PREDICTIONS, STAGES

    results: list[RunResult] = []
    if outdated and (again or refetch or failed or selection):
        raise click.UsageError("expected --outdated alone or with --batch: it says itself which tables are made.")
    output = Output(as_json)
    settings = checked_settings()
    with Progressbar(output) as progress:
        launcher = open_launcher(settings, progress)
        stages = stages_selected(selection, launcher.stages)
        held = stages if selection else STAGES  # with no model left, what models had said is outdated
        models = settings.installed_models() if PREDICTIONS in held else ()
        matching = batches = matching_batches(launcher.instance, batch_glob)
        if outdated:
            older = made_otherwise(settings.open_lake(), held, settings.options(), models)
            results = launcher.remake({batch: older[batch] for batch in matching if batch in older})
        else:
            if failed:
                wanted = {batch.batch_id: batch.stages for batch in failed_batches(launcher.instance)}
                batches = [batch for batch in batches if batch in wanted]
                models_alone = [batch for batch in batches if wanted[batch] == (PREDICTIONS,)]
                batches = [batch for batch in batches if batch not in models_alone]
                results += launcher.materialize(models_alone, [PREDICTIONS], accept_failures=accept_failures)
            elif not (again or refetch):
                done = done_batches(settings.open_lake(), stages)
                batches = [batch for batch in batches if batch not in done]
                for later in (PREDICTIONS, KEYFRAMES):
                    in_part = made_in_part(settings.open_lake(), stages, batches, later)
                    batches = [batch for batch in batches if batch not in in_part]
                    made = [stage for stage in stages if stage in (later, PREDICTIONS)]
                    results += launcher.materialize(in_part, made, accept_failures=accept_failures)
            results += launcher.materialize(
                batches, stages, refetch=refetch, accept_failures=accept_failures, again=again
            )
        is_new = any(result.success and not result.is_of_another for result in results)
        if not selection and (is_new or (not results and statistics_are_behind(settings.open_lake()))):
            results.append(launcher.measure_statistics())
    what = "outdated" if outdated else "failed" if failed else ""
    found = f"no batch matching {batch_glob!r} is {what}." if what else f"every batch matching {batch_glob!r} is done"
    nothing = f"Nothing to do: {found}{'' if what else ' (see --again).'}" if matching else NOTHING_PLANNED
    older = made_otherwise(settings.open_lake(), held, settings.options(), models)
    if told := sorted({table for batch in matching for table in older.get(batch, ())}):
        n_batches = sum(batch in older for batch in matching)
        output.say(
            f"{n_batches} batches hold {', '.join(told)} as an earlier version of the program, or other settings, "
            f"made it. They stay as they are; --outdated makes them anew, and replaces what other settings had made."
        )
    show_runs(settings, results, output, nothing)


@main.command()
@click.option("--batch", "batch_glob", default="*", show_default=True, help="Batches whose id matches this glob.")
@json_option
def status(batch_glob: str, as_json: bool) -> None:
    """Per batch and stage: expected, accepted, converted, duplicate, filtered, failed, erased, pending."""
    from fnmatch import fnmatchcase

    from media_assets.lake.overview import batch_overview
    from media_assets.lake.publications import unfinished_publications

    settings, output = usable_settings(), Output(as_json)
    lake = settings.open_lake()
    every = batch_overview(lake).to_dicts()
    rows = [row for row in every if fnmatchcase(row["batch_id"], batch_glob)]
    half = sorted(key for key in unfinished_publications(lake.location) if fnmatchcase(key, batch_glob))
    known = {row["batch_id"]: None for row in every}
    nothing = f"No batch matches {batch_glob!r}; there are {len(known)}, such as {next(iter(known))}." if known else ""
    failed = rows_of_failed(settings, batch_glob)
    output.table("Batches", rows, nothing or NOTHING_PLANNED, {"half_published": half, "failed_batches": failed})
    if failed and not as_json:
        output.table("Batches whose last run failed", failed, "")
    if half:
        told = ", ".join(half)
        output.say(f"Half published (now, or by a process that died): {told}. media-assets materialize completes them.")


@main.command()
@click.argument("sql")
@json_option
def query(sql: str, as_json: bool) -> None:
    """Query every table of the lake with DuckDB, each as stage.table. Read only."""
    from media_assets.lake.sql import run_query

    columns, rows = run_query(usable_settings().open_lake(), sql)
    Output(as_json).query(columns, rows)


@main.command("clean-up")
@click.option(
    "--older-than-hours",
    type=click.FloatRange(24, MOST_HOURS),
    default=168,
    show_default=True,
    help="Last written so long ago: longer than any run lasts.",
)
@click.option("--delete", is_flag=True, help="Delete them; without it they are only counted.")
@json_option
def clean_up(older_than_hours: float, delete: bool, as_json: bool) -> None:
    """Count, or delete, files of killed runs that no table refers to."""
    from media_assets.lake.leftovers import delete_leftovers, find_leftovers

    lake = usable_settings().open_lake()
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
@json_option
def doctor(as_json: bool) -> None:
    """Check whether this machine, the store and the configuration are fit."""
    from media_assets.defs.doctor import examine_all

    verdicts = list(examine_all(current_settings()))
    rows = [
        {"check": v.check, "passed": v.passed, "detail": v.detail, "advice": "" if v.passed else v.advice}
        for v in verdicts
    ]
    Output(as_json).table("Doctor", rows, empty="")
    if not all(v.passed for v in verdicts):
        raise SystemExit(1)


main.add_command(alerts)
main.add_command(plan)
main.add_command(dead_letters)
main.add_command(labels)
for command in (push, pull, forget_pushed, serve_hints):
    labels.add_command(command)
main.add_command(serve_uploads)
main.add_command(upload_token)


if __name__ == "__main__":
    main()
