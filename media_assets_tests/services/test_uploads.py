"""The upload server as a process that is killed while many send, and its page in a browser."""

from __future__ import annotations

import hashlib
import io
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Page, Route

from media_assets_tests.ingest.uploads.site import LIMITS, OFFSETS, SECRET, UploadSite, running
from media_assets_tests.services.dagster_dev import HOST
from media_assets_tests.services.upload_server import UploadServer

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

N_KILLS, N_SENDERS, N_FILES = 4, 8, 160
BEARER = {"Authorization": f"Bearer {SECRET}"}
TUS = {**BEARER, "Tus-Resumable": "1.0.0"}
SEND_SECONDS = 200


def payload(i: int) -> bytes:
    """Bytes of file `i`, 1 to 400 kB."""
    return random.Random(i).randbytes(1000 + (i * 7919) % 400_000)


class Sender(threading.Thread):
    """Sends files, every other one resumably, each until it is acknowledged; `acknowledged`: SHA-256 → id."""

    def __init__(self, url: str, numbers: range) -> None:
        super().__init__(daemon=True)
        self._url, self._numbers = url, numbers
        self.acknowledged: dict[str, str] = {}
        self.failure: BaseException | None = None
        self.n_broken = 0

    def run(self) -> None:
        try:
            with requests.Session() as session:
                session.trust_env = False
                for i in self._numbers:
                    data = payload(i)
                    self.acknowledged[hashlib.sha256(data).hexdigest()] = self._send(session, i, data)
        except BaseException as error:
            self.failure = error

    def _send(self, session: requests.Session, i: int, data: bytes) -> str:
        location, deadline = "", time.monotonic() + SEND_SECONDS
        while time.monotonic() < deadline:
            try:
                if i % 2:
                    answer = session.put(f"{self._url}upload/{i}.jpg", data, headers=BEARER, timeout=10)
                    if answer.ok:
                        return answer.headers["Upload-Receipt"]
                else:
                    location = location or self._begin(session, data)
                    if receipt := self._continue(session, location, data):
                        return receipt
            except requests.RequestException:
                self.n_broken += 1
            time.sleep(0.05)
        raise TimeoutError(f"file {i} was not acknowledged in {SEND_SECONDS} s")

    def _begin(self, session: requests.Session, data: bytes) -> str:
        answer = session.post(f"{self._url}files", headers={**TUS, "Upload-Length": str(len(data))}, timeout=10)
        return self._url.rstrip("/") + answer.headers["Location"]

    def _continue(self, session: requests.Session, location: str, data: bytes) -> str:
        head = session.head(location, headers=TUS, timeout=10)
        assert head.status_code in (200, 423), head.status_code  # an upload that was begun is never forgotten
        offset = int(head.headers.get("Upload-Offset", 0))
        if offset == len(data):
            return head.headers["Upload-Receipt"]
        chunk = data[offset : offset + 100_000]
        headers = {**TUS, "Upload-Offset": str(offset), "Content-Type": OFFSETS}
        answer = session.patch(location, chunk, headers=headers, timeout=10)
        return answer.headers.get("Upload-Receipt", "") if answer.ok else ""


def test_every_acknowledged_upload_is_there_once_when_the_server_is_killed_while_many_send(tmp_path: Path) -> None:
    server, moments = UploadServer(tmp_path), random.Random(1)
    server.start()
    senders = [Sender(server.url, range(n, N_FILES, N_SENDERS)) for n in range(N_SENDERS)]
    try:
        for sender in senders:
            sender.start()
        while any(sender.is_alive() for sender in senders):
            time.sleep(moments.uniform(0.1, 0.6))
            if server.n_starts <= N_KILLS:
                server.kill()
                server.start()
        assert [sender.failure for sender in senders if sender.failure] == []
    finally:
        server.stop()
    assert server.n_starts > 3, "the senders were done before the server was killed often"
    assert sum(sender.n_broken for sender in senders) > 0
    acknowledged = {sha256: receipt for sender in senders for sha256, receipt in sender.acknowledged.items()}
    landed = sorted(path for path in server.inbox.rglob("*") if path.is_file())
    found = [(hashlib.sha256(path.read_bytes()).hexdigest(), path.name[:32]) for path in landed]
    assert len(acknowledged) == N_FILES
    assert sorted(found) == sorted(acknowledged.items())
    assert list((tmp_path / "inbox.uploads" / "parts").iterdir()) == []


# -- the page


