"""What an engine is asked and what it answers: a task, one work per item, one outcome per work.

Lives here: the three values every engine shares. Not here: how and where a function is run (`map_items.py`),
or what any function does (`media/`, named here by import path only, so that no engine depends on a decoder).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from media_assets.engine.imports import resolve
from media_assets.errors import ItemError, SetupError

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

    With `files`, such as those of a model, `function` is a maker: it is called once in each worker, before that gives
    up its rights, with the name and bytes of each of them, and returns the function. It may import modules; what is
    not trusted waits for the function's first call.

    With `takes_file` the signature is `(file: io.BufferedIOBase, request: Req) -> Res`: an item that is too large
    to be held is read as a function needs it, from its beginning, seekable, and without a name.
    """

    function: str
    request_type: type[Req]
    response_type: type[Res]
    takes_file: bool = False
    files: tuple[Path, ...] = ()

    def load(self) -> Callable[[Any, Req], Res]:
        """The function itself, imported into this process.

        Raises:
            SetupError: there is no such module or name, it cannot be called, or one of `files` cannot be read.
        """
        return made(self.function, map(str, self.files))


def made(function: str, files: Iterable[str]) -> Callable[[Any, Any], Any]:
    """The function at an import path, or what the maker there returns for these files.

    Raises:
        SetupError: as `Task.load`.
    """
    found: Any = resolve(function)
    paths = [Path(file) for file in files]
    try:
        contents = [(path.name, path.read_bytes()) for path in paths]
    except OSError as error:
        raise SetupError(f"expected the files that {function} needs, got: {error}") from error
    return found(contents) if paths else found  # type: ignore[no-any-return]


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
