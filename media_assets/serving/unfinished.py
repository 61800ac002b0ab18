"""Which batches have tensors and are not done: their rows may be those of a run that stopped half-way.

Not here: what makes a batch done (`stages/commit.py`), and finishing it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from media_assets.lake.delta import Lake
from media_assets.lake.publications import unfinished_publications
from media_assets.tables import ITEM_STATUS, TENSORS_IMAGES

_N_NAMED = 3


class UnfinishedBatches(UserWarning):
    """Batches were left out because they are not done; `warnings.simplefilter("error", UnfinishedBatches)` refuses."""


@dataclass(frozen=True)
class Unfinished:
    """The batches that are not done among those that have tensors, each once, sorted.

    Attributes:
        n_batches: batches with tensors, done or not.
        begun: batches that are being published now, or whose publication was cut short.
        unsaid: other batches, of which no item has a status at this stage: never committed, or withdrawn.
    """

    n_batches: int = 0
    begun: tuple[str, ...] = ()
    unsaid: tuple[str, ...] = ()

    @property
    def batch_ids(self) -> set[str]:
        """All of them."""
        return {*self.begun, *self.unsaid}

    def summary(self) -> str:
        """How many, and why."""
        unsaid = f"without a status at stage {TENSORS_IMAGES.name} (a run stopped, or other frames came since)"
        causes = [(self.unsaid, unsaid), (self.begun, "being published, or cut short at it")]
        told = "; ".join(f"{len(batches)} {cause}: {_named(batches)}" for batches, cause in causes if batches)
        return f"{len(self.batch_ids)} of {self.n_batches} batches with tensors are not done: {told}"

    def told(self) -> str:
        """How many, why, and what to do."""
        return (
            f"{self.summary()}. `media-assets materialize` finishes what no run is at work on; include_unfinished=True "
            f"reads their rows as they are."
        )


def unfinished_batches(lake: Lake, batch_ids: Collection[str]) -> Unfinished:
    """Those of these batches that are not done. Judged by the log of `ingest/item_status` and by marks, not by rows.

    Call it after the files of `tensors/images` were listed: a mark lasts from before the first commit of a batch until
    after its statuses, so whatever was listed and is not done by then is found.

    Raises:
        TableDamaged: the log of `ingest/item_status` cannot be trusted.
    """
    asked = set(batch_ids)
    table = lake.table(ITEM_STATUS)
    partitions = table.partitions() if table is not None else []
    done = {partition["batch_id"] for partition in partitions if partition["stage"] == TENSORS_IMAGES.name}
    begun = asked & unfinished_publications(lake.location)
    return Unfinished(len(asked), tuple(sorted(begun)), tuple(sorted(asked - done - begun)))


def _named(batch_ids: Collection[str]) -> str:
    more = len(batch_ids) - _N_NAMED
    return ", ".join(sorted(batch_ids)[:_N_NAMED]) + (f" and {more} more" if more > 0 else "")
