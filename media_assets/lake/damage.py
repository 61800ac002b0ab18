"""Damaged Delta tables: told from missing ones, and refused with the way to restore them.

delta-rs notices most damage of a log, but takes three kinds for something else: an empty commit file for a commit
without rows, a table without its log for no table at all, and a shortened data file for a defect of its own. Those are
looked for: a power cut or a careless `rm` leaves them. (An object store has no power cuts: what is there is whole, so
the log is not looked through there.) Not here: restoring (docs/runbook.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from media_assets.errors import TableDamaged
from media_assets.lake.location import LakeLocation
from media_assets.lake.store_errors import store_code
from media_assets.tables import TableContract

_LOG_FILE = re.compile(r"([0-9]{20})(\.json|\.checkpoint.*\.parquet)")
_REBUILT_BY = {
    "ingest/manifest": "plan the same lists again with the same --batch-size",
    "ingest/item_status": "`media-assets materialize`",
    "tensors/histograms": "`media-assets materialize`",
    "tensors/statistics": "`media-assets materialize --again --batch ANY`",
}


def open_whole(location: LakeLocation, contract: TableContract) -> DeltaTable | None:
    """The Delta table as it is now, or None before its first commit.

    Raises:
        TableDamaged: there is one, and its log cannot be read or trusted.
    """
    uri, storage = location.uri(*contract.key), location.storage
    try:
        table = DeltaTable(uri, storage_options=storage.delta_options())
    except TableNotFoundError:
        if any(file.path.endswith(".parquet") for file in storage.files(contract.path)):
            raise damaged(location, contract, "its log is gone, its data files are there") from None
        return None
    except DeltaError as error:
        if "object store" in str(error).lower() or store_code(error) is not None:  # the store did not give it
            raise
        told = re.split(r"\s+0: <unknown>|\n", str(error))[0][:300]
        raise damaged(location, contract, f"its log cannot be read ({told})") from error
    log = storage.local_path(contract.path, "_delta_log")
    if log is not None and (empty := _empty_commits(log)):
        raise damaged(location, contract, f"commit {empty[0]} of its log is an empty file")
    return table


def require_files(
    location: LakeLocation, contract: TableContract, table: DeltaTable, where: Mapping[str, Sequence[str]]
) -> None:
    """Refuse a table whose log names files, of these partitions, that are missing or have another length.

    Raises:
        TableDamaged: naming one of the files.
    """
    files = pl.DataFrame(table.get_add_actions(flatten=True))
    if files.is_empty():
        return
    for column, values in where.items():
        if (name := f"partition.{column}") in files.columns:
            files = files.filter(pl.col(name).is_in(list(values)))
    named = {unquote(path): size for path, size in files.select("path", "size_bytes").iter_rows()}
    found = location.storage.sizes(contract.path, named)
    for path, size in named.items():
        if path not in found:
            raise damaged(location, contract, f"its file {path} is missing")
        if found[path] != size:
            raise damaged(location, contract, f"its file {path} has {found[path]} bytes instead of {size}")


def damaged(location: LakeLocation, contract: TableContract, found: str) -> TableDamaged:
    """The error that says what was found, and the way to restore the table."""
    rebuilt_by = _REBUILT_BY.get(contract.path, f"`media-assets materialize --again --select {contract.path}`")
    return TableDamaged(
        f"{contract.path}: expected a whole Delta table in {location.uri(*contract.key)}; {found}. Nothing was read or "
        f"written. Restore it as docs/runbook.md says (A damaged table): put back a copy of its _delta_log or of the "
        f"file, or move the folder away and rebuild it: {rebuilt_by}."
    )


def _empty_commits(log: Path) -> list[int]:
    """Versions after the newest checkpoint whose commit file is empty: left by a power cut, never by a writer."""
    found = [match for path in log.iterdir() if (match := _LOG_FILE.fullmatch(path.name))]
    checkpoint = max((int(match[1]) for match in found if match[2] != ".json"), default=-1)
    # of a long log only its end is looked at, so that opening a table does not cost more with every batch
    recent = [match for match in found if match[2] == ".json" and int(match[1]) > checkpoint]
    return sorted(int(match[1]) for match in recent if (log / match[0]).stat().st_size == 0)
