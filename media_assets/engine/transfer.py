"""Moving one frame each way over the parent's non-blocking end of a worker's socket."""

from __future__ import annotations

import socket

from media_assets.engine.protocol import HEADER, frame_head


class Outgoing:
    """A frame on its way to a worker: header, message, raw bytes; a descriptor beside the first byte."""

    def __init__(self, message: bytes, raw: bytes = b"", fd: int | None = None) -> None:
        self._left = [memoryview(part) for part in (frame_head(message, len(raw)), raw) if part]
        self._fds = [] if fd is None else [fd]

    @property
    def is_sent(self) -> bool:
        """Whether nothing is left to send."""
        return not self._left

    def send_some(self, channel: socket.socket) -> None:
        """Send until all is sent or the channel is full."""
        while self._left:
            try:
                n_sent = self._send(channel)
            except BlockingIOError:
                return
            self._fds = []
            while self._left and n_sent >= len(self._left[0]):
                n_sent -= len(self._left.pop(0))
            if self._left:
                self._left[0] = self._left[0][n_sent:]

    def _send(self, channel: socket.socket) -> int:
        if self._fds:
            return socket.send_fds(channel, self._left, self._fds)
        return channel.sendmsg(self._left)


class Incoming:
    """A message on its way from a worker, its size judged before room is made for it."""

    def __init__(self, channel: socket.socket, max_bytes: int) -> None:
        self.message = bytearray()
        self._channel = channel
        self._max_bytes = max_bytes
        self._header = b""
        self._n_received = 0

    @property
    def is_whole(self) -> bool:
        """Whether all of it has come."""
        return len(self._header) == HEADER.size and self._n_received == len(self.message)

    def receive_some(self) -> bool:
        """Receive what there is; False at the end of the channel.

        Raises:
            ValueError: the header announces more than the cap, or raw bytes, which a worker never sends.
        """
        try:
            if len(self._header) < HEADER.size:
                part = self._channel.recv(HEADER.size - len(self._header))
                self._take_header(part)
                if not part or not self.message:
                    return bool(part)
            n_came = self._channel.recv_into(memoryview(self.message)[self._n_received :])
        except BlockingIOError:
            return True
        self._n_received += n_came
        return n_came > 0

    def _take_header(self, part: bytes) -> None:
        self._header += part
        if len(self._header) < HEADER.size:
            return
        n_message, n_raw = HEADER.unpack(self._header)
        if n_raw or not 0 < n_message <= self._max_bytes:
            raise ValueError(
                f"expected an answer of 1 to {self._max_bytes} bytes, it announced {n_message} and {n_raw} raw bytes"
            )
        self.message = bytearray(n_message)
