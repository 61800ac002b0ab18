"""`arrivals`: files arrive in the inbox while everything that works on them is killed at random, alone or all at once.

Half of them are sent to the upload server, which is killed like daemon, code server and runs.

What was killed is started again, and nobody does anything else. At the end every version of every file that lay there
is accounted for once, and the tables equal those of an undisturbed lake over the same inbox. Not here: the processes
(`plant.py`), and how things arrive (`arriving.py`).
"""

from __future__ import annotations

import hashlib
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from media_assets.defs.inbox import take_in
from media_assets.defs.live_runs import PARTITION, RUN_KEY
from media_assets.defs.resources import Settings
from media_assets.ingest.fetch.buckets import object_version
from media_assets.ingest.fetch.local_files import file_version
from media_assets.ingest.inbox.closing import InboxMemory
from media_assets.ingest.item_keys import item_key_of
from media_assets.lake import s3_options
from media_assets.lake.blobs import BlobStore
from media_assets.lake.delta import Lake, Provenance
from media_assets.stages.done import done_batches
from media_assets.stages.images import read_batch
from media_assets.stages.stage import IMAGE_STAGES
from media_assets.stages.workbench import ReadOptions
from media_assets.tables import FRAMES_IMAGES, ITEM_STATUS, MANIFEST, RAW_MEDIA, TENSORS_IMAGES
from media_assets_tests.chaos.arriving import Arrivals, Carrier, Copying, Delivery, Place, Putting, make_deliveries
from media_assets_tests.chaos.ground import left_over, unreconciled
from media_assets_tests.chaos.plant import Plant, running_plant
from media_assets_tests.chaos.result import Options, Result, log_end, say
from media_assets_tests.chaos.sending import SERVER, Sending, upload_service
from media_assets_tests.equality import LEFT_OUT, missing_blobs
from media_assets_tests.ingest.uploads.site import SOURCE, places
from media_assets_tests.object_store.stores import client as client_of
from media_assets_tests.object_store.stores import make_bucket, set_keys
from media_assets_tests.services.availability import Unavailable
from media_assets_tests.services.seaweedfs import WRITER, running_seaweedfs

KINDS = ("daemon", SERVER, "run worker", "code server", "all")
_SPECS = '[{"size": [32, 32], "resize_shorter_px": 36}]'
_SUPERSEDED = {None, "checksum_mismatch", "not_found", "truncated_body"}
"""What may become of a version that was replaced: it was read before, or it was gone."""


@dataclass(frozen=True)
class Size:
    """How much arrives and how often something is killed; seconds."""

    n_files: int
    batch_size: int
    arrive_seconds: float
    n_kills: int
    between_seconds: tuple[float, float]
    max_runtime_seconds: int
    max_seconds: float


FULL = Size(1000, 100, 300, 16, (8, 30), 150, 2400)
SMALL = Size(60, 25, 15, 3, (4, 8), 120, 420)


@dataclass
class Drill:
    """One drill under way."""

    size: Size
    settings: Settings
    carrier: Sending
    result: Result
    draw: random.Random

    @property
    def lake(self) -> Lake:
        """The lake's tables."""
        return self.settings.open_lake()


def run(folder: Path, options: Options) -> Result:
    """Arrivals under kills, until everything is accounted for; then the comparison."""
    result = Result("arrivals", options.seed)
    size = SMALL if options.small else FULL
    try:
        with _place(folder, size, on_a_store=options.store) as (settings, carrier, environment):
            drill = Drill(size, settings, carrier, result, random.Random(f"{options.seed}/arrivals"))
            arrivals = Arrivals(carrier, make_deliveries(size.n_files, size.arrive_seconds, options.seed))
            with running_plant(folder / "plant", environment, size.max_runtime_seconds) as plant:
                _endure(drill, plant, arrivals)
                runs = _runs_by_batch(plant)
                is_gone = plant.end()
            result.promise("nothing outlives the plant", holds=is_gone)
            _account(drill, arrivals, runs)
            _compare(drill, folder, arrivals)
    except Unavailable as reason:
        result.skipped = str(reason)
    return result


