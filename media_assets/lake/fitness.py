"""Whether a store is fit to hold a lake: put-if-absent is honoured, what is written can be read, there is room.

Not here: the rest of the machine (`media-assets doctor` asks it).
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from deltalake import write_deltalake
from obstore.store import ObjectStore

from media_assets.errors import StoreRefused
from media_assets.lake.location import LakeLocation
from media_assets.lake.put_if_absent import N_WRITERS, most_winners, second_create_is_refused
from media_assets.lake.store_errors import store_code, told

MIN_FREE_BYTES = 2 * 1024**3


@dataclass(frozen=True)
class Verdict:
    """The result of one check; `advice` says what to do when it did not pass."""

    check: str
    passed: bool
    detail: str
    advice: str = ""


def examine(location: LakeLocation) -> Iterator[Verdict]:
    """Every check of a lake's store. Writes and removes a few small probes below `doctor/`."""
    yield _guarded("store can be reached", lambda: _reached_verdict(location))
    yield _guarded("store honours put-if-absent", lambda: put_if_absent_verdict(location.store("doctor")))
    yield _guarded("Delta tables written here can be read", lambda: _delta_verdict(location))
    if (folder := location.storage.local_path()) is not None:
        yield _guarded("disk has room", lambda: _room_verdict(folder))


def _reached_verdict(location: LakeLocation) -> Verdict:
    location.store("doctor")  # makes a local lake's folder
    location.storage.require_usable()
    return Verdict("store can be reached", True, location.storage.describe())


def put_if_absent_verdict(store: ObjectStore) -> Verdict:
    """Whether a create of what exists is refused: without it two writers overwrite each other's commits."""
    check = "store honours put-if-absent"
    advice = "Use a store that honours If-None-Match; on this one concurrent runs lose commits."
    if not second_create_is_refused(store):
        return Verdict(check, False, "a second create of one object was accepted", advice)
    n_winners = most_winners(store)
    told = f"a second create of one object was refused; of {N_WRITERS} writers at the same moment {n_winners} won"
    return Verdict(check, n_winners == 1, told, advice)


def _delta_verdict(location: LakeLocation) -> Verdict:
    folder = f"probe-{uuid.uuid4().hex}"
    uri, storage = location.uri("doctor", folder), location.storage
    try:
        write_deltalake(uri, pl.DataFrame({"n": [1, 2, 3]}), storage_options=storage.delta_options())
        total = pl.scan_delta(uri, storage_options=storage.scan_options()).select("n").collect()["n"].sum()
        return Verdict("Delta tables written here can be read", total == 6, f"3 rows written, sum read back: {total}")
    finally:
        storage.remove_folder("doctor", folder)


def _room_verdict(folder: Path) -> Verdict:
    free = shutil.disk_usage(folder).free
    return Verdict(
        "disk has room",
        free >= MIN_FREE_BYTES,
        f"{free / 1024**3:.1f} GiB free",
        f"10,000 photos of 300 KB need about 5 GB. Free at least {MIN_FREE_BYTES / 1024**3:.0f} GiB.",
    )


def _guarded(check: str, verdict: Callable[[], Verdict]) -> Verdict:
    """A check that could not even run did not pass."""
    try:
        return verdict()
    except StoreRefused as error:
        return Verdict(
            check,
            False,
            f"{error.code}: {error}",
            "Do what it says, then try again; docs/object-storage.md has examples.",
        )
    except Exception as error:  # whatever a store throws is a finding, not a crash
        advice = "Check the path, the permissions and the disk."
        what = error if store_code(error) is None else told(error)
        return Verdict(check, False, f"{type(error).__name__}: {what}", advice)
