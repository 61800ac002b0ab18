"""Many at once: one outcome each, bounded, lazy, and closed cleanly."""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from media_assets.errors import ErrorCode, SetupError
from media_assets.ingest.fetch.fetch_all import BlobSink, Fetched, FetchFailed, FetchRequest, fetch_all
from media_assets_tests.ingest.fetch.hostile_server import Exchange, HostileServer
from media_assets_tests.ingest.fetch.running import LOOPBACK, QUICK, MemorySink, failed, run


@pytest.fixture
def server() -> Iterator[HostileServer]:
    with HostileServer() as running:

        @running.route("/ok")
        async def _(exchange: Exchange) -> None:
            await exchange.reply(200, exchange.query.encode() or b"body")

        @running.route("/hang")
        async def _(exchange: Exchange) -> None:
            await exchange.hang()

        yield running


def started_threads() -> int:
    return sum(thread.name.startswith("media-assets-fetch") for thread in threading.enumerate())


def fetching(requests: Iterator[FetchRequest] | list[FetchRequest], sink: BlobSink, **options: object):
    return fetch_all(requests, sink, **({"limits": QUICK, "policy": LOOPBACK, "user_agent": "tests/1"} | options))


def test_every_request_has_exactly_one_outcome_when_good_and_bad_are_mixed(server: HostileServer) -> None:
    uris = [server.url(f"/ok?{n}") if n % 3 else server.url(f"/missing?{n}") for n in range(200)]
    uris += ["http://10.0.0.1/", "nonsense", "", "file:///x"]
    outcomes, sink = run(uris)
    assert [outcome.key for outcome in outcomes] == list(range(204))
    assert sum(isinstance(outcome, Fetched) for outcome in outcomes) == 133 == len(sink.bodies)
    for n, outcome in enumerate(outcomes[:200]):
        assert isinstance(outcome, Fetched if n % 3 else FetchFailed)
        if isinstance(outcome, Fetched):
            assert sink.bodies[outcome.media_id] == str(n).encode()


def test_outcomes_survive_pickling(server: HostileServer) -> None:
    outcomes, _ = run([server.url("/ok"), server.url("/missing"), server.url("/hang")], limits=_impatient())
    for outcome in outcomes:
        copy = pickle.loads(pickle.dumps(outcome))
        assert (copy.key, copy.n_attempts) == (outcome.key, outcome.n_attempts)


def _impatient() -> object:
    return replace(QUICK, idle_seconds=0.1, max_attempts=1)


def test_requests_are_pulled_only_as_far_as_workers_can_use_them(server: HostileServer) -> None:
    pulled = 0

    def endless() -> Iterator[FetchRequest]:
        nonlocal pulled
        while True:
            pulled += 1
            yield FetchRequest(pulled, server.url("/ok"))

    outcomes = fetching(endless(), MemorySink())
    assert pulled == 0
    for n_taken in range(1, 21):
        next(outcomes)
        assert pulled <= n_taken + 2 * QUICK.n_connections
    time.sleep(0.1)
    assert pulled <= 20 + 2 * QUICK.n_connections
    outcomes.close()
    assert started_threads() == 0


def test_everything_ends_when_the_consumer_closes_early(server: HostileServer, tmp_path: Path) -> None:
    requests = [FetchRequest(0, server.url("/ok"))] + [FetchRequest(n, server.url("/hang")) for n in range(1, 50)]
    outcomes = fetching(requests, MemorySink(), spool_dir=tmp_path)
    assert next(outcomes).key == 0
    started = time.monotonic()
    outcomes.close()
    assert time.monotonic() - started < 1.5
    assert started_threads() == 0
    assert list(tmp_path.iterdir()) == []


LEFT_OPEN = """
import sys
from media_assets_tests.ingest.fetch.running import MemorySink
from media_assets_tests.ingest.fetch.test_fetch_all import fetching
from media_assets.ingest.fetch.items import FetchRequest

run = fetching([FetchRequest(uri, uri) for uri in sys.argv[1:]], MemorySink())
next(run)
print("leaving", flush=True)
"""


def test_interpreter_exits_when_a_fetch_is_left_open(server: HostileServer) -> None:
    command = [sys.executable, "-c", LEFT_OPEN, server.url("/ok"), server.url("/hang")]
    path = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, timeout=30, env={**os.environ, **path})
    assert done.stdout == b"leaving\n", done.stderr
    assert done.returncode == 0, done.stderr


def test_nothing_starts_when_nothing_is_taken(server: HostileServer) -> None:
    outcomes = fetching([FetchRequest(0, server.url("/ok"))], MemorySink())
    assert started_threads() == 0
    outcomes.close()
    assert not server.seen


