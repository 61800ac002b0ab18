"""Bytes of distant blobs that are in memory because they are asked for next: just put, or read ahead.

Bounded in bytes; each is given out once. Not here: the store.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

MAX_REMEMBERED_BYTES = 128 * 1024**2
N_AHEAD = 16


@dataclass
class BlobsAtHand:
    """Safe to use from several threads."""

    _put: OrderedDict[str, bytes] = field(default_factory=OrderedDict)
    _n_put_bytes: int = 0
    _expected: deque[str] = field(default_factory=deque)
    _coming: OrderedDict[str, Future[bytes]] = field(default_factory=OrderedDict)
    _read: Callable[[str], bytes] | None = None
    _pool: ThreadPoolExecutor | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def remember(self, media_id: str, body: bytes) -> None:
        """Keep the bytes of a blob that was just put; the oldest give way."""
        with self._lock:
            self._forget(media_id)
            self._put[media_id] = body
            self._n_put_bytes += len(body)
            while self._n_put_bytes > MAX_REMEMBERED_BYTES:
                self._forget(next(iter(self._put)))

    def expect(self, media_ids: Iterable[str], read: Callable[[str], bytes]) -> None:
        """These will be taken, in this order; some may be left out."""
        self.clear()
        with self._lock:
            self._expected = deque(dict.fromkeys(media_ids))
            self._read = read

    def take(self, media_id: str) -> bytes | None:
        """The bytes, or None where they have to be read.

        Raises:
            OSError: they were read ahead, and the store did not give them.
        """
        with self._lock:
            if (body := self._put.get(media_id)) is not None:
                self._forget(media_id)
                return body
            self._read_on(media_id)
            coming = self._coming.pop(media_id, None)
        return None if coming is None else coming.result()

    def clear(self) -> None:
        """Forget everything; what is being read ends by itself."""
        with self._lock:
            for future in self._coming.values():
                future.cancel()
            self._put.clear()
            self._n_put_bytes = 0
            self._coming.clear()
            self._expected.clear()
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)

    def _read_on(self, media_id: str) -> None:
        """Begin to read what follows this blob; what was expected before it has been left out."""
        if media_id in self._coming:
            while next(iter(self._coming)) != media_id:
                self._coming.popitem(last=False)
        elif media_id not in self._expected:
            return
        else:
            self._coming.clear()
            while self._expected[0] != media_id:
                self._expected.popleft()
        assert self._read is not None, "something is expected"
        self._pool = self._pool or ThreadPoolExecutor(N_AHEAD, "media-assets-blobs")
        while self._expected and len(self._coming) <= N_AHEAD:
            following = self._expected.popleft()
            self._coming[following] = self._pool.submit(self._read, following)

    def _forget(self, media_id: str) -> None:
        if (body := self._put.pop(media_id, None)) is not None:
            self._n_put_bytes -= len(body)
