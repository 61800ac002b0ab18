"""Named points between two durable steps, where tests let the process die. Otherwise nothing happens there.

`before X` and `after X` stand around each durable step: a table's commit (`raw/media`), a blob, a journal line, a
publication's mark, a batch's registration. Not here: dying (the tests do that).
"""

from __future__ import annotations

from collections.abc import Callable

CrashPoint = Callable[[str], None]


def _survive(point: str) -> None:
    """Do nothing: the process lives on."""


_reached: CrashPoint = _survive


def crash_point(point: str) -> None:
    """Say that this point is reached."""
    _reached(point)


def watch_crash_points(reached: CrashPoint = _survive) -> None:
    """Call a function at every point from now on; without one, nothing happens there again."""
    global _reached
    _reached = reached
