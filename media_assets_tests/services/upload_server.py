"""`media-assets serve-uploads` as a subprocess that can be killed and started again on the same port.

Not here: who sends (`test_uploads.py`).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from media_assets_tests.docs.pages import ROOT
from media_assets_tests.ingest.uploads.site import places
from media_assets_tests.services.dagster_dev import HOST, free_port

START_SECONDS = 60
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class UploadServer:
    """A server over the folders below `root`; `n_starts` counts how often it began."""

    root: Path
    port: int = field(default_factory=free_port)
    n_starts: int = 0
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is, ending in a slash."""
        return f"http://{HOST}:{self.port}/"

    @property
    def inbox(self) -> Path:
        """Where uploads land."""
        return self.root / "inbox"

    def start(self) -> None:
        """Begin, and wait until it takes uploads.

        Raises:
            AssertionError: it does not.
        """
        given = places(self.root)
        environment = {
            **os.environ,
            "MEDIA_ASSETS_INBOX": str(given.inbox),
            "MEDIA_ASSETS_UPLOAD_TOKENS": given.tokens,
        }
        command = [sys.executable, "-m", "media_assets.cli", "serve-uploads", "--host", HOST, "--port", str(self.port)]
        self.n_starts += 1
        log = self.root / f"server-{self.n_starts}.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._is_up():
            told = log.read_text("utf-8", "replace")
            assert self._process.poll() is None, f"the server ended: {told}"
            assert time.monotonic() < deadline, f"the server is not up: {told}"
            time.sleep(0.05)

    def kill(self) -> None:
        """End it as a power cut would, but for the disk's cache."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it as an operator would, if it runs."""
        self._end(signal.SIGTERM)

    @property
    def pid(self) -> int:
        """The running process."""
        assert self._process is not None
        return self._process.pid

    def resident_bytes(self) -> int:
        """Its memory now. Linux only."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def _is_up(self) -> bool:
        with suppress(OSError), _DIRECT.open(f"{self.url}health", timeout=5) as answer:
            return bool(answer.status == 200)
        return False
