"""Chromium on the Dagster UI: opening it, leaving the network out, and finding one's way through its pages.

Not here: what the pages must show (`test_ui.py`), or the server behind them (`dagster_dev`).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Error, Page, Playwright, sync_playwright

from media_assets_tests.services.availability import Unavailable, start_repeatedly

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--no-sandbox",  # continuous integration runs as root, where Chromium's own sandbox refuses to start
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",  # whatever a page asks for, nothing leaves
)
_SLOW_MS = 60_000  # a page of a two-core machine that also runs the daemon and a run


@dataclass
class Visitor:
    """One browser profile on one UI, and every address that its pages asked for."""

    context: BrowserContext
    url: str
    addresses: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.context.set_default_timeout(_SLOW_MS)
        self.context.on("request", lambda request: self.addresses.append(request.url))
        self.context.on("page", lambda page: page.on("websocket", lambda ws: self.addresses.append(ws.url)))

    @contextmanager
    def page(self, path: str) -> Iterator[Page]:
        """A page of the UI, for as long as the `with` block lasts."""
        page = self.context.new_page()
        try:
            page.goto(self.url + path, wait_until="domcontentloaded")
            yield page
        finally:
            page.close()

    def dismiss_greeting(self) -> None:
        """Click away the pop-up that greets the first visitor of a Dagster instance, and nobody after that."""
        with self.page("/runs") as page:
            page.get_by_role("button", name="Skip").click()
            page.get_by_text("Join the Dagster community").wait_for(state="hidden")

    def hosts(self) -> set[str]:
        """Hosts that were asked for anything; addresses that name no host (data:, blob:) have none."""
        return {urlsplit(address).hostname or "" for address in self.addresses} - {""}


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """A headless Chromium, for as long as the `with` block lasts.

    Raises:
        Unavailable: there is none, or it does not start.
    """
    with sync_playwright() as playwright:
        browser = start_repeatedly(lambda _: _launch(playwright))
        try:
            yield browser
        finally:
            browser.close()


def _launch(playwright: Playwright) -> Browser:
    try:
        return playwright.chromium.launch(executable_path=_executable(playwright), args=list(_FLAGS))
    except Error as error:
        raise Unavailable(f"Chromium does not start: {error.message}") from error


def _executable(playwright: Playwright) -> str:
    """The system's Chromium, or the one that Playwright has downloaded before."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), playwright.chromium.executable_path)
    if not Path(found).is_file():
        raise Unavailable("there is no Chromium: install it (on Debian: apt-get install chromium)")
    return found
