"""What is in a file that a run left behind: as it lies there, and unpacked where a plain search would miss it.

Databases cut long values into pieces and Dagster compresses its snapshots; Parquet compresses everything.
"""

from __future__ import annotations

import base64
import re
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import polars as pl

_BASE64 = re.compile(rb"base64,([A-Za-z0-9+/]{100,}=*)")


def contents(path: Path) -> Iterator[tuple[str, bytes]]:
    """(part, content) of a file: the whole, then what it holds; `part` is empty for the whole."""
    yield "", path.read_bytes()
    if path.suffix == ".db":
        yield from _database(path)
    elif path.suffix == ".parquet":
        yield from _parquet(path)


def text_of(values: pl.Series) -> bytes:
    """A column as bytes to search in."""
    kept = values.drop_nulls()
    if kept.dtype == pl.Binary:
        return b"\0".join(kept.to_list())
    return "\0".join(map(str, kept.to_list())).encode("utf-8", "surrogatepass")


def _database(path: Path) -> Iterator[tuple[str, bytes]]:
    """Everything in one of Dagster's databases, and the pictures in its events: the contact sheets."""
    with closing(sqlite3.connect(path)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in database.execute(f'SELECT * FROM "{table}"'):
                content = b"\0".join(_plain(value) for value in row)
                yield table, content
                for picture in _BASE64.findall(content):
                    yield f"a picture in {table}", base64.b64decode(picture)


def _plain(value: object) -> bytes:
    if not isinstance(value, bytes):
        return str(value).encode("utf-8", "surrogatepass")
    try:
        return zlib.decompress(value)
    except zlib.error:
        return value


def _parquet(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        frame = pl.read_parquet(path, hive_partitioning=False)
    except pl.exceptions.ComputeError:  # cut off by a kill, and no part of a table
        return
    for column in frame.columns:
        yield column, text_of(frame[column])
