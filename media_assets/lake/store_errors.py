"""What a store's error means, in one line, with a stable code, and without what must not be repeated.

An S3 error's text holds the whole answer: the access key, and for a wrong signature the request with its session token.
Only the answer's code is taken from it. Not here: deciding what an error is worth (`stages/`, `cli.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import polars as pl
from deltalake.exceptions import DeltaError
from obstore.exceptions import BaseError

from media_assets.errors import MediaAssetsError, StoreCode, StoreFailed, StoreRefused

STORE_ERRORS: tuple[type[Exception], ...] = (OSError, BaseError, DeltaError)
"""What comes out of a store that fails: the system's, obstore's and deltalake's errors."""

READ_ERRORS: tuple[type[Exception], ...] = (*STORE_ERRORS, pl.exceptions.ComputeError)
"""The same, and what polars says where it reads by itself."""

_S3_CODE = re.compile(r"(?:<Code>\s*|DeleteObjects request failed .*\(code: )([A-Za-z0-9]+)")
_STATUS = re.compile(r"status code\W*(\d{3})\b")
_ASKED = re.compile(
    r"Error performing (?:[a-z]+ request|[A-Z]+ https?://)|DeleteObjects request failed"
)  # how object_store begins
_REDIRECTED = re.compile(r"redirect without LOCATION", re.IGNORECASE)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_MEANINGS = {
    "NoSuchBucket": StoreCode.BUCKET_MISSING,
    "InvalidBucketName": StoreCode.BUCKET_MISSING,
    "InvalidAccessKeyId": StoreCode.CREDENTIALS_REFUSED,
    "SignatureDoesNotMatch": StoreCode.CREDENTIALS_REFUSED,
    "InvalidToken": StoreCode.CREDENTIALS_REFUSED,
    "InvalidClientTokenId": StoreCode.CREDENTIALS_REFUSED,
    "UnrecognizedClientException": StoreCode.CREDENTIALS_REFUSED,
    "AuthFailure": StoreCode.CREDENTIALS_REFUSED,
    "ExpiredToken": StoreCode.CREDENTIALS_REFUSED,
    "TokenRefreshRequired": StoreCode.CREDENTIALS_REFUSED,
    "AccessDenied": StoreCode.ACCESS_DENIED,
    "AllAccessDisabled": StoreCode.ACCESS_DENIED,
    "AccountProblem": StoreCode.ACCESS_DENIED,
    "KMS.AccessDeniedException": StoreCode.ACCESS_DENIED,
    "RequestTimeTooSkewed": StoreCode.CLOCK_SKEWED,
    "RequestExpired": StoreCode.CLOCK_SKEWED,
    "AuthorizationHeaderMalformed": StoreCode.REGION_WRONG,
    "PermanentRedirect": StoreCode.REGION_WRONG,
    "IllegalLocationConstraintException": StoreCode.REGION_WRONG,
}
_ADVICE = {
    StoreCode.BUCKET_MISSING: "Create the bucket, or correct its name or the endpoint",
    StoreCode.CREDENTIALS_MISSING: "Provide credentials",
    StoreCode.CREDENTIALS_REFUSED: "Check the access key, its secret and its session token, or log in anew",
    StoreCode.ACCESS_DENIED: "Give this identity the rights that docs/object-storage.md lists, on bucket and objects",
    StoreCode.CLOCK_SKEWED: "Set this machine's clock (NTP): it may be at most 15 minutes away from the store's",
    StoreCode.REGION_WRONG: "Set MEDIA_ASSETS_S3_REGION to the bucket's region",
    StoreCode.STORE_UNREACHABLE: "Check MEDIA_ASSETS_S3_ENDPOINT, the network, a proxy and the certificate",
    StoreCode.PUT_IF_ABSENT_IGNORED: "Use a store that honours If-None-Match",
    StoreCode.STORE_ERROR: "Look at the store's own log, then try again",
}


def store_code(error: BaseException) -> StoreCode | None:
    """What an error of an object store means; None for any other error, a local disk's among them."""
    for link in _chain(error):
        if isinstance(link, StoreRefused):
            return link.code
        if (text := _answer(link)) is None:
            continue
        if said := _S3_CODE.search(text):
            return _MEANINGS.get(said[1]) or _by_status(text)
        if _STATUS.search(text):
            return _by_status(text)
        return StoreCode.REGION_WRONG if _REDIRECTED.search(text) else StoreCode.STORE_UNREACHABLE
    return None


def told(error: BaseException) -> str:
    """One line for people: of an object store's error its code and what to do, of any other its own first line."""
    code = store_code(error)
    if code is None or isinstance(error, StoreRefused):
        return str(error).partition("\n")[0]  # obstore adds a page of debug text
    answers = [text for link in _chain(error) if (text := _answer(link)) is not None]
    said = next((found[1] for text in answers if (found := _S3_CODE.search(text))), None)
    status = next((found[1] for text in answers if (found := _STATUS.search(text))), None)
    because = f" (the store said {said})" if said else f" (HTTP {status})" if status else ""
    return f"{code.value}{because}. {_ADVICE[code]}"


def http_status(error: BaseException) -> int | None:
    """The HTTP status of an object store's answer; None where nothing was answered, or it cannot be told."""
    answers = [text for link in _chain(error) if (text := _answer(link)) is not None]
    found = next((found for text in answers if (found := _STATUS.search(text))), None)
    return int(found[1]) if found else None


def refused_by_answer(said: str, status: int | None, where: str) -> StoreRefused:
    """As `refused`, for a client that has taken the answer apart: S3's own code, empty where there is none."""
    code = _MEANINGS.get(said) or _by_status(f"status code {status}") if status else StoreCode.STORE_UNREACHABLE
    because = f" (the store said {said})" if said else f" (HTTP {status})" if status else ""
    return StoreRefused(
        f"Expected the object store of {where} to answer, got {code.value}{because}. {_ADVICE[code]}. See "
        f"docs/object-storage.md.",
        code,
    )


def refused(error: BaseException, where: str) -> StoreRefused:
    """The error to raise for what cannot be used at all. `where` is the URL of a lake or an inbox."""
    code = store_code(error) or StoreCode.STORE_ERROR
    return StoreRefused(
        f"Expected the object store of {where} to answer, got {told(error)}. See docs/object-storage.md.", code
    )


@contextmanager
def store_errors_told(what: str) -> Iterator[None]:
    """Turn an object store's error inside the block into one that repeats nothing of the store's answer.

    Raises:
        StoreFailed: the store failed while `what` was done.
    """
    try:
        yield
    except READ_ERRORS as error:
        if isinstance(error, MediaAssetsError) or store_code(error) is None:
            raise
        failed = StoreFailed(f"Expected the lake to take and give what {what} needs, got {told(error)}.")
        raise failed from None


def _answer(error: BaseException) -> str | None:
    text = _COLOUR.sub("", str(error))
    return text if _ASKED.search(text) else None


def _by_status(text: str) -> StoreCode:
    found = _STATUS.search(text)
    by_status = {"301": StoreCode.REGION_WRONG, "401": StoreCode.CREDENTIALS_REFUSED, "403": StoreCode.ACCESS_DENIED}
    return by_status.get(found[1] if found else "", StoreCode.STORE_ERROR)


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
