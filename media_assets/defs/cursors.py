"""What a sensor remembers from one tick to the next. No sensor's results rest on it: it only saves work."""

from __future__ import annotations

from typing import TypeVar

import msgspec

T = TypeVar("T")


def read_cursor(text: str | None, kind: type[T]) -> T:
    """What a cursor remembers; none, or one that cannot be read, remembers nothing."""
    try:
        return msgspec.json.decode(text or "{}", type=kind)
    except msgspec.MsgspecError:
        return msgspec.json.decode("{}", type=kind)


def cursor_of(memory: object) -> str:
    """The text that `read_cursor` reads."""
    return msgspec.json.encode(memory).decode()
