"""`ops/batch_profiles`: measured from what the other tables say of a batch, kept, and read back as history.

A few columns of one batch are read at a time: memory does not grow with the lake. Not here: what a profile holds
(`curation/profile.py`), or what is made of it (`curation/drift.py`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import polars as pl

from media_assets.curation.drift import WINDOW
from media_assets.curation.profile import (
    NO_FORMAT,
    NO_LICENCE,
    OTHER,
    BatchProfile,
    FormatCount,
    aspect_counts,
    claimed_format,
    counts_by_name,
    most_frequent,
    side_counts,
)
from media_assets.errors import NotMaterialized
from media_assets.lake.delta import Lake, Provenance
from media_assets.lake.planned_batches import PlannedBatch, planned_batches
from media_assets.stages.stage import RAW
from media_assets.tables import BATCH_PROFILES, ITEM_STATUS, MANIFEST, RAW_MEDIA
from media_assets.tables.columns import Status

_FAILED, _DUPLICATE = Status.FAILED.value, Status.DUPLICATE.value


def keep_profile(
    lake: Lake, batch_id: str, brightness: tuple[int, ...], provenance: Provenance
) -> tuple[BatchProfile, list[BatchProfile]]:
    """Measure a batch that is done and keep its profile; returns it with those of the batches before it.

    These are the last `WINDOW` batches of its source that were planned before it and are done, the oldest first; what
    runs in another order changes nothing. Where a profile is missing it is measured now, without brightness.

    Args:
        brightness: counts of a sample; empty where the run had no tensors in hand: what was known then stays.

    Raises:
        NotMaterialized: the batch was never planned.
    """
    planned = planned_batches(lake)
    batch = next((each for each in planned if each.batch_id == batch_id), None)
    if batch is None:
        raise NotMaterialized(f"Expected a planned batch, got {batch_id!r}, of which ingest/manifest knows nothing.")
    before = [each for each in planned if each.source == batch.source and each < batch][-WINDOW:]
    known = _read(lake, [each.batch_id for each in (*before, batch)])
    past = _with_missing(lake, before, known, provenance)
    profile = measure_profile(lake, batch)
    if not brightness and batch_id in known:
        brightness = known[batch_id].brightness
    profile = replace(profile, brightness=brightness)
    if profile != known.get(batch_id):
        _keep(lake, [profile], provenance)
    return profile, past


def measure_profile(lake: Lake, batch: PlannedBatch) -> BatchProfile:
    """One batch as the tables tell of it, without its brightness."""
    here = {"batch_id": [batch.batch_id]}
    items = lake.scan(MANIFEST, here).select("item_key", "uri", "licence").collect()
    statuses = lake.scan(ITEM_STATUS, here).select("stage", "item_key", "status", "error_code").collect()
    media = lake.scan(RAW_MEDIA, here).select("mime", "width_px", "height_px").collect()
    failed = dict(statuses.filter(pl.col("status") == _FAILED).select("item_key", "error_code").iter_rows())
    is_repeat = (pl.col("status") == _DUPLICATE) & (pl.col("stage") == RAW.name)
    sized = media.drop_nulls(["width_px", "height_px"]).select(pl.col("width_px", "height_px").cast(pl.Float64))
    width, height = sized["width_px"].to_numpy(), sized["height_px"].to_numpy()
    return BatchProfile(
        batch_id=batch.batch_id,
        source=batch.source,
        planned_at=batch.planned_at,
        n_items=items.height,
        n_failed=len(failed),
        n_duplicates=statuses.filter(is_repeat).height,
        formats=_formats(items, failed),
        mimes=counts_by_name(media["mime"].to_list()),
        licences=counts_by_name(items["licence"].fill_null(NO_LICENCE).to_list()),
        longer_sides=side_counts(sized.max_horizontal().to_numpy()) if sized.height else (),
        aspects=aspect_counts(width / height) if sized.height else (),
    )


def _formats(items: pl.DataFrame, failed: dict[str, str]) -> tuple[FormatCount, ...]:
    """By what the path claims, or else the key: either may be an opaque id. The rarest formats are one, `other`."""
    by_format: dict[str, list[str]] = {}
    for key, uri in items.select("item_key", "uri").iter_rows():
        claimed = claimed_format(uri.partition("?")[0].partition("#")[0])
        by_format.setdefault(claimed_format(key) if claimed == NO_FORMAT else claimed, []).append(key)
    kept: dict[str, list[str]] = {name: [] for name in most_frequent({name: len(k) for name, k in by_format.items()})}
    for name, keys in by_format.items():
        kept[name if name in kept else OTHER] += keys
    found = []
    for name, keys in kept.items():
        codes = counts_by_name(failed[key] for key in keys if key in failed)
        found.append(FormatCount(name, len(keys), sum(codes.values()), next(iter(codes), None)))
    return tuple(found)


def _with_missing(
    lake: Lake, batches: list[PlannedBatch], known: dict[str, BatchProfile], provenance: Provenance
) -> list[BatchProfile]:
    """The profiles of these batches; those of batches that are not done are left out."""
    missing = [batch for batch in batches if batch.batch_id not in known]
    done = _done(lake, [batch.batch_id for batch in missing])
    measured = {each.batch_id: measure_profile(lake, each) for each in missing if each.batch_id in done}
    if measured:
        _keep(lake, list(measured.values()), provenance)
    found = known | measured
    return [found[batch.batch_id] for batch in batches if batch.batch_id in found]


def _done(lake: Lake, batch_ids: Collection[str]) -> set[str]:
    if not batch_ids:
        return set()
    statuses = lake.scan(ITEM_STATUS, {"stage": [RAW.name], "batch_id": list(batch_ids)})
    return set(statuses.select("batch_id").unique().collect()["batch_id"])


def _read(lake: Lake, batch_ids: list[str]) -> dict[str, BatchProfile]:
    rows = lake.scan(BATCH_PROFILES, {"batch_id": batch_ids}).collect()
    return {row["batch_id"]: BatchProfile.of_row(row) for row in rows.iter_rows(named=True)}


def _keep(lake: Lake, profiles: list[BatchProfile], provenance: Provenance) -> None:
    frame = BATCH_PROFILES.frame([profile.row() for profile in profiles])
    lake.overwrite(BATCH_PROFILES, frame, {"batch_id": [each.batch_id for each in profiles]}, provenance)
