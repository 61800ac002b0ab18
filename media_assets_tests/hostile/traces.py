"""Looking for planted markers in everything that a run left behind, but the raw files that they came in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from media_assets.tables import ALL_TABLES, FRAMES_IMAGES
from media_assets_tests.hostile.site import HostileSite
from media_assets_tests.hostile.unpacking import contents, text_of


def traces_of(markers: Iterable[bytes], site: HostileSite, raw_ids: set[str]) -> list[str]:
    """Where a marker was found, as `place: marker`; empty when nothing leaked.

    `raw_ids` are the SHA-256 of the files that were planned: their blobs are kept as they came, unless a table calls
    one of them a frame, which makes it a published one.
    """
    wanted = sorted(set(markers))
    found = []
    for place, content in _published(site, raw_ids):
        found += [f"{place}: {marker!r}" for marker in wanted if marker in content]
    return found


def _published(site: HostileSite, raw_ids: set[str]) -> Iterator[tuple[str, bytes]]:
    frames = set(site.lake.scan(FRAMES_IMAGES).select("blob").collect()["blob"])
    for blob in frames:
        yield f"frame {blob}", site.blobs.read(blob)
    for contract in ALL_TABLES:
        for column in contract.schema:
            yield f"{contract.name}.{column}", text_of(site.lake.scan(contract).select(column).collect()[column])
    for path in sorted(site.root.rglob("*")):
        if path.is_file() and not path.is_symlink() and not _is_raw_blob(path, raw_ids - frames):
            for part, content in contents(path):
                yield f"{path.relative_to(site.root)} {part}".rstrip(), content


def _is_raw_blob(path: Path, raw_ids: set[str]) -> bool:
    return path.name in raw_ids or hashlib.sha256(path.read_bytes()).hexdigest() in raw_ids
