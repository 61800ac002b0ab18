"""A webhook on loopback that remembers what it was sent, and can refuse, stall or be gone."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl

HOST = "127.0.0.1"


@dataclass
class Webhook:
    """The server. `statuses` are answered in turn, the last one from then on; `stall_seconds` is waited before each."""

    statuses: list[int] = field(default_factory=lambda: [200])
    stall_seconds: float = 0.0
    seen: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        """Its address as Apprise takes it, without a path."""
        return f"json://{HOST}:{self.port}"

    def taken(self) -> list[dict[str, Any]]:
        """The messages that were answered well."""
        return [message for message in self.seen if message["status"] < 300]

    def start(self) -> None:
        """Listen, on the port that it had before if there was one."""
        webhook, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                time.sleep(webhook.stall_seconds)
                is_json = self.headers["Content-Type"] == "application/json"
                message = json.loads(body) if is_json else dict(parse_qsl(body.decode()))
                with lock:
                    status = webhook.statuses.pop(0) if len(webhook.statuses) > 1 else webhook.statuses[0]
                    webhook.paths.append(self.path)
                    webhook.seen.append(message | {"status": status})
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        ThreadingHTTPServer.allow_reuse_address = True
        self._server = ThreadingHTTPServer((HOST, self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Listen no more: whoever comes is refused."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Webhook:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()
