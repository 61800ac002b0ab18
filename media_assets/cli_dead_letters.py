"""`media-assets dead-letters …`: see and replay what failed. Not here: which items those are (`lake/overview.py`)."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import click

from media_assets.cli_context import (
    MOST_HOURS,
    checked_settings,
    json_option,
    open_launcher,
    show_runs,
    usable_settings,
)
from media_assets.cli_output import Output, Progressbar
from media_assets.errors import ErrorCode


@click.group("dead-letters")
def dead_letters() -> None:
    """See, understand and replay what failed."""


def _known_code(ctx: click.Context, option: click.Parameter, code: str | None) -> str | None:
    return _one_of(code, [known.value for known in ErrorCode])


def _known_stage(ctx: click.Context, option: click.Parameter, stage: str | None) -> str | None:
    if stage is None:
        return None
    from media_assets.lake.overview import PREDICTIONS, STAGES

    return _one_of(stage.replace("/", "."), ["ingest.manifest", *STAGES, PREDICTIONS])


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
                "--older-than-hours", type=click.FloatRange(0, MOST_HOURS), help="Last failure at least so long ago."
            ),
        ]
    ):
        command = option(command)
    return command


@dead_letters.command("list")
@_letter_filter
@json_option
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
@json_option
def show_letter(item_key: str, as_json: bool) -> None:
    """Show everything that is known of one failed item."""
    letters = _letters(None, None, None, item_key, None)
    if not letters:
        raise click.BadParameter(f"expected the key of a failed item, got {item_key!r}; see `dead-letters list`.")
    Output(as_json).records(letters)


@dead_letters.command("history")
@click.argument("item_key", required=False)
@click.option("--batch", help="Batch id, or a glob.")
@click.option("--resolved", is_flag=True, help="Only those that are none any more.")
@json_option
def letter_history(item_key: str | None, batch: str | None, resolved: bool, as_json: bool) -> None:
    """Show what failed over time: each failure, and how it was resolved."""
    import polars as pl

    from media_assets.lake.failure_history import as_lines, failure_history
    from media_assets.lake.overview import DeadLetterFilter

    history = failure_history(usable_settings().open_lake())
    if item_key is not None:
        history = history.filter(pl.col("item_key") == item_key)
    if resolved:
        history = history.filter(pl.col("resolution").is_not_null())
    wanted = DeadLetterFilter(batch=batch)
    rows = [
        row for row in (history.to_dicts() if as_json else as_lines(history)) if wanted.matches_batch(row["batch_id"])
    ]
    Output(as_json).table(f"{len(rows)} dead letters, with those that were resolved", rows, empty="Nothing failed.")


@dead_letters.command("replay")
@_letter_filter
@click.option("--item", help="Only this item.")
@json_option
def replay_letters(
    stage: str | None,
    code: str | None,
    batch: str | None,
    older_than_hours: float | None,
    item: str | None,
    as_json: bool,
) -> None:
    """Try the failed items again, and only them."""
    from media_assets.defs.steps import needs_reading
    from media_assets.stages.stage import PREDICTIONS

    output = Output(as_json)
    letters = _letters(stage, code, batch, item, older_than_hours)
    items: dict[str, list[str]] = {}
    read: set[str] = set()  # batches of which some items are read anew; of the others models are asked alone
    for row in letters:
        if row["stage"] != "ingest.manifest":
            items.setdefault(row["batch_id"], []).append(row["item_key"])
            if needs_reading(row["stage"], row["error_code"]):
                read.add(row["batch_id"])
    if n_lines := sum(row["stage"] == "ingest.manifest" for row in letters):
        output.say(f"{n_lines} bad lines of lists cannot be replayed: mend the list, then plan it again.")
    settings = checked_settings()
    with Progressbar(output) as progress:
        launcher = open_launcher(settings, progress)
        results = launcher.replay({key: of_batch for key, of_batch in items.items() if key in read})
        asked = {key: of_batch for key, of_batch in items.items() if key not in read}
        results += launcher.replay(asked, [PREDICTIONS])
        if any(result.success and not result.is_of_another for result in results):
            results.append(launcher.measure_statistics())
    facts = _replayed(items, _letters(None, None, batch, None, None))
    show_runs(settings, results, output, "Nothing to replay: no dead letter matches.", facts)
    if items:
        output.say("Replayed {replayed}: {came_back} came back, {still_failed} failed again.".format(**facts))


def _letters(
    stage: str | None, code: str | None, batch: str | None, item: str | None, older_than_hours: float | None
) -> list[dict[str, Any]]:
    from media_assets.lake.overview import DeadLetterFilter, dead_letters

    age = None if older_than_hours is None else timedelta(hours=older_than_hours)
    return dead_letters(usable_settings().open_lake(), DeadLetterFilter(stage, code, batch, item, age)).to_dicts()


def _replayed(items: dict[str, list[str]], left: list[dict[str, Any]]) -> dict[str, int]:
    """What a replay brought: how many items were tried, came back, and failed again."""
    failed = {(row["batch_id"], row["item_key"]) for row in left}
    tried = {(batch_id, key) for batch_id, keys in items.items() for key in keys}
    return {
        "replayed": len(tried),
        "came_back": len(tried - failed),
        "still_failed": len(tried & failed),
    }
