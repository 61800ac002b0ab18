"""What Dagster tries again: what may pass by itself, and never an interruption or a mistake in the configuration.

A `RetryPolicy` on the asset would try anything again, Ctrl-C included. Not here: the retries of one download
(`ingest/fetch/`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dagster as dg

from media_assets.errors import ContractBroken, ReconciliationBroken, SetupError

_POLICY = dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.FULL)

NEEDS_A_PERSON = "needs a person"
"""In a failure's metadata: the batches that no retry can help."""

_FROM_FAILURE = ("dagster/is_resume_retry", "dagster/is_asset_resume_retry")


class NotBegun(Exception):
    """A batch of a run that ended at another one; it waits for the same cure."""

    def __init__(self, ended_at: str, error: Exception) -> None:
        self.error = error
        super().__init__(f"not begun: the run ended at {ended_at}")


def may_pass(error: Exception) -> bool:
    """Whether the same attempt may succeed a little later without anybody changing anything."""
    if isinstance(error, NotBegun):
        error = error.error
    return not isinstance(error, ContractBroken | ReconciliationBroken | SetupError)


def failure_of(told: str, errors: Mapping[str, Exception]) -> dg.Failure:
    """The failure of a run: what went wrong with each batch, and whether trying again can help any of them."""
    metadata = {batch_id: dg.MetadataValue.text(str(error)) for batch_id, error in errors.items()}
    hopeless = [batch_id for batch_id, error in errors.items() if not may_pass(error)]
    if hopeless:
        return dg.Failure(
            told,
            metadata={**metadata, NEEDS_A_PERSON: dg.MetadataValue.json(hopeless)},
            allow_retries=len(hopeless) < len(errors),
        )
    return dg.Failure(told, metadata=metadata)


@contextmanager
def retried_if_it_may_pass(context: dg.AssetExecutionContext) -> Iterator[None]:
    """Inside an asset: ask Dagster to try again after an error that may pass; fail at once after any other.

    Raises:
        RetryRequested: the error may pass; after the last attempt Dagster fails the step.
        Failure: it does not.
    """
    try:
        yield
    except (dg.DagsterError, dg.RetryRequested):
        raise
    except dg.Failure as failure:
        if not failure.allow_retries:
            raise
        raise _again(context) from failure
    except Exception as error:
        if not may_pass(error):
            waiting = {NEEDS_A_PERSON: dg.MetadataValue.json(list(context.partition_keys))}
            raise dg.Failure(f"{error}", metadata=waiting, allow_retries=False) from error
        raise _again(context) from error


def continued_runs(instance: dg.DagsterInstance, run: dg.DagsterRun) -> frozenset[str]:
    """Ids of this run and of those that it continues: "re-execute from failure" does what they left undone.

    "Re-execute all" continues nothing: whoever asks for that wants every batch done again.
    """
    ids = {run.run_id}
    while run.parent_run_id and any(run.tags.get(tag) == "true" for tag in _FROM_FAILURE):
        ids.add(run.parent_run_id)
        parent = instance.get_run_by_id(run.parent_run_id)
        if parent is None:  # deleted since
            break
        run = parent
    return frozenset(ids)


def _again(context: dg.AssetExecutionContext) -> dg.RetryRequested:
    return dg.RetryRequested(_POLICY.max_retries, _POLICY.calculate_delay(context.retry_number + 1))
