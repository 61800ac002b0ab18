"""Which folder a list was planned from: what its batches may read of the local disk.

One small object per list, put when it is planned, beside the tables and apart from them: a manifest row cannot open a
file that nobody planned, whatever wrote the row and whatever it says. Who can write to the whole lake can write these
objects too, and is trusted with the files that the workers can read. Not here: reading files (`fetch/local_files.py`),
and folders that are configured.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote_to_bytes

import obstore
from obstore.exceptions import AlreadyExistsError

from media_assets.errors import PlanRefused
from media_assets.lake.location import LakeLocation

_FOLDER = "planned-folders"
_SCHEME = b"file:///"


def claim_folder(location: LakeLocation, name: str, uri: str, *, is_new: bool = False) -> None:
    """Remember that the batches of a list come from a folder, given as its `file://` URI with a slash at its end.

    Args:
        is_new: the list has no batch yet, so that what an earlier call claimed (a slip, perhaps) binds nobody.

    Raises:
        PlanRefused: they come from another one.
    """
    store = location.store(_FOLDER)
    try:
        obstore.put(store, name, uri.encode(), mode="create")
        return
    except AlreadyExistsError:
        claimed = bytes(obstore.get(store, name).bytes())
    if is_new or not claimed.startswith(_SCHEME):  # a power cut left it empty
        obstore.put(store, name, uri.encode())
    elif claimed != uri.encode():
        raise PlanRefused(
            f"Batches {name}.* are planned from {claimed.decode(errors='replace')}, and item keys are unique inside "
            f"one name only. Plan {uri} under another name."
        )


def planned_folder(location: LakeLocation, batch_id: str) -> Path | None:
    """The folder that a batch was planned from; None for a batch of any other source."""
    if location.is_local and not (location.path / _FOLDER).is_dir():
        return None
    try:
        uri = bytes(obstore.get(location.store(_FOLDER), batch_id.rpartition(".")[0]).bytes())
    except FileNotFoundError:
        return None
    if not uri.startswith(_SCHEME):
        return None
    return Path(os.fsdecode(unquote_to_bytes(uri.removeprefix(b"file://"))))
