"""The commits of one batch, in their order: each table's rows, then `ingest/item_status`, which makes it done.

Delta has no commit over several tables. A process that dies between two of these commits leaves a batch without
statuses, or marked as half published: not done, and the next run writes the same again.

What a row names is on the disk before the row is, and a batch that was told to be done stays done when the power goes:
the storage is flushed before the first commit and after the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from media_assets.errors import RivalRun
from media_assets.lake.delta import Lake, Provenance
from media_assets.lake.journal import FetchJournal
from media_assets.lake.parts import PartWriter
from media_assets.lake.publications import OF_PREDICTIONS, Publications
from media_assets.stages.assemble import StageRows, all_statuses
from media_assets.stages.failures import Told
from media_assets.stages.stage import IMAGE_STAGES, KEYFRAMES, PREDICTIONS, TENSORS, Stage
from media_assets.tables import FAILURES, ITEM_STATUS


@dataclass
class Turns:
    """How often each table of a batch was replaced, as this run last saw or made it.

    Two runs of one batch may have read unlike bytes, and each table is its last writer's. Statuses may therefore be
    committed only while every table still is as their run left it.
    """

    lake: Lake
    batch_id: str
    expected: dict[Stage, int]

    @classmethod
    def seen(cls, lake: Lake, batch_id: str, stages: Sequence[Stage] = IMAGE_STAGES) -> Turns:
        """Of these stages, as they are now: before anything of the batch's past is read."""
        return cls(lake, batch_id, {stage: lake.turn(stage.contract, batch_id) for stage in stages})

    def require(self) -> None:
        """Refuse to go on when another run has replaced the batch in a table meanwhile.

        Raises:
            RivalRun: naming the tables.
        """
        now = Turns.seen(self.lake, self.batch_id, tuple(self.expected)).expected
        if taken := [stage.contract.path for stage, turn in self.expected.items() if now[stage] != turn]:
            raise RivalRun(
                f"Batch {self.batch_id}: another run replaced {', '.join(taken)} while this one published the batch. "
                f"The statuses of this run were not committed, and the batch is not done until one run has published "
                f"all of it alone; run it again when no other run of it is under way."
            )


def commit_batch(
    turns: Turns,
    stages: Sequence[StageRows],
    withdrawn: Sequence[Stage],
    told: Told,
    parts: PartWriter | None,
    provenance: Provenance,
    journal: FetchJournal | None,
    staying: StageRows | None = None,
) -> None:
    """Replace the batch in every selected table, then the history of its failures, then its statuses; then nothing is
    owed to the journal any more.

    The statuses of `withdrawn` stages go in the same commit: what they speak of is no more; so do those of the stage
    of `staying` that are not among these. A batch whose journal is
    still there is not done: a replay would open the bytes that the journal names instead of asking the source again.

    Raises:
        RivalRun: another run published the batch at the same time.
        OSError: the disk did not keep something that was written.
    """
    lake, batch_id = turns.lake, turns.batch_id
    names = [stage.stage.name for stage in stages]
    spoken = list(stages) if staying is None else [*stages, staying]
    replaced = [stage for stage in stages if not _is_without_videos(stage, turns)]
    lake.location.storage.flush()  # blobs and parts
    with _publications(lake, stages).under_way(batch_id, names) as mark:
        for stage in replaced:
            mark()
            turns.expected[stage.stage] = _replace(lake, batch_id, stage, parts, provenance)
        mark()
        if (failures := told.failures(lake, spoken, withdrawn, provenance)) is not None:
            lake.overwrite(FAILURES, failures, {"batch_id": [batch_id]}, provenance)
            mark()
        statuses = ITEM_STATUS.frame(all_statuses(spoken))
        of_stages = [*(rows.stage.name for rows in spoken), *(stage.name for stage in withdrawn)]
        where = {"stage": of_stages, "batch_id": [batch_id]}
        lake.overwrite(ITEM_STATUS, statuses, where, provenance, guard=turns.require)
        lake.location.storage.flush()
        if journal is not None:
            journal.clear()


def _is_without_videos(stage: StageRows, turns: Turns) -> bool:
    """Whether these are the stills of a batch of pictures, which the table has never known."""
    return stage.stage is KEYFRAMES and not stage.tables and not turns.expected[KEYFRAMES]


def _publications(lake: Lake, stages: Sequence[StageRows]) -> Publications:
    """What models say is published apart: a batch of which that was cut short still is done as far as reading goes."""
    if [rows.stage for rows in stages] == [PREDICTIONS]:
        return Publications.of(lake.location, OF_PREDICTIONS)
    return Publications.of(lake.location)


def _replace(lake: Lake, batch_id: str, stage: StageRows, parts: PartWriter | None, provenance: Provenance) -> int:
    if stage.stage is TENSORS:
        assert parts is not None, "tensors are written in parts"
        return parts.commit(provenance)
    contract = stage.stage.contract
    return lake.overwrite(contract, stage.table(), {"batch_id": [batch_id]}, provenance)