@contextmanager
def _place(folder: Path, size: Size, *, on_a_store: bool) -> Iterator[tuple[Settings, Sending, dict[str, str]]]:
    settings = Settings(
        lake=str(folder / "lake"),
        inbox=str(folder / "inbox"),
        inbox_batch_size=size.batch_size,
        inbox_wait_seconds=4,
        inbox_settle_seconds=1,
        batch_retries=6,
        batch_retry_seconds=2,
        tensor_specs=_SPECS,
        max_item_mib=1,
        n_workers=1,
    )
    if not on_a_store:
        inbox = folder / "inbox"
        with _sending(folder, settings, Copying(inbox), lambda receipt: _file_of(inbox, receipt)) as carrier:
            yield settings, carrier, _environment(settings)
        return
    with running_seaweedfs(folder / "seaweedfs") as store, pytest.MonkeyPatch.context() as patch:
        set_keys(patch, WRITER, folder)
        bucket = make_bucket(store.url, f"arrivals-{uuid.uuid4().hex[:8]}")
        far = replace(
            settings,
            lake=f"s3://{make_bucket(store.url)}/lake",
            inbox=f"s3://{bucket}/in",
            s3_endpoint=store.url,
            s3_region="us-east-1",
        )
        client = client_of(store.url)
        putting = Putting(client, bucket, "in/")
        with _sending(folder, far, putting, lambda receipt: _object_of(client, bucket, receipt)) as carrier:
            yield far, carrier, _environment(far)
    s3_options.forget()


@contextmanager
def _sending(folder: Path, settings: Settings, other: Carrier, locate: Callable[[str], Place]) -> Iterator[Sending]:
    """Half of what arrives is sent to an upload server, which ends with the `with` block."""
    given = {
        "MEDIA_ASSETS_UPLOAD_TOKENS": places(folder).tokens,
        "MEDIA_ASSETS_UPLOAD_STATE": str(folder / "uploads"),
    }
    service, url = upload_service(folder, _environment(settings) | given)
    try:
        yield Sending(other, url, {SERVER: service}, locate)
    finally:
        service.kill()


def _file_of(inbox: Path, receipt: str) -> Place:
    (path,) = inbox.rglob(f"{receipt}*")
    return Place(path.relative_to(inbox).as_posix(), file_version(path.stat()))


def _object_of(client: Any, bucket: str, receipt: str) -> Place:
    found = client.list_objects_v2(Bucket=bucket, Prefix=f"in/{SOURCE}/{receipt}")["Contents"]
    (each,) = found
    return Place(each["Key"].removeprefix("in/"), object_version(each["Size"], each["ETag"]))


def _environment(settings: Settings) -> dict[str, str]:
    return {
        "MEDIA_ASSETS_LAKE": settings.lake,
        "MEDIA_ASSETS_INBOX": settings.inbox,
        "MEDIA_ASSETS_INBOX_BATCH_SIZE": str(settings.inbox_batch_size),
        "MEDIA_ASSETS_INBOX_WAIT_SECONDS": str(settings.inbox_wait_seconds),
        "MEDIA_ASSETS_INBOX_SETTLE_SECONDS": str(settings.inbox_settle_seconds),
        "MEDIA_ASSETS_BATCH_RETRIES": str(settings.batch_retries),
        "MEDIA_ASSETS_BATCH_RETRY_SECONDS": str(settings.batch_retry_seconds),
        "MEDIA_ASSETS_TENSOR_SPECS": settings.tensor_specs,
        "MEDIA_ASSETS_MAX_ITEM_MIB": str(settings.max_item_mib),
        "MEDIA_ASSETS_WORKERS": str(settings.n_workers),
        "MEDIA_ASSETS_S3_ENDPOINT": settings.s3_endpoint,
        "MEDIA_ASSETS_S3_REGION": settings.s3_region,
    }


def _endure(drill: Drill, plant: Plant, arrivals: Arrivals) -> None:
    """Let things arrive and kill, then wait until all of it is done."""
    started = time.monotonic()
    deadline = started + drill.size.max_seconds
    _wait_for_daemon(plant, started + 180)
    _mend(drill, plant)
    arrivals.begin()
    _kill_about(drill, plant)
    say(f"arrivals: {drill.result.kills} kills; waiting for what arrived")
    _wait_until_done(drill, plant, arrivals, deadline)
    drill.result.detail["seconds_alive"] = round(time.monotonic() - started, 1)


def _wait_for_daemon(plant: Plant, deadline: float) -> None:
    with plant.instance() as instance:
        while not instance.get_daemon_heartbeats():
            plant.mend()
            if time.monotonic() > deadline:
                raise TimeoutError(f"the daemon does not begin: {log_end(plant.log)}")
            time.sleep(0.5)


