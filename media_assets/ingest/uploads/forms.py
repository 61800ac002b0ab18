"""Files in a `multipart/form-data` body, streamed: nothing of them is held longer than one chunk.

Not here: what becomes of the bytes. Fields that are no files are read and dropped.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from media_assets.ingest.uploads.refusals import UploadCode, UploadRefused

_MAX_FIELD_BYTES = 64 * 1024
_MAX_PARTS = 1000


@dataclass(frozen=True)
class FileBegins:
    """A file of the form, as the browser calls it."""

    name: str


@dataclass(frozen=True)
class FileEnds:
    """All bytes of the file have come."""


FormEvent = FileBegins | bytes | FileEnds


class _Events:
    """Turns the parser's callbacks into events, which are taken after each chunk."""

    def __init__(self) -> None:
        self.found: list[FormEvent] = []
        self.is_whole = False
        self._header, self._value = b"", b""
        self._disposition: dict[bytes, bytes] = {}
        self._is_file = False
        self._n_field_bytes = self._n_parts = 0

    def on_part_begin(self) -> None:
        self._disposition = {}
        self._n_parts += 1
        if self._n_parts > _MAX_PARTS:
            raise UploadRefused(UploadCode.BAD_REQUEST, f"expected a form of at most {_MAX_PARTS} parts")

    def on_header_begin(self) -> None:
        self._header, self._value = b"", b""

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = parse_options_header(self._value)[1]

    def on_headers_finished(self) -> None:
        name = self._disposition.get(b"filename")
        self._is_file = name is not None
        if name is not None:
            self.found.append(FileBegins(name.decode("utf-8", "replace")))

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self.found.append(bytes(data[start:end]))
            return
        self._n_field_bytes += end - start
        if self._n_field_bytes > _MAX_FIELD_BYTES:
            raise UploadRefused(UploadCode.BAD_REQUEST, f"expected at most {_MAX_FIELD_BYTES} bytes beside the files")

    def on_part_end(self) -> None:
        if self._is_file:
            self.found.append(FileEnds())

    def on_end(self) -> None:
        self.is_whole = True


async def form_events(content_type: str, chunks: AsyncIterator[bytes]) -> AsyncGenerator[FormEvent]:
    """The files of a form: where each begins, its bytes, where it ends.

    Args:
        content_type: the header of the request.

    Raises:
        UploadRefused: it is no form, or not all of one.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise UploadRefused(
            UploadCode.UNSUPPORTED_MEDIA_TYPE,
            f"expected multipart/form-data with a boundary, got {content_type[:100]!r}; PUT sends one plain file",
        )
    events = _Events()
    try:
        parser = MultipartParser(
            options[b"boundary"],
            {name: getattr(events, name) for name in dir(_Events) if name.startswith("on_")},  # type: ignore[arg-type]
        )
        async for chunk in chunks:
            parser.write(chunk)
            found, events.found = events.found, []
            for event in found:
                yield event
    except FormParserError as error:
        raise UploadRefused(UploadCode.BAD_REQUEST, f"expected a whole form, got: {error}") from error
    if not events.is_whole:
        raise UploadRefused(UploadCode.BAD_REQUEST, "expected a whole form, got one without its last boundary")
