"""One body over HTTP: redirects by hand, each hop judged; retries with resume; every bound kept.

A body is resumed (`Range` with `If-Range`) only when the first answer named its version by a strong validator
and took ranges, and the second answer is exactly the rest of that version from the same place: two versions
are never mixed. A redirect may not lead from https to http. Not here: many bodies at once (`fetch_all`),
local files (`local_files`).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urljoin

import aiohttp
from yarl import URL

from media_assets.errors import ErrorCode, ItemError
from media_assets.ingest.fetch import addresses
from media_assets.ingest.fetch.addresses import AddressPolicy
from media_assets.ingest.fetch.answers import (
    BODIES,
    REDIRECTS,
    Validators,
    Version,
    code_of_status,
    has_foreign_encoding,
    plain_header,
    retry_after_seconds,
)
from media_assets.ingest.fetch.attempts import AttemptFailed, Backoff, Unchanged, is_tried_again
from media_assets.ingest.fetch.body import Body
from media_assets.ingest.fetch.faults import network_error
from media_assets.ingest.fetch.hosts import HostGates
from media_assets.ingest.fetch.limits import FetchLimits
from media_assets.ingest.fetch.redaction import shown

_DRAIN_BYTES = 16 * 1024
_DRAIN_SECONDS = 0.5


@dataclass
class Transfer:
    """The state of one item over its attempts."""

    uri: str
    body: Body
    seconds_left: float
    known: Validators | None = None
    n_attempts: int = 0
    version: Version | None = None
    may_resume: bool = True
    final_uri: str = ""
    content_type: str | None = None
    etag: str | None = None
    validators: Validators | None = None

    def headers(self, location: str) -> dict[str, str]:
        """What is asked of one address: the rest of a body that broke off, or nothing of a version that is known."""
        if resumed := self.resume_headers():
            return resumed
        return self.known.request_headers(location) if self.known else {}

    def resume_headers(self) -> dict[str, str]:
        """Headers that ask for the rest of a body that broke off; empty when it has to start anew."""
        validator = self.version.validator if self.version and self.may_resume else None
        if validator is None or not self.body.size_bytes:
            return {}
        return {"Range": f"bytes={self.body.size_bytes}-", "If-Range": validator}

    def start_over(self) -> None:
        """Forget the bytes kept, and do not ask for ranges again."""
        self.body.reset()
        self.version = None
        self.may_resume = False


class Downloader:
    """Downloads bodies over one shared session. Belongs to one event loop."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        limits: FetchLimits,
        policy: AddressPolicy,
        backoff: Backoff,
        proxy: URL | None = None,
    ) -> None:
        self._session = session
        self._limits = limits
        self._policy = policy
        self._backoff = backoff
        self._proxy = proxy
        self._gates = HostGates(limits.n_connections_per_host, limits.max_backoff_seconds)

    async def download(self, transfer: Transfer) -> None:
        """Fill the transfer's body, with as many attempts as are worth it.

        Raises:
            ItemError: why there is no body.
        """
        while True:
            transfer.n_attempts += 1
            try:
                return await self._follow(transfer)
            except ItemError as error:
                if transfer.n_attempts >= self._limits.max_attempts or not is_tried_again(error):
                    raise
            await asyncio.sleep(self._backoff.seconds(transfer.n_attempts))

    async def _follow(self, transfer: Transfer) -> None:
        """One attempt: from the first URL over all redirects to the end of the body."""
        url = self._judged(transfer.uri)
        transfer.final_uri = transfer.uri
        for _ in range(self._limits.max_redirects + 1):
            target = await self._hop(url, transfer)
            if target is None:
                return
            if url.scheme == "https" and target.scheme != "https":
                raise ItemError(
                    ErrorCode.URL_REFUSED,
                    f"{shown(str(url))} redirects from https to http, which is not followed",
                )
            url, transfer.final_uri = target, _location(target)
        raise ItemError(
            ErrorCode.TOO_MANY_REDIRECTS,
            f"{shown(transfer.uri)}: more than {self._limits.max_redirects} redirects",
        )

    def _judged(self, uri: str) -> URL:
        url = addresses.judge_url(uri, self._policy)
        if self._proxy is not None and url.host == self._proxy.host:
            raise ItemError(ErrorCode.ADDRESS_REFUSED, f"{shown(uri)} is the configured proxy itself")
        return url

    async def _hop(self, url: URL, transfer: Transfer) -> URL | None:
        """One request within the item's budget: the redirect's target, or None once the body is complete."""
        async with self._gates.slot(f"{url.host}:{url.port}"):
            now = asyncio.get_running_loop().time
            started = now()
            timer = asyncio.timeout(max(0.0, transfer.seconds_left))
            try:
                async with timer:
                    return await self._request(url, transfer)
            except TimeoutError as error:
                if not timer.expired():
                    raise network_error(error, shown(str(url))) from None
                raise ItemError(
                    ErrorCode.TOO_SLOW,
                    f"{shown(str(url))}: not complete within {self._limits.total_seconds:g} seconds "
                    f"({transfer.body.size_bytes} bytes came)",
                ) from None
            finally:
                transfer.seconds_left -= now() - started

    async def _request(self, url: URL, transfer: Transfer) -> URL | None:
        asked = transfer.headers(_location(url))
        try:
            response = await self._session.get(url, headers=asked, allow_redirects=False, proxy=self._proxy)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # ValueError: headers that the client cannot digest
            raise network_error(error, shown(str(url))) from None
        async with response:
            if response.status in REDIRECTS:
                target = self._redirect_target(url, response)
                await _drain(response)
                return target
            await self._refuse_status(url, response, asked)
            self._begin(url, response, transfer, asked)
            await _receive(url, response, transfer.body)
        return None

    def _redirect_target(self, url: URL, response: aiohttp.ClientResponse) -> URL:
        location = response.headers.get("Location", "").strip()
        if not location:
            raise ItemError(ErrorCode.HTTP_ERROR, f"{shown(str(url))}: a redirect ({response.status}) to nowhere")
        try:
            # Header bytes that are not ASCII are UTF-8 by custom; the client hands them over as surrogates.
            target = urljoin(str(url), location.encode("utf-8", "surrogateescape").decode("utf-8"))
        except ValueError:
            raise ItemError(ErrorCode.URL_REFUSED, f"{shown(str(url))}: a redirect to what is no URL") from None
        return self._judged(target)

    async def _refuse_status(self, url: URL, response: aiohttp.ClientResponse, asked: dict[str, str]) -> None:
        code = code_of_status(response.status)
        if code is None or (response.status == 416 and "Range" in asked):
            return
        if response.status == 304 and asked and "Range" not in asked:
            raise Unchanged(shown(str(url)))
        wait_seconds = retry_after_seconds(response.headers, datetime.now(UTC))
        message = f"{shown(str(url))}: answered {response.status}"
        error = ItemError(code, message)
        if response.status in {429, 503} and wait_seconds is not None:
            self._gates.pause(f"{url.host}:{url.port}", wait_seconds)
            message += f" and asks to wait {wait_seconds:.0f} seconds"
            error = AttemptFailed(code, message, is_tried_again=wait_seconds <= self._limits.max_backoff_seconds)
        await _drain(response)
        raise error

    def _begin(self, url: URL, response: aiohttp.ClientResponse, transfer: Transfer, asked: dict[str, str]) -> None:
        """Judge the head of an answer with a body, and make the transfer ready for its bytes."""
        body, headers, length = transfer.body, response.headers, response.content_length
        if has_foreign_encoding(headers):
            raise ItemError(
                ErrorCode.ENCODING_REFUSED,
                f"{shown(str(url))}: the body comes compressed although plain bytes were asked for",
            )
        if response.status not in BODIES:
            self._continue(url, response, transfer, is_asked="Range" in asked)
            return
        if body.size_bytes:
            body.reset()
        if length is not None:
            body.refuse_more_than_cap(length, "the server announces")
            body.judge_size(length)
        transfer.version = Version.of(_location(url), headers, length)
        transfer.content_type = plain_header(headers, "Content-Type")
        transfer.etag = plain_header(headers, "ETag")
        transfer.validators = Validators.of(_location(url), headers)

    def _continue(self, url: URL, response: aiohttp.ClientResponse, transfer: Transfer, *, is_asked: bool) -> None:
        """Take an answer that claims to be the rest (206), or the refusal of one (416)."""
        where = shown(str(url))
        if not is_asked:
            raise ItemError(ErrorCode.HTTP_ERROR, f"{where}: answered with a part (206) that was not asked for")
        version, n_kept = transfer.version, transfer.body.size_bytes
        is_rest = version is not None and version.is_continued_by(_location(url), response.headers, n_kept)
        if response.status == 206 and is_rest:
            return
        transfer.start_over()
        raise ItemError(
            ErrorCode.TRUNCATED_BODY,
            f"{where}: the body broke off, and its rest ({response.status}) does not fit",
        )


def _location(url: URL) -> str:
    """A URL without its query, where a server may have put a signature."""
    return str(url.with_query(None)) if url.raw_query_string or url.raw_fragment else str(url)


async def _receive(url: URL, response: aiohttp.ClientResponse, body: Body) -> None:
    content = response.content
    while True:
        try:
            chunk = await content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise network_error(error, shown(str(url)), is_in_body=True) from None
        if not chunk:
            return
        body.append(chunk)
        if body.is_flush_due:
            await asyncio.to_thread(body.flush)


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Read a small rest, so that the connection can be used again; anything else closes it."""
    if response.content_length is None or response.content_length > _DRAIN_BYTES:
        return
    with suppress(aiohttp.ClientError, OSError):  # TimeoutError is an OSError
        async with asyncio.timeout(_DRAIN_SECONDS):
            await response.content.read()
