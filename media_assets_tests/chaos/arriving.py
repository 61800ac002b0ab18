"""What arrives in an inbox during a drill, and how: copied into a folder, or put into a bucket.

A carrier brings deliveries one after the other and says what each became, so that every item of the manifest can be
traced to what was brought. Another way of arriving is another `Carrier`; one with processes of its own names them as
`services`, and they are killed like the others. Not here: uploads (`sending.py`), and what becomes of the deliveries.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from media_assets.ingest.fetch.buckets import object_version
from media_assets.ingest.fetch.local_files import file_version
from media_assets_tests.chaos.plant import Service
from media_assets_tests.media.pictures import make_jpeg

SIZE_PX = (48, 32)
SLOW_SECONDS = 4.0  # longer than the inbox waits for a file to settle
_FOLDERS = ("", "cats/", "2026/11/27/", "ü x/")


class Place(NamedTuple):
    """Where a delivery lies in the inbox, and which version of that name it is."""

    name: str
    version: str


@dataclass(frozen=True)
class Delivery:
    """Bytes under a name, `at` seconds after the beginning; slow ones are written in two halves."""

    at: float
    name: str
    body: bytes
    is_slow: bool = False
    is_good: bool = True


class Carrier(Protocol):
    """Brings deliveries to the inbox."""

    services: Mapping[str, Service]
    """Processes of its own, if it has any."""

    def bring(self, delivery: Delivery) -> Place:
        """Bring one; where it is then."""

    def bring_oddities(self) -> list[Place]:
        """Bring what no careful sender would; those of it that become items."""


def make_deliveries(n_files: int, seconds: float, seed: int) -> list[Delivery]:
    """`n_files` names within so many seconds: most are pictures, some bad, some slow, some (others) brought twice."""
    draw = random.Random(f"{seed}/deliveries")
    found = []
    for number in range(n_files):
        name = f"{draw.choice(_FOLDERS)}{number:05d}.jpg"
        body = make_jpeg(number, SIZE_PX)
        bad = {7: body[:-200], 23: f"no picture {number}".encode(), 41: b""}.get(number % 50)
        at, is_slow = draw.uniform(0, seconds), number % 25 == 3
        found.append(Delivery(at, name, body if bad is None else bad, is_slow, bad is None))
        if number % 15 == 4:
            later = at + draw.uniform(seconds / 4, seconds)  # before it is planned, before it is read, or after
            found.append(Delivery(later, name, make_jpeg(100_000 + number, SIZE_PX)))
    return sorted(found, key=lambda delivery: delivery.at)


@dataclass
class Arrivals:
    """The deliveries on their way; `versions` holds, for each name, what was there, in this order."""

    carrier: Carrier
    deliveries: Sequence[Delivery]
    versions: dict[str, list[tuple[str, Delivery | None]]] = field(default_factory=dict)
    errors: list[BaseException] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _thread: threading.Thread | None = None

    def begin(self) -> None:
        """Bring everything in its time, in the background."""
        self._thread = threading.Thread(target=self._bring_all, daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether everything is there."""
        return self._thread is not None and not self._thread.is_alive()

    def _bring_all(self) -> None:
        slow: list[threading.Thread] = []
        began = time.monotonic()
        try:
            for name, version in self.carrier.bring_oddities():
                self.versions[name] = [(version, None)]
            for delivery in self.deliveries:
                time.sleep(max(0.0, began + delivery.at - time.monotonic()))
                if delivery.is_slow:
                    slow.append(threading.Thread(target=self._bring, args=(delivery,), daemon=True))
                    slow[-1].start()
                else:
                    self._bring(delivery)
        except BaseException as error:
            self.errors.append(error)
        for thread in slow:
            thread.join()

    def _bring(self, delivery: Delivery) -> None:
        try:
            name, version = self.carrier.bring(delivery)
        except BaseException as error:
            self.errors.append(error)
            return
        with self._lock:
            self.versions.setdefault(name, []).append((version, delivery))


@dataclass
class Copying:
    """Files in a folder: renamed into place, as upload servers do, or written there slowly and kept open."""

    inbox: Path
    services: Mapping[str, Service] = field(default_factory=dict)

    def bring(self, delivery: Delivery) -> Place:
        """Write the file, and close or rename it."""
        path = self.inbox / delivery.name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not delivery.is_slow:
            part = path.with_name(f"{path.name}.part")
            part.write_bytes(delivery.body)
            version = file_version(part.stat())
            part.rename(path)
            return Place(delivery.name, version)
        with path.open("wb", buffering=0) as file:
            half = len(delivery.body) // 2
            file.write(delivery.body[:half])
            time.sleep(SLOW_SECONDS)
            file.write(delivery.body[half:])
            return Place(delivery.name, file_version(os.fstat(file.fileno())))

    def bring_oddities(self) -> list[Place]:
        """A link, a FIFO, a terabyte without content; and two names that are no uploads."""
        self.inbox.mkdir(parents=True, exist_ok=True)
        (self.inbox / "link.jpg").symlink_to("/etc/hostname")
        os.mkfifo(self.inbox / "pipe.jpg")
        with (self.inbox / "giant.jpg").open("wb") as file:
            file.truncate(1 << 40)
        for name in (".hidden.jpg", "never.jpg.part"):
            (self.inbox / name).write_bytes(b"x")
        found = ("link.jpg", "pipe.jpg", "giant.jpg")
        return [Place(name, file_version((self.inbox / name).lstat())) for name in found]


@dataclass
class Putting:
    """Objects below a prefix of a bucket: put at once, or in a part that is completed later."""

    client: Any
    bucket: str
    prefix: str
    services: Mapping[str, Service] = field(default_factory=dict)

    def bring(self, delivery: Delivery) -> Place:
        """Put the object."""
        where = {"Bucket": self.bucket, "Key": f"{self.prefix}{delivery.name}"}
        if not delivery.is_slow:
            etag = self.client.put_object(**where, Body=delivery.body)["ETag"]
            return Place(delivery.name, object_version(len(delivery.body), etag))
        upload = {**where, "UploadId": self.client.create_multipart_upload(**where)["UploadId"]}
        part = self.client.upload_part(**upload, PartNumber=1, Body=delivery.body)["ETag"]
        time.sleep(SLOW_SECONDS)
        parts = {"Parts": [{"PartNumber": 1, "ETag": part}]}
        etag = self.client.complete_multipart_upload(**upload, MultipartUpload=parts)["ETag"]
        return Place(delivery.name, object_version(len(delivery.body), etag))

    def bring_oddities(self) -> list[Place]:
        """An object over the cap; what stands for a folder, two names that are no uploads, and a neighbour."""
        giant = self.client.put_object(Bucket=self.bucket, Key=f"{self.prefix}giant.jpg", Body=bytes(1_100_000))
        for key in (f"{self.prefix}folder/", f"{self.prefix}.hidden.jpg", f"{self.prefix}never.jpg.part", "beside.jpg"):
            self.client.put_object(Bucket=self.bucket, Key=key, Body=b"" if key.endswith("/") else b"x")
        return [Place("giant.jpg", object_version(1_100_000, giant["ETag"]))]
