"""A proxy before a server that breaks chosen calls: after the server has done them, before, or much later.

Not here: the server, and what must hold nonetheless.
"""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus

import httpx

from media_assets_tests.services.dagster_dev import HOST

_NOT_FORWARDED = {"host", "content-length", "accept-encoding", "connection", "transfer-encoding"}


class Fault(StrEnum):
    """What happens to one call. All but the last two let the server do it at once."""

    DROP = "drop"  # the connection is cut instead of an answer
    BAD_GATEWAY = "502"
    TOO_MANY = "429"
    STALL = "stall"  # the answer comes after `stall_seconds`
    LATE = "late"  # the connection is cut at once, and the server does it `late_seconds` later
    REFUSE = "refuse"  # 503, and the server never hears of it


Judge = Callable[[str, str], Fault | None]
"""Method and path with query → what happens to the call."""


@dataclass
class FaultProxy:
    """A running proxy. `judge` decides call by call; `before` sees each that is about to be forwarded."""

    upstream: str
    judge: Judge = field(default=lambda _method, _path: None)
    before: Callable[[str, str], None] = field(default=lambda _method, _path: None)
    rewrite: Callable[[str], str] = field(default=lambda path: path)
    stall_seconds: float = 1.5
    late_seconds: float = 1.5
    url: str = ""
    n_broken: int = 0
    late: list[threading.Thread] = field(default_factory=list)

    def settle(self) -> None:
        """Wait until everything that was held back has reached the server."""
        for thread in self.late:
            thread.join(60)

    def break_imports(self, fault: Fault, n_times: int) -> None:
        """Break the next imports."""
        left = [fault] * n_times

        def judge(method: str, path: str) -> Fault | None:
            return left.pop() if left and method == "POST" and "/import" in path else None

        self.judge = judge


@contextmanager
def running_fault_proxy(upstream: str) -> Iterator[FaultProxy]:
    """The proxy, for as long as the `with` block lasts."""
    proxy = FaultProxy(upstream)
    server = http.server.ThreadingHTTPServer((HOST, 0), _handler(proxy))
    server.daemon_threads = True
    proxy.url = f"http://{HOST}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.settle()
        server.shutdown()
        server.server_close()


def _handler(proxy: FaultProxy) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            fault = proxy.judge(self.command, self.path)
            proxy.n_broken += fault is not None
            if fault is Fault.LATE:
                late = threading.Thread(target=self.call, args=(body, proxy.late_seconds), daemon=True)
                proxy.late.append(late)
                late.start()
                self.cut()
            elif fault is Fault.REFUSE:
                self.answer(HTTPStatus.SERVICE_UNAVAILABLE, b"no")
            else:
                proxy.before(self.command, self.path)
                self.hand_back(self.call(body), fault)

        do_GET = do_POST = do_PATCH = do_DELETE = forward  # noqa: N815 - the names of the library

        def call(self, body: bytes, wait_seconds: float = 0.0) -> httpx.Response:
            time.sleep(wait_seconds)
            headers = {k: v for k, v in self.headers.items() if k.lower() not in _NOT_FORWARDED}
            url = proxy.upstream + proxy.rewrite(self.path)
            return httpx.request(self.command, url, content=body, headers=headers, timeout=120, trust_env=False)

        def hand_back(self, answer: httpx.Response, fault: Fault | None) -> None:
            if fault is Fault.DROP:
                self.cut()
            elif fault in (Fault.BAD_GATEWAY, Fault.TOO_MANY):
                self.answer(HTTPStatus(int(fault)), b"")
            else:
                if fault is Fault.STALL:
                    time.sleep(proxy.stall_seconds)
                self.answer(HTTPStatus(answer.status_code), answer.content, answer.headers)

        def answer(self, status: HTTPStatus, content: bytes, headers: httpx.Headers | None = None) -> None:
            try:
                self.send_response_only(status)
                for name in ("content-type", "date", "location"):
                    if headers is not None and name in headers:
                        self.send_header(name, headers[name])
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except OSError:  # who asked is gone
                self.close_connection = True

        def cut(self) -> None:
            self.close_connection = True
            self.connection.shutdown(2)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