def _kill_about(drill: Drill, plant: Plant) -> None:
    kinds = [KINDS[number % len(KINDS)] for number in range(drill.size.n_kills)]
    drill.draw.shuffle(kinds)
    for kind in kinds:
        time.sleep(drill.draw.uniform(*drill.size.between_seconds))
        _strike(drill, plant, kind)
        time.sleep(drill.draw.uniform(0, 3))
        _mend(drill, plant)


def _mend(drill: Drill, plant: Plant) -> None:
    """Start again whatever does not run."""
    plant.mend()
    for service in drill.carrier.services.values():
        if not service.is_running:
            service.start()


def _hit(drill: Drill, plant: Plant, kind: str) -> bool:
    """`kill -9` what is meant; whether it was there."""
    own = [service.kill() for name, service in drill.carrier.services.items() if kind in (name, "all")]
    return plant.strike(kind, drill.draw) if kind != SERVER else any(own)


def _strike(drill: Drill, plant: Plant, kind: str) -> None:
    deadline = time.monotonic() + 60  # a run worker is not always there
    while not _hit(drill, plant, kind):
        if time.monotonic() > deadline:
            say(f"arrivals: no {kind} to kill")
            return
        time.sleep(0.2)
    drill.result.kills += 1
    drill.result.faults += 1
    drill.result.count("killed", kind)


def _wait_until_done(drill: Drill, plant: Plant, arrivals: Arrivals, deadline: float) -> None:
    """Until everything that lies there has its status."""
    while time.monotonic() < deadline:
        _mend(drill, plant)
        missing = {_key(name, found[-1][0]) for name, found in arrivals.versions.items()} - _planned(drill.lake)
        planned = set(drill.lake.partition_values(MANIFEST))
        unfinished = planned - done_batches(drill.lake, IMAGE_STAGES)
        if arrivals.is_over and not missing and not unfinished:
            return
        time.sleep(1)
    drill.result.promise(
        "everything is done in time",
        holds=False,
        case=f"{len(missing)} not planned, {sorted(unfinished)} not done: {log_end(plant.log)}",
    )


def _runs_by_batch(plant: Plant) -> Mapping[str, Counter[str]]:
    """Batch id → how its runs ended; those that the inbox asked for as `asked`."""
    found: dict[str, Counter[str]] = {}
    with plant.instance() as instance:
        assert sorted(instance.get_dynamic_partitions("batches"))
        for each in instance.get_runs():
            counts = found.setdefault(each.tags.get(PARTITION, ""), Counter())
            counts[each.status.value] += 1
            counts["asked"] += each.tags.get(RUN_KEY, "") == each.tags.get(PARTITION)  # that of a retry names a run too
        for batch_id in instance.get_dynamic_partitions("batches"):
            found.setdefault(batch_id, Counter())["registered"] += 1
    return found


def _planned(lake: Lake) -> set[str]:
    return set(lake.scan(MANIFEST).select("item_key").collect()["item_key"])


def _key(name: str, version: str) -> str:
    return f"{item_key_of(name.encode())}@{version}"


def _account(drill: Drill, arrivals: Arrivals, runs: Mapping[str, Counter[str]]) -> None:
    """Every version that was brought, once or (where it was replaced) at most once, as what it is."""
    result, lake = drill.result, drill.lake
    result.promise("everything arrived", holds=not arrivals.errors, case=str(arrivals.errors[:3]))
    last = {_key(name, found[-1][0]): found[-1][1] for name, found in arrivals.versions.items()}
    brought = {_key(name, version): what for name, found in arrivals.versions.items() for version, what in found}
    planned = Counter(lake.scan(MANIFEST).select("item_key").collect()["item_key"])
    lost, twice = set(last) - set(planned), {key for key, n in planned.items() if n > 1}
    result.lost, result.twice = len(lost), len(twice)
    result.promise(
        "each is planned once", holds=not lost and not twice, case=str((sorted(lost)[:5], sorted(twice)[:5]))
    )
    strange = set(planned) - set(brought)
    result.promise("nothing is planned that was not there whole", holds=not strange, case=str(sorted(strange)[:5]))
    problems = unreconciled(lake) + left_over(lake)
    result.promise("reconciliation holds", holds=not problems, case=str(problems))
    blobs = missing_blobs(lake, BlobStore.at(lake.location))
    result.promise("every blob is whole", holds=not blobs, case=str(sorted(blobs)[:3]))
    _account_for_bytes(result, lake, brought, set(last))
    batches = lake.partition_values(MANIFEST)
    asked = {batch_id: runs.get(batch_id, Counter())["asked"] for batch_id in batches}
    result.promise("the inbox asks for one run a batch", holds=set(asked.values()) == {1}, case=str(asked))
    registered = {batch_id for batch_id, counts in runs.items() if counts["registered"]}
    result.promise("every batch is a partition", holds=registered == set(batches), case=str(registered ^ set(batches)))
    result.detail |= {
        "files": len(last),
        "replaced": len(brought) - len(last),
        "batches": len(batches),
        "uploads_sent_again": drill.carrier.n_repeats,
        "runs": dict(sum(runs.values(), Counter())),
    }


