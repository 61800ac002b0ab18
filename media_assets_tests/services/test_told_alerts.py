"""What failed before `dagster dev` was opened is told to a webhook without a person."""

from __future__ import annotations

from typing import Any

import pytest

from media_assets_tests.ops.alerts.webhook import Webhook
from media_assets_tests.services.conftest import ALERT_TOKEN
from media_assets_tests.services.dagster_dev import DagsterDev
from media_assets_tests.services.workplace import Workplace

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

SECONDS = 120  # one tick, thirty seconds where nobody else is at work
_TICKS = """query ($name: String!) { sensorOrError(sensorSelector: {
  repositoryName: "__repository__", repositoryLocationName: "media_assets", sensorName: $name}) {
    ... on Sensor { sensorState { status ticks(limit: 5) { status skipReason error { message } } } } } }"""


def messages_about(webhook: Webhook, words: str) -> list[dict[str, Any]]:
    return [message for message in webhook.taken() if words in message["title"] + message["message"]]


def test_a_failed_check_reaches_the_webhook_and_the_token_stays_out_of_sight(
    workplace: Workplace, dagster_dev: DagsterDev, webhook: Webhook
) -> None:
    words = "failed the check few_items_failed of raw/media"
    dagster_dev.wait_for("the webhook has heard of it", lambda: bool(messages_about(webhook, words)), SECONDS)
    message = messages_about(webhook, words)[0]["message"]
    assert "not_found" in message
    assert "media-assets dead-letters list --batch" in message
    assert f"From the lake {workplace.settings.lake}" in message

    def ticks() -> list[dict[str, Any]]:
        state = dagster_dev.query(_TICKS, {"name": "alerts"})["sensorOrError"]["sensorState"]
        assert state["status"] == "RUNNING"
        found: list[dict[str, Any]] = state["ticks"]
        return found

    dagster_dev.wait_for(
        "a tick says what it did", lambda: any("was told of" in str(tick["skipReason"]) for tick in ticks()), 60
    )
    assert all(tick["error"] is None for tick in ticks())
    secret = ALERT_TOKEN.encode()
    files = [path for path in workplace.root.rglob("*") if path.is_file() and not path.is_symlink()]
    assert [path for path in files if secret in path.read_bytes()] == []
