"""The drift checks in Dagster: a batch against the recent past of its source, told beside the contract checks.

Nothing here can fail a run or hold up a batch: it is called when the batch is published, what goes wrong becomes a
check that says so, and no check blocks. Not here: statistics (`curation/`), or profiles (`stages/profiles.py`).
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping

import dagster as dg

from media_assets.curation.drift import CHECKS, WINDOW, DriftCheck, Verdict, judge
from media_assets.defs.descriptions import Metadata, asset_key, definition_metadata
from media_assets.defs.partitions import BATCHES
from media_assets.lake.delta import Lake, Provenance
from media_assets.lake.store_errors import told
from media_assets.media.contact_sheet import as_markdown_image
from media_assets.media.drift_plots import Bar, bars_png, share_png
from media_assets.stages.profiles import keep_profile
from media_assets.stages.report import BatchReport
from media_assets.tables import BATCH_PROFILES, RAW_MEDIA, TENSORS_IMAGES

Verdicts = Mapping[str, Verdict]

batch_profiles = dg.AssetSpec(
    asset_key(BATCH_PROFILES),
    deps=[asset_key(RAW_MEDIA), asset_key(TENSORS_IMAGES)],
    description=BATCH_PROFILES.description,
    partitions_def=BATCHES,
    metadata=definition_metadata(BATCH_PROFILES),
)


def drift_check_specs() -> list[dg.AssetCheckSpec]:
    """One spec for each drift check. None blocks."""
    return [
        dg.AssetCheckSpec(
            check.name,
            asset=dg.AssetKey(check.table.split("/")),
            description=f"{check.description} Against the last {WINDOW} batches of its source (docs/quality.md).",
            partitions_def=BATCHES,
        )
        for check in CHECKS
    ]


def look_for_drift(lake: Lake, report: BatchReport, provenance: Provenance) -> Verdicts:
    """Keep the profile of a batch that was just published, and judge it. Whatever goes wrong is a verdict."""
    try:
        profile, past = keep_profile(lake, report.batch_id, report.brightness, provenance)
        return judge(profile, past)
    except Exception as error:  # the batch is published: nothing that happens here may fail it
        broken = (
            f"Expected to hold the batch against those before it, got {type(error).__name__}: {told(error)}. The batch "
            f"itself is done; the next run of it judges again."
        )
        return {check.name: Verdict(check.name, "not judged", broken) for check in CHECKS}


def drift_results(batches: Mapping[str, Verdicts], tables: Collection[str]) -> Iterator[dg.AssetCheckResult]:
    """The results of the checks on these tables over one or several batches."""
    for check in CHECKS:
        if batches and check.table in tables:
            yield _result(check, {batch_id: verdicts[check.name] for batch_id, verdicts in batches.items()})


def _result(check: DriftCheck, verdicts: Mapping[str, Verdict]) -> dg.AssetCheckResult:
    is_error = any(verdict.is_error for verdict in verdicts.values())
    bad = [f"{batch_id}: {verdict.told}" for batch_id, verdict in verdicts.items() if not verdict.passed]
    only = next(iter(verdicts.items())) if len(verdicts) == 1 else None
    return dg.AssetCheckResult(
        passed=not bad,
        asset_key=dg.AssetKey(check.table.split("/")),
        check_name=check.name,
        severity=dg.AssetCheckSeverity.ERROR if is_error else dg.AssetCheckSeverity.WARN,
        description=only[1].told if only else " ".join(bad) or f"{len(verdicts)} batches are as usual.",
        metadata=_metadata(check, *only) if only else {batch_id: each.told for batch_id, each in verdicts.items()},
    )


def _metadata(check: DriftCheck, batch_id: str, verdict: Verdict) -> Metadata:
    metadata: Metadata = {"state": verdict.state}
    if (plot := drift_plot(check, batch_id, verdict)) is not None:
        metadata["plot"] = dg.MetadataValue.md(as_markdown_image(plot, f"{verdict.check} of {batch_id}"))
    if not verdict.passed:
        metadata["next"] = f"media-assets dead-letters list --batch {shlex.quote(batch_id)}; see docs/quality.md"
    return metadata | dict(verdict.numbers)


def drift_plot(check: DriftCheck, batch_id: str, verdict: Verdict) -> bytes | None:
    """The batch against what was usual, as PNG; None where there is nothing to draw."""
    title = f"{batch_id}: {check.drawn}"
    if verdict.groups:
        bars = [Bar(each.name, each.now, each.usual, each.low, each.high) for each in verdict.groups]
        return bars_png(bars, not verdict.passed, title)
    if verdict.now is not None:
        return share_png(verdict.now, verdict.past, verdict.limit, title)
    return None
