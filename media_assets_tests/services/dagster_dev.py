"""`dagster dev` as a subprocess on a free port, and a client for its GraphQL.

It gets a session, and so a process group, of its own: what it starts ends with it. Not here: the lake that it
works on (`workplace`), the browser (`browser`).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from media_assets_tests.docs.pages import ROOT
from media_assets_tests.services.availability import Unavailable, start_repeatedly

HOST = "127.0.0.1"
START_SECONDS = 150
_END_SECONDS = 20
_POLL_SECONDS = 0.5
_LOADED = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }"
_BACKFILLS = "{ partitionBackfillsOrError(limit: 1) { ... on PartitionBackfills { results { id status } } } }"
_RUNS = """query ($key: String!, $value: String!) {
  runsOrError(filter: {tags: [{key: $key, value: $value}]}) { ... on Runs { results { status } } } }"""
_CHECK = """query ($path: [String!]!, $name: String!) { assetNodeOrError(assetKey: {path: $path}) { ... on AssetNode {
  assetCheckOrError(checkName: $name) { ... on AssetCheck {
    executionForLatestMaterialization { status evaluation { description } } } } } } }"""
_ENDED = {"SUCCESS", "FAILURE", "CANCELED"}
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback, whatever proxy is configured


@dataclass(frozen=True)
class DagsterDev:
    """A running `dagster dev`."""

    url: str
    log: Path

    def query(self, document: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The `data` of a GraphQL answer.

        Raises:
            AssertionError: the server reports errors.
            OSError: it does not answer.
        """
        body = json.dumps({"query": document, "variables": dict(variables or {})}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        with _DIRECT.open(request, timeout=30) as response:
            answer = json.load(response)
        assert not answer.get("errors"), answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    def wait_for(self, what: str, is_true: Callable[[], bool], seconds: float) -> None:
        """Wait until something holds.

        Raises:
            AssertionError: it does not within so many seconds; with the end of the log.
        """
        deadline = time.monotonic() + seconds
        while not is_true():
            assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}; {self.log}:\n{self.log_tail()}"
            time.sleep(_POLL_SECONDS)

    def check_shown(self, path: Sequence[str], name: str) -> tuple[str, str]:
        """State and description of a check as its asset's page shows it; empty where it was not evaluated yet."""
        node = self.query(_CHECK, {"path": list(path), "name": name})["assetNodeOrError"]
        shown = node["assetCheckOrError"].get("executionForLatestMaterialization")
        return (shown["status"], (shown["evaluation"] or {}).get("description") or "") if shown else ("", "")

    def latest_backfill(self) -> tuple[str, str]:
        """Id and state of the backfill that was launched last."""
        results = self.query(_BACKFILLS)["partitionBackfillsOrError"]["results"]
        return results[0]["id"], results[0]["status"]

    def runs_tagged(self, key: str, value: str) -> list[str]:
        """States of the runs that carry a tag."""
        results = self.query(_RUNS, {"key": key, "value": value})["runsOrError"]["results"]
        return [run["status"] for run in results]

    def runs_of_backfill(self, backfill: str, seconds: float) -> list[str]:
        """States of the runs of a backfill, once all of them have ended."""
        states: list[str] = []

        def have_ended() -> bool:
            states[:] = self.runs_tagged("dagster/backfill", backfill)
            return bool(states) and set(states) <= _ENDED

        self.wait_for(f"backfill {backfill} has ended", have_ended, seconds)
        return states

    def log_tail(self, n_lines: int = 40) -> str:
        """The end of everything that it and its runs have printed."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-n_lines:])


@contextmanager
def running_dagster_dev(environment: Mapping[str, str], logs: Path) -> Iterator[DagsterDev]:
    """`dagster dev` over the project's definitions, for as long as the `with` block lasts.

    `environment` is added to this process's; `logs` is a folder that gets one file for each start.

    Raises:
        Unavailable: it did not answer with its definitions loaded, twice.
    """
    process, dev = start_repeatedly(lambda n: _start(environment, logs / f"dagster-dev-{n}.log"))
    try:
        yield dev
    finally:
        end_group(process)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads its own group, and every process in that group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_END_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(_END_SECONDS)


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _start(environment: Mapping[str, str], log: Path) -> tuple[subprocess.Popen[bytes], DagsterDev]:
    port = free_port()
    command = [sys.executable, "-m", "dagster", "dev", "--host", HOST, "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    dev = DagsterDev(f"http://{HOST}:{port}", log)
    try:
        _wait_until_loaded(process, dev)
    except BaseException:
        end_group(process)
        raise
    return process, dev


def _wait_until_loaded(process: subprocess.Popen[bytes], dev: DagsterDev) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Unavailable(f"dagster dev ended with code {process.returncode}; {dev.log}:\n{dev.log_tail()}")
        with suppress(OSError, AssertionError, KeyError):
            if dev.query(_LOADED)["repositoriesOrError"]["nodes"]:
                return
        time.sleep(_POLL_SECONDS)
    raise Unavailable(f"dagster dev loaded no definitions within {START_SECONDS} s; {dev.log}:\n{dev.log_tail()}")
