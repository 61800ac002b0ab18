"""What the lake says of a batch that is done: the report of a run that found nothing to do.

Automation and a watching sensor may both ask for a run of one batch, and a process may die after the last commit and
before it told anybody. Not here: reading a batch (`images.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from media_assets.lake.delta import Lake
from media_assets.lake.publications import unfinished_publications
from media_assets.stages.audit import Finding, status_counts
from media_assets.stages.images import code_versions
from media_assets.stages.intake import Past, Row, read_manifest, read_past
from media_assets.stages.report import BatchReport, StageReport
from media_assets.stages.stage import KEYFRAMES, RAW, TENSORS, Stage
from media_assets.stages.workbench import ReadOptions
from media_assets.tables import FRAMES_KEYFRAMES
from media_assets.tables.columns import Status


def settled_report(lake: Lake, batch_id: str, stages: Sequence[Stage], options: ReadOptions) -> BatchReport | None:
    """The report of a batch in which every item has its status at these stages, by this code; None where it is not so.

    Raises:
        NotMaterialized: the batch is not planned.
    """
    if stages[0] is not RAW or batch_id in unfinished_publications(lake.location):
        return None
    past = read_past(lake, batch_id)
    going_on: dict[Stage | None, set[str]] = {None: set(read_manifest(lake, batch_id))}
    versions, reports = code_versions(stages, options), {}
    for stage in stages:
        statuses = past.statuses.get(stage.name, {})
        entered = going_on[next((each for each in reversed(stage.line[:-1]) if each in going_on), None)]
        if set(statuses) != entered or any(row["code_version"] != versions[stage.name] for row in statuses.values()):
            return None
        if stage is not TENSORS and not _has_its_rows(lake, batch_id, past, stage, statuses):
            return None
        reports[stage.contract.path] = _report_of(stage, list(statuses.values()))
        going_on[stage] = {key for key, row in statuses.items() if Status(row["status"]).goes_on}
    return BatchReport(batch_id, reports, tuple(_findings(reports)), 0, 0, 0, 0.0, 0.0, 0)


def _has_its_rows(lake: Lake, batch_id: str, past: Past, stage: Stage, statuses: Mapping[str, Row]) -> bool:
    going_on = {key: row["n_outputs"] for key, row in statuses.items() if Status(row["status"]).goes_on}
    if stage is KEYFRAMES:
        stored = lake.scan(FRAMES_KEYFRAMES, {"batch_id": [batch_id]}).select("item_key").collect()
        return Counter(stored["item_key"].to_list()) == going_on
    return set(past.media if stage is RAW else past.frames) == set(going_on)


def _report_of(stage: Stage, statuses: Sequence[Row]) -> StageReport:
    codes = Counter(row["error_code"] for row in statuses if row["error_code"])
    n_rows, counts = sum(row["n_outputs"] for row in statuses), status_counts(row["status"] for row in statuses)
    return StageReport(stage.contract.path, len(statuses), n_rows, counts, dict(codes), 0)


def _findings(reports: dict[str, StageReport]) -> list[Finding]:
    detail = {"verified": "before the batch's commit, by the run that made it"}
    return [Finding(path, check, True, detail) for path in reports for check in ("contract_holds", "reconciles")]
