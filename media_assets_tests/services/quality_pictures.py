"""The pictures of docs/quality.md and of the inbox: `python -m media_assets_tests.services.quality_pictures OUT_DIR`.

Some minutes.

Twelve batches of a folder go through the graph, and in the last one every HEIC is broken; then a source goes quiet and
comes back while `dagster dev` runs. Not here: how pictures are saved (`picture_files`).
"""

from __future__ import annotations

import io
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

from media_assets.defs.partitions import PartitionRegistry
from media_assets.defs.resources import dagster_home, open_instance
from media_assets.defs.runs import Launcher
from media_assets.demo.corpus import write_large_corpus
from media_assets_tests.media.pictures import make_heic, make_jpeg, make_png
from media_assets_tests.services import screens
from media_assets_tests.services.browser import Visitor, running_chromium
from media_assets_tests.services.dagster_dev import DagsterDev, running_dagster_dev
from media_assets_tests.services.picture_files import save_picture
from media_assets_tests.services.workplace import Workplace, open_workplace
from media_assets_tests.stages.batches import write_manifest

N_BATCHES, BATCH_SIZE, SECONDS = 12, 8, 300


def main() -> None:
    """Make all pictures."""
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        corpus = write_large_corpus(root / "s", 8, 0, width_px=192, height_px=144, n_bases=8, n_processes=1)
        with open_workplace(root, corpus, BATCH_SIZE, '[{"size": [32, 32], "resize_shorter_px": 36}]') as workplace:
            bad = _make_batches(workplace)
            with (
                running_dagster_dev(workplace.environment, root) as dev,
                running_chromium() as browser,
                browser.new_context(color_scheme="light", device_scale_factor=1.25) as context,
            ):
                visitor = Visitor(context, dev.url)
                visitor.dismiss_greeting()
                _drift(visitor, bad, directory)
                inbox = Path(workplace.settings.inbox)
                _freshness(visitor, dev, inbox, directory)
                _ticks(visitor, dev, inbox, directory)


def _make_batches(workplace: Workplace) -> str:
    """Healthy batches, then one in which each HEIC is cut short; its id."""
    settings, batch_id = workplace.settings, ""
    inbox = Path(settings.inbox)
    inbox.mkdir()
    first = datetime.now(UTC) - timedelta(days=1)
    with dagster_home(workplace.home), open_instance(settings) as instance:
        launcher = Launcher(settings, instance)
        for number in range(1, N_BATCHES + 1):
            batch_id, size = f"phones.{number:04d}", (160, 120)
            files = {f"{i}.jpg": make_jpeg(1000 * number + i, size) for i in range(36 + number % 3)}
            files |= {f"{i}.png": make_png(1000 * number + 500 + i, size) for i in range(14 - number % 3)}
            if number == N_BATCHES:
                files |= {f"IMG_{i}.heic": make_heic(i, size)[:300] for i in range(20)}
            folder = workplace.root / "inbox" / f".{number}"  # hidden: the inbox leaves it alone, and may read it
            folder.mkdir()
            for name, content in files.items():
                (folder / name).write_bytes(content)
            items = [
                {
                    "item_key": name,
                    "uri": (folder / name).as_uri(),
                    "source": "phones",
                    "planned_at": first + timedelta(hours=number),
                }
                for name in files
            ]
            write_manifest(settings.open_lake(), items, batch_id)
            PartitionRegistry(instance).register(batch_id, len(items), {})
            (result,) = launcher.materialize([batch_id])
            assert result.success, result.error
    return batch_id


def _drift(visitor: Visitor, bad: str, directory: Path) -> None:
    path = screens.asset_page("raw/media", "checks", checkDetail="formats_decode")
    with visitor.page(path) as page:
        page.set_viewport_size({"width": 1400, "height": 860})
        screens.check_of_batch(page, bad)
        _shoot(page, directory / "drift-check")
        page.get_by_text("[Show Markdown]").first.click()
        page.get_by_role("dialog").locator("img").wait_for()
        _shoot(page, directory / "drift-plot")


def _freshness(visitor: Visitor, dev: DagsterDev, inbox: Path, directory: Path) -> None:
    def shows(status: str) -> bool:
        return dev.check_shown(("ingest", "manifest"), "uploads_is_fresh")[0] == status

    dev.wait_for("red", lambda: shows("FAILED"), SECONDS)
    path = screens.asset_page("ingest/manifest", "checks", checkDetail="uploads_is_fresh")
    for number, (status, name) in enumerate(
        (("SUCCEEDED", ""), ("FAILED", "source-quiet"), ("SUCCEEDED", "source-back"))
    ):
        if status == "SUCCEEDED":
            (inbox / f"{number}.jpg").write_bytes(make_jpeg(number, (160, 120)))
        dev.wait_for(status, lambda status=status: shows(status), SECONDS)  # type: ignore[misc]
        if not name:
            continue
        with visitor.page(path) as page:
            page.set_viewport_size({"width": 1400, "height": 560})
            page.get_by_text("Execution history").wait_for()
            _shoot(page, directory / name)


def _ticks(visitor: Visitor, dev: DagsterDev, inbox: Path, directory: Path) -> None:
    """The sensor of the inbox: looks that found nothing, and those that took in files."""
    for number in range(100, 100 + 3 * BATCH_SIZE):
        (inbox / f"{number}.jpg").write_bytes(make_jpeg(number, (160, 120)))
    dev.wait_for("runs of the inbox", lambda: len(dev.runs_tagged("dagster/sensor_name", "inbox")) >= 5, SECONDS)
    with visitor.page(screens.sensor_page("inbox")) as page:
        page.set_viewport_size({"width": 1400, "height": 900})
        page.get_by_text("Requested", exact=False).first.wait_for()
        _shoot(page, directory / "inbox-ticks")


def _shoot(page: Page, path: Path) -> None:
    page.mouse.move(0, 0)
    page.wait_for_timeout(2500)
    picture = Image.open(io.BytesIO(page.screenshot(animations="disabled", caret="hide")))
    save_picture(picture, path.with_name(f"{path.name}.webp"))


if __name__ == "__main__":
    main()
