"""The process of the drill `labels`: it pushes and pulls, keeps what came of it, and dies when it is told to.

What it keeps lies in a small ledger on the disk, which loses nothing that was committed. Not here: what must hold.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType

from media_assets.errors import LabelStudioFailed
from media_assets.labeling.label_studio.client import LabelStudio
from media_assets.labeling.label_studio.pull import pull
from media_assets.labeling.label_studio.push import push
from media_assets.labeling.label_studio.values import LabelTask, PulledTask
from media_assets_tests.services.label_studio import TOKEN
from media_assets_tests.services.labels import questions

_BATCH_SIZE = 7
_SCHEMA = """
create table if not exists tasks (task_key text primary key, task_id integer);
create table if not exists answers (answer_id integer primary key, task_id integer, label text);
create table if not exists marks (watermark text);
"""


class Ledger:
    """What has been pushed and pulled, on the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database = sqlite3.connect(path, timeout=60, check_same_thread=False)
        self._database.executescript(_SCHEMA)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._database.close()

    def record(self, ids: dict[str, int]) -> None:
        """Keep what was read back."""
        with self._database:
            self._database.executemany("insert or replace into tasks values (?, ?)", ids.items())

    def take(self, tasks: tuple[PulledTask, ...], watermark: datetime | None) -> None:
        """Merge what was pulled, and the mark with it."""
        with self._database:
            for task in tasks:  # an answer that is not there any more was taken back
                self._database.execute("delete from answers where task_id = ?", (task.ls_task_id,))
                for answer in task.annotations:
                    label = answer.result[0]["value"]["choices"][0]
                    row = (answer.ls_annotation_id, task.ls_task_id, label)
                    self._database.execute("insert or replace into answers values (?, ?, ?)", row)
            if watermark is not None:
                self._database.execute("delete from marks")
                self._database.execute("insert into marks values (?)", (watermark.isoformat(),))

    def ids(self) -> dict[str, int]:
        """Task key → the server's id."""
        return dict(self._database.execute("select task_key, task_id from tasks"))

    def answers(self) -> dict[int, str]:
        """Id of an answer → its label."""
        return dict(self._database.execute("select answer_id, label from answers"))

    def watermark(self) -> datetime | None:
        """From where the next pull goes on."""
        row = self._database.execute("select watermark from marks").fetchone()
        return datetime.fromisoformat(row[0]) if row else None


@dataclass(frozen=True)
class LabelErrand:
    """Push the first `n_tasks`, then pull. `dies_at`: before the record of that batch, counted from 1; 0 for never."""

    url: str
    project: int
    n_tasks: int
    ledger: str
    dies_at: int
    timeout_seconds: float

    def tasks(self) -> list[LabelTask]:
        """Everything that is to be there."""
        return questions(self.n_tasks)


def begin(errand: LabelErrand) -> BaseProcess:
    """Start the process; it is forked from a server that has imported everything."""
    process = _server().Process(target=_main, args=(errand,), daemon=True)
    process.start()
    return process


def run_errand(errand: LabelErrand) -> int | None:
    """Its exit code, once it has ended."""
    process = begin(errand)
    process.join(300)
    return process.exitcode


def _server() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def _main(errand: LabelErrand) -> None:
    try:
        with (
            Ledger(Path(errand.ledger)) as ledger,
            LabelStudio(errand.url, TOKEN, timeout_seconds=errand.timeout_seconds) as client,
        ):
            _push(client, ledger, errand)
            for page in pull(client, errand.project, ledger.watermark()):
                ledger.take(page.tasks, page.watermark)
    except LabelStudioFailed as failure:
        print(f"{failure.code.value}: {failure}", flush=True)
        raise SystemExit(1) from None


def _push(client: LabelStudio, ledger: Ledger, errand: LabelErrand) -> None:
    for number, pushed in enumerate(push(client, errand.project, _unknown(errand, ledger), batch_size=_BATCH_SIZE), 1):
        if number == errand.dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        ledger.record(dict(pushed.ids))


def _unknown(errand: LabelErrand, ledger: Ledger) -> Iterator[LabelTask]:
    """What is not recorded, and now and then what is: somebody may have lost the record."""
    known = ledger.ids()
    for number, task in enumerate(errand.tasks()):
        if task.task_key not in known or number % 10 == errand.n_tasks % 10:
            yield task
