"""Which copy of a task counts when there are several: what an annotator has worked on, else the oldest.

Not here: finding them (`listing.py`, `inventory.py`), or deleting the others (`sweep.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from media_assets.labeling.label_studio.listing import Listed


@dataclass
class Copies:
    """Every task of some keys."""

    by_key: dict[str, dict[int, Listed]] = field(default_factory=dict)

    @classmethod
    def of(cls, tasks: Iterable[Listed]) -> Copies:
        """The copies among some tasks; those of other people, without our key, are left out."""
        found = cls()
        for task in tasks:
            if task.task_key is not None:
                found.by_key.setdefault(task.task_key, {})[task.task_id] = task
        return found

    def kept(self) -> Mapping[str, Listed]:
        """The copy that counts, by key: the one with most answers, of these that with the lowest id."""
        return {
            key: min(copies.values(), key=lambda task: (-task.n_answers, task.task_id))
            for key, copies in self.by_key.items()
        }

    def others(self) -> list[Listed]:
        """Every other copy."""
        kept = {task.task_id for task in self.kept().values()}
        return [
            task for copies in self.by_key.values() for task_id, task in sorted(copies.items()) if task_id not in kept
        ]