def _account_for_bytes(result: Result, lake: Lake, brought: Mapping[str, Delivery | None], last: set[str]) -> None:
    """An accepted item has the very bytes that were brought as its version; a replaced one has them, or failed."""
    media = dict(lake.scan(RAW_MEDIA).select("item_key", "media_id").collect().iter_rows())
    codes = lake.scan(ITEM_STATUS, {"stage": ["raw.media"]}).select("item_key", "error_code").collect()
    for key, code in codes.iter_rows():
        delivery = brought.get(key)
        if code is None:
            wanted = hashlib.sha256(delivery.body).hexdigest() if delivery is not None else ""
            result.promise("no bytes are taken for others", holds=media.get(key) == wanted, case=key)
        if key in last:
            is_good = delivery is not None and delivery.is_good
            result.promise("bad files fail, and no others", holds=is_good == (code is None), case=f"{key}: {code}")
        else:
            result.promise(
                "what was replaced was read before, or failed", holds=code in _SUPERSEDED, case=f"{key}: {code}"
            )


def _compare(drill: Drill, folder: Path, arrivals: Arrivals) -> None:
    """Hold the tables against those of a lake that planned and read the same inbox undisturbed."""
    settings = replace(drill.settings, lake=str(folder / "clean"), n_workers=0, inbox_wait_seconds=0)
    lake = settings.open_lake()
    time.sleep(settings.inbox_settle_seconds + 0.5)
    with dg.DagsterInstance.ephemeral() as instance:
        take_in(instance, lake, settings, InboxMemory())
    options = ReadOptions(specs=settings.specs(), still_limits=settings.still_limits(), n_thumbnails=0)
    for batch_id in lake.partition_values(MANIFEST):
        read_batch(settings.workbench(), batch_id, IMAGE_STAGES, options, Provenance("clean", "1"))
    wanted, found = _rows(lake, lake), _rows(drill.lake, lake)
    for name, rows in wanted.items():
        lost, strange = rows - found[name], found[name] - rows
        drill.result.lost += lost.total()
        told = f"{name}: {lost.total()} lost, {strange.total()} strange, such as {[*lost, *strange][:2]}"
        drill.result.promise("tables equal those of a clean run", holds=not lost and not strange, case=told[:1500])
    n_items = wanted["ingest.manifest"].total()
    drill.result.promise("the clean run saw the same", holds=n_items == len(arrivals.versions), case=str(n_items))


def _rows(lake: Lake, clean: Lake) -> dict[str, Counter[str]]:
    """Rows of the items that the clean lake has too, without what depends on how they were cut into batches."""
    keys = clean.scan(MANIFEST).select("item_key").collect()["item_key"].implode()
    frames = clean.scan(FRAMES_IMAGES).select("frame_id").collect()["frame_id"].implode()
    found: dict[str, Counter[str]] = {}
    for contract in (MANIFEST, ITEM_STATUS, RAW_MEDIA, FRAMES_IMAGES, TENSORS_IMAGES):
        by_key = "item_key" in contract.schema
        is_meant = pl.col("item_key").is_in(keys) if by_key else pl.col("frame_id").is_in(frames)
        left_out = (LEFT_OUT | {"batch_id", "position"}) & set(contract.schema)
        rows: list[tuple[Any, ...]] = lake.scan(contract).filter(is_meant).drop(left_out).collect().rows()
        found[contract.name] = Counter(map(repr, rows))
    return found
