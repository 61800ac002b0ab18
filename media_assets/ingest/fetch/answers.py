"""What a server answered: status, waiting times, ranges, validators. Pure; nothing is fetched here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from media_assets.errors import ErrorCode

REDIRECTS = frozenset({301, 302, 303, 307, 308})
BODIES = frozenset({200, 203})
_NOT_FOUND = frozenset({404, 410})
_FORBIDDEN = frozenset({401, 403, 451})
_MAX_HEADER_CHARS = 255
# A date is a strong validator only if the object cannot have changed twice within its granularity (RFC 9110,
# 8.8.2.2; a minute, as its predecessor asked for).
_STRONG_DATE_SECONDS = 60


def code_of_status(status: int) -> ErrorCode | None:
    """The error a status means, or None for redirects and answers with a body (200, 203, 206)."""
    if status in BODIES or status == 206 or status in REDIRECTS:
        return None
    if status in {204, 205}:
        return ErrorCode.EMPTY
    if status in _NOT_FOUND:
        return ErrorCode.NOT_FOUND
    if status in _FORBIDDEN:
        return ErrorCode.FORBIDDEN
    if status == 429:
        return ErrorCode.RATE_LIMITED
    return ErrorCode.SERVER_ERROR if 500 <= status <= 599 else ErrorCode.HTTP_ERROR


def retry_after_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds a server asks to wait (`Retry-After`, seconds or a date), never negative; None without.

    A date is read against the server's own `Date`, so that neither clock needs to be right; `now` (UTC) is
    used when there is none.
    """
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,12}", value, re.ASCII):
        return float(value)
    until = _http_date(value)
    if until is None:
        return None
    return max(0.0, (until - (_http_date(headers.get("Date", "")) or now)).total_seconds())


def _http_date(value: str) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def plain_header(headers: Mapping[str, str], name: str) -> str | None:
    """A header fit to be stored: printable ASCII of at most 255 characters; None otherwise."""
    value = headers.get(name, "").strip()
    is_plain = bool(value) and len(value) <= _MAX_HEADER_CHARS and value.isascii() and value.isprintable()
    return value if is_plain else None


def has_foreign_encoding(headers: Mapping[str, str]) -> bool:
    """Whether a body comes compressed, in its content or in its transfer."""
    content = headers.get("Content-Encoding", "").strip().lower()
    transfer = {part.strip().lower() for part in headers.get("Transfer-Encoding", "").split(",")}
    return content not in {"", "identity"} or not transfer <= {"", "chunked", "identity"}


@dataclass(frozen=True)
class Version:
    """Which version of an object a whole (200) answer carries, so that a later range can be matched."""

    location: str
    total_bytes: int | None
    etag: str | None
    last_modified: str | None
    takes_ranges: bool

    @classmethod
    def of(cls, location: str, headers: Mapping[str, str], total_bytes: int | None) -> Version:
        """The version in an answer from `location` (a URL without query)."""
        etag = plain_header(headers, "ETag")
        strong_etag = etag if etag and re.fullmatch(r'"[^"]+"', etag) else None
        return cls(
            location=location,
            total_bytes=total_bytes,
            etag=strong_etag,
            last_modified=None if strong_etag else _strong_date(headers),
            takes_ranges=headers.get("Accept-Ranges", "").strip().lower() == "bytes",
        )

    @property
    def validator(self) -> str | None:
        """What `If-Range` may carry for this version; None when a body cannot be resumed safely."""
        if not self.takes_ranges or self.total_bytes is None:
            return None
        return self.etag or self.last_modified

    def is_continued_by(self, location: str, headers: Mapping[str, str], n_kept: int) -> bool:
        """Whether a 206 answer is exactly the rest of this version after `n_kept` bytes."""
        span = re.fullmatch(
            r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})",
            headers.get("Content-Range", "").strip(),
            re.ASCII,
        )
        if span is None or self.total_bytes is None or location != self.location:
            return False
        is_rest = tuple(map(int, span.groups())) == (n_kept, self.total_bytes - 1, self.total_bytes)
        if self.etag is not None:
            return is_rest and headers.get("ETag", "").strip() == self.etag
        return is_rest and headers.get("Last-Modified", self.last_modified) == self.last_modified


@dataclass(frozen=True)
class Validators:
    """What tells whether an object is still the one that was fetched: its address (without query) and version.

    `last_modified` is only kept where it is a strong validator; an `etag` may be weak.
    """

    location: str
    etag: str | None
    last_modified: str | None

    @classmethod
    def of(cls, location: str, headers: Mapping[str, str]) -> Validators | None:
        """Those in a whole (200) answer; None where it names no version."""
        etag, date = plain_header(headers, "ETag"), _strong_date(headers)
        return cls(location, etag, date) if etag or date else None

    def request_headers(self, location: str) -> dict[str, str]:
        """Headers that ask for the body only if it is another one by now; empty for another address."""
        if location != self.location:
            return {}
        if self.etag is not None:
            return {"If-None-Match": self.etag}
        return {"If-Modified-Since": self.last_modified} if self.last_modified else {}


def _strong_date(headers: Mapping[str, str]) -> str | None:
    value = headers.get("Last-Modified", "")
    modified, sent = _http_date(value), _http_date(headers.get("Date", ""))
    if modified is None or sent is None or (sent - modified).total_seconds() < _STRONG_DATE_SECONDS:
        return None
    return value
