"""The endpoint over HTTP: a Starlette application. Every answer is JSON but the page's and the metrics'.

Order of every request: who asks, whether there is a place, what is asked for, and only then a byte of the body.
Not here: what happens to the bytes (`receiver.py`, `resumable.py`), and connections (`connections.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from functools import wraps
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from media_assets.ingest.uploads import metrics, tus
from media_assets.ingest.uploads.body import Body
from media_assets.ingest.uploads.forms import FileBegins, FileEnds, form_events
from media_assets.ingest.uploads.receiver import Received, Receiver, Whole
from media_assets.ingest.uploads.refusals import UploadCode, UploadRefused
from media_assets.ingest.uploads.resumable import Progress, Resumable
from media_assets.ingest.uploads.rows import Upload, Use
from media_assets.ingest.uploads.tokens import Token, TokenFile

CLEAN_SECONDS = 60.0
_HEALTH_SECONDS = 5.0
_PAGE = {
    "/": ("index.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
    "/page.svg": ("page.svg", "image/svg+xml"),
}
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_SAFE = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"content-security-policy": _CSP.encode(),
    b"cache-control": b"no-store",
}
_TUS_PATHS = "/files"

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Endpoint:
    """The routes of one receiver and one file of tokens."""

    def __init__(self, receiver: Receiver, tokens: TokenFile) -> None:
        self.receiver, self.tokens = receiver, tokens
        self.resumable = Resumable(receiver)

    def app(self) -> ASGIApp:
        """The application; it goes on where a killed server stopped before it takes requests."""
        routes = [
            Route("/upload", self._timed(self.post_form), methods=["POST"]),
            Route("/upload/{name:path}", self._timed(self.put_file), methods=["PUT"]),
            Route(_TUS_PATHS, self._timed(self.tus_uploads), methods=["POST", "OPTIONS"]),
            Route(_TUS_PATHS + "/", self._timed(self.tus_uploads), methods=["POST", "OPTIONS"]),
            Route(
                _TUS_PATHS + "/{upload_id:str}",
                self._timed(self.tus_upload),
                methods=["HEAD", "PATCH", "DELETE", "POST", "OPTIONS"],
            ),
            Route("/health", self.health),
            Route("/metrics", self.show_metrics),
            *(Route(path, _page(name, kind)) for path, (name, kind) in _PAGE.items()),
        ]
        app = Starlette(
            routes=routes,
            lifespan=self._lifespan,
            exception_handlers={UploadRefused: self._refused, HTTPException: self._not_routed},
        )
        return _with_safe_headers(app)

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        await self.receiver.recover()
        cleaning = asyncio.create_task(self._clean_for_ever())
        try:
            yield
        finally:
            cleaning.cancel()
            with suppress(asyncio.CancelledError):
                await cleaning

    async def _clean_for_ever(self) -> None:
        while True:
            with suppress(UploadRefused):  # a disk that fails says so to those who upload, and in `/health`
                await self.receiver.clean()
            await asyncio.sleep(CLEAN_SECONDS)

    # -- plain files and forms

    async def put_file(self, request: Request) -> Response:
        """`PUT /upload/NAME`: the body is the file."""
        token = self._token(request)
        checksum = tus.checksum_in(request.headers)
        body = self._body(request)
        with self.receiver.place():
            announced = tus.number_in(request.headers, "Content-Length")
            received = await self.receiver.receive_file(token, request.path_params["name"], body, announced, checksum)
        return _acknowledged([received])

    async def post_form(self, request: Request) -> Response:
        """`POST /upload`: the files of a form; all of them, or none."""
        token = self._token(request)
        announced = tus.number_in(request.headers, "Content-Length")
        expected = self.receiver.limits.max_bytes if announced is None else announced
        body = self._body(request)
        with self.receiver.place():
            async with self.receiver.allowance(token, Use(1, expected)):
                return _acknowledged(await self._form_files(token, request.headers.get("content-type", ""), body))

    async def _form_files(self, token: Token, content_type: str, body: Body) -> list[Received]:
        wholes: list[Whole] = []
        async with AsyncExitStack() as stack, aclosing(form_events(content_type, body.chunks())) as events:
            name = ""
            async for event in events:
                if isinstance(event, FileBegins):
                    if len(wholes) == self.receiver.limits.n_files_per_form:
                        raise UploadRefused(UploadCode.TOO_LARGE, f"expected at most {len(wholes)} files in one form")
                    name, writer = event.name, await stack.enter_async_context(self.receiver.new_part())
                elif isinstance(event, FileEnds):
                    wholes.append(await self.receiver.whole(writer, name))
                else:
                    await self.receiver.take(writer, event)
            if not wholes:
                raise UploadRefused(UploadCode.EMPTY_UPLOAD, "expected a form with a file, got none")
            return await self.receiver.land(token, wholes)

    # -- tus

    async def tus_uploads(self, request: Request) -> Response:
        """What the server can do, or a new upload, with its first bytes where they come along."""
        if request.method == "OPTIONS":
            return self._abilities()
        token = self._token(request)
        tus.require_version(request.headers)
        if "upload-defer-length" in request.headers or "upload-concat" in request.headers:
            raise UploadRefused(UploadCode.BAD_REQUEST, f"expected one of the extensions {tus.EXTENSIONS}")
        length = tus.required_number(request.headers, "Upload-Length")
        name = tus.original_name(request.headers)
        if request.headers.get("content-type") != tus.CONTENT_TYPE:
            return _told(Progress(await self.resumable.begin(token, length, name)), 201, self._place_of(request))
        checksum = tus.checksum_in(request.headers)
        announced = tus.number_in(request.headers, "Content-Length")
        body = self._body(request)
        with self.receiver.place():
            upload = await self.resumable.begin(token, length, name)
            try:
                progress = await self.resumable.append(token, upload.id, 0, body, announced, checksum)
            except UploadRefused:
                with suppress(UploadRefused):  # nobody was told its name
                    await self.resumable.end(token, upload.id)
                raise
        return _told(progress, 201, self._place_of(request))

    async def tus_upload(self, request: Request) -> Response:
        """One upload: its offset, more of it, or its end."""
        method = request.headers.get("x-http-method-override", request.method).upper()
        if method == "OPTIONS":
            return self._abilities()
        token = self._token(request)
        tus.require_version(request.headers)
        upload_id = request.path_params["upload_id"]
        if method == "HEAD":
            return _told(Progress(await self.resumable.look(token, upload_id)), 200)
        if method == "DELETE":
            await self.resumable.end(token, upload_id)
            return Response(status_code=204, headers={"Tus-Resumable": tus.VERSION})
        if method == "PATCH":
            return await self._patch(request, token, upload_id)
        raise HTTPException(405, headers={"Allow": "HEAD, PATCH, DELETE, OPTIONS"})

    async def _patch(self, request: Request, token: Token, upload_id: str) -> Response:
        headers = request.headers
        if (kind := headers.get("content-type", "")) != tus.CONTENT_TYPE:
            raise UploadRefused(
                UploadCode.UNSUPPORTED_MEDIA_TYPE, f"expected Content-Type: {tus.CONTENT_TYPE}, got {kind[:100]!r}"
            )
        offset, checksum = tus.required_number(headers, "Upload-Offset"), tus.checksum_in(headers)
        announced = tus.number_in(headers, "Content-Length")
        body = self._body(request)
        with self.receiver.place():
            return _told(await self.resumable.append(token, upload_id, offset, body, announced, checksum), 204)

    def _abilities(self) -> Response:
        headers = {
            "Tus-Resumable": tus.VERSION,
            "Tus-Version": tus.VERSION,
            "Tus-Extension": tus.EXTENSIONS,
            "Tus-Max-Size": str(self.receiver.limits.max_bytes),
            "Tus-Checksum-Algorithm": ",".join(tus.ALGORITHMS),
        }
        return Response(status_code=204, headers=headers)

    @staticmethod
    def _place_of(request: Request) -> str:
        return f"{request.scope.get('root_path', '')}{_TUS_PATHS}/"

    # -- how it is

    async def health(self, _: Request) -> Response:
        """200 while uploads can be acknowledged, else 503 with what is wrong."""
        self.tokens.look()
        trouble = [self.tokens.trouble] if self.tokens.trouble else []
        try:
            self.receiver.parts.require_room(0, self.receiver.limits.free_bytes)
            async with asyncio.timeout(_HEALTH_SECONDS):
                await self.receiver.ledger.do(lambda db: db.execute("select 1").fetchone())
        except (UploadRefused, OSError, TimeoutError) as error:
            trouble.append(str(error) or "the disk does not answer")
        try:
            async with asyncio.timeout(_HEALTH_SECONDS):
                await self.receiver.settling.probe()
        except (UploadRefused, TimeoutError) as error:
            trouble.append(str(error) or "the inbox does not answer")
        document = {"status": "unfit" if trouble else "ok", "in_flight": self.receiver.n_in_flight, "trouble": trouble}
        return JSONResponse(document, 503 if trouble else 200)

    async def show_metrics(self, _: Request) -> Response:
        """Prometheus' text format."""
        gauges = {
            "in_flight": ("Requests that bring bytes, now.", float(self.receiver.n_in_flight)),
            "places": ("Requests that may bring bytes at once.", float(self.receiver.limits.n_in_flight)),
        }
        return PlainTextResponse(self.receiver.metrics.text(gauges), media_type=metrics.CONTENT_TYPE)

    # -- what all of them share

    def _token(self, request: Request) -> Token:
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not secret.strip():
            raise UploadRefused(UploadCode.TOKEN_MISSING, "expected the header Authorization: Bearer TOKEN, got none")
        token = self.tokens.find(secret.strip())
        if token is None:
            raise UploadRefused(UploadCode.TOKEN_UNKNOWN, "expected a token that this server knows; ask for one")
        return token

    def _body(self, request: Request) -> Body:
        if "transfer-encoding" in request.headers and "content-length" in request.headers:
            raise UploadRefused(UploadCode.BAD_REQUEST, "expected Content-Length or Transfer-Encoding, got both")
        return Body(request.receive, self.receiver.limits, self.receiver.metrics.count_bytes)

    def _timed(self, handler: Handler) -> Handler:
        @wraps(handler)
        async def timed(request: Request) -> Response:
            begun = time.perf_counter()
            response = await handler(request)
            if "upload-receipt" in response.headers and request.method != "HEAD":
                self.receiver.metrics.observe(time.perf_counter() - begun)
            return response

        return timed

    async def _refused(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, UploadRefused)
        self.receiver.metrics.refused[error.code.value] += 1
        headers = {"Tus-Resumable": tus.VERSION} if request.url.path.startswith(_TUS_PATHS) else {}
        if error.status == 401:
            headers["WWW-Authenticate"] = 'Bearer realm="uploads"'
        if error.code is UploadCode.UNSUPPORTED_VERSION:
            headers["Tus-Version"] = tus.VERSION
        if (seconds := error.retry_after_seconds) is not None:
            headers["Retry-After"] = str(seconds)
        return JSONResponse({"error": {"code": error.code.value, "message": str(error)}}, error.status, headers)

    async def _not_routed(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        is_method = error.status_code == 405
        code = UploadCode.METHOD_NOT_ALLOWED if is_method else UploadCode.NO_SUCH_PAGE
        response = await self._refused(
            request, UploadRefused(code, f"no {request.method} of {request.url.path[:100]!r} here")
        )
        if is_method and error.headers:
            response.headers["Allow"] = error.headers.get("Allow", "")
        return response


def _acknowledged(received: list[Received]) -> Response:
    rows = [
        {
            "id": each.receipt.id,
            "key": each.receipt.path,
            "sha256": each.receipt.sha256,
            "bytes": each.receipt.n_bytes,
            "is_repeat": each.is_repeat,
        }
        for each in received
    ]
    status = 200 if all(each.is_repeat for each in received) else 201
    return JSONResponse({"files": rows}, status, {"Upload-Receipt": ",".join(each.receipt.id for each in received)})


def _told(progress: Progress, status: int, place: str | None = None) -> Response:
    upload: Upload = progress.upload
    headers = {"Tus-Resumable": tus.VERSION, "Upload-Offset": str(upload.offset)}
    if place is not None:
        headers["Location"] = place + upload.id
    if status == 200:
        headers["Upload-Length"] = str(upload.length)
    if upload.state == "open":
        headers["Upload-Expires"] = tus.http_date(upload.expires_at)
    if upload.receipt:
        headers["Upload-Receipt"] = upload.receipt
    return Response(status_code=status, headers=headers)


def _page(name: str, kind: str) -> Handler:
    content = files("media_assets.ingest.uploads").joinpath("page", name).read_bytes()

    async def page(_: Request) -> Response:
        return Response(content, media_type=kind)

    return page


def _with_safe_headers(app: ASGIApp) -> ASGIApp:
    """The same application; no answer of it may be framed, sniffed, kept or read by another origin."""

    async def safe(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_SAFE.items()]
            await send(message)

        await app(scope, receive, send_safely)

    return safe
