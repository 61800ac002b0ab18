"""Secrets turn up nowhere: not in logs, events, run config, tables, messages, files, or what commands print."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from unittest import mock

import pytest

from media_assets.defs import resources
from media_assets.ingest.fetch import addresses, downloader
from media_assets.ingest.fetch.limits import FetchLimits
from media_assets_tests.hostile.canaries import CANARIES, HOST, IN_MANIFEST, PROXY_HOST, Story, serve, write_lists
from media_assets_tests.ingest.fetch.hostile_server import HostileServer

_QUICK = {"connect_seconds": 1.0, "total_seconds": 5.0, "max_attempts": 2, "backoff_seconds": 0.01}


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    (tmp_path / "site" / "tmp").mkdir(parents=True)
    with (
        HostileServer(host=HOST) as server,
        mock.patch.object(resources, "FetchLimits", partial(FetchLimits, **_QUICK)),
        mock.patch("dagster.RetryPolicy.calculate_delay", return_value=0.0),
    ):
        yield Story(tmp_path / "site", server)


@pytest.fixture
def proxy(story: Story) -> Iterator[HostileServer]:
    with HostileServer(host=PROXY_HOST) as server:
        server.routes = story.server.routes
        yield server


def plan(story: Story, lists: Path, split: str, template: str, code: int = 0) -> str:
    where = ("--metadata", str(lists), "--image-url", template)
    return story.run("plan", "open-images", "--split", split, *where, code=code)


def nobody(host: str = HOST) -> str:
    """An address at which nobody listens."""
    with socket.create_server((host, 0)) as taken:
        return f"{host}:{taken.getsockname()[1]}"


@pytest.mark.slow
@pytest.mark.timeout(240)  # some fifteen seconds where nobody else is at work
def test_no_secret_turns_up_but_in_the_column_that_must_hold_it(
    story: Story,
    proxy: HostileServer,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    server, root = story.server, f"http://{HOST}:{story.server.port}"
    lists = write_lists(tmp_path / "lists", len(serve(server)))
    plan(story, lists, "validation", f"{root}/{{image_id}}?token={CANARIES['query']}")
    plan(story, lists, "test", f"http://user:{CANARIES['password']}@{HOST}:{server.port}/{{image_id}}")
    plan(story, lists, "train", f"http://{nobody()}/{{image_id}}?token={CANARIES['query']}")
    for template in (f"{root}/?{CANARIES['template']}", f"{root}/{{image_id}}{{x}}?{CANARIES['template']}"):
        plan(story, lists, "validation", template, code=1)
    for base in (
        f"http://user:{CANARIES['base-password']}@{HOST}:{server.port}/lists",
        f"{root}/lists?token={CANARIES['base-query']}",
        f"http://user:{CANARIES['base-password']}@/",
    ):
        story.run("plan", "open-images", "--split", "test", "--metadata", base, code=1)

    story.run_and_die("after journal", 2, "materialize", "--batch", "*validation*")
    assert story.found() == []
    story.run("materialize", code=1, n_workers=1)  # nobody is there to be asked for one of the batches: an outage
    with_proxy = f"http://user:{CANARIES['proxy']}@{PROXY_HOST}:{proxy.port}"
    story.run("materialize", "--again", "--refetch", proxy=with_proxy)
    assert any(request.path.startswith("http://") for request in proxy.seen), "the proxy was asked"
    for broken in (f"{CANARIES['dead-proxy']}@{nobody(PROXY_HOST)}", f"{CANARIES['bad-proxy']}@[::"):
        story.run("materialize", "--again", "--refetch", "--batch", "*train*", code=1, proxy=f"http://user:{broken}")
    story.run("dead-letters", "replay", "--batch", "*validation*", "--json")
    for command in ("status", "dead-letters list", "dead-letters show 0e3779b97f4a7c15", "doctor"):
        story.run(*command.split(), "--json", proxy=with_proxy)
    story.run("alerts", "test", code=1)  # nobody listens there
    story.run("alerts", "list", "--json")
    for table in ("marts.dead_letters", "raw.media", "ingest.item_status"):
        story.run("query", f"from {table}", "--json")
    codes = story.run("query", "select distinct error_code from ingest.item_status", "--json")
    for code in ("not_found", "server_error", "url_refused", "address_refused", "tls_failed", "truncated"):
        assert code in codes
    told = capfd.readouterr()
    assert story.found(told.out + told.err + caplog.text) == []

    uris = story.run("query", "select uri from ingest.manifest", "--json")
    assert all(secret in uris for secret in IN_MANIFEST), "what the user gave is kept where it is asked for with"
    assert len(story.found()) == len(IN_MANIFEST), "what is printed is looked at"


def test_a_secret_that_gets_through_is_found(story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (downloader, addresses):
        monkeypatch.setattr(module, "shown", lambda url: url)
    lists = write_lists(tmp_path / "lists", len(serve(story.server)))
    plan(story, lists, "validation", f"http://{HOST}:{story.server.port}/{{image_id}}?token={CANARIES['query']}")
    story.run("materialize")
    story.run("dead-letters", "list", "--json")
    found = story.found()
    assert any(place.startswith("lake/ingest/item_status/") and " message: " in place for place in found)
    assert any(place.startswith("printed by command") for place in found)
    events = [place for place in story.places(b"open-images.validation.0001") if place.startswith("dagster_home/")]
    assert any(place.endswith(" event_logs") for place in events)
    assert any(place.endswith(" snapshots") for place in story.places(b"n_connections")), "what Dagster compresses"
