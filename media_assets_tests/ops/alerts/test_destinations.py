"""Destinations: what is taken for one, what is said of it, and delivery to a real webhook, bounded in time."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import pytest

from media_assets.errors import SetupError
from media_assets.ops.alerts import destinations as destinations_module
from media_assets.ops.alerts.destinations import Destination, deliver, parse_destinations
from media_assets.ops.alerts.troubles import Severity
from media_assets.ops.alerts.wording import Message
from media_assets_tests.ops.alerts.webhook import Webhook

SECRET = "s3cr3t-path-7a1f"
EVERY_SERVICE = f"""
# what docs/alerts.md tells
slack://T1JJ3T3L2/A1BRTD4JD/{"x" * 24}
https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/{"x" * 24}
workflows://prod-1.example.org:443/0123456789abcdef/{"y" * 43}
mailto://user:password@example.org?to=team@example.org
error=pagerduty://{"i" * 20}@{"k" * 20}?action=map&dedup=media-assets
jsons://hooks.example.org/media
"""


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback is asked directly, whatever proxy this machine has."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with Webhook() as server:
        yield server


def send(destination: Destination, severity: Severity | None = Severity.ERROR, *, clear: bool = False) -> str | None:
    message = Message("ERROR: it broke", "What: <b>_it_ & more\nWhat to do: `mend it`", severity, (), clear)
    return deliver({destination.name: (destination, message)})[destination.name]


def test_each_service_of_the_page_is_known_by_a_name_without_its_secret() -> None:
    found = parse_destinations(EVERY_SERVICE)
    assert [(each.name, each.wanted.value) for each in found] == [
        ("Slack 1", "warning"),
        ("Slack 2", "warning"),
        ("Power Automate 1", "warning"),
        ("E-Mail 1", "warning"),
        ("Pager Duty 1", "error"),
        ("JSON 1", "warning"),
    ]
    assert found[4].body_chars < 1024 - 120, "its title goes into the body, which takes 1,024 characters"
    assert "xxxx" not in repr(found)


@pytest.mark.parametrize("text", ["nonsense", f"slack://{SECRET}", f"bogus://{SECRET}", f"error={SECRET}", "json://"])
def test_what_is_no_destination_is_refused_without_being_shown(text: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)
    with pytest.raises(SetupError, match="number 2") as refused:
        parse_destinations(f"json://127.0.0.1:1/ {text}")
    assert SECRET not in str(refused.value) + caplog.text


def test_nobody_is_nobody() -> None:
    assert parse_destinations(" \n# json://127.0.0.1\n") == []


def test_a_message_arrives_as_it_was_written(webhook: Webhook) -> None:
    (destination,) = parse_destinations(f"{webhook.url}/{SECRET}")
    assert send(destination) is None
    assert send(destination, None) is None
    assert send(destination, None, clear=True) is None
    (message, over, clear) = webhook.seen
    assert (message["title"], message["type"]) == ("ERROR: it broke", "failure")
    assert message["message"] == "What: <b>_it_ & more\nWhat to do: `mend it`"
    assert webhook.paths[0] == f"/{SECRET}"
    assert (over["type"], clear["type"]) == ("info", "success"), "a pager closes its incident once all is well"


def test_a_refusal_is_told_by_its_status_and_nobody_hears_of_the_address(
    webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1)
    webhook.statuses = [503, 404, 200]
    (destination,) = parse_destinations(f"{webhook.url}/{SECRET}")
    assert send(destination) == "it answered 503"
    assert send(destination) == "it answered 404"
    webhook.stop()
    told = send(destination)
    webhook.start()
    assert told == "it could not be reached, or refused the message"
    assert send(destination) is None
    logging.getLogger("urllib3.connectionpool").debug("others are heard")
    assert "others are heard" in caplog.text
    assert SECRET not in caplog.text
    assert str(webhook.port) not in caplog.text


def test_one_that_stalls_costs_its_time_once_and_the_others_nothing(
    webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(destinations_module, "DELIVERY_SECONDS", 1.5)
    with Webhook(stall_seconds=9) as slow:
        found = parse_destinations(f"{slow.url}/a {slow.url}/b {webhook.url}/c")
        message = Message("t", "b", Severity.ERROR, ())
        started = time.monotonic()
        answers = deliver({each.name: (each, message) for each in found})
        assert time.monotonic() - started < 7
    assert answers["JSON 3"] is None
    assert answers["JSON 1"] == answers["JSON 2"] == "it did not answer within 2 s"
