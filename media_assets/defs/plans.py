"""Plans started from the command line: a source's items become registered batches.

Not here: reading a source (`ingest/`), or what a plan does (`ingest/planning.py`).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

from media_assets.defs.partitions import PartitionRegistry
from media_assets.defs.resources import Settings, open_instance
from media_assets.ingest.batch_numbers import last_number
from media_assets.ingest.folder import FolderCounts, folder_batch_name, folder_uri, read_folder
from media_assets.ingest.open_images.download import fetch_metadata
from media_assets.ingest.open_images.image_urls import DEFAULT_IMAGE_URL
from media_assets.ingest.open_images.reader import SOURCE, batch_name, missing_files, read_open_images
from media_assets.ingest.planned import PlannedItem, RejectedRow
from media_assets.ingest.planned_folders import claim_folder
from media_assets.ingest.planning import PlanProgress, PlanResult, plan_batches, tell_nobody
from media_assets.ingest.videos.addresses import MediaBase
from media_assets.ingest.videos.catalog_files import CatalogCounts
from media_assets.ingest.videos.reader import SOURCE as VIDEOS
from media_assets.ingest.videos.reader import batch_name as batch_name_of_videos
from media_assets.ingest.videos.reader import read_videos
from media_assets.lake.delta import Provenance
from media_assets.tables import MANIFEST

PLAN_CODE_VERSION = "1"


def plan_open_images(
    settings: Settings,
    metadata: str,
    split: str,
    count: int | None,
    batch_size: int,
    image_url: str | None,
    progress: PlanProgress = tell_nobody,
    *,
    update: bool = False,
) -> PlanResult:
    """Plan a split of Open Images from the CSV files of a folder or a URL; `update`: as for `plan_batches`.

    Raises:
        PlanRefused: the files are missing or of another format, or an argument cannot be used.
    """
    with _local_metadata(settings, metadata, split) as folder, open_instance(settings) as instance:
        plan = plan_batches(
            settings.open_lake(),
            PartitionRegistry(instance),
            source=SOURCE,
            name=batch_name(split),
            items=read_open_images(folder, split, count, image_url or DEFAULT_IMAGE_URL),
            batch_size=batch_size,
            update=update,
            provenance=_provenance(),
            progress=progress,
        )
        return replace(plan, missing_files=missing_files(folder, split))


def plan_folder(settings: Settings, folder: Path, batch_size: int, progress: PlanProgress = tell_nobody) -> PlanResult:
    """Plan the files of a local folder.

    Raises:
        PlanRefused: another folder's batches already have this folder's name.
    """
    counts = FolderCounts()
    with open_instance(settings) as instance:
        plan = plan_batches(
            settings.open_lake(),
            PartitionRegistry(instance),
            source="folder",
            name=folder_batch_name(folder),
            items=read_folder(folder, counts=counts),
            batch_size=batch_size,
            folder_uri=folder_uri(folder),
            provenance=_provenance(),
            progress=progress,
        )
        return replace(plan, n_hidden=counts.n_hidden)


def plan_videos(
    settings: Settings,
    catalog: Path,
    media: str | None,
    name: str | None,
    batch_size: int,
    methods: Sequence[str],
    compression: str,
    progress: PlanProgress = tell_nobody,
    *,
    update: bool = False,
) -> PlanResult:
    """Plan the videos of a catalog; `media`: the folder (which its batches may then read) or address of its files.

    Raises:
        PlanRefused: the catalog cannot be used, or its name is taken by one with another folder.
    """
    base, counts = MediaBase.of(media) if media else None, CatalogCounts()
    items = read_videos(catalog, base, methods, compression, counts)
    lake, list_name = settings.open_lake(), batch_name_of_videos(catalog, name)
    items = _begun(items)  # a catalog that cannot be used claims nothing
    if base is not None and base.folder is not None:
        is_new = not last_number(lake.table(MANIFEST), list_name)
        claim_folder(lake.location, list_name, base.uri, is_new=is_new)
    with open_instance(settings) as instance:
        plan = plan_batches(
            lake,
            PartitionRegistry(instance),
            source=VIDEOS,
            name=list_name,
            items=items,
            batch_size=batch_size,
            update=update,
            provenance=_provenance(),
            progress=progress,
        )
        return replace(plan, ignored_columns=tuple(counts.ignored_columns))


def _begun(items: Iterator[PlannedItem | RejectedRow]) -> Iterator[PlannedItem | RejectedRow]:
    """The same rows, the first of which has been read."""
    first = list(islice(items, 1))
    return chain(first, items)


@contextmanager
def _local_metadata(settings: Settings, metadata: str, split: str) -> Iterator[Path]:
    """The metadata's folder; what is behind a URL is downloaded beside the lake first, and again where it changed."""
    if "://" not in metadata:
        yield Path(metadata)
        return
    spool = settings.spool() / "open-images"
    fetch = settings.fetch()
    yield fetch_metadata(metadata, split, spool, policy=fetch.policy, proxy=fetch.proxy, user_agent=fetch.user_agent)


def _provenance() -> Provenance:
    return Provenance(run_id=f"plan-{uuid.uuid4()}", code_version=PLAN_CODE_VERSION)
