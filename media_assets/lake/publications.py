"""Which batches a process began to publish and did not finish.

A batch that is made again already has statuses, so a process that dies between two of its commits would leave new rows
beside old statuses, and the batch would look done. One empty object per publication under way says that it is not: all
in its name, since a name is never half written. It is put before the first commit and deleted after the last. Not here:
the commits themselves (`stages/commit.py`).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import obstore
from obstore.store import ObjectStore

from media_assets.lake.crash_points import crash_point
from media_assets.lake.location import LakeLocation

_FOLDER = "publications"
OF_PREDICTIONS = "publications-of-predictions"
_JOINT = "+"


@dataclass(frozen=True)
class Publications:
    """The publications under way, or cut short, in one lake."""

    store: ObjectStore

    @classmethod
    def of(cls, location: LakeLocation, folder: str = _FOLDER) -> Publications:
        """Those of a lake; of the tables that are made together, or of others in a folder of their own."""
        return cls(location.store(folder))

    @contextmanager
    def under_way(self, batch_id: str, stages: Collection[str]) -> Iterator[Callable[[], None]]:
        """Publish these stages of a batch inside the block; only leaving it without an error ends the publication.

        It also ends earlier ones of the batch that were cut short, as far as these stages replace all that they began.
        A rival that lives looks like one that was cut short, so its mark may be taken away while it goes on: what is
        yielded marks the batch anew, and is called before each commit.
        """
        ours = {_in_name(stage) for stage in stages}
        own = f"{batch_id}.{uuid.uuid4().hex}.{_JOINT.join(sorted(ours))}"
        replaced = [name for name in self._names(batch_id) if _batch_of(name) == batch_id and _begun(name) <= ours]

        def mark() -> None:
            obstore.put(self.store, own, b"")

        crash_point("before publication")
        mark()
        crash_point("after beginning a publication")
        yield mark
        crash_point("before ending a publication")
        for name in (*replaced, own):
            with suppress(FileNotFoundError):  # a rival ended it already
                obstore.delete(self.store, name)

    def unfinished(self) -> set[str]:
        """Ids of the batches that are being published now, or whose publication was cut short."""
        return {_batch_of(name) for name in self._names("")}

    def _names(self, prefix: str) -> Iterator[str]:
        """Names that begin so. Listed whole: a store's own prefix ends at a slash, and there are hardly ever any."""
        for page in obstore.list(self.store):
            yield from (entry["path"] for entry in page if entry["path"].startswith(prefix))


def unfinished_publications(location: LakeLocation, folder: str = _FOLDER) -> set[str]:
    """`Publications.unfinished` of a lake, for who only looks: where there is no lake yet, none is made."""
    if not location.storage.has_folder(folder):
        return set()
    return Publications.of(location, folder).unfinished()


def _batch_of(name: str) -> str:
    return name.rsplit(".", 2)[0]


def _begun(name: str) -> set[str]:
    return set(name.rpartition(".")[2].split(_JOINT))


def _in_name(stage: str) -> str:
    return stage.replace(".", "-")
