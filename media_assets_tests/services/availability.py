"""The one rule for a server that cannot be started: a user's machine skips the test, continuous integration fails it.

Not here: starting anything.
"""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


class Unavailable(Exception):
    """A server or a browser could not be started; the message says which, why, and what to do."""


def give_up(reason: object) -> NoReturn:
    """End the test for want of a server.

    Raises:
        pytest.fail.Exception: where the environment variable CI is set: what is not run there is run nowhere.
        pytest.skip.Exception: everywhere else.
    """
    if os.environ.get("CI"):
        pytest.fail(f"CI is set, so every service must start. {reason}", pytrace=False)
    pytest.skip(str(reason))
