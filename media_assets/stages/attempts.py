"""Publishing a batch although other runs and the store may get in the way. Not here: what is published."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from media_assets.errors import MediaAssetsError, RivalRun, StoreFailed
from media_assets.lake.store_errors import READ_ERRORS, STORE_ERRORS, store_code, told

_N_TRIES_AGAINST_RIVALS = 3
_log = logging.getLogger(__name__)

Report = TypeVar("Report")


def published_alone(batch_id: str, attempt: Callable[[], Report]) -> Report:
    """What an attempt gives; again from the start (and from the bytes that are kept) when another run got in between.

    Raises:
        RivalRun: other runs of the batch published in between, three times; the batch is not done.
        StoreFailed: the lake could not be read or written; the batch is not done, and the next run completes it.
    """
    try:
        for waits in range(1, _N_TRIES_AGAINST_RIVALS):
            try:
                return attempt()
            except RivalRun as error:
                _log.warning("%s Trying again.", error)
                time.sleep(random.random() * waits)  # noqa: S311 - jitter, not a secret
        return attempt()
    except MediaAssetsError:
        raise
    except READ_ERRORS as error:
        if store_code(error) is None and not isinstance(error, STORE_ERRORS):
            raise  # polars' own, about no store
        failed = StoreFailed(
            f"Batch {batch_id}: expected the lake to take and give what the batch needs, got {type(error).__name__}: "
            f"{told(error)}. The batch is not done; what was fetched stays fetched. See `media-assets doctor`, mend "
            f"the store, then run the batch again."
        )
        # The text of an object store's error may hold a session token, and a cause is printed with its effect.
        raise failed from (error if store_code(error) is None else None)
