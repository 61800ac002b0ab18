"""What a user has before the UI is opened: sample media on a server, a lake with planned batches, a Dagster home.

Not here: `dagster dev` (`dagster_dev`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from media_assets.defs.plans import plan_open_images
from media_assets.defs.resources import Settings, dagster_home, open_instance
from media_assets.defs.runs import Launcher
from media_assets.demo.corpus import Corpus
from media_assets.demo.server import SampleServer

EXPECTED_SOURCES = '{"uploads": "45s"}'


@dataclass(frozen=True)
class Workplace:
    """A lake and a Dagster home below one folder, fed by a sample server."""

    root: Path
    corpus: Corpus
    server: SampleServer
    batch_size: int
    tensor_specs: str = Settings.tensor_specs

    @property
    def settings(self) -> Settings:
        """What the project is configured with."""
        return Settings(
            lake=str(self.root / "lake"),
            allowed_networks="127.0.0.0/8",
            tensor_specs=self.tensor_specs,
            n_workers=1,
            inbox=str(self.root / "inbox"),
            inbox_batch_size=self.batch_size,
            inbox_wait_seconds=5,
            inbox_settle_seconds=1,
            expected_sources=EXPECTED_SOURCES,
        )

    @property
    def environment(self) -> dict[str, str]:
        """The same configuration for another process."""
        settings = self.settings
        return {
            "DAGSTER_HOME": str(self.home),
            "MEDIA_ASSETS_LAKE": settings.lake,
            "MEDIA_ASSETS_ALLOWED_NETWORKS": settings.allowed_networks,
            "MEDIA_ASSETS_TENSOR_SPECS": settings.tensor_specs,
            "MEDIA_ASSETS_WORKERS": str(settings.n_workers),
            "MEDIA_ASSETS_INBOX": settings.inbox,
            "MEDIA_ASSETS_EXPECTED_SOURCES": settings.expected_sources,
            "MEDIA_ASSETS_INBOX_BATCH_SIZE": str(settings.inbox_batch_size),
            "MEDIA_ASSETS_INBOX_WAIT_SECONDS": str(settings.inbox_wait_seconds),
            "MEDIA_ASSETS_INBOX_SETTLE_SECONDS": str(settings.inbox_settle_seconds),
        }

    @property
    def home(self) -> Path:
        """The Dagster home; planning puts the project's `dagster.yaml` there."""
        return self.root / "dagster_home"

    def plan(self, n_batches: int) -> tuple[str, ...]:
        """Plan until there are `n_batches` in all; ids of those that are new."""
        count = n_batches * self.batch_size
        assert count <= self.corpus.n_images, "the sample set is too small"
        with dagster_home(self.home):
            metadata, urls = str(self.corpus.metadata), self.server.image_url_template
            return plan_open_images(self.settings, metadata, "validation", count, self.batch_size, urls).batch_ids

    def materialize(self, batch_ids: Sequence[str]) -> None:
        """Take batches through every stage, each in a run of its own in this process, and measure the statistics."""
        with dagster_home(self.home), open_instance(self.settings) as instance:
            launcher = Launcher(self.settings, instance)
            for batch_id in batch_ids:
                (result,) = launcher.materialize([batch_id])
                assert result.success, result.error
            assert launcher.measure_statistics().success


@contextmanager
def open_workplace(root: Path, corpus: Corpus, batch_size: int, tensor_specs: str) -> Iterator[Workplace]:
    """A workplace whose server runs for as long as the `with` block lasts."""
    with SampleServer(corpus.root) as server:
        yield Workplace(root, corpus, server, batch_size, tensor_specs)
