"""Many bodies at once: requests in, one outcome each out, in the order in which they finish.

One background thread runs one event loop with `n_connections` workers. The requests are pulled lazily in the
consumer's own thread, never more than a few ahead of the workers, so a slow consumer slows the fetch. Not
here: one body (`downloader`, `local_files`, `buckets`), and what becomes of an outcome.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import queue
import re
import tempfile
import threading
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from media_assets.errors import ErrorCode, ItemError, SetupError
from media_assets.ingest.fetch.addresses import AddressPolicy
from media_assets.ingest.fetch.attempts import Backoff, Unchanged, is_tried_again
from media_assets.ingest.fetch.body import Body
from media_assets.ingest.fetch.buckets import BucketRoot, is_s3_uri, read_object
from media_assets.ingest.fetch.connector import CleanConnector
from media_assets.ingest.fetch.downloader import Downloader, Transfer
from media_assets.ingest.fetch.items import BlobSink, Fetched, FetchFailed, FetchRequest
from media_assets.ingest.fetch.limits import MIB, FetchLimits
from media_assets.ingest.fetch.local_files import is_file_uri, read_file
from media_assets.ingest.fetch.redaction import shown
from media_assets.ingest.fetch.resolver import CheckingResolver, checked_socket

__all__ = ["BlobSink", "FetchFailed", "FetchRequest", "Fetched", "fetch_all"]

_DNS_CACHE_SECONDS = 60
_AHEAD = 2  # requests pulled per worker: one under way, one waiting


def fetch_all(
    requests: Iterable[FetchRequest],
    sink: BlobSink,
    *,
    user_agent: str,
    limits: FetchLimits | None = None,
    policy: AddressPolicy | None = None,
    proxy: str | None = None,
    spool_dir: Path | None = None,
    seed: int | None = None,
    local_roots: tuple[Path, ...] = (),
    bucket_roots: tuple[BucketRoot, ...] = (),
    resolver: Callable[[], AbstractResolver] | None = None,
    on_kept: Callable[[Fetched], None] | None = None,
) -> Generator[Fetched | FetchFailed, None, None]:
    """Fetch every request and put its body into the sink; exactly one outcome per request, unordered.

    Args:
        requests: pulled lazily, in the calling thread; what it raises comes out here.
        sink: where bodies go before their outcome is given out.
        user_agent: who we say we are.
        limits: bytes, seconds, attempts and connections.
        policy: which addresses may be connected to; by default public ones only.
        proxy: an `http://` proxy for everything. It resolves the names then, so it has to guard their
        addresses.
        spool_dir: where bodies above `memory_bytes` wait; default is the system's temporary folder.
        seed: makes the jitter of retries repeatable.
        local_roots: folders (absolute, without links) from which `file://` URIs are read; default none.
        bucket_roots: prefixes of buckets from which `s3://` URIs are read; default none.
        resolver: makes the resolver whose answers are judged; default is the system's.
        on_kept: called in the background thread as soon as the sink has a body, however busy the consumer is; it must
            be quick. What it raises comes out here.

    Closing the generator early cancels what is under way and joins the thread. An exception that is no item's
    fault (a sink that raises anything but OSError, a programming error) comes out here.

    Raises:
        SetupError: an argument that cannot work.
    """
    if not re.fullmatch(r"[\x20-\x7e]+", user_agent):
        raise SetupError(f"the user agent must be printable ASCII, not {user_agent!r}")
    settings = _Settings(
        sink=sink,
        limits=limits or FetchLimits(),
        policy=policy or AddressPolicy(),
        proxy=_proxy(proxy),
        user_agent=user_agent,
        spool_dir=spool_dir,
        seed=seed,
        local_roots=local_roots,
        bucket_roots=bucket_roots,
        make_resolver=resolver or aiohttp.DefaultResolver,
        on_kept=on_kept,
    )
    return _outcomes(iter(requests), settings)


@dataclass(frozen=True)
class _Settings:
    sink: BlobSink
    limits: FetchLimits
    policy: AddressPolicy
    proxy: URL | None
    user_agent: str
    spool_dir: Path | None
    seed: int | None
    local_roots: tuple[Path, ...]
    bucket_roots: tuple[BucketRoot, ...]
    make_resolver: Callable[[], AbstractResolver]
    on_kept: Callable[[Fetched], None] | None


def _proxy(written: str | None) -> URL | None:
    if written is None:
        return None
    try:
        url = URL(written)
    except ValueError:
        url = URL()
    if url.scheme not in {"http", "https"} or not url.host:
        raise SetupError(f"a proxy must look like http://host:port, not {shown(written)!r}")
    return url


def _outcomes(requests: Iterator[FetchRequest], settings: _Settings) -> Generator[Fetched | FetchFailed, None, None]:
    """The consumer's side: keep the workers supplied, give out what they finish."""
    n_workers = settings.limits.n_connections
    n_in_group = max(1, n_workers // 2)
    n_open = 0
    is_exhausted = False
    with _Workers(settings) as workers:
        while True:
            # A finished outcome goes out before more is pulled, as long as no worker would stand idle; and requests are
            # handed over in groups, because each hand-over wakes the other thread in the middle of its work.
            wanted = _AHEAD * n_workers if workers.outcomes.empty() else n_workers
            if not is_exhausted and n_open <= wanted - n_in_group:
                pulled = list(islice(requests, wanted - n_open))
                is_exhausted = len(pulled) < wanted - n_open
                workers.submit(pulled)
                n_open += len(pulled)
            if not n_open:
                return
            outcome = workers.outcomes.get()
            if isinstance(outcome, BaseException):
                raise outcome
            n_open -= 1
            yield outcome


class _Workers:
    """A thread with an event loop and its workers, for the time of a `with` block."""

    def __init__(self, settings: _Settings) -> None:
        self.outcomes: queue.SimpleQueue[Fetched | FetchFailed | BaseException] = queue.SimpleQueue()
        self._settings = settings
        self._is_up = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._inbox: asyncio.Queue[FetchRequest]
        self._owner_pid = os.getpid()
        # A daemon, so that an abandoned generator cannot keep the interpreter from ending.
        self._thread = threading.Thread(target=self._run, name="media-assets-fetch", daemon=True)

    def __enter__(self) -> _Workers:
        # A fetch that is still open when the interpreter ends has to stop while its thread can: later the thread is
        # halted where it stands, and since Python 3.13 joining it never returns.
        atexit.register(self._stop)
        self._thread.start()
        self._is_up.wait()
        if self._main is None:  # it did not even start
            error = self.outcomes.get()
            assert isinstance(error, BaseException)
            atexit.unregister(self._stop)
            raise error
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        atexit.unregister(self._stop)

    def _stop(self) -> None:
        """Cancel what is under way and join the thread. May be called again."""
        if os.getpid() != self._owner_pid:
            return  # in a forked copy of this process: the thread is not here
        if self._main is not None:
            self._call(self._main.cancel)
        self._thread.join()

    def submit(self, requests: list[FetchRequest]) -> None:
        """Hand requests to the workers."""
        self._call(self._take_in, requests)

    def _take_in(self, requests: list[FetchRequest]) -> None:
        for request in requests:
            self._inbox.put_nowait(request)

    def _call(self, function: Callable[..., object], *args: object) -> None:
        assert self._loop is not None
        with suppress(RuntimeError):  # the loop has ended: its reason is in `outcomes`
            self._loop.call_soon_threadsafe(function, *args)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except asyncio.CancelledError:
            pass
        except BaseException as error:  # whatever it is, the consumer has to see it
            self.outcomes.put(_first(error))
        finally:
            self._is_up.set()

    async def _serve(self) -> None:
        settings = self._settings
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(settings.limits.n_connections, "media-assets-fetch"))
        if settings.spool_dir is not None:
            settings.spool_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix="media-assets-fetch-", dir=settings.spool_dir, ignore_cleanup_errors=True
        ) as folder:
            async with _session(settings) as session, asyncio.TaskGroup() as group:
                fetcher = _Fetcher(settings, session, Path(folder))
                self._inbox = asyncio.Queue()
                self._loop, self._main = loop, asyncio.current_task()
                for _ in range(settings.limits.n_connections):
                    group.create_task(self._work(fetcher))
                self._is_up.set()

    async def _work(self, fetcher: _Fetcher) -> None:
        while True:
            self.outcomes.put(await fetcher.outcome(await self._inbox.get()))


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _session(settings: _Settings) -> aiohttp.ClientSession:
    limits = settings.limits
    inner = settings.make_resolver()
    is_direct = settings.proxy is None  # with a proxy, the only address connected to is the one configured
    connector = CleanConnector(
        limit=limits.n_connections,
        limit_per_host=0 if settings.proxy else limits.n_connections_per_host,
        resolver=CheckingResolver(inner, settings.policy, limits.connect_seconds) if is_direct else inner,
        socket_factory=checked_socket(settings.policy) if is_direct else None,
        ttl_dns_cache=_DNS_CACHE_SECONDS,
    )
    return aiohttp.ClientSession(
        connector=connector,
        headers={"User-Agent": settings.user_agent, "Accept": "*/*", "Accept-Encoding": "identity"},
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=limits.connect_seconds, sock_read=limits.idle_seconds),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        read_bufsize=MIB,
    )


