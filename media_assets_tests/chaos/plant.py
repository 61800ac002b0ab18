"""Everything that `make dev` runs but the UI: a daemon, a code server and the runs that it starts, each to be killed.

The processes are found by the Dagster home in their environment, so that whatever they started ends with the plant and
nothing else does. Not here: what they work on, and when which is killed.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

from media_assets_tests.chaos.children import are_gone
from media_assets_tests.docs.pages import ROOT
from media_assets_tests.object_store.moto_server import HOST, free_port

_SETTINGS = ROOT / "media_assets" / "defs" / "dagster.yaml"
_RUN_SECONDS = "max_runtime_seconds: 21600"
_SPAWNED = b"from multiprocessing.spawn import spawn_main"


@dataclass
class Service:
    """A process that is started again after it was killed."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, in a session of its own."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self.process is not None and self.process.poll() is None

    def kill(self) -> bool:
        """`kill -9` this process alone; whether it was there."""
        if self.process is None or not self.is_running:
            return False
        self.process.kill()
        self.process.wait(20)
        return True


@dataclass
class Plant:
    """A home below a folder with its daemon and its code server; `environment` says what they work on."""

    root: Path
    environment: dict[str, str]
    max_runtime_seconds: int
    services: dict[str, Service] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Write what Dagster wants to know."""
        self.home.mkdir(parents=True, exist_ok=True)
        settings = _SETTINGS.read_text()
        assert _RUN_SECONDS in settings
        # A run whose process and code server both died is given up after this long, and monitored this often.
        quick = (
            f"max_runtime_seconds: {self.max_runtime_seconds}\n  start_timeout_seconds: 90\n  poll_interval_seconds: 5"
        )
        (self.home / "dagster.yaml").write_text(settings.replace(_RUN_SECONDS, quick))
        with self.instance() as instance:  # two processes that make the databases at the same time spoil them
            instance.get_runs_count()
            instance.get_dynamic_partitions("batches")
            instance.all_instigator_state()
        port = free_port()
        workspace = self.root / "workspace.yaml"
        workspace.write_text(
            f"load_from:\n  - grpc_server: {{host: {HOST}, port: {port}, location_name: media_assets}}\n"
        )
        self.environment |= {"DAGSTER_HOME": str(self.home)}
        server = ("-m", "dagster", "api", "grpc", "-m", "media_assets.definitions", "-h", HOST, "-p", str(port))
        daemon = ("-m", "dagster._daemon", "run", "-w", str(workspace))
        self.services |= {
            name: self._service(name, words) for name, words in (("code server", server), ("daemon", daemon))
        }

    @property
    def home(self) -> Path:
        """The Dagster home."""
        return self.root / "dagster_home"

    @property
    def log(self) -> Path:
        """What all of them print."""
        return self.root / "log.txt"

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """The Dagster instance."""
        with dg.DagsterInstance.from_config(str(self.home)) as opened:
            yield opened

    def _service(self, name: str, words: tuple[str, ...]) -> Service:
        return Service(name, (sys.executable, *words), self.environment, self.log)

    def strike(self, what: str, draw: random.Random) -> bool:
        """`kill -9` one thing, or everything at once; whether it was there. What was killed is not started again."""
        if what == "all":
            pids = [pid for pid, _ in self.processes()]
            _kill(pids)
            for service in self.services.values():
                service.kill()
            return bool(pids)
        if what == "run worker":
            workers = [pid for pid, words in self.processes() if _SPAWNED in words]
            _kill([draw.choice(workers)] if workers else [])
            return bool(workers)
        return self.services[what].kill()

    def mend(self) -> None:
        """Start what does not run."""
        for service in self.services.values():
            if not service.is_running:
                service.start()

    def processes(self) -> list[tuple[int, bytes]]:
        """Id and command line of every process of this home, and of no other."""
        mark = f"DAGSTER_HOME={self.home}".encode()
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and int(folder.name) != os.getpid():
                with suppress(OSError):
                    if mark in (folder / "environ").read_bytes().split(b"\0"):
                        found.append((int(folder.name), (folder / "cmdline").read_bytes()))
        return found

    def end(self) -> bool:
        """End everything, politely first; whether all of it is gone."""
        for pid in [service.process.pid for service in self.services.values() if service.process is not None]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 10
        while self.processes() and time.monotonic() < deadline:
            time.sleep(0.2)
            for service in self.services.values():  # or they stay zombies
                if service.process is not None:
                    service.process.poll()
        left = [pid for pid, _ in self.processes()]
        _kill(left)
        return are_gone(left)


@contextmanager
def running_plant(root: Path, environment: dict[str, str], max_runtime_seconds: int) -> Iterator[Plant]:
    """A plant, for as long as the `with` block lasts."""
    plant = Plant(root, environment, max_runtime_seconds)
    try:
        plant.mend()
        yield plant
    finally:
        plant.end()


def _kill(pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
