"""The upload server as a whole: its folders, its lock, its socket. Not here: routes (`app.py`) and settings."""

from __future__ import annotations

import errno
import fcntl
import ipaddress
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from media_assets.errors import SetupError
from media_assets.ingest.fetch.buckets import BucketRoot
from media_assets.ingest.uploads.app import Endpoint
from media_assets.ingest.uploads.connections import guarded
from media_assets.ingest.uploads.landing import open_landing
from media_assets.ingest.uploads.ledger import Ledger
from media_assets.ingest.uploads.limits import UploadLimits
from media_assets.ingest.uploads.parts import Parts
from media_assets.ingest.uploads.receiver import Receiver
from media_assets.ingest.uploads.tokens import TokenFile, tokens_file

_MAX_HEADER_BYTES = 32 * 1024
_GOODBYE_SECONDS = 10


@dataclass(frozen=True)
class UploadPlaces:
    """Where things are. `state`: what is under way and receipts; by default a folder beside an inbox that is one."""

    inbox: Path | BucketRoot
    tokens: str
    state: str = ""

    def state_folder(self) -> Path:
        """The folder that `state` names, or the default.

        Raises:
            SetupError: none is named, and the inbox is a bucket, which has no folder beside it.
        """
        if self.state:
            return Path(self.state).absolute()
        if isinstance(self.inbox, BucketRoot):
            raise SetupError(
                "Expected MEDIA_ASSETS_UPLOAD_STATE to name a folder on this machine for uploads under way and "
                "receipts, got nothing: the inbox is a bucket. Set it, and keep the folder."
            )
        inbox = self.inbox.absolute()
        return inbox.with_name(f"{inbox.name}.uploads")


@contextmanager
def open_endpoint(places: UploadPlaces, limits: UploadLimits) -> Iterator[Endpoint]:
    """The endpoint over its folders, which no other server uses meanwhile.

    Raises:
        SetupError: a folder, the file of tokens or the lock cannot be had.
    """
    tokens = TokenFile(tokens_file(places.tokens))
    state = places.state_folder()
    landing = open_landing(places.inbox, state)
    with _locked(state / "lock"):
        ledger, parts = Ledger(state / "receipts.sqlite3"), _parts(state / "parts")
        receiver = Receiver(ledger, parts, landing, limits)
        try:
            yield Endpoint(receiver, tokens)
        finally:
            receiver.close()
            parts.close()
            ledger.close()


def _parts(folder: Path) -> Parts:
    try:
        return Parts(folder)
    except OSError as error:
        raise SetupError(f"Expected a folder for uploads under way at {folder}, got: {error.strerror}.") from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SetupError(f"Expected a folder that can be written at {path.parent}, got: {error.strerror}.") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SetupError(f"Expected no other upload server over {path.parent}, but one is at work there.") from None
        yield
    finally:
        os.close(handle)


def open_socket(host: str, port: int, *, is_public: bool) -> socket.socket:
    """A listening socket; port 0 is any free one.

    Raises:
        SetupError: the address is not this machine's own though nobody said `is_public`, or cannot be had.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise SetupError(f"Expected an address to listen on, got {host!r}: {error}.") from error
    if not is_public and not ipaddress.ip_address(address[0]).is_loopback:
        raise SetupError(
            f"Expected an address of loopback, such as 127.0.0.1, got {host}: tokens would cross the network in the "
            f"clear. Put a proxy that speaks TLS before it, or say --public."
        )
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(1024)
    except OSError as error:
        listening.close()
        taken = " Something else listens there." if error.errno == errno.EADDRINUSE else ""
        raise SetupError(f"Expected to listen on {host}:{port}, got: {error.strerror}.{taken}") from error
    return listening


def server_of(endpoint: Endpoint) -> uvicorn.Server:
    """uvicorn over an endpoint; nothing that a client sends is written to a log."""
    limits = endpoint.receiver.limits
    config = uvicorn.Config(
        endpoint.app(),
        http=guarded(limits.n_connections, limits.head_seconds),
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=int(limits.head_seconds),
        timeout_graceful_shutdown=_GOODBYE_SECONDS,
        h11_max_incomplete_event_size=_MAX_HEADER_BYTES,
    )
    return uvicorn.Server(config)
