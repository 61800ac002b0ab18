"""`python -m benchmarks.jobs.static_server ROOT PORT`: a folder over HTTP, where nginx is not installed."""

from __future__ import annotations

import sys
from pathlib import Path

from aiohttp import web


def main(root: str, port: str) -> None:
    """Serve until terminated."""
    application = web.Application()
    application.router.add_static("/", Path(root))
    web.run_app(application, host="127.0.0.1", port=int(port), print=None, access_log=None)


if __name__ == "__main__":
    main(*sys.argv[1:])
