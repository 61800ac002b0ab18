"""A project's tasks, listed once and kept in a temporary file: memory stays flat however many there are.

Not here: what is done about what is found.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager

from media_assets.labeling.label_studio.client import LabelStudio
from media_assets.labeling.label_studio.copies import Copies
from media_assets.labeling.label_studio.listing import Listed, moment, walk
from media_assets.labeling.label_studio.values import Progress, no_progress

_COLUMNS = "task_id, task_key, n_answers, annotators, is_labeled, updated_at"


class Inventory:
    """What a project held when it was listed."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        database.execute("pragma journal_mode = off")
        database.execute("pragma cache_size = -4096")  # KiB
        database.execute(
            "create table tasks (task_id integer primary key, task_key text, n_answers integer, annotators integer, "
            "is_labeled integer, updated_at text)"
        )
        database.execute("create index by_key on tasks (task_key)")

    def take(self, tasks: Iterable[Listed]) -> None:
        """Add or replace tasks."""
        rows = [
            (t.task_id, t.task_key, t.n_answers, t.annotators, t.is_labeled, t.updated_at.isoformat()) for t in tasks
        ]
        self._database.executemany("insert or replace into tasks values (?, ?, ?, ?, ?, ?)", rows)

    def copies(self, keys: Iterable[str]) -> Copies:
        """Every task of these keys."""
        query = f"select {_COLUMNS} from tasks where task_key = ?"  # noqa: S608 - no value is in it
        return Copies.of(_task(row) for key in keys for row in self._database.execute(query, (key,)))

    def repeated(self) -> Iterator[Copies]:
        """The copies of each key that is there more than once."""
        keys = "select task_key from tasks where task_key is not null group by task_key having count(*) > 1"
        for (key,) in self._database.execute(keys).fetchall():
            yield self.copies([key])

    def absent(self, task_ids: Iterable[int]) -> Iterator[int]:
        """Those of some ids that the project does not have."""
        for task_id in task_ids:
            if self._database.execute("select 1 from tasks where task_id = ?", (task_id,)).fetchone() is None:
                yield task_id

    def lacks(self, task_id: int, task_key: str) -> bool:
        """Whether a task is not there; its id alone says little, since the server may have given it away again."""
        query = "select 1 from tasks where task_key = ? and task_id = ?"
        return self._database.execute(query, (task_key, task_id)).fetchone() is None

    def answered_without_key(self, task_ids: Iterable[int | None]) -> set[int]:
        """Those of some ids that people have answered and that have no key, or no more."""
        query = "select task_id from tasks where task_id = ? and task_key is null and n_answers > 0"
        return {row[0] for task_id in task_ids for row in self._database.execute(query, (task_id,))}

    def __len__(self) -> int:
        return int(self._database.execute("select count(*) from tasks").fetchone()[0])


@contextmanager
def inventory(client: LabelStudio, project: int, progress: Progress = no_progress) -> Iterator[Inventory]:
    """List a project; the file is gone with the `with` block.

    Raises:
        LabelStudioFailed: the project cannot be listed.
    """
    with closing(sqlite3.connect("")) as database:  # a file without a name, in the system's temporary folder
        found = Inventory(database)
        n_done = 0
        for page in walk(client, project):
            found.take(page)
            n_done += len(page)
            progress(n_done, None)
        yield found


def _task(row: tuple[int, str | None, int, int, int, str]) -> Listed:
    return Listed(row[0], row[1], row[2], row[3], bool(row[4]), moment(row[5]))
