"""The one rule for a server that cannot be started: a user's machine skips the test, continuous integration fails it.

Not here: starting anything.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn, TypeVar

import pytest

T = TypeVar("T")

N_STARTS = 2


class Unavailable(Exception):
    """A server or a browser could not be started; the message says which, why, and what to do."""


def start_repeatedly(start: Callable[[int], T], n_starts: int = N_STARTS) -> T:
    """The result of the first start that works; `start` is given the number of the start, from 1.

    Raises:
        Unavailable: the last one did not work either.
    """
    for n in range(1, n_starts):
        with suppress(Unavailable):
            return start(n)
    return start(n_starts)


def give_up(reason: object) -> NoReturn:
    """End the test for want of a server.

    Raises:
        pytest.fail.Exception: where the environment variable CI is set: what is not run there is run nowhere.
        pytest.skip.Exception: everywhere else.
    """
    if os.environ.get("CI"):
        pytest.fail(f"CI is set, so every service must start. {reason}", pytrace=False)
    pytest.skip(str(reason))
