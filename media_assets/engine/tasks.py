"""What an engine is asked and what it answers: a task, one work per item, one outcome per work.

Lives here: the three values every engine shares. Not here: how and where a function is run (`map_items.py`),
or what any function does (`media/`, named here by import path only, so that no engine depends on a decoder).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from media_assets.engine.imports import resolve
from media_assets.errors import ItemError

Key = TypeVar("Key")
Req = TypeVar("Req", bound=msgspec.Struct)
Res = TypeVar("Res", bound=msgspec.Struct)


@dataclass(frozen=True)
class Task(Generic[Req, Res]):
    """A pure function by import path, with the types it takes and gives.

    `function` is `"package.module:name"` and its signature `(data: bytes, request: Req) -> Res`. It may run
    twice on the same item, says "this item is bad" by raising `ItemError`, and must not rely on earlier
    calls. Both types are module-level `msgspec.Struct` classes, because a worker process finds them by import
    path too.

    With `takes_file` the signature is `(file: io.BufferedIOBase, request: Req) -> Res`: an item that is too large
    to be held is read as a function needs it, from its beginning, seekable, and without a name.
    """

    function: str
    request_type: type[Req]
    response_type: type[Res]
    takes_file: bool = False

    def load(self) -> Callable[[Any, Req], Res]:
        """The function itself, imported into this process.

        Raises:
            SetupError: there is no such module or name, or it cannot be called.
        """
        function: Any = resolve(self.function)
        return function  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Work(Generic[Key, Req]):
    """One item to do. `key` comes back on the outcome and never leaves this process.

    `source` is the item's bytes, or the path of a regular file which is opened read-only.
    """

    key: Key
    source: bytes | Path
    request: Req


@dataclass(frozen=True)
class Outcome(Generic[Key, Res]):
    """What became of one work: exactly one of `response` and `error` is set.

    `cpu_seconds` is the CPU time spent on the item where it was run, `wall_seconds` the time from handing it
    over to having its answer, waiting for a free worker left out.
    """

    key: Key
    response: Res | None
    error: ItemError | None
    cpu_seconds: float
    wall_seconds: float
