"""`media-assets demo`: plan → materialize → status → replay → queue on sample media, offline, and what to look at next.

Nothing here is special to the demo but its sources: a sample set in the real Open Images format, served over loopback,
and a catalog of videos in a folder.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from media_assets.cli_output import Output, Progressbar
from media_assets.defs.plans import plan_open_images, plan_videos
from media_assets.defs.resources import Settings, dagster_home, open_instance
from media_assets.defs.runs import Launcher, RunResult
from media_assets.demo.clips import Clips, write_clips
from media_assets.demo.corpus import Corpus, write_corpus
from media_assets.demo.server import SampleServer
from media_assets.errors import SetupError
from media_assets.ingest.open_images.reader import SOURCE
from media_assets.ingest.videos.reader import SOURCE as VIDEOS
from media_assets.labeling.overview import status_rows
from media_assets.lake.overview import DeadLetterFilter, batch_overview, dead_letters
from media_assets.media.contact_sheet import contact_sheet
from media_assets.serving.tensors import TensorReader
from media_assets.stages.pictures import batch_cells
from media_assets.tables import FRAMES_KEYFRAMES, LABELS_QUEUE, MANIFEST

_MARKER = ".media-assets-demo"
_PROJECT = "image-classes"
_LETTER_COLUMNS = ("item_key", "error_code", "message")


def run_demo(directory: Path, n_images: int, output: Output) -> None:
    """Run the whole path below a folder, which is emptied first if an earlier demo made it.

    Raises:
        SetupError: the folder holds something that no demo made, batches of somebody's own included, or a step failed.
    """
    started = time.monotonic()
    root = _fresh(directory)
    output.say(f"1. Make {n_images} sample photos, good, odd and broken ones, and serve them on 127.0.0.1; make videos")
    corpus, clips = write_corpus(root / "source", n_images=n_images), write_clips(root / "videos")
    with SampleServer(corpus.root) as server, dagster_home(root / "dagster_home"):
        settings = Settings(lake=str(root / "lake"), allowed_networks="127.0.0.0/8", label_projects=_PROJECT)
        demo = _Demo(settings, output)
        demo.plan(corpus, server)
        demo.plan_videos(clips)
        demo.materialize()
        demo.status("3. What became of them")
        before = demo.show_dead_letters("4. What failed, and why")
        server.mend()
        demo.replay(before)
        demo.status("6. After the replay")
        after = demo.show_dead_letters("   Still failed: these bytes are broken at the source")
        sheets = demo.write_contact_sheets(root)
        shape = demo.read_mini_batch()
        queued = demo.queue()
    seconds = time.monotonic() - started
    demo.say_what_next(root, sheets, seconds)
    output.document(
        {
            "planned": corpus.n_images,
            "status": batch_overview(settings.open_lake()).to_dicts(),
            "failed_before_replay": len(before),
            "failed_after_replay": len(after),
            "mini_batch_shape": list(shape),
            "stills": settings.open_lake().scan(FRAMES_KEYFRAMES).select(pl.len()).collect().item(),
            "queued": queued,
            "contact_sheets": [str(sheet) for sheet in sheets],
            "seconds": round(seconds, 1),
        }
    )


@dataclass(frozen=True)
class _Demo:
    settings: Settings
    output: Output

    def plan(self, corpus: Corpus, server: SampleServer) -> None:
        """Plan from the real CSV format."""
        result = plan_open_images(
            self.settings, str(corpus.metadata), "validation", None, 40, server.image_url_template
        )
        self.output.say(
            f"   planned {result.n_planned} items in {len(result.batch_ids)} batches: {', '.join(result.batch_ids)}"
        )

    def plan_videos(self, clips: Clips) -> None:
        """Plan a catalog of videos, whose files lie beside it."""
        result = plan_videos(self.settings, clips.catalog, str(clips.root), None, 40, (), "")
        self.output.say(f"   planned {result.n_planned} videos in {', '.join(result.batch_ids)}\n")

    def materialize(self) -> None:
        """Every stage of every batch, then the statistics over all of them."""
        self.output.say("2. Materialize raw/media, frames/images, tensors/images, frames/keyframes: one read per item")
        with self._launcher() as launcher:
            batches = list(launcher.instance.get_dynamic_partitions("batches"))
            self._require(launcher.materialize(batches))
            self._require([launcher.measure_statistics()])
        self.output.say()

    def replay(self, letters: list[dict[str, Any]]) -> None:
        """Replay every dead letter now that the server is mended."""
        self.output.say("5. The server is mended: replay the dead letters, and only them")
        items: dict[str, list[str]] = {}
        for letter in letters:
            items.setdefault(letter["batch_id"], []).append(letter["item_key"])
        with self._launcher() as launcher:
            self._require(launcher.replay(items))
        self.output.say()

    def status(self, title: str) -> None:
        """Counts by batch and stage."""
        if not self.output.as_json:
            self.output.table(title, batch_overview(self.settings.open_lake()).to_dicts(), empty="")

    def show_dead_letters(self, title: str) -> list[dict[str, Any]]:
        """The failed items."""
        letters = dead_letters(self.settings.open_lake(), DeadLetterFilter()).to_dicts()
        if not self.output.as_json:
            shown = [{name: letter[name] for name in _LETTER_COLUMNS} for letter in letters]
            self.output.table(title, shown, empty="No dead letters.")
        return letters

    def write_contact_sheets(self, root: Path) -> list[Path]:
        """One picture per batch."""
        bench, sheets = self.settings.workbench(), []
        for batch_id in bench.lake.partition_values(MANIFEST):
            sheet = root / f"{batch_id}.jpg"
            sheet.write_bytes(contact_sheet(batch_cells(bench, batch_id)))
            sheets.append(sheet)
        return sheets

    def read_mini_batch(self) -> tuple[int, ...]:
        """Shape of one normalized mini-batch."""
        reader = TensorReader(self.settings.open_lake())
        batch = next(iter(reader.mini_batches(16, shuffle=True, seed=0)))
        self.output.say(
            f"7. A shuffled mini-batch of {len(reader)} tensors: {batch.x.dtype} {batch.x.shape}, "
            f"mean {batch.x.mean():+.2f}, std {batch.x.std():.2f}\n"
        )
        return tuple(batch.x.shape)

    def queue(self) -> int:
        """Queue what is worth asking people about; how many questions that is."""
        self.output.say(f"8. Queue stills and photos for people to label, those unlike the others first: {_PROJECT}")
        with self._launcher() as launcher:
            batches = list(launcher.instance.get_dynamic_partitions("batches"))
            self._require(launcher.label(batches, LABELS_QUEUE))
        (row,) = status_rows(self.settings.open_lake(), self.settings.projects(), datetime.now(UTC))
        self.output.say(f"   {row['queued']} questions are queued, {row['left_today']} may be asked today\n")
        return int(str(row["queued"]))

    def say_what_next(self, root: Path, sheets: list[Path], seconds: float) -> None:
        """Where to go from here."""
        self.output.say(f"Done in {seconds:.0f} s. Look at:")
        for sheet in sheets:
            self.output.say(f"  {_shown(sheet)}   (failed items are marked)")
        self.output.say("Then try:")
        for command in (
            f'export MEDIA_ASSETS_LAKE={_shown(root / "lake")} PATH="{_shown(Path(sys.executable).parent)}:$PATH"',
            "media-assets dead-letters list",
            f"export MEDIA_ASSETS_LABEL_PROJECTS={_PROJECT}; media-assets labels status",
            "media-assets labels push   # into a Label Studio of yours: docs/label-studio.md",
            'media-assets query "SELECT mime, count(*) AS n FROM raw.media GROUP BY mime ORDER BY n DESC"',
            "make dev   # the same lake in the Dagster UI: asset graph, batches, thumbnails, checks",
        ):
            self.output.say(f"  {command}")

    @contextmanager
    def _launcher(self) -> Iterator[Launcher]:
        with Progressbar(self.output) as progress, open_instance(self.settings) as instance:
            yield Launcher(self.settings, instance, progress)

    @staticmethod
    def _require(results: list[RunResult]) -> None:
        for result in results:
            if not result.success:
                raise SetupError(f"Expected the run over {result.batch_ids} to succeed, got: {result.error}")


def _shown(path: Path) -> str:
    """A path as a person would type it here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _fresh(directory: Path) -> Path:
    root = directory.absolute()
    if root.exists() and any(root.iterdir()):
        if not (root / _MARKER).exists():
            raise SetupError(
                f"Expected an empty folder or one of an earlier demo, got {root}. Give another --directory."
            )
        _require_only_samples(root / "lake")
        shutil.rmtree(root)
    root.mkdir(parents=True, exist_ok=True)
    (root / _MARKER).touch()
    return root


def _require_only_samples(folder: Path) -> None:
    """Refuse to empty a lake into which somebody planned batches of their own."""
    if not folder.is_dir():
        return
    sample = pl.col("source").eq(SOURCE) & pl.col("uri").str.starts_with("http://127.0.0.1:")
    sample |= pl.col("source").eq(VIDEOS) & pl.col("uri").str.starts_with(f"{(folder.parent / 'videos').as_uri()}/")
    batches = Settings(lake=str(folder)).open_lake().scan(MANIFEST).filter(~sample).select("batch_id").unique()
    if own := sorted(batches.collect()["batch_id"]):
        raise SetupError(
            f"Expected only the demo's own batches in {folder}, which it empties, got {len(own)} of yours, such as "
            f"{own[0]}. Nothing was deleted. Run `media-assets demo --directory …` with another folder, or delete "
            f"{folder.parent} yourself; keep your data in a lake elsewhere: MEDIA_ASSETS_LAKE=…"
        )
