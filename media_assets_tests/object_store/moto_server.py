"""moto, an S3 in Python, as a process on loopback: it keeps everything in memory and takes any credentials.

Not here: a proxy before it (`proxy.py`), or a real store (`services/seaweedfs.py`).
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

HOST = "127.0.0.1"
START_SECONDS = 60
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback, whatever proxy is configured


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def running_moto() -> Iterator[str]:
    """The endpoint of a moto server, for as long as the `with` block lasts."""
    url, process = _start()
    try:
        yield url
    finally:
        process.terminate()
        process.wait(20)


def _start() -> tuple[str, subprocess.Popen[bytes]]:
    for n_left in (1, 0):  # between choosing the port and taking it somebody else may have taken it
        port = free_port()
        command = [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(port)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if _answers(f"http://{HOST}:{port}", process):
            return f"http://{HOST}:{port}", process
        process.kill()
        process.wait()
        assert n_left, f"moto did not answer on port {port} within {START_SECONDS} s, twice"
    raise AssertionError


def _answers(url: str, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            _DIRECT.open(f"{url}/moto-api/data.json", timeout=5).close()
        except (OSError, urllib.error.URLError):
            time.sleep(0.1)
        else:
            return True
    return False
