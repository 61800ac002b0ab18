"""What the pool and a worker process say to each other, and how it is framed on their private socket.

A frame is 16 bytes (two little-endian unsigned 64-bit sizes), then a msgpack message of the first size, then
raw bytes of the second size. A source that is a file travels as an open read-only descriptor beside the first
byte of its frame, so that a worker needs no right to open files. Nothing here can make the reader run code:
messages are decoded into the types below and nothing else. Not here: who waits for whom and how long
(`worker_process.py`,
`worker.py`).
"""

from __future__ import annotations

import struct

import msgspec

from media_assets.errors import ErrorCode

HEADER = struct.Struct("<QQ")


class Hello(msgspec.Struct, frozen=True):
    """The pool's first message: what to import, and the limits to live under."""

    function: str
    request_type: str
    response_type: str
    memory_bytes: int
    max_reply_bytes: int
    takes_file: bool = False
    files: tuple[str, ...] = ()  # what the function is made of, where it is made


class Ready(msgspec.Struct, frozen=True):
    """A worker's answer to `Hello`: confined, warmed up, waiting for work.

    `missing` names the protections that this machine does not offer; `cpu_seconds` is what starting has cost.
    """

    missing: list[str]
    cpu_seconds: float


class Assignment(msgspec.Struct, frozen=True):
    """One item to do. `cpu_limit_seconds` bounds the CPU time of this item.

    The source follows as `n_source_bytes` raw bytes of the frame, or as a file descriptor if `is_file`.
    """

    number: int
    n_source_bytes: int
    is_file: bool
    cpu_limit_seconds: float
    request: msgspec.Raw


class Reply(msgspec.Struct, frozen=True):
    """The answer to the assignment of that number: `response` (encoded) if `code` is null, else the error.

    `total_cpu_seconds` is the CPU time of the worker's whole life so far.
    """

    number: int
    total_cpu_seconds: float
    response: msgspec.Raw
    code: ErrorCode | None = None
    message: str = ""


NO_RESPONSE = msgspec.Raw(b"\xc0")  # msgpack nil


def frame_head(message: bytes, n_raw_bytes: int = 0) -> bytes:
    """The header and message of a frame; the raw bytes are sent after it by the caller, without a copy."""
    return HEADER.pack(len(message), n_raw_bytes) + message
