"""Whether a store is fit to hold a lake: put-if-absent is honoured, what is written can be read, there is room.

Not here: the rest of the machine (`media-assets doctor` asks it).
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import obstore
import polars as pl
from deltalake import write_deltalake
from obstore.exceptions import AlreadyExistsError
from obstore.store import ObjectStore

from media_assets.lake.location import LakeLocation

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
    yield _guarded("store honours put-if-absent", lambda: put_if_absent_verdict(location.store("doctor")))
    yield _guarded("Delta tables written here can be read", lambda: _delta_verdict(location))
    if location.is_local:
        yield _guarded("disk has room", lambda: _room_verdict(location))


def put_if_absent_verdict(store: ObjectStore) -> Verdict:
    """Whether a second create of the same object is refused: without it two writers overwrite each other's commits."""
    name, check = f"probe-{uuid.uuid4().hex}", "store honours put-if-absent"
    obstore.put(store, name, b"first", mode="create")
    try:
        obstore.put(store, name, b"second", mode="create")
    except AlreadyExistsError:
        return Verdict(check, True, "a second create of one object was refused")
    finally:
        obstore.delete(store, name)
    return Verdict(
        check,
        False,
        "a second create of one object was accepted",
        "Use a store that honours If-None-Match; on this one concurrent runs lose commits.",
    )


def _delta_verdict(location: LakeLocation) -> Verdict:
    folder = f"probe-{uuid.uuid4().hex}"
    uri, options = location.uri("doctor", folder), location.storage_options or None
    try:
        write_deltalake(uri, pl.DataFrame({"n": [1, 2, 3]}), storage_options=options)
        total = pl.scan_delta(uri, storage_options=options).select("n").collect()["n"].sum()
        return Verdict("Delta tables written here can be read", total == 6, f"3 rows written, sum read back: {total}")
    finally:
        store = location.store("doctor", folder)
        for page in obstore.list(store):
            obstore.delete(store, [entry["path"] for entry in page])
        if location.is_local:
            shutil.rmtree(location.path / "doctor" / folder, ignore_errors=True)


def _room_verdict(location: LakeLocation) -> Verdict:
    free = shutil.disk_usage(location.path).free
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
    except Exception as error:  # whatever a store throws is a finding, not a crash
        return Verdict(
            check, False, f"{type(error).__name__}: {error}", "Check the path, the permissions and the disk."
        )
