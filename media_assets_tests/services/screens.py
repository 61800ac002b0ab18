"""Ways through the pages of the Dagster UI, as a person takes them: by what can be read on the screen.

Not here: what the pages must show (`test_ui.py`), or the pictures of them (`pictures.py`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import quote

from playwright.sync_api import Locator, Page, TimeoutError, expect

from media_assets_tests.services.browser import Visitor

LINEAGE = "/asset-groups"
AUTOMATION = "/automation"

_BOXES = """() => [...document.querySelectorAll('foreignObject')].map(box => {
  const place = box.getBoundingClientRect()
  return {text: box.querySelector('div').innerText, is_group: box.classList.contains('group'),
          left: place.left, top: place.top, right: place.right, bottom: place.bottom}
}).filter(box => box.right > box.left)"""
SHOWN_MS = 30_000
_MOVING_MS = 300
_IS_LOADED = "image => image.complete && image.naturalWidth > 0"


@dataclass(frozen=True)
class Box:
    """A box of the asset graph: a group, or a node in it. Sides in pixels of the window."""

    text: str
    is_group: bool
    left: float
    top: float
    right: float
    bottom: float

    @property
    def name(self) -> str:
        """What stands at its top."""
        return self.text.strip().partition("\n")[0].strip()

    def holds(self, other: Box) -> bool:
        """Whether the other box lies inside this one."""
        return (
            self.left <= other.left
            and other.right <= self.right
            and self.top <= other.top
            and other.bottom <= self.bottom
        )


def sensor_page(name: str) -> str:
    """Path of a sensor's page, with its ticks."""
    return f"/locations/media_assets/sensors/{name}"


def asset_page(key: str, view: str, **query: str) -> str:
    """Path of a tab of an asset's page."""
    return f"/assets/{key}?" + "&".join(f"{name}={quote(value)}" for name, value in {"view": view, **query}.items())


def expand_groups(page: Page, n_groups: int, n_assets: int) -> list[Box]:
    """Open every group of the asset graph, and wait until all of it is drawn."""
    page.locator("foreignObject").nth(n_groups - 1).wait_for()
    nodes = page.locator("foreignObject:not(.group)")
    while nodes.count() < n_assets:  # a key that is pressed while the page is still loading is lost
        page.keyboard.press("Alt+KeyE")
        with suppress(TimeoutError):
            nodes.nth(n_assets - 1).wait_for(timeout=SHOWN_MS / 3)
    return graph_boxes(page)


def graph_boxes(page: Page) -> list[Box]:
    """Every box of the asset graph, once none of them moves any more."""
    before, boxes = None, page.evaluate(_BOXES)
    while before != boxes:
        page.wait_for_timeout(_MOVING_MS)
        before, boxes = boxes, page.evaluate(_BOXES)
    return [Box(**box) for box in boxes]


def metadata_rows(page: Page) -> dict[str, str]:
    """The metadata table of the page: name → text, as it can be read."""
    page.get_by_text("Metadata", exact=True).first.wait_for()
    rows = page.locator("tr").filter(has=page.locator("td")).all()
    cells = [row.locator("td").all_inner_texts() for row in rows]
    return {row[0].strip(): row[1].strip() for row in cells if len(row) > 1}


def metadata_picture(page: Page, name: str) -> Locator:
    """A picture in the metadata table that is shown without a click."""
    return _loaded(page.get_by_role("row").filter(has_text=name).locator("img").first)


def open_picture(page: Page, name: str) -> Locator:
    """The picture behind a `[Show Markdown]` of the metadata table, once it is drawn in its dialog."""
    page.get_by_role("row").filter(has_text=name).get_by_text("[Show Markdown]").click()
    return _loaded(page.get_by_role("dialog").locator("img"))


def filter_assets(page: Page, query: str, names: Sequence[str]) -> None:
    """On the asset graph with all groups open: type a filter, and wait until only these names are left."""
    page.locator(".CodeMirror").first.click()
    page.keyboard.type(query)
    page.keyboard.press("Enter")
    while sorted(box.name for box in graph_boxes(page) if box.name and not box.is_group) != sorted(names):
        page.wait_for_timeout(_MOVING_MS)


def open_backfill(page: Page, batches: Sequence[str]) -> Locator:
    """Open the launch dialog of what is selected, and choose batches one by one; the dialog."""
    page.get_by_role("button", name="Materialize").first.click()
    dialog = page.get_by_role("dialog").filter(has_text="Launch runs to materialize")
    dialog.get_by_text("Custom", exact=True).click()
    dialog.get_by_text(re.compile("partitions selected|Select a partition")).click()
    everything = page.get_by_role("menuitem", name="Select all")
    if everything.get_by_role("checkbox").is_checked():  # the dialog of several assets begins with every batch
        everything.click()
    for batch in batches:
        page.get_by_role("menuitem", name=batch).click()
    page.keyboard.press("Escape")  # closes the list, not the dialog
    dialog.get_by_text(f"{len(batches)} partitions", exact=True).wait_for()
    return dialog


def _loaded(picture: Locator) -> Locator:
    picture.wait_for()
    picture.page.wait_for_function(_IS_LOADED, arg=picture.element_handle())
    return picture


def sensor_switch(page: Page, sensor: str) -> Locator:
    """On the page of automations: the switch in a sensor's row, to be clicked; `checkbox` inside it is its state."""
    row = page.locator("[data-index]").filter(has=page.get_by_text(sensor, exact=True))
    return row.locator("label[class*=formatSwitch]")


def switch_sensor(visitor: Visitor, sensor: str, is_on: bool) -> None:
    """Click the switch of a sensor."""
    with visitor.page(AUTOMATION) as page:
        switch = sensor_switch(page, sensor)
        switch.click()
        expect(switch.get_by_role("checkbox")).to_be_checked(checked=is_on, timeout=SHOWN_MS)
        page.reload()  # what the page shows at once is its wish
        expect(switch.get_by_role("checkbox")).to_be_checked(checked=is_on, timeout=SHOWN_MS)


def check_of_batch(page: Page, batch: str) -> str:
    """On the page of a check: everything that is told of it for one batch."""
    page.get_by_text("Execution history").wait_for()
    page.get_by_text("Partitions", exact=True).last.click()
    page.locator("[class*=MiddleTruncate_container]").filter(has_text=batch).last.click()
    page.get_by_text("Target materialization").wait_for()
    return page.locator("body").inner_text().rpartition("Partitions Selected")[2]
