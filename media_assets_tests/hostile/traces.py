"""Looking for planted markers in everything that a run left behind, but the raw files that they came in."""

from __future__ import annotations

import base64
import hashlib
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import polars as pl

from media_assets.tables import ALL_TABLES, FRAMES_IMAGES
from media_assets_tests.hostile.site import HostileSite

_BASE64 = re.compile(rb"base64,([A-Za-z0-9+/]{100,}=*)")


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
        for column, kind in contract.schema.items():
            values = site.lake.scan(contract).select(column).collect()[column].drop_nulls()
            if kind == pl.Binary:
                yield f"{contract.name}.{column}", b"\0".join(values.to_list())
            else:
                yield f"{contract.name}.{column}", "\0".join(map(str, values.to_list())).encode()
    for path in sorted(site.root.rglob("*")):
        if path.is_file() and not path.is_symlink() and not _is_raw_blob(path, raw_ids - frames):
            yield str(path.relative_to(site.root)), path.read_bytes()
            if path.suffix == ".db":  # pages cut long values into pieces
                yield from _database(path)


def _database(path: Path) -> Iterator[tuple[str, bytes]]:
    """Everything in one of Dagster's databases, and the pictures in its events: the contact sheets."""
    with closing(sqlite3.connect(path)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in database.execute(f'SELECT * FROM "{table}"'):
                content = b"\0".join(v if isinstance(v, bytes) else str(v).encode() for v in row)
                yield f"{path.name} {table}", content
                for picture in _BASE64.findall(content):
                    yield f"a picture in {path.name} {table}", base64.b64decode(picture)


def _is_raw_blob(path: Path, raw_ids: set[str]) -> bool:
    return path.name in raw_ids or hashlib.sha256(path.read_bytes()).hexdigest() in raw_ids
