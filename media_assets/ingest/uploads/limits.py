"""What one upload, one connection and all of them together may take."""

from __future__ import annotations

from dataclasses import dataclass

_MIB = 1024 * 1024
_DAY = 86_400.0


@dataclass(frozen=True)
class UploadLimits:
    """Bounds of the endpoint. Bytes in the body, seconds on the clock."""

    max_bytes: int = 64 * _MIB
    """One file."""
    n_in_flight: int = 64
    """Requests that bring bytes, at once; the next is told to come back (429)."""
    n_connections: int = 512
    """Connections at once, idle ones included; the next is closed with 503."""
    n_open_per_token: int = 1000
    """Unfinished resumable uploads."""
    n_files_per_form: int = 100
    expire_seconds: float = _DAY
    """How long an unfinished upload is kept after its last byte."""
    remember_seconds: float = 30 * _DAY
    """How long the same bytes from the same token are known to have been received."""
    head_seconds: float = 10.0
    """For the header of a request, and for a client to stop sending once it is refused."""
    idle_seconds: float = 30.0
    """Without a byte of a body."""
    grace_seconds: float = 10.0
    min_bytes_per_second: int = 1024
    """Mean pace of a body once `grace_seconds` have passed."""
    checkpoint_bytes: int = 8 * _MIB
    """What a killed server may forget of a resumable upload."""
    free_bytes: int = 256 * _MIB
    """What stays free on the disk."""
    take_over_seconds: float = 5.0
    """How long a request that asks for an offset waits for the one that is taken for dead."""
