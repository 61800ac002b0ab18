"""Turning what the network throws into coded errors.

Messages are in our own words: those of a client library carry whole URLs, queries included.
"""

from __future__ import annotations

import ssl

import aiohttp

from media_assets.errors import ErrorCode, ItemError
from media_assets.ingest.fetch.attempts import AttemptFailed


def network_error(error: Exception, where: str, *, is_in_body: bool = False) -> ItemError:
    """The coded form of an exception raised while connecting, waiting for an answer or reading a body.

    `where` is the URL as shown to people; `is_in_body` says that a body had begun.
    """
    code, what = _judged(error, is_in_body)
    if code is ErrorCode.HTTP_ERROR:
        # It may be the excess of the answer before, on a kept connection: a fresh one may do better.
        return AttemptFailed(code, f"{where}: {what}", is_tried_again=True)
    return ItemError(code, f"{where}: {what}")


def _judged(error: Exception, is_in_body: bool) -> tuple[ErrorCode, str]:
    if isinstance(error, TimeoutError):
        what = "the body stopped coming" if is_in_body else "no connection or no answer in time"
        return ErrorCode.TIMEOUT, what
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError | ssl.CertificateError):
        return ErrorCode.TLS_FAILED, f"no secure connection ({_reason(error)}); check the certificate"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return ErrorCode.DNS_FAILED, f"the host does not resolve ({_reason(error)})"
    if is_in_body and isinstance(error, aiohttp.ClientError | OSError):
        return ErrorCode.TRUNCATED_BODY, f"the body broke off ({type(error).__name__})"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return ErrorCode.CONNECTION_FAILED, f"the proxy answered {error.status}"
    if isinstance(error, aiohttp.ClientConnectionError | OSError):
        return ErrorCode.CONNECTION_FAILED, f"the connection failed ({_reason(error)})"
    return ErrorCode.HTTP_ERROR, f"the answer is not HTTP that can be read ({type(error).__name__})"


def _reason(error: Exception) -> str:
    """A short reason without addresses or URLs: the system's words, else the kind of error."""
    cause = getattr(error, "os_error", error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return cause.verify_message
    if isinstance(cause, ssl.SSLError) and cause.reason:
        return cause.reason
    words = cause.strerror if isinstance(cause, OSError) else None
    return words.split(" [")[0][:80] if words and "Connect call failed" not in words else type(cause).__name__
