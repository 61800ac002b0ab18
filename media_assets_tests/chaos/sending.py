"""Deliveries that are sent to `media-assets serve-uploads`, which is killed while they are under way.

Half of what arrives is sent, the rest comes as another carrier brings it: people do both. A client sends again until it
is acknowledged, and sometimes after that, as one does that has not seen the answer. Not here: the server's own tests.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import requests

from media_assets_tests.chaos.arriving import SLOW_SECONDS, Carrier, Delivery, Place
from media_assets_tests.chaos.plant import Service
from media_assets_tests.ingest.uploads.site import OFFSETS, SECRET
from media_assets_tests.object_store.moto_server import HOST, free_port

SERVER = "upload server"
_PATIENCE_SECONDS = 120.0
_TUS = {"Authorization": f"Bearer {SECRET}", "Tus-Resumable": "1.0.0"}


class ToldTwice(AssertionError):
    """The same bytes were acknowledged as two uploads."""


def upload_service(folder: Path, environment: Mapping[str, str]) -> tuple[Service, str]:
    """The upload server as a process of the drill, not started yet, and its address."""
    port = free_port()
    command = (sys.executable, "-m", "media_assets.cli", "serve-uploads", "--host", HOST, "--port", str(port))
    return Service(SERVER, command, environment, folder / "uploads.log"), f"http://{HOST}:{port}"


@dataclass
class Sending:
    """Sends every other delivery; `locate` finds where a receipt's file lies in the inbox."""

    other: Carrier
    url: str
    services: Mapping[str, Service]
    locate: Callable[[str], Place]
    n_repeats: int = 0
    """Requests that were sent again because no answer came."""

    def bring(self, delivery: Delivery) -> Place:
        """Send it until it is acknowledged, or have it brought."""
        number = int(delivery.name[-9:-4])
        if number % 2 or not delivery.body:  # no bytes are no upload
            return self.other.bring(delivery)
        receipt = self._sent(delivery)
        if number % 20 == 0 and self._sent(delivery) != receipt:
            raise ToldTwice(delivery.name)
        return self.locate(receipt)

    def bring_oddities(self) -> list[Place]:
        """Those of the other."""
        return self.other.bring_oddities()

    def _sent(self, delivery: Delivery) -> str:
        deadline, upload = time.monotonic() + _PATIENCE_SECONDS, ""
        with requests.Session() as session:
            session.trust_env = False
            while time.monotonic() < deadline:
                try:
                    if not delivery.is_slow:
                        receipt = self._put(session, delivery)
                    else:
                        upload = upload or self._begun(session, delivery)
                        receipt = self._continued(session, upload, delivery)
                    if receipt:
                        return receipt
                except requests.RequestException:
                    self.n_repeats += 1
                time.sleep(0.2)
        raise TimeoutError(f"{delivery.name} was not acknowledged in {_PATIENCE_SECONDS} s")

    def _put(self, session: requests.Session, delivery: Delivery) -> str:
        where = f"{self.url}/upload/{delivery.name.rpartition('/')[2]}"
        answer = session.put(where, delivery.body, headers=_TUS, timeout=10)
        return answer.headers.get("Upload-Receipt", "") if answer.ok else ""

    def _begun(self, session: requests.Session, delivery: Delivery) -> str:
        headers = {**_TUS, "Upload-Length": str(len(delivery.body))}
        return self.url + session.post(f"{self.url}/files", headers=headers, timeout=10).headers["Location"]

    def _continued(self, session: requests.Session, upload: str, delivery: Delivery) -> str:
        """Half of the bytes now, the rest some seconds later; behind whatever the server has."""
        head = session.head(upload, headers=_TUS, timeout=10)
        if receipt := head.headers.get("Upload-Receipt"):
            return receipt
        offset = int(head.headers.get("Upload-Offset", -1))
        if offset < 0:
            return ""
        end = len(delivery.body) if offset else len(delivery.body) // 2
        headers = {**_TUS, "Upload-Offset": str(offset), "Content-Type": OFFSETS}
        answer = session.patch(upload, delivery.body[offset:end], headers=headers, timeout=10)
        if not offset:
            time.sleep(SLOW_SECONDS)
        return answer.headers.get("Upload-Receipt", "") if answer.ok else ""
