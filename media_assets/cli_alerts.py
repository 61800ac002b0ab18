"""`media-assets alerts …`: try the destinations, and see what is open. Not here: the sensor (`defs/alerts.py`)."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from media_assets.cli_context import current_settings, json_option, usable_settings
from media_assets.cli_output import Output
from media_assets.errors import SetupError


@click.group()
def alerts() -> None:
    """Try the destinations of alerts, and see what is open now."""


@alerts.command("test")
@json_option
def test_alerts(as_json: bool) -> None:
    """Send a test message to every destination; exit code 1 when one did not take it."""
    from media_assets.ops.alerts.destinations import deliver
    from media_assets.ops.alerts.wording import test_message

    output, settings = Output(as_json), current_settings()
    destinations = settings.alert_destinations()
    if not destinations:
        raise SetupError(
            "Expected somebody to tell in MEDIA_ASSETS_ALERT_URLS or MEDIA_ASSETS_ALERT_URLS_FILE, got nobody. "
            "docs/alerts.md has the URLs of Slack, Teams, e-mail, PagerDuty and webhooks."
        )
    message = test_message(settings.alert_place())
    answers = deliver({each.name: (each, message) for each in destinations})
    rows = [
        {
            "destination": each.name,
            "hears_of": "errors" if each.wanted.value == "error" else "errors and warnings",
            "result": "delivered" if answers[each.name] is None else "FAILED",
            "why": answers[each.name] or "",
        }
        for each in destinations
    ]
    output.table("Test message", rows, empty="")
    if any(answers.values()):
        output.say("Compare the URLs with docs/alerts.md. They are secret, and shown nowhere.")
        raise SystemExit(1)


@alerts.command("list")
@json_option
def list_alerts(as_json: bool) -> None:
    """List what is open now, as the sensor `alerts` saw it last."""
    from media_assets.defs.alerts import remembered
    from media_assets.defs.resources import open_instance
    from media_assets.ops.alerts.wording import as_row

    output, settings = Output(as_json), usable_settings()
    with open_instance(settings) as instance:
        memory = remembered(instance)
    rows = [as_row(group) for group in memory.desk.ledger.groups.values() if not group.is_over]
    rows.sort(key=lambda row: (row["severity"] != "error", row["since"]))
    shown = (
        rows if as_json else [{k: v for k, v in row.items() if k not in ("kind", "batches", "link")} for row in rows]
    )
    waiting = {name: channel.why for name, channel in memory.desk.channels.items() if channel.why}
    looked = f"{datetime.fromtimestamp(memory.looked_at, UTC):%Y-%m-%d %H:%M} UTC" if memory.looked_at else None
    nothing = f"Nothing is open; looked at {looked}." if looked else "The sensor `alerts` has not looked yet: make dev."
    output.table("Open now", shown, nothing, {"looked_at": looked, "undelivered": waiting})
    for name, why in waiting.items():
        output.say(f"{name} did not take the last message: {why}. It is tried again.")
