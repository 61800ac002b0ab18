"""What a stage works with and how: stores, engine, limits, and the choices of one run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from media_assets.engine.map_items import Engine
from media_assets.ingest.fetch.addresses import AddressPolicy
from media_assets.ingest.fetch.buckets import BucketRoot
from media_assets.ingest.fetch.limits import FetchLimits
from media_assets.lake.blobs import BlobStore
from media_assets.lake.delta import Lake
from media_assets.media.still import StillLimits
from media_assets.media.tensors import TensorSpec
from media_assets.media.video.keyframes import KeyframeRequest

Progress = Callable[[str, int, int], None]
"""Called with (batch_id, items done, items in all)."""


def no_progress(batch_id: str, n_done: int, n_items: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class FetchSettings:
    """How the network, the local disk and the inbox's bucket may be used."""

    limits: FetchLimits = field(default_factory=FetchLimits)
    policy: AddressPolicy = field(default_factory=AddressPolicy)
    local_roots: tuple[Path, ...] = ()
    bucket_roots: tuple[BucketRoot, ...] = ()
    proxy: str | None = None
    user_agent: str = "media-assets"


@dataclass(frozen=True)
class Workbench:
    """Everything a stage needs from outside."""

    lake: Lake
    blobs: BlobStore
    engine: Engine
    fetch: FetchSettings = field(default_factory=FetchSettings)
    progress: Progress = no_progress
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


@dataclass(frozen=True)
class RetryOnly:
    """A replay: only these failed items are tried again, everything else stays as it is."""

    item_keys: frozenset[str]


@dataclass(frozen=True)
class ReadOptions:
    """The choices of one run over a batch."""

    specs: tuple[TensorSpec, ...] = (TensorSpec(),)
    still_limits: StillLimits = field(default_factory=StillLimits)
    background: tuple[int, int, int] = (255, 255, 255)
    keyframes: KeyframeRequest = field(default_factory=KeyframeRequest)
    refetch: bool = False  # ask the source again even for items whose bytes are kept
    retry_only: RetryOnly | None = None
    outage_share: float = 0.5  # a batch with a larger share of retryable failures is an outage,
    outage_least: int = 3  # unless they are fewer than this: a batch of one dead link has to get its status one day
    n_thumbnails: int = 48
