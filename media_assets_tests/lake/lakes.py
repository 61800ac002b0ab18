"""Small lakes for tests, and what their tables hold."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from media_assets.lake.delta import Lake, Provenance
from media_assets.lake.location import LakeLocation
from media_assets.tables import MANIFEST, TENSORS_IMAGES, TableContract
from media_assets_tests.tables.rows import valid

US = Provenance("run-1", "1.0")


def lake_at(root: Path | str) -> Lake:
    """A lake in a local folder."""
    return Lake(LakeLocation(str(root)))


def manifest(batch_id: str, keys: Iterable[str], **changes: Any) -> list[dict[str, Any]]:
    """Manifest rows."""
    return [valid(MANIFEST, batch_id=batch_id, item_key=key, **changes) for key in keys]


def plan(lake: Lake, batch_id: str, keys: Iterable[str], **changes: Any) -> None:
    """Replace a batch of the manifest."""
    lake.overwrite(MANIFEST, MANIFEST.frame(manifest(batch_id, keys, **changes)), {"batch_id": [batch_id]}, US)


def planned(lake: Lake) -> list[tuple[str, str]]:
    """(batch, item) of every manifest row, sorted; repeats stay."""
    return sorted(lake.scan(MANIFEST).select("batch_id", "item_key").collect().rows())


def tensor(number: int, body: bytes = b"abcdef", batch_id: str = "a", spec: str = "small") -> dict[str, Any]:
    """One tensor row."""
    return valid(TENSORS_IMAGES, batch_id=batch_id, frame_id=f"{number:032x}", spec=spec, tensor=body)


def files_of(lake: Lake, contract: TableContract) -> list[Path]:
    """The table's files that its log names."""
    table = lake.table(contract)
    return [] if table is None else [Path(uri.removeprefix("file://")) for uri in table.file_uris()]


def parquet_files(lake: Lake, contract: TableContract) -> set[Path]:
    """Every Parquet file in the table's folder, whether the log names it or not."""
    return set(Path(lake.uri(contract)).rglob("*.parquet"))
