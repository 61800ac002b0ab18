"""`media-assets labels push`, `pull` and `serve-hints`: the label queue and Label Studio. Thin, as `cli.py` is."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from media_assets.cli_context import checked_settings, current_settings, json_option
from media_assets.cli_output import Output, Progressbar
from media_assets.errors import SetupError

if TYPE_CHECKING:
    from media_assets.labeling.exchange import Exchanged

_NONE_ON = "No labelling project is on: MEDIA_ASSETS_LABEL_PROJECTS names those that are; see docs/labels.md"
_BY_HAND = "cli"


@click.command()
@json_option
def push(as_json: bool) -> None:
    """Push the tasks that are due into Label Studio, each once, with what models have said of them."""
    from dataclasses import asdict

    from media_assets.defs.label_studio import label_exchange

    settings, output = checked_settings(), Output(as_json)
    with Progressbar(output) as progress, label_exchange(settings, _BY_HAND) as exchange:
        exchanged = exchange.push(progress)
    reports = exchanged.reports
    rows = [{"project": name, **asdict(report)} for name, report in reports.items()]
    _table(output, "Pushed", rows, exchanged)
    for name, report in reports.items():
        for key, why in report.refused.items():
            output.say(f"{name}: {key} is not pushed: {why}")
        for key, ids in report.conflicts.items():
            output.say(f"{name}: {key} is there twice, and people have worked on both: tasks {ids}; both are pulled")
        if report.missing:
            output.say(f"{name}: {len(report.missing)} tasks were sent and are not there; push again")
    exchanged.require_all()


@click.command()
@click.option("--compare-all", is_flag=True, help="Compare both sides as a whole: deleted tasks, copies, withdrawals.")
@json_option
def pull(compare_all: bool, as_json: bool) -> None:
    """Pull what people answered since the last time; disputed tasks are opened for one more person."""
    from media_assets.defs.label_studio import as_facts, keep_compared, label_exchange, tell_graph
    from media_assets.defs.resources import open_instance

    settings, output = checked_settings(), Output(as_json)
    with Progressbar(output) as progress, label_exchange(settings, _BY_HAND) as exchange:
        exchanged = exchange.pull(progress, compare_all=compare_all)
        with open_instance(settings) as instance:
            told = tell_graph(exchange, instance)
            if compare_all and not exchanged.failures:
                keep_compared(instance)
    reports = exchanged.reports
    rows = [{"project": name, **as_facts(report)} for name, report in reports.items()]
    _table(output, "Pulled", rows, exchanged)
    for name, report in reports.items():
        for annotation_id, why in report.pulled.problems.items():
            output.say(f"{name}: the answer {annotation_id} does not fit its question, and is kept: {why}")
    if told:
        output.say("Settle what they come to: media-assets labels settle")
    exchanged.require_all()


@click.command("forget-pushed")
@click.argument("project")
@json_option
def forget_pushed(project: str, as_json: bool) -> None:
    """Make every task of PROJECT due again that waits for answers: what was pushed into Label Studio is lost.

    Nothing is deleted in Label Studio. Where the tasks are there after all, the next push finds them again.
    """
    from datetime import UTC, datetime

    from media_assets.labeling.places import forget_pushed as forget
    from media_assets.labeling.sync import SYNC_CODE_VERSION
    from media_assets.lake.delta import Provenance

    settings, output = checked_settings(), Output(as_json)
    n_due = forget(settings.open_lake(), project, datetime.now(UTC), Provenance(_BY_HAND, SYNC_CODE_VERSION))
    output.document({"project": project, "n_due": n_due})
    output.say(f"{project}: {n_due} tasks are due again.")


@click.command("serve-hints")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8020, show_default=True, help="0: any free one.")
@json_option
def serve_hints(host: str, port: int, as_json: bool) -> None:
    """Take webhooks of Label Studio, until Ctrl-C: whoever knows the secret wakes the next pull, and no more."""
    import asyncio

    from media_assets.defs.label_studio import keep_hint
    from media_assets.defs.resources import open_instance
    from media_assets.labeling.label_studio.hint_server import open_socket, server_of

    settings, output = current_settings(), Output(as_json)
    if not settings.label_studio_hint_secret:
        raise SetupError(
            "Expected a secret in MEDIA_ASSETS_LABEL_STUDIO_HINT_SECRET that webhooks have to know, got none. Set one, "
            "and give it to Label Studio as docs/label-studio.md says."
        )
    with open_instance(settings) as instance, open_socket(host, port) as listening:
        url = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}/"
        output.document({"url": url})
        output.say(f"Hints are taken at {url}. Ctrl-C ends.")
        server = server_of(settings.label_studio_hint_secret, lambda _project: keep_hint(instance))
        with suppress(KeyboardInterrupt):  # Ctrl-C is how it ends
            asyncio.run(server.serve(sockets=[listening]))
        if not server.started:
            raise SystemExit(1)


def _table(output: Output, title: str, rows: list[dict[str, Any]], exchanged: Exchanged[Any]) -> None:
    """The projects' rows. Where one failed, JSON is its error alone, which follows; people see both."""
    for name, error in exchanged.failures.items():
        output.say(f"{name} failed: {error}")
    if not exchanged.failures:
        output.table(title, rows if output.as_json else [_short(row) for row in rows], _NONE_ON)
    elif rows and not output.as_json:
        output.table(title, [_short(row) for row in rows], _NONE_ON)


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """What fits into a line: collections by their size."""
    return {
        name.removeprefix("n_"): len(value) if isinstance(value, list | dict | set) else value
        for name, value in row.items()
    }
