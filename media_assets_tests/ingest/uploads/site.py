"""An upload server in a thread of this process, on a free port of loopback, and what tests ask of it.

Not here: kills, which need a process of their own (`services/`).
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import socket
import threading
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from media_assets.ingest.uploads.app import Endpoint
from media_assets.ingest.uploads.limits import UploadLimits
from media_assets.ingest.uploads.server import UploadPlaces, open_endpoint, open_socket, server_of
from media_assets.ingest.uploads.tokens import Token

SECRET, OTHER, SMALL = "ma_one", "ma_other", "ma_small"
SOURCE = "phones"
OFFSETS = "application/offset+octet-stream"
LIMITS = UploadLimits(max_bytes=200_000, free_bytes=0, checkpoint_bytes=50_000)


def tokens() -> list[Token]:
    """Two tokens without a quota, and a small one, each known by its plain secret."""
    return [
        Token("one", SOURCE, hashlib.sha256(SECRET.encode()).hexdigest()),
        Token("other", SOURCE, hashlib.sha256(OTHER.encode()).hexdigest()),
        Token("small", "cameras", hashlib.sha256(SMALL.encode()).hexdigest(), bytes_per_day=1000, files_per_day=3),
    ]


def places(root: Path) -> UploadPlaces:
    """Folders below one, with a file of tokens."""
    path = root / "tokens.json"
    if not path.exists():
        path.write_bytes(msgspec.json.encode({"tokens": tokens()}))
        path.chmod(0o600)
    return UploadPlaces(root / "inbox", str(path))


@dataclass(frozen=True)
class Answer:
    """Status, headers in small letters, body."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of a refusal."""
        return str(self.json()["error"]["code"])


@dataclass
class UploadSite:
    """A running server."""

    root: Path
    port: int
    endpoint: Endpoint
    secret: str = SECRET
    _connections: list[http.client.HTTPConnection] = field(default_factory=list)

    @property
    def inbox(self) -> Path:
        return self.root / "inbox"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def landed(self) -> dict[str, bytes]:
        """Everything in the inbox: path → bytes."""
        return {
            str(path.relative_to(self.inbox)): path.read_bytes() for path in self.inbox.rglob("*") if path.is_file()
        }

    def parts(self) -> list[str]:
        """What lies beside the inbox."""
        return sorted(path.name for path in (self.root / "inbox.uploads" / "parts").iterdir())

    def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: Any = None, secret: str = ""
    ) -> Answer:
        """One request on a connection of its own, with the token."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            bearer = {"Authorization": f"Bearer {secret or self.secret}"}
            connection.request(
                method, path, body, {**bearer, **(headers or {})}, encode_chunked=isinstance(body, Iterator)
            )
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            connection.close()

    def tus(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: Any = None, **more: str
    ) -> Answer:
        """The same, as tus asks."""
        return self.ask(method, path, {"Tus-Resumable": "1.0.0", **(headers or {})}, body, **more)

    def begin(self, length: int, name: str = "cat.jpg") -> str:
        """Begin a resumable upload; its path."""
        metadata = f"filename {b64encode(name.encode()).decode()}"
        answer = self.tus("POST", "/files", {"Upload-Length": str(length), "Upload-Metadata": metadata})
        assert answer.status == 201, answer
        return answer.headers["location"]

    def patch(self, path: str, offset: int, body: Any, **headers: str) -> Answer:
        """Send bytes at an offset."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.tus("PATCH", path, {"Content-Type": OFFSETS, "Upload-Offset": str(offset), **named}, body)

    def offset(self, path: str) -> int:
        """What the server says has come."""
        return int(self.tus("HEAD", path).headers["upload-offset"])

    def raw(self, head: str, body: bytes = b"") -> socket.socket:
        """A connection on which a request was begun by hand."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        connection.sendall(head.replace("\n", "\r\n").encode() + body)
        return connection


@contextmanager
def running(root: Path, limits: UploadLimits = LIMITS) -> Iterator[UploadSite]:
    """A server over the folders below `root`, for as long as the `with` block lasts."""
    with ExitStack() as stack:
        endpoint = stack.enter_context(open_endpoint(places(root), limits))
        listening = stack.enter_context(open_socket("127.0.0.1", 0, is_public=False))
        server = server_of(endpoint)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True)
        thread.start()
        try:
            yield UploadSite(root, listening.getsockname()[1], endpoint)
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


def everything_of(connection: socket.socket) -> bytes:
    """What comes until the server closes."""
    found = b""
    try:
        while chunk := connection.recv(65536):
            found += chunk
    except ConnectionResetError:
        pass
    finally:
        connection.close()
    return found
