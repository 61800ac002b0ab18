"""One lake with `dagster dev` over it, one browser, store and Label Studio for all; started when first asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from media_assets.demo.corpus import write_large_corpus
from media_assets_tests.ops.alerts.webhook import Webhook
from media_assets_tests.services.availability import Unavailable, give_up
from media_assets_tests.services.browser import Visitor, running_chromium
from media_assets_tests.services.dagster_dev import DagsterDev, running_dagster_dev
from media_assets_tests.services.label_studio import LabelStudioServer, running_label_studio
from media_assets_tests.services.seaweedfs import SeaweedFS, running_seaweedfs
from media_assets_tests.services.workplace import Workplace, open_workplace

BATCH_SIZE = 8
N_FAILED = 2
N_BATCHES = 8  # that can be planned
ALERT_TOKEN = "t0ken-of-the-webhook-41c7"
SMALL_TENSORS = '[{"size": [32, 32], "resize_shorter_px": 36}]'


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """A lake with one batch that is done, two of its eight items failed, and server space for more."""
    root = tmp_path_factory.mktemp("workplace")
    corpus = write_large_corpus(
        root / "source", BATCH_SIZE * N_BATCHES, 0, width_px=192, height_px=144, n_bases=8, n_processes=1
    )
    with open_workplace(root, corpus, BATCH_SIZE, SMALL_TENSORS) as opened:
        opened.server.break_(corpus.image_ids[:N_FAILED], "404")
        opened.materialize(opened.plan(1))
        yield opened


@pytest.fixture(scope="session")
def webhook() -> Iterator[Webhook]:
    """Who is told when something goes wrong."""
    with Webhook() as server:
        yield server


@pytest.fixture(scope="session")
def dagster_dev(workplace: Workplace, webhook: Webhook) -> Iterator[DagsterDev]:
    """`dagster dev` over the lake; it tells the webhook."""
    told = {"MEDIA_ASSETS_ALERT_URLS": f"{webhook.url}/{ALERT_TOKEN}", "NO_PROXY": "127.0.0.1"}
    try:
        with running_dagster_dev({**workplace.environment, **told}, workplace.root) as running:
            yield running
    except Unavailable as reason:
        give_up(reason)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The one browser: Playwright cannot be begun a second time while it runs."""
    try:
        with running_chromium() as browser:
            yield browser
    except Unavailable as reason:
        give_up(reason)


@pytest.fixture(scope="session")
def visitor(dagster_dev: DagsterDev, chromium: Browser) -> Iterator[Visitor]:
    """A browser on the UI; the pop-up that greets a new instance has been clicked away."""
    with chromium.new_context(viewport={"width": 1400, "height": 900}) as context:
        visitor = Visitor(context, dagster_dev.url)
        visitor.dismiss_greeting()
        yield visitor


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """A SeaweedFS with two identities."""
    try:
        with running_seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as store:
            yield store
    except Unavailable as reason:
        give_up(reason)


@pytest.fixture(scope="session")
def label_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelStudioServer]:
    """A Label Studio without projects of ours."""
    try:
        with running_label_studio(tmp_path_factory.mktemp("label-studio")) as server:
            yield server
    except Unavailable as reason:
        give_up(reason)
