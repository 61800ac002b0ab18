"""Calling a task's function once, so that whatever happens becomes a response or an `ItemError`.

Shared by every engine, in whichever process the function runs: the meaning of an exception is decided here
only.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from media_assets.engine.tasks import Req, Res
from media_assets.errors import ErrorCode, ItemError


def evaluate(
    function: Callable[[Any, Req], Res], response_type: type[Res], read: Callable[[], object], request: Req
) -> Res | ItemError:
    """Read the item's bytes, or open them as a file, and run the function on that.

    Returns the response, or the `ItemError` that the function raised. Running out of memory becomes
    DECODER_MEMORY; any other exception, and a response of another type, is a defect of the function and
    becomes
    DECODER_CRASHED.
    """
    try:
        response = function(read(), request)
    except ItemError as error:
        return ItemError(error.code, printable(error.message))
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except MemoryError as error:
        return memory_error(error)
    except BaseException as error:  # SystemExit and the panics of Rust extensions are no plain exceptions
        return ItemError(ErrorCode.DECODER_CRASHED, f"expected a response or an ItemError, got {_describe(error)}")
    if not isinstance(response, response_type):
        came = type(response).__name__
        return ItemError(
            ErrorCode.DECODER_CRASHED,
            f"expected {response_type.__name__}, the function returned {came}; mend the function",
        )
    return response


def memory_error(error: MemoryError) -> ItemError:
    """What running out of memory means for an item."""
    return ItemError(
        ErrorCode.DECODER_MEMORY,
        f"the item needs more memory than a worker may use {printable(str(error))}".rstrip()
        + "; raise the worker's memory limit if items like it are wanted",
    )


def printable(text: str) -> str:
    """Text as it can be stored and shown: no control characters, no lone surrogates."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _describe(error: BaseException) -> str:
    try:
        said = str(error)
    except Exception:  # a broken __str__ must not cost the worker
        said = "(no message)"
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {printable(said)[:350]}{where}"
