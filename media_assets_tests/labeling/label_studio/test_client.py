"""How a connection judges what a server does: a small server of our own says what a real one says rarely."""

from __future__ import annotations

import base64
import http.server
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from media_assets.errors import LabelStudioCode, LabelStudioFailed
from media_assets.labeling.label_studio.client import LabelStudio, NotFound, NotSent, OutcomeUnknown

HOST = "127.0.0.1"
TOKEN = "0123456789abcdef0123456789abcdef01234567"
GOOD = (200, {}, b'{"is": "good"}')


class Scripted(http.server.ThreadingHTTPServer):
    """Gives the answers that it is told to give, in order, then good ones; `heard` is what it was asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.heard: list[tuple[str, str, str]] = []
        self.bodies: list[Any] = []
        super().__init__((HOST, 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_address[1]}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Scripted

    def do_GET(self) -> None:
        if sent := self.rfile.read(int(self.headers.get("content-length", 0))):
            self.server.bodies.append(json.loads(sent))
        self.server.heard.append((self.command, self.path, self.headers.get("authorization", "")))
        status, headers, body = self.server.answers.pop(0) if self.server.answers else GOOD
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - the name of the library

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Scripted]:
    server = Scripted()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_question_is_asked_again_and_waits_as_long_as_it_is_told_to(server: Scripted) -> None:
    waits: list[float] = []
    server.answers = [(502, {}, b""), (429, {"retry-after": "7"}, b""), (503, {}, b"")]
    with LabelStudio(server.url, TOKEN, wait=waits.append) as client:
        assert client.read("/x") == {"is": "good"}
    assert waits == [0.25, 7.0, 1.0]
    assert server.heard == [("GET", "/x", f"Token {TOKEN}")] * 4


def test_a_question_is_not_asked_for_ever(server: Scripted) -> None:
    server.answers = [(500, {}, b"<!DOCTYPE html>" + b"x" * 100_000)] * 9
    client = LabelStudio(server.url, TOKEN, n_reads=3, wait=lambda _: None)
    with client, pytest.raises(LabelStudioFailed) as told:
        client.read("/x")
    assert told.value.code is LabelStudioCode.SERVER_FAILED
    assert len(server.heard) == 3
    assert len(str(told.value)) < 300


@pytest.mark.parametrize("status", [302, 408, 429, 500, 502, 504])
def test_what_is_sent_is_sent_once_though_nobody_knows_what_became_of_it(server: Scripted, status: int) -> None:
    server.answers = [(status, {"location": "/elsewhere"}, b"")]
    with LabelStudio(server.url, TOKEN, wait=lambda _: None) as client, pytest.raises(OutcomeUnknown) as told:
        client.write("POST", "/x", {})
    assert told.value.code is LabelStudioCode.OUTCOME_UNKNOWN
    assert len(server.heard) == 1


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        ((400, {}, b'{"detail": "no"}'), LabelStudioFailed, LabelStudioCode.REQUEST_REFUSED),
        ((401, {}, b"{}"), LabelStudioFailed, LabelStudioCode.TOKEN_REFUSED),
        ((403, {}, b"{}"), LabelStudioFailed, LabelStudioCode.TOKEN_REFUSED),
        ((404, {}, b"<html>" + b"x" * 100_000), NotFound, LabelStudioCode.NOT_FOUND),
        ((200, {}, b"<html>log in</html>"), LabelStudioFailed, LabelStudioCode.ANSWER_STRANGE),
    ],
)
def test_every_answer_has_its_code(
    server: Scripted, answer: tuple[int, dict[str, str], bytes], kind: type[Exception], code: LabelStudioCode
) -> None:
    server.answers = [answer]
    with LabelStudio(server.url, TOKEN) as client, pytest.raises(kind) as told:
        client.write("POST", "/x", {})
    assert isinstance(told.value, LabelStudioFailed)
    assert told.value.code is code
    assert TOKEN not in str(told.value)
    assert len(str(told.value)) < 800


def test_where_nobody_listens_nothing_was_sent() -> None:
    with LabelStudio(f"http://{HOST}:1", TOKEN, wait=lambda _: None) as client:
        with pytest.raises(NotSent) as told:
            client.write("POST", "/x", {})
        assert told.value.code is LabelStudioCode.UNREACHABLE
        with pytest.raises(LabelStudioFailed) as told_of_reading:
            client.read("/x")
        assert told_of_reading.value.code is LabelStudioCode.UNREACHABLE


@pytest.mark.parametrize("url", ["", "labels.example.org", "ftp://x", "http://a:b@x", "http://x/?token=1"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(LabelStudioFailed, match="address of a Label Studio"):
        LabelStudio(url, TOKEN)


@pytest.mark.parametrize("token", ["", "two words", "line\n", "ünicode"])
def test_a_token_that_is_none_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(LabelStudioFailed) as told:
        LabelStudio("http://x", token)
    assert not token or token not in str(told.value)


def test_a_token_is_not_shown() -> None:
    assert TOKEN not in repr(LabelStudio("http://x", TOKEN))


def access_token(number: int, seconds: int = 300) -> tuple[int, dict[str, str], bytes]:
    """The answer that gives a token whose life begins and ends by a clock of its own."""
    told = base64.urlsafe_b64encode(json.dumps({"iat": 1000, "exp": 1000 + seconds}).encode()).decode().rstrip("=")
    return 200, {}, json.dumps({"access": f"h.{told}.{number}"}).encode()


REFUSED = (401, {}, b'{"detail": "token expired"}')


def test_an_access_token_lives_as_long_as_the_server_says_whatever_our_clock_shows(
    server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 5000.0
    monkeypatch.setattr(time, "time", lambda: 0.0)
    monkeypatch.setattr(time, "monotonic", lambda: now)
    server.answers = [access_token(1), GOOD, GOOD, access_token(2), GOOD]
    with LabelStudio(server.url, "a.b.c") as client:
        for seconds in (0.0, 239.0, 2.0):
            now += seconds
            client.read("/x")
    assert [path for _, path, _ in server.heard] == ["/api/token/refresh/", "/x", "/x", "/api/token/refresh/", "/x"]


def test_a_refused_access_token_is_changed_for_another_and_what_was_refused_is_sent_again(server: Scripted) -> None:
    server.answers = [access_token(1), GOOD, REFUSED, access_token(2), GOOD, REFUSED, access_token(3), GOOD]
    with LabelStudio(server.url, "a.b.c") as client:
        client.read("/x")
        assert client.read("/y") == {"is": "good"}
        assert client.write("POST", "/z", {"some": "thing"}) == {"is": "good"}
    assert [(path, told[-2:]) for _, path, told in server.heard if path in ("/y", "/z")] == [
        ("/y", ".1"),
        ("/y", ".2"),
        ("/z", ".2"),
        ("/z", ".3"),
    ]
    assert server.bodies[-3:] == [{"some": "thing"}, {"refresh": "a.b.c"}, {"some": "thing"}]


@pytest.mark.parametrize(("token", "n_sent"), [(TOKEN, 1), ("a.b.c", 2)])
def test_a_token_that_is_refused_again_is_told(server: Scripted, token: str, n_sent: int) -> None:
    server.answers = [REFUSED] if token == TOKEN else [access_token(1), REFUSED, access_token(2), REFUSED]
    with LabelStudio(server.url, token) as client, pytest.raises(LabelStudioFailed) as told:
        client.write("POST", "/x", {})
    assert told.value.code is LabelStudioCode.TOKEN_REFUSED
    assert [path for _, path, _ in server.heard].count("/x") == n_sent
