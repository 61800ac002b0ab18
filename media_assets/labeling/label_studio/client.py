"""One connection to a Label Studio: who we are, what is asked, and how an answer is judged.

A read is asked again when it fails. A write is sent once: whether it happened is then known, or is said to be unknown
(`OutcomeUnknown`), and only who can ask the server for the outcome may send it again. Not here: what is asked.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx

from media_assets.errors import LabelStudioCode, LabelStudioFailed

N_READS = 5
_FIRST_WAIT_SECONDS = 0.25
_LONGEST_WAIT_SECONDS = 10.0
_TOKEN_MARGIN_SECONDS = 60.0
_SHOWN_CHARACTERS = 300
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PASSING = (408, 425, 429)


class NotSent(LabelStudioFailed):
    """The server did not get the request: it may be sent again."""


class OutcomeUnknown(LabelStudioFailed):
    """The server may have done what it was asked to do, or may do it yet."""


class Passing(LabelStudioFailed):
    """A read failed in a way that may pass."""


class NotFound(LabelStudioFailed):
    """There is no such thing at this address."""


@dataclass
class LabelStudio:
    """A connection; a `with` block closes it.

    `token` is a legacy token (40 hex digits) or a personal access token (three parts separated by dots), which is
    exchanged for access tokens that live five minutes. It is never shown.
    """

    url: str
    token: str = field(repr=False)
    timeout_seconds: float = 60.0
    n_reads: int = N_READS
    wait: Callable[[float], None] = field(default=time.sleep, repr=False)
    _http: httpx.Client = field(init=False, repr=False)
    _access: str = field(default="", init=False, repr=False)
    _access_until: float = field(default=0.0, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def __post_init__(self) -> None:
        """Prepare the connection; nothing is asked yet.

        Raises:
            LabelStudioFailed: the address or the token can be none.
        """
        self.url = self.url.rstrip("/")
        parts = _parts(self.url)
        if not self.token.isascii() or not self.token.isprintable() or not self.token or " " in self.token:
            raise LabelStudioFailed(
                LabelStudioCode.TOKEN_REFUSED,
                "expected a token of Label Studio (Account & Settings, Access Token), got none, or one with characters "
                "that no token has.",
            )
        self._http = httpx.Client(
            base_url=self.url,
            timeout=httpx.Timeout(self.timeout_seconds, connect=min(self.timeout_seconds, 10.0)),
            trust_env=parts.hostname not in _LOOPBACK,  # a proxy of the environment does not lead to this machine
            follow_redirects=False,  # a redirected write would be sent twice, and the token to who knows whom
        )

    def __enter__(self) -> LabelStudio:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._http.close()

    def read(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """The JSON of a GET, asked up to `n_reads` times.

        Raises:
            NotFound: 404.
            LabelStudioFailed: no usable answer; `code` says why.
        """
        return self._read(path, params)[0]

    def read_at(self, path: str, params: Mapping[str, Any] | None = None) -> tuple[Any, str | None]:
        """The same, with the server's own clock: its `Date` header."""
        return self._read(path, params)

    def write(self, method: str, path: str, body: Any, params: Mapping[str, Any] | None = None) -> Any:
        """The JSON of any other method, sent at most once.

        Raises:
            NotSent: the server did not get it, or refused it before it did anything.
            OutcomeUnknown: nobody can know but the server.
            NotFound: 404.
            LabelStudioFailed: it was refused, nothing was done.
        """
        content = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        told = f"{method} {path}"
        try:
            answer = self._answer(method, path, params, content)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise NotSent(LabelStudioCode.UNREACHABLE, _unreachable(self.url, error)) from None
        except httpx.HTTPError as error:
            raise OutcomeUnknown(LabelStudioCode.OUTCOME_UNKNOWN, _unknown(told, type(error).__name__)) from None
        if answer.status_code in _PASSING or answer.status_code >= 500 or answer.is_redirect:
            raise OutcomeUnknown(LabelStudioCode.OUTCOME_UNKNOWN, _unknown(told, shown(answer)))
        return self._judged(told, answer)

    def _read(self, path: str, params: Mapping[str, Any] | None) -> tuple[Any, str | None]:
        waited = _FIRST_WAIT_SECONDS
        for _ in range(self.n_reads - 1):
            try:
                return self._read_once(path, params)
            except Passing as failure:
                self.wait(max(waited, failure.wait_seconds))
                waited = min(2 * waited, _LONGEST_WAIT_SECONDS)
        return self._read_once(path, params)

    def _read_once(self, path: str, params: Mapping[str, Any] | None) -> tuple[Any, str | None]:
        told = f"GET {path}"
        try:
            answer = self._answer("GET", path, params)
        except httpx.HTTPError as error:
            raise Passing(LabelStudioCode.UNREACHABLE, _unreachable(self.url, error)) from None
        if answer.status_code in _PASSING or answer.status_code >= 500:
            seconds = answer.headers.get("retry-after", "")
            raise Passing(
                LabelStudioCode.SERVER_FAILED,
                f"expected an answer to {told}, got {shown(answer)}. Try again later; the server's log says more.",
                min(float(seconds), 60.0) if seconds.isdigit() else 0.0,
            )
        return self._judged(told, answer), answer.headers.get("date")

    def _answer(
        self, method: str, path: str, params: Mapping[str, Any] | None, content: bytes | None = None
    ) -> httpx.Response:
        """Whatever comes back. An access token that is refused is changed for a new one, once: nothing was done yet."""
        kind = {} if content is None else {"content-type": "application/json"}
        answer = self._http.request(method, path, params=params, content=content, headers=kind | self._authorization())
        if answer.status_code != 401 or not self._is_personal:
            return answer
        self._access_until = 0.0
        return self._http.request(method, path, params=params, content=content, headers=kind | self._authorization())

    def _judged(self, told: str, answer: httpx.Response) -> Any:
        if answer.status_code in (401, 403):
            self._access_until = 0.0
            raise LabelStudioFailed(
                LabelStudioCode.TOKEN_REFUSED,
                f"expected the token to be taken for {told}, got {shown(answer)}. Make a new one in Account & "
                f"Settings; legacy tokens must be allowed by the organization.",
            )
        if answer.status_code == 404:
            raise NotFound(
                LabelStudioCode.NOT_FOUND,
                f"expected an answer to {told}, got {shown(answer)}. Is {self.url} a Label Studio, and does the "
                f"project exist there?",
            )
        if not answer.is_success:
            raise LabelStudioFailed(
                LabelStudioCode.REQUEST_REFUSED, f"expected {told} to be taken, got {shown(answer)}. Nothing was done."
            )
        if answer.status_code == 204 or not answer.content:
            return None
        try:
            return answer.json()
        except ValueError:
            raise LabelStudioFailed(
                LabelStudioCode.ANSWER_STRANGE,
                f"expected JSON of {told}, got {shown(answer)}. Is {self.url} a Label Studio?",
            ) from None

    @property
    def _is_personal(self) -> bool:
        return self.token.count(".") == 2

    def _authorization(self) -> dict[str, str]:
        if not self._is_personal:
            return {"authorization": f"Token {self.token}"}
        with self._lock:
            if time.monotonic() >= self._access_until:
                self._refresh()
            return {"authorization": f"Bearer {self._access}"}

    def _refresh(self) -> None:
        asked = time.monotonic()
        try:
            answer = self._http.post("/api/token/refresh/", json={"refresh": self.token})
        except httpx.HTTPError as error:
            raise NotSent(LabelStudioCode.UNREACHABLE, _unreachable(self.url, error)) from None
        if answer.status_code in _PASSING or answer.status_code >= 500:
            raise NotSent(
                LabelStudioCode.SERVER_FAILED, f"expected an access token, got {shown(answer)}. Try again later."
            )
        body = self._judged("POST /api/token/refresh/", answer)
        if not isinstance(body, dict) or not isinstance(access := body.get("access"), str):
            raise LabelStudioFailed(
                LabelStudioCode.ANSWER_STRANGE, f"expected an access token, got {type(body).__name__} without one."
            )
        self._access, self._access_until = access, asked + _life_seconds(access) - _TOKEN_MARGIN_SECONDS


