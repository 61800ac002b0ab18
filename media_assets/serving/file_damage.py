"""Data files that are missing, cut short or unreadable: told as damage of the table, with the way to mend it.

Not here: the wording, and damage of the log (`lake/damage.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable
from obstore.exceptions import BaseError

from media_assets.errors import TableDamaged
from media_assets.lake.damage import damaged, require_files
from media_assets.lake.delta import Lake
from media_assets.tables import TENSORS_IMAGES


def require_files_of(lake: Lake, table: DeltaTable, batch_ids: Collection[str], newest: int) -> None:
    """Refuse a version of `tensors/images` whose files of these batches are not there whole; `newest` is the last one.

    Raises:
        TableDamaged: naming one of the files.
    """
    if not batch_ids:
        return
    try:
        require_files(lake.location, TENSORS_IMAGES, table, {"batch_id": sorted(batch_ids)})
    except TableDamaged as error:
        if table.version() == newest:
            raise
        raise TableDamaged(
            f"{error} Version {table.version()} is not the newest ({newest}), and a vacuum deletes the files of rows "
            f"that were replaced since: without version= the newest is read."
        ) from error


@contextmanager
def damage_told(lake: Lake, name: str, size_bytes: int, local: Path | None) -> Iterator[None]:
    """Tell what goes wrong while one file is read as damage, if the file is to blame.

    Args:
        lake: the lake of the table.
        name: the file's path in the table.
        size_bytes: its size by the log.
        local: where it lies on this machine; None in an object store.

    Raises:
        TableDamaged: the file is gone, has another size, or is no Parquet.
    """
    try:
        yield
    except (OSError, pa.ArrowInvalid, BaseError) as error:
        if (found := _found(lake, name, size_bytes, local, error)) is None:
            raise  # a full scratch disk, a store that does not answer
        raise damaged(lake.location, TENSORS_IMAGES, found) from error


def _found(lake: Lake, name: str, size_bytes: int, local: Path | None, error: Exception) -> str | None:
    size = None
    if local is None:
        size = lake.location.storage.sizes(TENSORS_IMAGES.path, [name]).get(name)
    else:
        with suppress(FileNotFoundError):
            size = local.stat().st_size
    if size is None:
        return (
            f"its file {name} is gone since it was opened (a vacuum deletes the files of rows that were replaced "
            f"meanwhile: if there was one, nothing is damaged, and a new reader reads the newest version)"
        )
    if size != size_bytes:
        return f"its file {name} has {size} bytes instead of {size_bytes}"
    is_arrows = isinstance(error, pa.ArrowInvalid) or (isinstance(error, OSError) and error.errno is None)
    first_line = str(error).partition("\n")[0][:200]
    return f"its file {name} cannot be read as Parquet ({first_line})" if is_arrows else None
