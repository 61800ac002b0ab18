"""Naming things by import path, so that another process can find them: `"package.module:name"`."""

from __future__ import annotations

import importlib
from typing import Any

from media_assets.errors import SetupError


def resolve(path: str) -> Any:
    """The function or class at `"package.module:name"` (`name` may have dots).

    Raises:
        SetupError: the text is not such a path, the module cannot be imported, or the name is not in it.
    """
    module_name, colon, name = path.partition(":")
    if not (module_name and colon and name):
        raise SetupError(f"expected an import path such as 'package.module:name', got {path!r}")
    try:
        found: Any = importlib.import_module(module_name)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise SetupError(f"{path!r} cannot be imported ({error}); check its spelling and the installation") from error
    if not callable(found):
        raise SetupError(f"expected {path!r} to be a function or class, got a {type(found).__name__}")
    return found


def import_path(thing: type) -> str:
    """The path by which `resolve` finds a class again.

    Raises:
        SetupError: the class was made inside a function, or in the script that was started as `__main__`.
    """
    if "<locals>" in thing.__qualname__ or thing.__module__ == "__main__":
        raise SetupError(
            f"{thing.__module__}.{thing.__qualname__} cannot be imported by a worker process; "
            "define it at the top level of a module that can be imported"
        )
    return f"{thing.__module__}:{thing.__qualname__}"