CHUNK = 8 * 1024 * 1024  # bytes that the page sends at once
CHUNKED = 20_000_000
DROP = """([name, size, factor]) => {
  const bytes = new Uint8Array(size)
  for (let i = 0; i < size; i++) bytes[i] = (i * factor) % 251
  const transfer = window.transfer = window.transfer || new DataTransfer()
  transfer.items.add(new File([bytes], name))
}"""
WATCH = """() => {
  window.seen = []
  new MutationObserver(() => {
    for (const told of document.querySelectorAll('.told')) window.seen.push(told.textContent)
  }).observe(document.getElementById('list'), {subtree: true, childList: true, characterData: true})
}"""


def dropped(size: int, factor: int) -> bytes:
    """The bytes that the page makes."""
    return bytes(i * factor % 251 for i in range(251)) * (size // 251) + bytes(
        i * factor % 251 for i in range(size % 251)
    )


@pytest.fixture
def site(tmp_path: Path) -> Iterator[UploadSite]:
    with running(tmp_path, replace(LIMITS, max_bytes=30_000_000)) as site:
        yield site


@pytest.fixture
def page(site: UploadSite, chromium: Browser) -> Iterator[Page]:
    """The upload page in Chromium; whatever it complains of fails the test."""
    complaints: list[str] = []

    def complain(message: ConsoleMessage) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            complaints.append(message.text)

    with chromium.new_context(viewport={"width": 760, "height": 620}) as context:
        page = context.new_page()
        page.on("console", complain)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        hosts: set[str] = set()
        page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
        page.goto(site.url)
        yield page
        assert complaints == []
        assert hosts == {f"{HOST}:{site.port}"}


def drop(page: Page, *files: tuple[str, int, int]) -> None:
    """Drag files over the field, and let go."""
    for file in files:
        page.evaluate(DROP, list(file))
    transfer = page.evaluate_handle("() => window.transfer")
    for event in ("dragenter", "dragover", "drop"):
        page.dispatch_event("#drop", event, {"dataTransfer": transfer})
    page.evaluate("() => { window.transfer = null }")


def test_dropped_files_land_with_progress_and_one_goes_on_after_a_broken_connection(
    site: UploadSite, page: Page, tmp_path: Path
) -> None:
    broken: list[str] = []
    held: list[Route] = []

    def meddle(route: Route) -> None:
        offset = int(route.request.headers.get("upload-offset", 0))
        if offset == CHUNK and not broken:
            broken.append(route.request.url)
            route.abort("connectionreset")
        elif offset == 2 * CHUNK:
            held.append(route)
        else:
            route.continue_()

    page.route("**/files/*", meddle)
    page.evaluate(WATCH)
    page.get_by_label("Token").fill(SECRET)
    drop(page, ("Ferien am Meer.jpg", CHUNKED, 7), ("cat.png", 50_000, 3), ("too large.tif", 40_000_000, 1))
    page.get_by_text("1 of 3 received, 1 failed").wait_for()
    while not held:
        page.wait_for_timeout(100)
    shoot(page, tmp_path / "upload-page.png")
    held[0].continue_()
    page.get_by_text("2 of 3 received, 1 failed").wait_for()
    assert len(broken) == 1
    percents = {text for text in page.evaluate("() => window.seen") if text.endswith("%")}
    assert percents - {"0 %", "100 %"}, "no progress was shown"
    assert page.locator(".failed .told").inner_text().startswith("expected at most 30000000 bytes")
    landed = site.landed()
    assert sorted(path.partition("-")[2] for path in landed) == ["Ferien-am-Meer.jpg", "cat.png"]
    assert sorted(landed.values()) == sorted([dropped(CHUNKED, 7), dropped(50_000, 3)])


def test_a_wrong_token_is_told_and_files_can_be_chosen_by_hand(site: UploadSite, page: Page, tmp_path: Path) -> None:
    picture = tmp_path / "chosen.png"
    picture.write_bytes(b"cat" * 100)
    page.get_by_label("Token").fill("ma_wrong")
    page.locator("#files").set_input_files(picture)
    page.get_by_text("expected a token that this server knows").wait_for()
    page.get_by_label("Token").fill(SECRET)
    page.locator("#files").set_input_files(picture)
    page.get_by_text("1 of 2 received, 1 failed").wait_for()
    assert list(site.landed().values()) == [b"cat" * 100]


def shoot(page: Page, path: Path) -> None:
    """A small picture of the page; that of the documentation was taken here."""
    image = Image.open(io.BytesIO(page.locator("main").screenshot()))
    image.convert("RGB").quantize(128).save(path, optimize=True)
    assert path.stat().st_size < 100_000
