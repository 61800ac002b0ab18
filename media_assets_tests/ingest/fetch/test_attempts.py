"""When an item is tried again, and after how long."""

from __future__ import annotations

import pickle

from media_assets.errors import ErrorCode, ItemError
from media_assets.ingest.fetch.attempts import AttemptFailed, Backoff, is_tried_again
from media_assets.ingest.fetch.limits import FetchLimits


def test_only_what_may_pass_is_tried_again() -> None:
    assert is_tried_again(ItemError(ErrorCode.TIMEOUT, ""))
    for code in (ErrorCode.NOT_FOUND, ErrorCode.TOO_SLOW, ErrorCode.STORAGE_FAILED, ErrorCode.ADDRESS_REFUSED):
        assert not is_tried_again(ItemError(code, ""))
    assert not is_tried_again(AttemptFailed(ErrorCode.TIMEOUT, ""))
    assert is_tried_again(AttemptFailed(ErrorCode.HTTP_ERROR, "", is_tried_again=True))
    assert pickle.loads(pickle.dumps(AttemptFailed(ErrorCode.TIMEOUT, "late"))).message == "late"


def test_backoff_doubles_with_jitter_up_to_its_bound() -> None:
    limits = FetchLimits(backoff_seconds=1.0, max_backoff_seconds=5.0)
    waits = [[Backoff(limits, seed).seconds(n) for seed in range(200)] for n in (1, 2, 3, 4, 1_000)]
    for bound, found in zip((1.0, 2.0, 4.0, 5.0, 5.0), waits, strict=True):
        assert 0.9 * bound < max(found) <= bound
        assert min(found) < 0.1 * bound
    assert Backoff(limits, 7).seconds(1) == Backoff(limits, 7).seconds(1)
