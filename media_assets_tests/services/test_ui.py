"""The Dagster UI over a real lake, as a person sees and clicks it in a browser.

What is counted in the lake is looked up in the lake; the web server is asked only where waiting on the screen would
be guessing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import polars as pl
import pytest
from playwright.sync_api import Locator, expect

from media_assets.tables import ITEM_STATUS
from media_assets_tests.services import screens
from media_assets_tests.services.browser import Visitor
from media_assets_tests.services.conftest import BATCH_SIZE, N_FAILED
from media_assets_tests.services.dagster_dev import HOST, DagsterDev
from media_assets_tests.services.workplace import Workplace

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

GRAPH = {
    ("ingest", "manifest"),
    ("raw", "media"),
    ("frames", "images"),
    ("frames", "keyframes"),
    ("predictions", "frames"),
    ("labels", "queue"),
    ("labels", "pushed"),
    ("labels", "pulled"),
    ("labels", "annotations"),
    ("labels", "consensus"),
    ("tensors", "images"),
    ("tensors", "histograms"),
    ("tensors", "statistics"),
    ("outcomes", "item_status"),
    ("outcomes", "failures"),
    ("outcomes", "batch_profiles"),
}
N_GROUPS = len({group for group, _ in GRAPH})
IMAGE_PATH = ("media", "images", "images")
N_BACKFILLED = 3
FIRST = "open-images.validation.0001"
STAGES = {"raw.media", "frames.images", "tensors.images"}
SENSOR = "new_batches"
RUN_SECONDS = 150  # a run of a second, on a machine that starts processes slowly


@pytest.fixture(scope="module", autouse=True)
def planned(workplace: Workplace, visitor: Visitor) -> str:
    """A batch that is planned while everything runs: automation takes it up while the first tests look around."""
    (batch,) = workplace.plan(2)
    return batch


@pytest.fixture
def automation_off(visitor: Visitor) -> Iterator[None]:
    """The sensor is switched off by a click, so that planned batches wait for another click."""
    screens.switch_sensor(visitor, SENSOR, is_on=False)
    yield
    screens.switch_sensor(visitor, SENSOR, is_on=True)


def statuses(workplace: Workplace, batches: Sequence[str]) -> pl.DataFrame:
    """What the lake says of every item of some batches at every stage."""
    return workplace.settings.open_lake().scan(ITEM_STATUS, {"batch_id": list(batches)}).collect()


def redness(picture: Locator) -> float:
    """Share of a picture's pixels in the red of failed items, as the browser has drawn it."""
    return float(
        picture.evaluate(
            """image => {
              const canvas = document.createElement('canvas')
              canvas.width = image.naturalWidth; canvas.height = image.naturalHeight
              const context = canvas.getContext('2d'); context.drawImage(image, 0, 0)
              const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data
              let red = 0
              for (let i = 0; i < pixels.length; i += 4)
                red += Math.hypot(pixels[i] - 205, pixels[i + 1] - 55, pixels[i + 2] - 50) < 40
              return red / (pixels.length / 4)
            }"""
        )
    )


def test_the_lineage_shows_every_table_in_its_group(visitor: Visitor) -> None:
    with visitor.page(screens.LINEAGE) as page:
        boxes = screens.expand_groups(page, N_GROUPS, len(GRAPH))
        groups = [box for box in boxes if box.is_group and box.name]
        nodes = [box for box in boxes if not box.is_group and box.name]
    assert {group.name for group in groups} == {group for group, _ in GRAPH}
    assert len(nodes) == len(GRAPH)
    assert {(group.name, node.name) for group in groups for node in nodes if group.holds(node)} == GRAPH


def test_a_batch_shows_its_counts_and_a_contact_sheet_with_the_failed_items_marked(visitor: Visitor) -> None:
    with visitor.page(screens.asset_page("raw/media", "partitions", partition=FIRST)) as page:
        page.get_by_text("[Show Markdown]").wait_for()
        told = screens.metadata_rows(page)
        assert told["entered"] == str(BATCH_SIZE)
        assert told["accepted"] == str(BATCH_SIZE - N_FAILED)
        assert told["failed"] == str(N_FAILED)
        assert told["items"] == f"{BATCH_SIZE - N_FAILED} accepted · {N_FAILED} failed"
        assert f'"not_found": {N_FAILED}' in told["failures_by_code"]
        bar = screens.metadata_picture(page, "items")
        assert redness(bar) == pytest.approx(N_FAILED / BATCH_SIZE, abs=0.01)
        sheet = screens.open_picture(page, "contact_sheet")
        assert sheet.evaluate("image => image.naturalWidth") > 500
        place = sheet.bounding_box()
        assert place is not None
        assert place["width"] > 500
        assert redness(sheet) > 0.01


