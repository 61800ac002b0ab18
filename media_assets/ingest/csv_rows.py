"""Records of a CSV file one at a time, where one damaged row costs one row.

Quotes, commas and line breaks inside quotes are read as RFC 4180 has them. A quote that never closes would
swallow its neighbours: when a record over several lines is damaged, only its first line is given up and
reading goes on with the second, so that every line that is in no usable row is named by itself. Pure: takes
lines, knows no file. Not here: what the columns mean.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

MAX_LINE = 1 << 20
_MAX_LINES_PER_RECORD = 64
_CUT_MARK = "\0"  # stands at the end of a line that was cut, and lets the record be refused

_UNDECODED = re.compile(r"[\udc80-\udcff]")  # what `errors="surrogateescape"` makes of bytes that are not UTF-8


@dataclass(frozen=True, slots=True)
class Record:
    """A row of the right width; `line` is the 1-based number of its first line."""

    line: int
    fields: list[str]


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A line that begins no usable row, and why."""

    line: int
    message: str


def physical_lines(file: IO[str]) -> Iterator[str]:
    """Lines with their ends, at most 1 MiB each: of a longer one the rest is dropped and its end is marked.

    The file is to be opened with `newline=""` and `errors="surrogateescape"`.
    """
    while line := file.readline(MAX_LINE):
        if len(line) == MAX_LINE and not line.endswith(("\n", "\r")):
            while (rest := file.readline(MAX_LINE)) and not rest.endswith(("\n", "\r")):
                pass
            line = line[:1000] + _CUT_MARK
        yield line


def records(lines: Iterator[str], n_columns: int) -> Iterator[Record | BadRecord]:
    """Every row, in order; blank lines are passed over."""
    source = _Lines(lines)
    while (first := source.take()) is not None:
        if not first.strip("\r\n"):
            continue
        number, taken = source.number, [first]
        parsed = _parsed(source, taken, n_columns)
        if isinstance(parsed, str):
            source.give_back(taken[1:])
            yield BadRecord(number, parsed)
        else:
            yield Record(number, parsed)


class _Lines:
    """Lines that can be given back, with the number of the last one taken."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines, self._given_back = lines, deque[str]()
        self.number = 0

    def take(self) -> str | None:
        line = self._given_back.popleft() if self._given_back else next(self._lines, None)
        self.number += line is not None
        return line

    def give_back(self, lines: list[str]) -> None:
        self._given_back.extendleft(reversed(lines))
        self.number -= len(lines)


def _parsed(source: _Lines, taken: list[str], n_columns: int) -> list[str] | str:
    """The fields of the record that begins with the line taken, or what is wrong with it."""

    def feed() -> Iterator[str]:
        yield taken[0]
        while len(taken) < _MAX_LINES_PER_RECORD and (line := source.take()) is not None:
            taken.append(line)
            yield line

    try:
        fields = next(csv.reader(feed(), strict=True))
    except csv.Error as error:
        return f"expected a CSV row, got a damaged one ({error}): look for a quote that is not closed or doubled"
    return _complaint(fields, n_columns) or fields


def _complaint(fields: list[str], n_columns: int) -> str | None:
    text = "".join(fields)
    if _CUT_MARK in text:
        return f"expected text of at most {MAX_LINE} letters a line, got a NUL byte or a longer line"
    if len(fields) != n_columns:
        return f"expected {n_columns} columns, got {len(fields)}"
    if not text.isascii() and _UNDECODED.search(text):
        return "expected UTF-8, got bytes that are not"
    return None
