"""What killed runs left behind in the lake's folders: table files that no commit names, and uploads cut short.

Nothing but time tells a dead writer's file from a living one's: until its commit a file is named nowhere, and two
rivals that write the same batch know nothing of each other. So a file is a leftover only when it was last written
longer ago than any run lasts (a week by default, a day at least; a run is freed after six hours), and the log, read
after the folder was listed, names it neither as current nor as replaced: older versions of a table stay readable. The
log itself forgets a replaced file after Delta's retention, a week; from then on it is a leftover as well.

Delta's own vacuum is no help here: the light one looks at replaced files only, the full one also deletes those, and
neither sees an upload that was cut short on a local disk (`part-….parquet#1`). An object store lists no such uploads:
there they are left to a lifecycle rule of the bucket. Not here: blobs that no row names any more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa
from deltalake import DeltaTable

from media_assets.errors import SetupError
from media_assets.lake.delta import Lake
from media_assets.tables import ALL_TABLES, TableContract

SAFE_AGE = timedelta(days=7)
MIN_AGE = timedelta(days=1)
_CUT_SHORT = re.compile(r".+#[0-9]+")  # how the local store names an upload until it is whole


@dataclass(frozen=True)
class Leftover:
    """One file that nothing refers to; `path` is relative to the lake's root."""

    folder: str  # a table's, or `blobs`
    path: str
    size_bytes: int
    modified_at: datetime


def find_leftovers(lake: Lake, older_than: timedelta = SAFE_AGE, now: datetime | None = None) -> list[Leftover]:
    """Every leftover in the folders of tables and blobs, sorted by path. Lists all files; opens none but the logs.

    Raises:
        SetupError: an age below a day, in which a run might still be writing.
    """
    if older_than < MIN_AGE:
        raise SetupError(
            f"Expected an age of at least {MIN_AGE}: a younger file may be a running writer's; {older_than}."
        )
    before = (now or datetime.now(UTC)) - older_than
    found = [file for contract in ALL_TABLES for file in _of_table(lake, contract, before)]
    found += [file for file in _files(lake, "blobs") if _CUT_SHORT.fullmatch(file.path) and file.modified_at < before]
    return sorted(found, key=lambda file: file.path)


def delete_leftovers(lake: Lake, leftovers: list[Leftover]) -> None:
    """Delete these files; one that is gone already is no error."""
    lake.location.storage.delete(file.path for file in leftovers)


def _of_table(lake: Lake, contract: TableContract, before: datetime) -> list[Leftover]:
    old = [
        file
        for file in _files(lake, contract.path)
        if file.modified_at < before and (file.path.endswith(".parquet") or _CUT_SHORT.fullmatch(file.path))
    ]
    if not old:
        return []
    if (table := lake.table(contract)) is None:
        return []  # no log, no verdict
    named = _named(table)  # only now: what was committed since the listing is named, too
    return [file for file in old if _name(file.path) not in named]


def _named(table: DeltaTable) -> set[str]:
    """Names (without folders: they are unique) of all files that the log knows, current or replaced."""
    current = pa.table(table.get_add_actions(flatten=True))["path"].to_pylist()
    replaced = table.vacuum(0, dry_run=True, enforce_retention_duration=False)
    return {_name(path) for path in (*current, *replaced)}


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _files(lake: Lake, folder: str) -> Iterator[Leftover]:
    """Every file below a folder of the lake, but those below a name that begins with `_`: logs."""
    for file in lake.location.storage.files(folder):
        yield Leftover(folder, file.path, file.size_bytes, file.modified_at)
