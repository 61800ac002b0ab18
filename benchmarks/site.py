"""A lake and its Dagster home, driven through the command line as a user would: for measuring and for chaos."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from media_assets.demo.corpus import Corpus
from media_assets.demo.server import SampleServer
from media_assets.lake.delta import Lake
from media_assets.lake.location import LakeLocation
from media_assets.tables import ITEM_STATUS

MAX_SECONDS = 1800


@dataclass(frozen=True)
class Site:
    """One lake below a folder."""

    root: Path

    @property
    def lake(self) -> Lake:
        """The lake's tables."""
        return Lake(LakeLocation(str(self.root / "lake")))

    @property
    def environment(self) -> dict[str, str]:
        """The variables that the program needs beside those of this process."""
        return {
            "MEDIA_ASSETS_LAKE": str(self.root / "lake"),
            "DAGSTER_HOME": str(self.root / "dagster_home"),
            "MEDIA_ASSETS_ALLOWED_NETWORKS": "127.0.0.0/8",
        }

    def command(self, *arguments: str) -> list[str]:
        """`media-assets …`, to be started."""
        return [sys.executable, "-m", "media_assets.cli", *arguments]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `media-assets …`."""
        self.root.mkdir(parents=True, exist_ok=True)
        log = (self.root / "log.txt").open("a")
        environment = os.environ | self.environment
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # or every start compiles what it imports
        return subprocess.Popen(self.command(*arguments), env=environment, stdout=log, stderr=log, text=True)

    def run(self, *arguments: str) -> float:
        """Run `media-assets …` to its end; seconds."""
        started = time.monotonic()
        code = self.start(*arguments).wait(timeout=MAX_SECONDS)
        if code != 0:
            raise SystemExit(f"media-assets {' '.join(arguments)} exited with {code}; see {self.root / 'log.txt'}")
        return time.monotonic() - started

    def run_and_kill(self, seconds: float, *arguments: str) -> bool:
        """Run `media-assets …` and `kill -9` it after so many seconds; whether it was still running."""
        process = self.start(*arguments)
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return True
        return False

    def plan(self, corpus: Corpus, server: SampleServer, batch_size: int) -> None:
        """Plan the whole list."""
        self.plan_list(corpus.metadata, server.image_url_template, batch_size)

    def plan_list(self, metadata: Path, image_url: str, batch_size: int, count: int | None = None) -> None:
        """Plan a list in the format of Open Images, or its first `count` images."""
        self.run(
            *("plan", "open-images", "--split", "validation", "--batch-size", str(batch_size)),
            *("--metadata", str(metadata), "--image-url", image_url),
            *(("--count", str(count)) if count is not None else ()),
        )

    def verdicts(self) -> dict[str, str]:
        """Item key → fate at raw/media, in the words of the corpus."""
        rows = self.lake.scan(ITEM_STATUS, {"stage": ["raw.media"]}).collect()
        return {
            row["item_key"]: row["status"] + (f"/{row['error_code']}" if row["error_code"] else "")
            for row in rows.iter_rows(named=True)
        }