def test_passing_and_failing_checks_are_told_apart(visitor: Visitor) -> None:
    told = {}
    for check in ("contract_holds", "reconciles", "few_items_failed"):
        with visitor.page(screens.asset_page("raw/media", "checks", checkDetail=check)) as page:
            kind = page.get_by_text("asset check.").inner_text()
            told[check] = (" blocking" in kind, screens.check_of_batch(page, FIRST))
    for check in ("contract_holds", "reconciles"):
        is_blocking, text = told[check]
        assert is_blocking
        assert "Passed" in text.partition("Metadata")[0].split("\n"), text
    is_blocking, text = told["few_items_failed"]
    assert not is_blocking
    verdict, _, metadata = text.partition("Metadata")
    assert "Failed" in verdict.split("\n"), text
    assert str(N_FAILED / BATCH_SIZE) in metadata
    assert f"media-assets dead-letters list --batch {FIRST}" in metadata


def test_automation_is_on_and_runs_a_planned_batch_without_a_click(
    visitor: Visitor, dagster_dev: DagsterDev, workplace: Workplace, planned: str
) -> None:
    with visitor.page(screens.AUTOMATION) as page:
        expect(screens.sensor_switch(page, SENSOR).get_by_role("checkbox")).to_be_checked(timeout=screens.SHOWN_MS)
    dagster_dev.wait_for(
        f"a status for each item of {planned} at each stage",
        lambda: set(statuses(workplace, [planned])["stage"]) == {*STAGES, "frames.keyframes"},
        RUN_SECONDS,
    )
    with visitor.page(screens.asset_page("tensors/images", "partitions", partition=planned)) as page:
        page.get_by_text("[Show Markdown]").wait_for()
        assert screens.metadata_rows(page)["accepted"] == str(BATCH_SIZE)
    assert dagster_dev.runs_tagged("dagster/sensor_name", SENSOR)


def test_a_range_backfill_launched_by_clicks_materializes_every_batch(
    visitor: Visitor, dagster_dev: DagsterDev, workplace: Workplace, automation_off: None
) -> None:
    batches = workplace.plan(2 + N_BACKFILLED)
    assert len(batches) == N_BACKFILLED
    assert statuses(workplace, batches).is_empty()
    with visitor.page(screens.LINEAGE) as page:
        screens.expand_groups(page, N_GROUPS, len(GRAPH))
        screens.filter_assets(page, 'kind:"image" or kind:"numpy"', IMAGE_PATH)
        dialog = screens.open_backfill(page, batches)
        dialog.get_by_role("button", name="Launch backfill").click()
        dialog.wait_for(state="hidden")
    backfill, _ = dagster_dev.latest_backfill()
    runs = dagster_dev.runs_of_backfill(backfill, RUN_SECONDS)
    assert runs == ["SUCCESS"], "neighbouring batches share a run"
    counted = Counter(statuses(workplace, batches).select("batch_id", "stage", "status").iter_rows())
    assert counted == {(batch, stage, "accepted"): BATCH_SIZE for batch in batches for stage in STAGES}
    with visitor.page(f"/runs/b/{backfill}") as page:
        page.get_by_text("100% completed").nth(len(IMAGE_PATH) - 1).wait_for()
    for batch in batches:
        with visitor.page(screens.asset_page("raw/media", "partitions", partition=batch)) as page:
            page.get_by_text("[Show Markdown]").wait_for()
            assert screens.metadata_rows(page)["accepted"] == str(BATCH_SIZE)
    with visitor.page(screens.asset_page("raw/media", "checks", checkDetail="reconciles")) as page:
        assert "Passed" in screens.check_of_batch(page, batches[1]).split("\n")


def test_the_pages_ask_this_machine_only(visitor: Visitor) -> None:
    with visitor.page("/overview") as page:
        page.get_by_text("Lineage").first.wait_for()
    assert visitor.hosts() == {HOST}
