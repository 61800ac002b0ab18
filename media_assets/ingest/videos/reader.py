"""Videos as a source: a catalog or a published list in, items out, in the order of the file.

Not here: rows (`catalog_files.py`, `catalog_rows.py`), published formats (`published.py`), addresses (`addresses.py`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from media_assets.errors import PlanRefused
from media_assets.ingest.batch_numbers import list_name
from media_assets.ingest.planned import PlannedItem, RejectedRow
from media_assets.ingest.videos.addresses import MediaBase
from media_assets.ingest.videos.catalog_files import CatalogCounts, read_csv, read_json_lines, read_parquet
from media_assets.ingest.videos.published import (
    COMPRESSIONS,
    METHODS,
    is_dfdc,
    is_faceforensics,
    read_dfdc,
    read_faceforensics,
)

SOURCE = "videos"
_MAX_JSON_BYTES = 256 << 20
_READERS = {
    ".csv": read_csv,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".parquet": read_parquet,
}


def batch_name(catalog: Path, name: str | None = None) -> str:
    """What the batch ids of a catalog begin with: `videos.clips` for `clips.csv`, unless it is given a name.

    The metadata of each part of DFDC have the same file name: there it is the name of their folder.
    """
    path = catalog.resolve()
    if name is None:
        name = path.parent.name if path.name in ("metadata.json", "dataset.json") else path.name.split(".")[0]
    return list_name(SOURCE, os.fsencode(name))


def read_videos(
    catalog: Path,
    base: MediaBase | None = None,
    methods: Sequence[str] = METHODS,
    compression: str = "c23",
    counts: CatalogCounts | None = None,
) -> Iterator[PlannedItem | RejectedRow]:
    """The videos of a list: CSV, JSON Lines or Parquet by its ending; of a `.json` the format is told by its shape.

    Args:
        base: where relative paths, and the files of published lists, are below of.
        methods, compression: which files of FaceForensics++ are wanted of each pair.
        counts: is filled in while the items are consumed.

    Raises:
        PlanRefused: no such file, another format, or a place or choice that is missing or unknown. Raised by the call
            itself, except for what shows in the middle of a Parquet file, and a header that names no address.
    """
    if not catalog.is_file():
        raise PlanRefused(f"Expected a catalog of videos at {catalog}, there is no such file. Check the path.")
    reader = _READERS.get(catalog.suffix.lower())
    if reader is not None:
        return reader(catalog, base, counts or CatalogCounts())
    if catalog.suffix.lower() != ".json":
        raise PlanRefused(
            f"Expected a catalog that ends in .csv, .jsonl, .ndjson, .parquet, or .json of FaceForensics++ or DFDC, "
            f"got {catalog.name}. Rename or convert it."
        )
    content = _json(catalog)
    if base is None and (is_faceforensics(content) or is_dfdc(content)):
        raise PlanRefused(
            f"{catalog.name} names files and not where they are: name their folder or address with --media."
        )
    if is_faceforensics(content):
        assert base is not None
        _require_known(methods, compression)
        return read_faceforensics(content, catalog.name, base, methods, compression)
    if is_dfdc(content):
        assert base is not None
        return read_dfdc(content, catalog.name, base)
    raise PlanRefused(
        f"{catalog.name}: expected pairs of videos (FaceForensics++) or an object of file names (DFDC), got another "
        f"JSON. A catalog of your own is CSV, Parquet, or JSON Lines: one object a line, in a file that ends in .jsonl."
    )


def _json(path: Path) -> Any:
    if path.stat().st_size > _MAX_JSON_BYTES:
        raise PlanRefused(f"{path}: expected a JSON file of at most {_MAX_JSON_BYTES} bytes. Use JSON Lines.")
    try:
        return msgspec.json.decode(path.read_bytes())
    except (msgspec.DecodeError, RecursionError) as error:
        raise PlanRefused(f"{path}: expected JSON, got: {error}. Fetch the file again.") from error


def _require_known(methods: Sequence[str], compression: str) -> None:
    if unknown := sorted(set(methods) - set(METHODS)):
        raise PlanRefused(f"Expected methods of FaceForensics++ ({', '.join(METHODS)}), got {unknown[0]!r}.")
    if compression not in COMPRESSIONS:
        raise PlanRefused(
            f"Expected a compression of FaceForensics++ ({', '.join(COMPRESSIONS)}), got {compression!r}."
        )
