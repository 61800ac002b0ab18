"""The commits of one batch, in their order: each table's rows, then `ingest/item_status`, which makes it done.

Delta has no commit over several tables. A process that dies between two of these commits leaves a batch without
statuses, or marked as half published: not done, and the next run writes the same again.
"""

from __future__ import annotations

from collections.abc import Sequence

from media_assets.lake.delta import Lake, Provenance
from media_assets.lake.journal import FetchJournal
from media_assets.lake.parts import PartWriter
from media_assets.lake.publications import Publications
from media_assets.stages.assemble import StageRows, all_statuses
from media_assets.stages.stage import TENSORS
from media_assets.tables import ITEM_STATUS


def commit_batch(
    lake: Lake,
    batch_id: str,
    stages: Sequence[StageRows],
    parts: PartWriter | None,
    provenance: Provenance,
    journal: FetchJournal | None,
) -> None:
    """Replace the batch in every selected table, then its statuses; then nothing is owed to the journal any more.

    A batch whose journal is still there is not done: a replay would open the bytes that the journal names instead of
    asking the source again.
    """
    names = [stage.stage.name for stage in stages]
    with Publications.of(lake.location).under_way(batch_id, names) as mark:
        for stage in stages:
            mark()
            _replace(lake, batch_id, stage, parts, provenance)
        mark()
        statuses = ITEM_STATUS.frame(all_statuses(stages))
        lake.overwrite(ITEM_STATUS, statuses, {"stage": names, "batch_id": [batch_id]}, provenance)
        if journal is not None:
            journal.clear()


def _replace(lake: Lake, batch_id: str, stage: StageRows, parts: PartWriter | None, provenance: Provenance) -> None:
    if stage.stage is TENSORS:
        assert parts is not None, "tensors are written in parts"
        parts.commit(provenance)
        return
    contract = stage.stage.contract
    lake.overwrite(contract, contract.frame(stage.rows), {"batch_id": [batch_id]}, provenance)