class _Fetcher:
    """One request to one outcome."""

    def __init__(self, settings: _Settings, session: aiohttp.ClientSession, spool_dir: Path) -> None:
        self._settings = settings
        self._spool_dir = spool_dir
        self._backoff = Backoff(settings.limits, settings.seed)
        self._downloader = Downloader(session, settings.limits, settings.policy, self._backoff, settings.proxy)

    async def outcome(self, request: FetchRequest) -> Fetched | FetchFailed:
        """Fetch, verify and keep one body."""
        try:
            body = Body(request, self._settings.limits, self._spool_dir)
        except ItemError as error:
            return FetchFailed(request.key, ItemError(error.code, error.message), 1)
        transfer = Transfer(request.uri, body, self._settings.limits.total_seconds, request.known)
        try:
            fetched = await self._fetch(request, transfer)
        except ItemError as error:
            # A fresh error: the caught one holds frames, and with them the body.
            fresh, n_attempts = ItemError(error.code, error.message), max(1, transfer.n_attempts)
            return FetchFailed(request.key, fresh, n_attempts, is_unchanged=isinstance(error, Unchanged))
        finally:
            body.discard()
        if self._settings.on_kept is not None:
            self._settings.on_kept(fetched)
        return fetched

    async def _fetch(self, request: FetchRequest, transfer: Transfer) -> Fetched:
        if is_file_uri(request.uri):
            await self._attempts(transfer, lambda: self._read_local(transfer, request.version))
        elif is_s3_uri(request.uri):
            await self._attempts(transfer, lambda: self._read_object(transfer, request.version))
        else:
            await self._downloader.download(transfer)
        body = transfer.body
        body.judge()
        await self._keep(body)
        return Fetched(
            key=request.key,
            media_id=body.media_id,
            size_bytes=body.size_bytes,
            final_uri=transfer.final_uri,
            content_type=transfer.content_type,
            etag=transfer.etag,
            n_attempts=transfer.n_attempts,
            fetched_at=datetime.now(UTC),
            validators=transfer.validators,
        )

    async def _read_local(self, transfer: Transfer, version: str | None) -> None:
        await asyncio.to_thread(read_file, transfer.uri, transfer.body, self._settings.local_roots, version)

    async def _read_object(self, transfer: Transfer, version: str | None) -> None:
        now = asyncio.get_running_loop().time
        started, roots = now(), self._settings.bucket_roots
        try:
            transfer.etag = await read_object(transfer.uri, transfer.body, roots, version, transfer.seconds_left)
        finally:
            transfer.seconds_left -= now() - started

    async def _attempts(self, transfer: Transfer, read: Callable[[], Awaitable[None]]) -> None:
        """Fill the transfer's body from its start, as often as is worth it."""
        transfer.final_uri = transfer.uri
        while True:
            transfer.n_attempts += 1
            try:
                return await read()
            except ItemError as error:
                if transfer.n_attempts >= self._settings.limits.max_attempts or not is_tried_again(error):
                    raise
                transfer.body.reset()
            await asyncio.sleep(self._backoff.seconds(transfer.n_attempts))

    async def _keep(self, body: Body) -> None:
        content = await asyncio.to_thread(body.finish) if body.is_spooled else body.finish()
        try:
            await self._settings.sink.put_if_absent(body.media_id, content)
        except OSError as error:
            raise ItemError(ErrorCode.STORAGE_FAILED, f"the store did not take {body.media_id}: {error}") from None