def test_no_requests_give_no_outcomes() -> None:
    assert list(fetching([], MemorySink())) == []
    assert started_threads() == 0


def test_error_of_the_requests_comes_out(server: HostileServer) -> None:
    def broken() -> Iterator[FetchRequest]:
        yield FetchRequest(0, server.url("/hang"))
        raise LookupError("the list broke")

    with pytest.raises(LookupError, match="the list broke"):
        list(fetching(broken(), MemorySink()))
    assert started_threads() == 0


class BrokenSink:
    def __init__(self, error: Exception) -> None:
        self._error = error

    async def put_if_absent(self, media_id: str, body: bytes | Path) -> None:
        raise self._error


def test_item_fails_when_the_store_does_not_take_it(server: HostileServer) -> None:
    (outcome,) = fetching([FetchRequest(0, server.url("/ok"))], BrokenSink(OSError(28, "No space left on device")))
    assert isinstance(outcome, FetchFailed)
    assert outcome.error.code is ErrorCode.STORAGE_FAILED
    assert "No space left" in outcome.error.message


def test_programming_error_comes_out_when_a_sink_has_one(server: HostileServer) -> None:
    requests = [FetchRequest(n, server.url("/ok")) for n in range(20)]
    with pytest.raises(ZeroDivisionError):
        list(fetching(requests, BrokenSink(ZeroDivisionError())))
    assert started_threads() == 0


def test_outcome_is_given_out_only_after_the_sink_has_the_body(server: HostileServer) -> None:
    class SlowSink(MemorySink):
        async def put_if_absent(self, media_id: str, body: bytes | Path) -> None:
            await asyncio.sleep(0.05)
            await super().put_if_absent(media_id, body)

    sink = SlowSink()
    for outcome in fetching([FetchRequest(n, server.url(f"/ok?{n}")) for n in range(5)], sink):
        assert isinstance(outcome, Fetched)
        assert outcome.media_id in sink.bodies


def test_spool_that_takes_nothing_fails_the_item(
    server: HostileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @server.route("/big")
    async def _(exchange: Exchange) -> None:
        await exchange.reply(200, bytes(100_000))

    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("media_assets.ingest.fetch.body.tempfile.mkstemp", full)
    found = failed(server.url("/big"), limits=replace(QUICK, memory_bytes=1_000), spool_dir=tmp_path)
    assert (found.error.code, found.n_attempts) == (ErrorCode.STORAGE_FAILED, 1)


def test_fetch_fails_to_start_when_the_spool_folder_cannot_be(server: HostileServer, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        list(fetching([FetchRequest(0, server.url("/ok"))], MemorySink(), spool_dir=tmp_path / "file" / "x"))
    assert started_threads() == 0


def test_connections_stay_within_both_limits(server: HostileServer) -> None:
    now = most = 0

    @server.route("/count")
    async def _(exchange: Exchange) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1
        await exchange.reply(200, b"x")

    for limits, expected in ((QUICK, 4), (replace(QUICK, n_connections_per_host=2), 2)):
        most = 0
        run([server.url("/count")] * 40, limits=limits)
        assert most == expected


@pytest.mark.parametrize("proxy", ["", "localhost:3128", "socks5://h:1", "http://", "http://me:hunter2@[::"])
def test_setup_is_refused_at_once_when_the_proxy_is_malformed(proxy: str) -> None:
    with pytest.raises(SetupError) as caught:
        fetching([], MemorySink(), proxy=proxy)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("user_agent", ["", "a\r\nX: y", "ü"])
def test_setup_is_refused_at_once_when_the_user_agent_is_no_header(user_agent: str) -> None:
    with pytest.raises(SetupError):
        fetching([], MemorySink(), user_agent=user_agent)


def test_what_was_kept_is_told_while_the_consumer_is_busy(server: HostileServer) -> None:
    told: list[object] = []
    requests = [FetchRequest(number, server.url("/ok")) for number in range(4)]
    outcomes = fetching(requests, MemorySink(), on_kept=lambda kept: told.append(kept.key))
    next(outcomes)
    deadline = time.monotonic() + 10
    while len(told) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    outcomes.close()
    assert sorted(told, key=str) == [0, 1, 2, 3], "told of all, although only one outcome was taken"


def test_what_fails_while_it_is_told_of_comes_out(server: HostileServer) -> None:
    def full(kept: Fetched) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        list(fetching([FetchRequest(0, server.url("/ok"))], MemorySink(), on_kept=full))
    assert started_threads() == 0
