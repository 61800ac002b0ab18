"""One version of the tensors, and whether its files can be read without Delta. Not here: the files (`files.py`)."""

from __future__ import annotations

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from media_assets.errors import LakeUnfit, NotMaterialized

_REFUSED_FEATURES = {
    "deletionVectors": "rows deleted without rewriting their file",
    "columnMapping": "columns stored under other names",
}


def load_version(table: DeltaTable, version: int) -> None:
    """Turn to another version of the table.

    Raises:
        NotMaterialized: there is none of that number.
    """
    newest = table.version()
    try:
        table.load_as_version(version)
    except DeltaError as error:
        raise NotMaterialized(
            f"Expected version {version} of tensors/images, found versions up to {newest}: {error}"
        ) from error


def refuse_features(table: DeltaTable) -> None:
    """Refuse a table whose files alone do not say what its rows are.

    Raises:
        LakeUnfit: naming the Delta feature that it uses.
    """
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
