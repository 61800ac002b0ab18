"""Which ingest batches are done, so that a reader can leave out the others.

A process that died between two commits leaves tensors without statuses, or a mark that the batch is being published
(ARCHITECTURE.md, Failures): what a batch holds then is not its last word. Not here: completing such a batch.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from media_assets.errors import NotMaterialized
from media_assets.lake.delta import Lake
from media_assets.lake.publications import unfinished_publications
from media_assets.tables import ITEM_STATUS, TENSORS_IMAGES

_ADVICE = (
    "They have no statuses in ingest/item_status yet, or are being published, now or by a process that died: "
    "`media-assets materialize` completes them, include_unfinished=True reads them as they are."
)


def unfinished_batches(lake: Lake, batch_ids: Collection[str]) -> list[str]:
    """Those of the batches whose tensors are not done, sorted.

    To be asked after the files of the batches were listed: a batch that is done now was whole when it was listed.

    Raises:
        TableDamaged: the log of `ingest/item_status` cannot be read.
    """
    table = lake.table(ITEM_STATUS)
    partitions = [] if table is None else table.partitions()
    done = {each["batch_id"] for each in partitions if each["stage"] == TENSORS_IMAGES.name}
    done -= unfinished_publications(lake.location)
    return sorted(set(batch_ids) - done)


def told(batch_ids: Sequence[str]) -> str:
    """The sentence that names batches left out, and says what to do."""
    more = f" and {len(batch_ids) - 5} more" if len(batch_ids) > 5 else ""
    return f"Batches that are not done were left out: {', '.join(batch_ids[:5])}{more}. {_ADVICE}"


def refuse(batch_ids: Sequence[str]) -> None:
    """Refuse batches that were asked for by name.

    Raises:
        NotMaterialized: there is one.
    """
    if batch_ids:
        raise NotMaterialized(f"Expected batches that are done, got {', '.join(batch_ids[:5])} too. {_ADVICE}")
