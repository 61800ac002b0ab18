"""The Dagster home: where it is, what is put there first, and which lake it belongs to.

Batches are registered in a home and kept in a lake: with another lake every one of them would fail. Not here: what
else is configured (`resources.py`).
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import dagster as dg

from media_assets.errors import SetupError
from media_assets.lake.location import LakeLocation

_OWNER = "media-assets-lake.txt"


def home_of(lake: LakeLocation) -> Path:
    """`DAGSTER_HOME`, by default `dagster_home` beside the lake, or here where the lake is an object store."""
    beside = lake.path.parent if lake.is_local else Path()
    return Path(os.environ.get("DAGSTER_HOME") or beside / "dagster_home").expanduser().absolute()


def prepare_home(lake: LakeLocation) -> Path:
    """The home of this lake, with a `dagster.yaml` in it.

    Raises:
        SetupError: it cannot be a folder, or belongs to another lake.
    """
    home = home_of(lake)
    try:
        home.mkdir(parents=True, exist_ok=True)
        claim_home(home, lake)
        if not (home / "dagster.yaml").exists():
            shutil.copyfile(Path(__file__).with_name("dagster.yaml"), home / "dagster.yaml")
    except OSError as error:
        raise SetupError(
            f"Expected a folder that can be written for Dagster's runs, got {home}: {error.strerror or error}. Set "
            f"DAGSTER_HOME to another folder."
        ) from error
    return home


def claim_home(home: Path, lake: LakeLocation) -> None:
    """Note in a home which lake it belongs to: the first one that uses it.

    Raises:
        SetupError: it belongs to another lake.
        OSError: the note cannot be read or written.
    """
    note = home / _OWNER
    mine = _told(home, lake)
    owner = note.read_text("utf-8").strip() if note.exists() else ""
    if not owner:
        note.write_text(mine + "\n", "utf-8")
    elif owner != mine:
        theirs = owner if "://" in owner else os.path.normpath(home / owner)
        raise SetupError(
            f"Expected the Dagster home of the lake {lake.root}, got {home}, which belongs to the lake {theirs}: its "
            f"batches are not in yours. Set DAGSTER_HOME to a folder of its own for this lake, or MEDIA_ASSETS_LAKE to "
            f"{theirs}. Was that lake moved here? Then delete {note}."
        )


def claim_home_of(instance: dg.DagsterInstance, lake: LakeLocation) -> None:
    """As `claim_home`, inside a run: `dagster dev` may have been started with another lake than the batches'."""
    if instance.is_persistent:
        claim_home(Path(instance.root_directory), lake)


def _told(home: Path, lake: LakeLocation) -> str:
    """A local lake as seen from the home, so that both can be moved together."""
    return os.path.relpath(lake.path.resolve(), home.resolve()) if lake.is_local else lake.root.rstrip("/")


def open_home(home: Path) -> dg.DagsterInstance:
    """The Dagster instance of a home, which becomes this process's `DAGSTER_HOME`.

    Raises:
        SetupError: Dagster cannot open it.
    """
    os.environ["DAGSTER_HOME"] = str(home)
    try:
        return dg.DagsterInstance.get()
    except Exception as error:  # its storages and parsers throw what they like
        told = next((line for line in str(error).splitlines() if line.strip()), "")
        raise SetupError(
            f"Expected a Dagster home in {home}, got {type(error).__name__}: {told} Mend {home / 'dagster.yaml'}, or "
            f"delete it: the next command writes a sound one. Or set DAGSTER_HOME to another folder."
        ) from error
