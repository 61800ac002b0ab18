"""What a command prints: tables for people, one JSON document for programs, a progress bar when a terminal looks on."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from media_assets.errors import ItemError, LabelStudioFailed, MediaAssetsError, StoreRefused

Row = Mapping[str, Any]

_COLOURS = {
    "failed": "red",
    "FAILED": "red",
    "False": "red",
    "True": "green",
    "done": "green",
    "accepted": "green",
}


@dataclass(frozen=True)
class Output:
    """Prints results to stdout and everything else to stderr."""

    as_json: bool = False

    def table(self, title: str, rows: Sequence[Row], empty: str, facts: Mapping[str, Any] | None = None) -> None:
        """Rows under their column names; `empty` is said when there are none, `facts` stand beside them in JSON."""
        if self.as_json:
            self._document({"rows": [dict(row) for row in rows], **(facts or {})})
            return
        if not rows:
            click.echo(empty)
            return
        # Text, not str: what comes from a lake is not markup.
        table = Table(title=Text(title), title_justify="left", header_style="bold")
        for name in rows[0]:
            right = isinstance(rows[0][name], int | float) and not isinstance(rows[0][name], bool)
            heading = Text(_printable(name.replace("_", " ")))
            table.add_column(heading, justify="right" if right else "left", overflow="fold")
        for row in rows:
            table.add_row(*(self._cell(name, value) for name, value in row.items()))
        Console(width=None if sys.stdout.isatty() else 140).print(table)

    def records(self, rows: Sequence[Row]) -> None:
        """Each row as lines of `name: value`."""
        if self.as_json:
            self._document({"rows": [dict(row) for row in rows]})
            return
        for row in rows:
            width = max(len(name) for name in row)
            for name, value in row.items():
                click.echo(f"{name.replace('_', ' '):<{width}}  {_plain(value)}")
            click.echo()

    def query(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """A query's result."""
        named = [dict(zip(columns, row, strict=True)) for row in rows]
        if self.as_json:
            self._document({"columns": list(columns), "rows": named})
        else:
            self.table(f"{len(rows)} rows", named, empty="No rows.")

    def document(self, document: Mapping[str, Any]) -> None:
        """One JSON document, in JSON mode only."""
        if self.as_json:
            self._document(document)

    def say(self, text: str = "") -> None:
        """A line for people; in JSON mode it goes to stderr."""
        click.echo(text, err=self.as_json)

    def failure(self, error: MediaAssetsError) -> None:
        """What went wrong, on stderr."""
        code = f"{error.code.value}: " if isinstance(error, StoreRefused | LabelStudioFailed) else ""
        self.error_document(error, str(error))
        told = _printable(code + str(error))
        click.echo(click.style(f"{type(error).__name__}: ", fg="red", bold=True) + told, err=True)

    def error_document(self, error: Exception, message: str) -> None:
        """The JSON document of a command that failed, in JSON mode only; `code` is stable."""
        name = type(error).__name__
        code = (
            error.code.value if isinstance(error, ItemError | StoreRefused | LabelStudioFailed) else _snake_case(name)
        )
        self.document({"error": {"type": name, "code": code, "message": message}})

    def interrupted(self) -> None:
        """Somebody pressed Ctrl-C."""
        told = "What is done stays done. Run it again, without --again or --refetch: it goes on where it stopped."
        if self.as_json:
            self._document({"error": {"type": "Interrupted", "code": "interrupted", "message": told}})
        click.echo(click.style("Interrupted: ", fg="yellow", bold=True) + told, err=True)

    @staticmethod
    def _document(document: Mapping[str, Any]) -> None:
        click.echo(json.dumps(_plain_json(document), ensure_ascii=False, allow_nan=False))

    @staticmethod
    def _cell(name: str, value: Any) -> Text:
        text = _plain(value)
        return Text(text, style=_COLOURS.get(text) or ("red" if name == "failed" and value else ""))


class Progressbar:
    """A progress bar over all batches of a command, on stderr, only when a terminal looks on."""

    def __init__(self, output: Output) -> None:
        self._is_shown = sys.stderr.isatty() and not output.as_json
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not self._is_shown,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Progressbar:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._bar.stop()

    def __call__(self, batch_id: str, n_done: int, n_items: int | None = None) -> None:
        """Show how far a batch is, or how much of a list of unknown length was read."""
        if batch_id not in self._tasks:
            self._tasks[batch_id] = self._bar.add_task(batch_id, total=n_items)
        self._bar.update(self._tasks[batch_id], completed=n_done, total=n_items)


def _plain(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return _printable(str(_without_bytes(value)))


def _without_bytes(value: Any) -> Any:
    """A value whose bytes are told by their number, however deep they lie."""
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, list | tuple):
        return type(value)(map(_without_bytes, value))
    if isinstance(value, dict):
        return {key: _without_bytes(item) for key, item in value.items()}
    return value


def _snake_case(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _printable(text: str) -> str:
    """Text with its control characters written out: names of foreign files must not steer the terminal."""
    return "".join(
        char if char in "\n\t" or ord(char) >= 160 or 32 <= ord(char) < 127 else ascii(char)[1:-1] for char in text
    )


def _plain_json(value: Any) -> Any:
    """A value as JSON can say it: not-a-number and infinity become null, keys become strings."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_json(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    return str(value)
