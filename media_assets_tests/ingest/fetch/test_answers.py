"""Reading status lines and headers."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media_assets.errors import ErrorCode
from media_assets.ingest.fetch.answers import (
    Validators,
    Version,
    code_of_status,
    has_foreign_encoding,
    plain_header,
    retry_after_seconds,
)

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
DATE = "Mon, 23 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        *[(status, None) for status in (200, 203, 206, 301, 302, 303, 307, 308)],
        *[(status, ErrorCode.EMPTY) for status in (204, 205)],
        *[(status, ErrorCode.NOT_FOUND) for status in (404, 410)],
        *[(status, ErrorCode.FORBIDDEN) for status in (401, 403, 451)],
        (429, ErrorCode.RATE_LIMITED),
        *[(status, ErrorCode.SERVER_ERROR) for status in (500, 502, 503, 504, 599)],
        *[(s, ErrorCode.HTTP_ERROR) for s in (0, 101, 201, 202, 226, 300, 304, 305, 400, 416, 418, 600, 999)],
    ],
)
def test_status_has_its_code(status: int, code: ErrorCode | None) -> None:
    assert code_of_status(status) is code


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": " 0 "}, 0.0),
        ({"Retry-After": "999999999999"}, 999999999999.0),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "1.5"}, None),
        ({"Retry-After": "٣"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "Mon, 23 Nov 2026 12:00:09 GMT"}, 9.0),
        ({"Retry-After": "Mon, 23 Nov 2026 11:59:00 GMT"}, 0.0),
        ({"Retry-After": "Mon, 23 Nov 2026 13:00:05 GMT", "Date": "Mon, 23 Nov 2026 13:00:00 GMT"}, 5.0),
        ({"Retry-After": "Mon, 23 Nov 99999 13:00:05 GMT"}, None),
    ],
)
def test_retry_after_is_read(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_seconds(headers, NOW) == seconds


@settings(deadline=None)
@given(st.text(), st.text())
def test_retry_after_never_fails_when_headers_are_garbage(retry_after: str, date: str) -> None:
    wait_seconds = retry_after_seconds({"Retry-After": retry_after, "Date": date}, NOW)
    assert wait_seconds is None or wait_seconds >= 0


@pytest.mark.parametrize(
    ("headers", "is_foreign"),
    [
        ({}, False),
        ({"Content-Encoding": "identity"}, False),
        ({"Transfer-Encoding": "chunked"}, False),
        ({"Content-Encoding": "GZIP"}, True),
        ({"Content-Encoding": "br, identity"}, True),
        ({"Transfer-Encoding": "gzip, chunked"}, True),
    ],
)
def test_foreign_encodings_are_seen(headers: dict[str, str], is_foreign: bool) -> None:
    assert has_foreign_encoding(headers) is is_foreign


def test_header_is_not_stored_when_it_is_long_or_odd() -> None:
    assert plain_header({"ETag": ' "a" '}, "ETag") == '"a"'
    for value in ("", "x" * 256, "é", "a\x07b"):
        assert plain_header({"ETag": value}, "ETag") is None


def version(**headers: str) -> Version:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Version.of("http://host/a", {"Accept-Ranges": "bytes", **named}, 100)


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        ({"ETag": '"a"'}, '"a"'),
        ({"ETag": 'W/"a"'}, None),
        ({"ETag": "a"}, None),
        ({"ETag": '"a"', "Accept_Ranges": "none"}, None),
        ({"Last_Modified": "Mon, 23 Nov 2026 11:00:00 GMT", "Date": DATE}, "Mon, 23 Nov 2026 11:00:00 GMT"),
        ({"Last_Modified": "Mon, 23 Nov 2026 11:59:30 GMT", "Date": DATE}, None),
        ({"Last_Modified": "Mon, 23 Nov 2026 11:00:00 GMT"}, None),
        ({"Last_Modified": "garbage", "Date": DATE}, None),
    ],
)
def test_validator_is_given_only_when_it_is_strong(headers: dict[str, str], validator: str | None) -> None:
    assert version(**headers).validator == validator


def test_validator_is_not_given_when_the_length_is_unknown() -> None:
    assert Version.of("http://host/a", {"Accept-Ranges": "bytes", "ETag": '"a"'}, None).validator is None


@pytest.mark.parametrize(
    ("location", "headers", "fits"),
    [
        ("http://host/a", {"Content-Range": "bytes 40-99/100", "ETag": '"a"'}, True),
        ("http://other/a", {"Content-Range": "bytes 40-99/100", "ETag": '"a"'}, False),
        ("http://host/a", {"Content-Range": "bytes 40-99/100", "ETag": '"b"'}, False),
        ("http://host/a", {"Content-Range": "bytes 40-99/100"}, False),
        ("http://host/a", {"Content-Range": "bytes 41-99/100", "ETag": '"a"'}, False),
        ("http://host/a", {"Content-Range": "bytes 0-99/100", "ETag": '"a"'}, False),
        ("http://host/a", {"Content-Range": "bytes 40-98/100", "ETag": '"a"'}, False),
        ("http://host/a", {"Content-Range": "bytes 40-99/101", "ETag": '"a"'}, False),
        ("http://host/a", {"Content-Range": "bytes 40-99/*", "ETag": '"a"'}, False),
        ("http://host/a", {"Content-Range": "garbage", "ETag": '"a"'}, False),
        ("http://host/a", {"ETag": '"a"'}, False),
    ],
)
def test_range_continues_a_version_only_when_it_is_exactly_its_rest(
    location: str, headers: dict[str, str], fits: bool
) -> None:
    assert version(ETag='"a"').is_continued_by(location, headers, 40) is fits


def test_a_date_is_a_validator_when_it_is_a_minute_old_and_a_tag_always() -> None:
    young, old = "Mon, 23 Nov 2026 11:59:30 GMT", "Mon, 23 Nov 2026 11:59:00 GMT"
    assert Validators.of("l", {"Last-Modified": young, "Date": DATE}) is None
    assert Validators.of("l", {"Last-Modified": old}) is None
    dated = Validators.of("l", {"Last-Modified": old, "Date": DATE})
    assert dated is not None
    assert dated.request_headers("l") == {"If-Modified-Since": old}
    assert dated.request_headers("m") == {}
    tagged = Validators.of("l", {"Last-Modified": old, "Date": DATE, "ETag": 'W/"a"'})
    assert tagged is not None
    assert tagged.request_headers("l") == {"If-None-Match": 'W/"a"'}
