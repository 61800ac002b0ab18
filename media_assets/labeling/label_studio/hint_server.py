"""The address that Label Studio's webhooks are sent to: it judges a hint, wakes, and answers; it keeps nothing of it.

Not here: who may hint (`webhook.py`), or what is woken.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from media_assets.errors import SetupError
from media_assets.labeling.label_studio.webhook import MAX_BODY_BYTES, is_known, project_to_wake


def server_of(secret: str, wake: Callable[[int], None]) -> uvicorn.Server:
    """A server that calls `wake` with the project of each hint; it answers 403 to whoever does not know the secret."""

    async def take(request: Request) -> Response:
        if not is_known(request.headers, secret):
            return Response(status_code=403)
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    return Response(status_code=413)
        except ClientDisconnect:
            return Response(status_code=400)
        project = project_to_wake(request.headers, bytes(body), secret)
        if project is not None:
            await run_in_threadpool(wake, project)
        return Response(status_code=204)

    app = Starlette(routes=[Route("/", take, methods=["POST"])])
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, lifespan="off", http="h11")
    return uvicorn.Server(config)


def open_socket(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        SetupError: the address is none of this machine's, or taken.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=64)
    except OSError as error:
        raise SetupError(
            f"Expected to listen on {host}:{port}, got: {error.strerror or error}. Name another --host or --port."
        ) from error
