"""A small HTTP server for tests: a dict of paths to bytes, statuses that can be changed, and counted requests."""

from __future__ import annotations

import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType


class Shelf:
    """Serves `files` on 127.0.0.1; `statuses` answers a path with an error instead, `delays` makes it wait."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.statuses: dict[str, int] = {}
        self.delays: dict[str, float] = {}
        self.is_down = False
        self.hits: Counter[str] = Counter()
        shelf = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                path = self.path.lstrip("/")
                shelf.hits[path] += 1
                time.sleep(shelf.delays.get(path, 0))
                status = 503 if shelf.is_down else shelf.statuses.get(path, 200 if path in shelf.files else 404)
                body = shelf.files[path] if status == 200 else b""
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                pass  # a client that was killed is no news

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def n_hits(self) -> int:
        return self.hits.total()

    def __enter__(self) -> Shelf:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
