"""A worker process: `python -m media_assets.engine.worker <channel descriptor> <parent's process id>`.

Imports the one task it is told, confines itself, then answers one assignment after the other until the
channel closes.
It imports as little as it can: every module here is started once per core and replaced worker. Not here:
starting, timing, killing and replacing workers (`worker_process.py`, `process_pool.py`).
"""

from __future__ import annotations

import io
import os
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec

from media_assets.engine.confinement import confine, die_with_parent, limit_cpu
from media_assets.engine.evaluate import evaluate, memory_error, printable
from media_assets.engine.imports import resolve
from media_assets.engine.protocol import HEADER, NO_RESPONSE, Assignment, Hello, Ready, Reply, frame_head
from media_assets.engine.sources import check_unchanged, file_over, read_exactly
from media_assets.engine.tasks import made
from media_assets.errors import ErrorCode, ItemError

_encoder = msgspec.msgpack.Encoder()


class Channel:
    """The worker's end of its private socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def receive(self) -> tuple[bytes, int, int | None] | None:
        """The next message, the size of the raw bytes after it, a descriptor if one came; None at the end."""
        header, fds, _, _ = socket.recv_fds(self._connection, HEADER.size, 1)
        if not header:
            return None
        header += self.receive_raw(HEADER.size - len(header))
        n_message, n_raw = HEADER.unpack(header)
        return self.receive_raw(n_message), n_raw, fds[0] if fds else None

    def receive_raw(self, n_bytes: int) -> bytes:
        """Exactly so many bytes; a channel that ends before them ends the process."""
        data = self._connection.recv(n_bytes, socket.MSG_WAITALL) if n_bytes else b""
        while len(data) < n_bytes:
            more = self._connection.recv(n_bytes - len(data), socket.MSG_WAITALL)
            if not more:
                sys.exit(0)
            data += more
        return data

    def send(self, message: bytes) -> None:
        """One frame without raw bytes."""
        self._connection.sendall(frame_head(message))


class _Server:
    """One task, loaded, and the channel that its assignments come from."""

    def __init__(self, channel: Channel, hello: Hello) -> None:
        self._channel = channel
        self._max_reply_bytes = hello.max_reply_bytes
        self._function: Callable[[Any, Any], Any] = made(hello.function, hello.files)
        self._takes_file = hello.takes_file
        self._requests = msgspec.msgpack.Decoder(resolve(hello.request_type))
        self._response_type: type[msgspec.Struct] = resolve(hello.response_type)
        self._assignments = msgspec.msgpack.Decoder(Assignment)

    def serve(self) -> None:
        """Answer until the channel closes."""
        while (received := self._channel.receive()) is not None:
            message, _, fd = received
            assignment = self._assignments.decode(message)
            limit_cpu(assignment.cpu_limit_seconds)
            try:
                reply = self._encoded(assignment, self._result(assignment, fd))
            finally:
                if fd is not None:
                    os.close(fd)
            self._channel.send(reply)

    def _result(self, assignment: Assignment, fd: int | None) -> msgspec.Struct | ItemError:
        def read() -> bytes:
            if fd is not None:
                return read_exactly(fd, assignment.n_source_bytes)
            return self._channel.receive_raw(assignment.n_source_bytes)

        def open_file() -> io.BufferedIOBase:
            return io.BytesIO(read()) if fd is None else file_over(fd)

        source = open_file if self._takes_file else read
        result = evaluate(self._function, self._response_type, source, self._requests.decode(assignment.request))
        if self._takes_file and fd is not None:
            try:
                check_unchanged(fd, assignment.n_source_bytes)
            except ItemError as error:
                return error
        return result

    def _encoded(self, assignment: Assignment, result: msgspec.Struct | ItemError) -> bytes:
        if not isinstance(result, ItemError):
            try:
                response = msgspec.Raw(_encoder.encode(result))
                encoded = _encoder.encode(Reply(assignment.number, time.process_time(), response))
                if len(encoded) <= self._max_reply_bytes:
                    return encoded
                result = _too_large(len(encoded), self._max_reply_bytes)
            except MemoryError as error:
                result = memory_error(error)
            except Exception as error:
                result = _not_encodable(error)
        failed = Reply(assignment.number, time.process_time(), NO_RESPONSE, result.code, result.message)
        return _encoder.encode(failed)


def _too_large(n_bytes: int, max_bytes: int) -> ItemError:
    return ItemError(
        ErrorCode.DECODER_CRASHED,
        f"expected a response of at most {max_bytes} bytes, got {n_bytes}; it was dropped",
    )


def _not_encodable(error: Exception) -> ItemError:
    return ItemError(
        ErrorCode.DECODER_CRASHED,
        f"expected a response of msgpack values, got {type(error).__name__}: {printable(str(error))}",
    )


def _calm_opencv() -> None:
    if cv2 := sys.modules.get("cv2"):
        cv2.setNumThreads(1)


def main(channel_fd: int, parent_pid: int) -> None:
    """Live as a worker until the channel closes or the parent dies."""
    missing = die_with_parent(parent_pid)
    channel = Channel(socket.socket(fileno=channel_fd))
    received = channel.receive()
    if received is None:
        return
    server = _Server(channel, hello := msgspec.msgpack.decode(received[0], type=Hello))
    _calm_opencv()
    missing += confine(hello.memory_bytes)
    channel.send(_encoder.encode(Ready(missing, time.process_time())))
    server.serve()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
