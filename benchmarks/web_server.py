"""A fast static server on loopback: nginx where it is installed, else aiohttp. It is not what is measured.

Its CPU time is counted apart, because it shares the cores with what is.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType

from benchmarks.process_tree import cpu_seconds_now

_START_SECONDS = 10
_NGINX = """
daemon off;
{user}
worker_processes 1;
pid {work}/nginx.pid;
error_log {work}/error.log warn;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_timeout 75s;
  keepalive_requests 1000000;
  open_file_cache max=20000 inactive=600s;
  default_type application/octet-stream;
  types {{ image/jpeg jpg; }}
  client_body_temp_path {work}/t1; proxy_temp_path {work}/t2; fastcgi_temp_path {work}/t3;
  uwsgi_temp_path {work}/t4; scgi_temp_path {work}/t5;
  server {{ listen 127.0.0.1:{port} backlog=1024; root {root}; }}
}}
"""


class WebServer:
    """Serves a folder for the length of a `with` block."""

    def __init__(self, root: Path, work: Path) -> None:
        self.kind = "nginx" if _nginx() else "aiohttp"
        self.port = _free_port()
        self._root, self._work = root.absolute(), work.absolute()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where the folder's root is."""
        return f"http://127.0.0.1:{self.port}"

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        assert self._process is not None, "only inside the with block"
        return cpu_seconds_now(self._process.pid)

    def __enter__(self) -> WebServer:
        self._work.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(self._command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._wait()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait()

    def _command(self) -> list[str]:
        if (nginx := _nginx()) is None:
            return [sys.executable, "-m", "benchmarks.jobs.static_server", str(self._root), str(self.port)]
        user = "user root;" if os.geteuid() == 0 else ""
        config = self._work / "nginx.conf"
        config.write_text(_NGINX.format(user=user, work=self._work, port=self.port, root=self._root), "utf-8")
        return [nginx, "-c", str(config), "-p", str(self._work)]

    def _wait(self) -> None:
        assert self._process is not None
        for _ in range(_START_SECONDS * 20):
            try:
                urllib.request.urlopen(self.url + "/", timeout=1).close()
            except urllib.error.HTTPError:
                return  # it answers, if only that there is no page
            except OSError:
                if self._process.poll() is not None:
                    raise SystemExit(f"{self.kind} did not start; see {self._work}") from None
                time.sleep(0.05)
            else:
                return
        raise SystemExit(f"{self.kind} does not answer at {self.url}; see {self._work}")


def _nginx() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
