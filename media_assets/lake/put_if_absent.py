"""Whether a store honours put-if-absent (`If-None-Match: *`): Delta's commits rest on it.

Where it is ignored, two writers that commit the same version both succeed, and one of the two commits is gone.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import ObjectStore

N_WRITERS = 8
N_ROUNDS = 3


def second_create_is_refused(store: ObjectStore) -> bool:
    """Whether an object that exists cannot be created again."""
    with _probe(store) as name:
        obstore.put(store, name, b"first", mode="create", use_multipart=False)
        try:
            obstore.put(store, name, b"second", mode="create", use_multipart=False)
        except AlreadyExistsError:
            return True
        return False


def most_winners(store: ObjectStore) -> int:
    """How many of several writers that create one object at the same moment are told that they did, in the worst round.

    One is right. Nobody, or a winner whose bytes are not those that stay, counts as all.
    """
    return max(_round(store) for _ in range(N_ROUNDS))


def _round(store: ObjectStore) -> int:
    gate = threading.Barrier(N_WRITERS)

    def create(number: int) -> int | None:
        gate.wait()
        try:
            obstore.put(store, name, str(number).encode(), mode="create", use_multipart=False)
        except AlreadyExistsError:
            return None
        return number

    with _probe(store) as name:
        with ThreadPoolExecutor(N_WRITERS) as pool:
            winners = [number for number in pool.map(create, range(N_WRITERS)) if number is not None]
        if len(winners) != 1:
            return len(winners) or N_WRITERS
        kept = bytes(obstore.get(store, name).bytes())
        return 1 if kept == str(winners[0]).encode() else N_WRITERS


@contextmanager
def _probe(store: ObjectStore) -> Iterator[str]:
    name = f"probe-{uuid.uuid4().hex}"
    try:
        yield name
    finally:
        with suppress(FileNotFoundError):  # it could not even be put
            obstore.delete(store, name)
