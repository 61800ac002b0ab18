"""Where messages go: Apprise URLs, each for everything or for errors only; and the delivery, bounded in time.

A URL holds a secret: it is never shown, logged or kept. A destination is called by its service and its place among
those of that service, such as `Slack 1`. Not here: what is sent, and when.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from media_assets.errors import SetupError
from media_assets.ops.alerts.troubles import Severity
from media_assets.ops.alerts.wording import BODY_CHARS, TITLE_CHARS, Message

DELIVERY_SECONDS = 15.0
_ENTRY = re.compile(r"(?:(error|warning)=)?([A-Za-z][A-Za-z0-9+.-]*://\S+)")
_STATUS = re.compile(r"\berror\s*[=:]\s*(\d{3})\b")
_TALKATIVE = ("apprise", "urllib3.connectionpool", "urllib3.connection", "urllib3.util.retry")


@dataclass(frozen=True)
class Destination:
    """One place that is written to. `wanted` is the least severe that it hears of."""

    name: str
    wanted: Severity
    body_chars: int
    service: Any = field(repr=False)  # Apprise's own object: it holds the URL


def parse_destinations(text: str) -> list[Destination]:
    """The destinations of a setting or a file: URLs separated by white space, `error=URL` for errors only.

    Lines that begin with `#` are comments. A message about an error never shows a URL.

    Raises:
        SetupError: one is not a URL that Apprise knows.
    """
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    found: list[Destination] = []
    for number, entry in enumerate(" ".join(lines).split(), 1):
        matched = _ENTRY.fullmatch(entry)
        service = _service(matched[2]) if matched is not None else None
        if matched is None or service is None:
            scheme = "" if matched is None else f" (its scheme is {matched[2].partition(':')[0]!r})"
            raise SetupError(
                f"Expected Apprise URLs separated by spaces or lines in MEDIA_ASSETS_ALERT_URLS, such as `slack://… "
                f"error=pagerduty://…`, got something else as number {number}{scheme}. It is not shown, since it may "
                f"hold a secret. docs/alerts.md has the form for each service."
            )
        kind = str(service.service_name).partition(" / ")[0]
        place = 1 + sum(destination.name.rpartition(" ")[0] == kind for destination in found)
        found.append(Destination(f"{kind} {place}", Severity(matched[1] or "warning"), _body_chars(service), service))
    return found


def _service(url: str) -> Any:
    from apprise import Apprise, AppriseAsset  # with its plug-ins it takes a second, which only who sends waits for
    from apprise.common import PersistentStoreMode

    with _hush:
        # Nothing is kept on the disk, no plug-ins are looked for there, and no pictures of a third party are linked.
        asset = AppriseAsset(
            storage_mode=PersistentStoreMode.MEMORY,
            plugin_paths=[],
            app_id="Media Assets",
            image_url_mask="",
            image_url_logo="",
        )
        return Apprise.instantiate(url, asset=asset, suppress_exceptions=True)


def _body_chars(service: Any) -> int:
    """The longest body that a service takes; one without titles gets them as the first line."""
    most = int(service.body_maxlen or BODY_CHARS)
    return most if service.title_maxlen else most - TITLE_CHARS - 2


def deliver(messages: Mapping[str, tuple[Destination, Message]]) -> dict[str, str | None]:
    """Send one message to each destination, all at the same time; name → None once it took it, else why not.

    A destination that has not answered within fifteen seconds has failed; the message may arrive all the same.
    """
    answers: dict[str, str | None] = {}

    def send(name: str, destination: Destination, message: Message) -> None:
        try:
            answers[name] = _post(destination, message)
        except Exception as error:  # a plug-in may throw anything; its text may hold the address
            answers[name] = f"it could not be written to ({type(error).__name__})"

    threads = [
        threading.Thread(target=send, args=(name, *pair), daemon=True, name="alert") for name, pair in messages.items()
    ]
    deadline = time.monotonic() + DELIVERY_SECONDS
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = f"it did not answer within {DELIVERY_SECONDS:.0f} s"
    return {name: answers.get(name, late) for name in messages}


def _post(destination: Destination, message: Message) -> str | None:
    from apprise.common import NotifyFormat, NotifyType

    kinds = {Severity.ERROR: NotifyType.FAILURE, Severity.WARNING: NotifyType.WARNING, None: NotifyType.INFO}
    with _hush as heard:
        took = destination.service.notify(
            title=message.title,
            body=message.body,
            # "success" closes the incident of a pager: only once nothing is open any more.
            notify_type=NotifyType.SUCCESS if message.is_all_clear else kinds[message.severity],
            body_format=NotifyFormat.TEXT,
        )
    if took:
        return None
    status = next((found[1] for line in heard if (found := _STATUS.search(line))), None)
    return f"it answered {status}" if status else "it could not be reached, or refused the message"


class _Hush(threading.local, logging.Filter):
    """Keeps what HTTP and Apprise log in a thread from everybody: addresses, tokens in paths, bodies; and listens."""

    def __init__(self) -> None:
        logging.Filter.__init__(self)
        self.heard: list[str] | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Let through what other threads say."""
        if self.heard is None:
            return True
        self.heard.append(record.getMessage())
        return False

    def __enter__(self) -> list[str]:
        self.heard = []
        return self.heard

    def __exit__(self, *error: object) -> None:
        self.heard = None


_hush = _Hush()
for _name in _TALKATIVE:
    logging.getLogger(_name).addFilter(_hush)