def shown(answer: httpx.Response) -> str:
    """Status and the beginning of a body, in one line: an unknown address answers with a page of 100 kB."""
    text = " ".join(answer.text[: 10 * _SHOWN_CHARACTERS].split())
    if "<html" in text[:200].lower() or "<!doctype" in text[:200].lower():
        text = "a page of HTML"
    text = text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
    return f"{answer.status_code} {answer.reason_phrase}".strip() + (f": {text}" if text else "")


def _life_seconds(access: str) -> float:
    """How long an access token lives, by the server's clock alone; one that does not say so is used for once."""
    try:
        payload = access.split(".")[1]
        told = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(told["exp"]) - float(told["iat"])
    except (ValueError, KeyError, TypeError, IndexError):
        return 0.0


def _parts(url: str) -> Any:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise LabelStudioFailed(
            LabelStudioCode.UNREACHABLE,
            "expected the address of a Label Studio, such as https://labels.example.org, without user or query.",
        )
    return parts


def _unreachable(url: str, error: httpx.HTTPError) -> str:
    what = f"{type(error).__name__}: {error}"
    return f"expected a Label Studio at {url}, got {what}. Does it run, and is it reached from here?"


def _unknown(told: str, what: str) -> str:
    return (
        f"expected an answer to {told}, got {what}. The server may have done it or not; run the same again: it looks "
        f"before it sends anything."
    )
