"""The pictures of the README: `python -m media_assets_tests.services.pictures OUT_DIR`, two minutes.

A sample set is taken through the graph, partly by the command line's own functions, partly by clicks in the UI, and the
pages that tell most are photographed. Not here: how pictures are saved (`picture_files`).
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import FloatRect, Page

from media_assets.cli_output import Output
from media_assets.defs.graph import build_defs
from media_assets.defs.resources import Settings
from media_assets.demo.corpus import write_corpus
from media_assets.demo.walkthrough import run_demo
from media_assets_tests.services import screens
from media_assets_tests.services.browser import Visitor, running_chromium
from media_assets_tests.services.dagster_dev import DagsterDev, running_dagster_dev
from media_assets_tests.services.picture_files import save_picture
from media_assets_tests.services.workplace import Workplace, open_workplace

BATCH_SIZE = 40
N_IMAGES, N_BACKFILLED = 240, 3  # six batches; the last three are left to a backfill
_GRAPH = build_defs(Settings()).resolve_all_asset_specs()
N_ASSETS, N_GROUPS = len(_GRAPH), len({spec.group_name for spec in _GRAPH})
RUN_SECONDS = 240
_SCALE = 1.25  # finer text than the page's own pixels, before the picture is made 1400 wide


def main(arguments: Sequence[str] | None = None) -> None:
    """Make all pictures."""
    parser = argparse.ArgumentParser(prog="python -m media_assets_tests.services.pictures", description=main.__doc__)
    parser.add_argument("directory", type=Path, help="where the pictures go, such as docs/img")
    directory: Path = parser.parse_args(arguments).directory
    directory.mkdir(parents=True, exist_ok=True)
    _demo_sheet(directory)
    with tempfile.TemporaryDirectory() as root, _open_studio(Path(root), directory) as studio:
        for shoot in (
            studio.statistics,
            studio.batch,
            studio.checks,
            studio.backfill,
            studio.lineage,
        ):
            shoot()


@dataclass(frozen=True)
class _Studio:
    workplace: Workplace
    dev: DagsterDev
    visitor: Visitor
    directory: Path

    def statistics(self) -> None:
        """The plot of the dataset's channels, in its dialog."""
        with self._page(screens.asset_page("tensors/statistics", "events"), 720) as page:
            screens.open_picture(page, "histogram")
            self._shoot(page, "statistics")

    def batch(self) -> None:
        """A batch's counts, with its contact sheet open."""
        with self._page(screens.asset_page("raw/media", "partitions", partition=_batch(1)), 880) as page:
            page.get_by_text("[Show Markdown]").wait_for()
            screens.metadata_picture(page, "items")
            self._shoot(page, "batch")
            screens.open_picture(page, "contact_sheet")
            self._shoot(page, "batch-contact-sheet")

    def checks(self) -> None:
        """A check that warns, beside those that hold."""
        path = screens.asset_page("raw/media", "checks", checkDetail="few_items_failed")
        with self._page(path, 800) as page:
            screens.check_of_batch(page, _batch(1))
            self._shoot(page, "checks")

    def backfill(self) -> None:
        """The launch of a backfill over the batches that are left, and its end."""
        batches = [_batch(n) for n in range(4, 4 + N_BACKFILLED)]
        with self._page(screens.LINEAGE, 860) as page:
            screens.expand_groups(page, N_GROUPS, N_ASSETS)
            screens.filter_assets(page, 'kind:"image" or kind:"numpy"', ("media", "images", "images"))
            dialog = screens.open_backfill(page, batches)
            self._shoot(page, "backfill-launch")
            dialog.get_by_role("button", name="Launch backfill").click()
            dialog.wait_for(state="hidden")
        backfill, _ = self.dev.latest_backfill()
        assert self.dev.runs_of_backfill(backfill, RUN_SECONDS) == ["SUCCESS"]
        self.dev.wait_for("it is told so", lambda: self.dev.latest_backfill()[1] == "COMPLETED_SUCCESS", RUN_SECONDS)
        with self._page(f"/runs/b/{backfill}", 500) as page:
            page.get_by_text("100% completed").nth(2).wait_for()
            page.get_by_text("Succeeded", exact=True).first.wait_for()
            self._shoot(page, "backfill")

    def lineage(self) -> None:
        """The whole graph, with every batch done, cut out of a window that is wide enough for it."""
        with self._page(screens.LINEAGE, 900, width=1900) as page:
            screens.expand_groups(page, N_GROUPS, N_ASSETS)
            page.reload()  # the graph is fitted into the window when the page is opened
            page.locator("foreignObject:not(.group)").nth(N_ASSETS - 1).wait_for()
            boxes = [box for box in screens.graph_boxes(page) if box.is_group]
            left, top = min(box.left for box in boxes), min(box.top for box in boxes)
            right, bottom = max(box.right for box in boxes), max(box.bottom for box in boxes)
            margin = 20
            self._shoot(
                page,
                "lineage",
                {
                    "x": left - margin,
                    "y": top - margin,
                    "width": right - left + 2 * margin,
                    "height": bottom - top + 2 * margin,
                },
            )

    @contextmanager
    def _page(self, path: str, height: int, width: int = 1400) -> Iterator[Page]:
        with self.visitor.page(path) as page:
            page.set_viewport_size({"width": width, "height": height})
            yield page

    def _shoot(self, page: Page, name: str, clip: FloatRect | None = None) -> None:
        page.mouse.move(0, 0)  # nothing is hovered over
        page.wait_for_timeout(1500)  # the rest of the page: counts and pills come after the text
        _save(
            self.directory / name,
            Image.open(io.BytesIO(page.screenshot(animations="disabled", caret="hide", clip=clip))),
        )


def _demo_sheet(directory: Path) -> None:
    """The sheet of a batch that `make demo` writes. Before the browser starts: both want the thread's event loop."""
    with tempfile.TemporaryDirectory() as root:
        run_demo(Path(root) / "demo", 60, Output(as_json=True))
        with Image.open(Path(root) / "demo" / f"{_batch(1)}.jpg") as sheet:
            _save(directory / "contact-sheet", sheet)


def _save(path: Path, image: Image.Image) -> None:
    written = path.with_name(f"{path.name}.webp")
    save_picture(image, written)
    sys.stdout.write(f"{written}  {written.stat().st_size:,} bytes\n")
    sys.stdout.flush()


def _batch(number: int) -> str:
    return f"open-images.validation.{number:04d}"


@contextmanager
def _open_studio(root: Path, directory: Path) -> Iterator[_Studio]:
    corpus = write_corpus(root / "source", n_images=N_IMAGES, seed=7)
    with open_workplace(root, corpus, BATCH_SIZE, "[{}]") as workplace:
        workplace.server.break_(corpus.image_ids[5:7], "404")
        workplace.server.break_(corpus.image_ids[11:12], "cut")
        workplace.materialize(workplace.plan(3))
        with (
            running_dagster_dev(workplace.environment, root) as dev,
            running_chromium() as browser,
            browser.new_context(color_scheme="light", device_scale_factor=_SCALE) as context,
        ):
            visitor = Visitor(context, dev.url)
            visitor.dismiss_greeting()
            screens.switch_sensor(visitor, "new_batches", is_on=False)
            workplace.plan(3 + N_BACKFILLED)
            yield _Studio(workplace, dev, visitor, directory)


if __name__ == "__main__":
    main()
