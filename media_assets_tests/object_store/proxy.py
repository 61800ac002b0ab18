"""A proxy on loopback before an S3 store: it can lose headers, answer by itself, and count what is asked.

It speaks as much HTTP/1.1 as S3 clients do. Not here: the store behind it (`moto_server.py`).
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "proxy-authorization"}


@dataclass(frozen=True)
class Request:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]  # names in small letters

    @property
    def is_listing(self) -> bool:
        """Whether it lists keys."""
        return self.method == "GET" and "list-type" in self.path


@dataclass
class Proxy:
    """What the proxy does, changed while it runs. `answer` may give (status, body) instead of asking the store."""

    url: str = ""
    lost_headers: frozenset[str] = frozenset()
    answer: Callable[[Request], tuple[int, bytes] | None] = lambda request: None
    requests: list[Request] = field(default_factory=list)


@contextmanager
def proxy_before(store_url: str) -> Iterator[Proxy]:
    """A proxy, for as long as the `with` block lasts."""
    proxy = Proxy()

    class Handler(_Handler):
        """Bound to this proxy and store."""

        rules, behind = proxy, urlsplit(store_url).netloc

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    rules: Proxy
    behind: str

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers)
        self.rules.requests.append(request)
        if (own := self.rules.answer(request)) is not None:
            self._answer(own[0], {"content-type": "application/xml"}, own[1])
            return
        passed = {n: v for n, v in headers.items() if n not in _HOP_BY_HOP and n not in self.rules.lost_headers}
        connection = http.client.HTTPConnection(self.behind, timeout=60)
        connection.request(self.command, self.path, body, passed)
        response = connection.getresponse()
        self._answer(response.status, dict(response.getheaders()), response.read())
        connection.close()

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        kept = {name: value for name, value in headers.items() if name.lower() not in _HOP_BY_HOP}
        if self.command != "HEAD":
            kept = {name: value for name, value in kept.items() if name.lower() != "content-length"}
            kept["Content-Length"] = str(len(body))
        for name, value in kept.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _forward  # noqa: N815 - the names that http.server looks for

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
