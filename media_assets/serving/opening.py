"""Opening one version of `tensors/images`: its files, of batches that are done, and nothing that misleads.

Files come from the Delta log, never from a glob. Not here: what is in a file (`files.py`).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from media_assets.errors import LakeUnfit, NotMaterialized, TableDamaged
from media_assets.lake.damage import require_files
from media_assets.lake.delta import Lake
from media_assets.lake.location import LakeLocation
from media_assets.serving.files import DataFile, TensorTable
from media_assets.serving.finished import refuse, told, unfinished_batches
from media_assets.tables import TENSORS_IMAGES

_REFUSED_FEATURES = {
    "deletionVectors": "rows deleted without rewriting their file",
    "columnMapping": "columns stored under other names",
}


def lake_of(lake: Lake | str | Path) -> Lake:
    """The lake itself, or the one at this folder or URL."""
    return lake if isinstance(lake, Lake) else Lake(LakeLocation(str(lake)))


def open_table(
    lake: Lake,
    batches: Sequence[str] | None = None,
    version: int | None = None,
    *,
    include_unfinished: bool = False,
) -> TensorTable:
    """The files of one version (None: the newest) and of some batches (None: all), ordered by batch and path.

    Batches that are not done are left out, with a warning for the caller's caller.

    Raises:
        NotMaterialized: the table or the version does not exist, or a batch that was named is not done.
        TableDamaged: a local file of these batches is missing or cut short.
        LakeUnfit: the table uses a Delta feature with which files alone do not say what the rows are.
    """
    if (table := lake.table(TENSORS_IMAGES)) is None:
        raise NotMaterialized(
            f"Expected tensors in {lake.location.root}, found no table: materialize tensors/images first."
        )
    newest = table.version()
    if version is not None:
        _load_version(table, version)
    _refuse_features(table)
    actions = pa.table(table.get_add_actions(flatten=True))
    if not actions.num_rows:
        return TensorTable(lake, table.version(), ())
    pairs = zip(actions["partition.batch_id"].to_pylist(), actions["path"].to_pylist(), strict=True)
    wanted = None if batches is None else set(batches)
    files = [DataFile(path, batch) for batch, path in sorted(pairs) if wanted is None or batch in wanted]
    left_out = [] if include_unfinished else unfinished_batches(lake, {file.batch_id for file in files})
    if left_out:
        if wanted is not None:
            refuse(left_out)
        warnings.warn(told(left_out), stacklevel=3)
        files = [file for file in files if file.batch_id not in left_out]
    served = TensorTable(lake, table.version(), tuple(files), tuple(left_out))
    _require_files(table, served, is_newest=table.version() == newest)
    return served


def _load_version(table: DeltaTable, version: int) -> None:
    newest = table.version()
    try:
        table.load_as_version(version)
    except DeltaError as error:
        raise NotMaterialized(
            f"Expected version {version} of tensors/images, found versions up to {newest}: {error}"
        ) from error


def _require_files(table: DeltaTable, served: TensorTable, *, is_newest: bool) -> None:
    try:
        require_files(served.lake.location, TENSORS_IMAGES, table, {"batch_id": served.batch_ids})
    except TableDamaged as error:
        if is_newest:
            raise
        raise NotMaterialized(
            f"Expected version {served.version} of tensors/images with all its files; a vacuum deletes those of older "
            f"versions. Open the newest version, or: {error}"
        ) from error


def _refuse_features(table: DeltaTable) -> None:
    features = set(table.protocol().reader_features or [])
    for feature in sorted(features & set(_REFUSED_FEATURES)):
        if feature == "deletionVectors" and not _has_deletion_vectors(table):
            continue
        raise LakeUnfit(
            f"tensors/images uses the Delta feature {feature} ({_REFUSED_FEATURES[feature]}): expected plain "
            f"files, whose rows are the table's rows. Rewrite the files (REORG ... APPLY (PURGE), or "
            f"materialize again)."
        )


def _has_deletion_vectors(table: DeltaTable) -> bool:
    try:
        return any(batch.num_rows for batch in table.deletion_vectors())
    except DeltaError:
        return True  # one that cannot be read is one all the same
