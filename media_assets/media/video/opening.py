"""From an untrusted file to an opened container, with nothing else in libav's reach.

libav is given bytes through `read` and `seek`, never a name; the one demuxer that the magic bytes ask for, never its
own guess; and whatever it would open besides is refused. Not here: reading packets (`packets.py`) or pixels
(`decoding.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any, NoReturn

import av
import msgspec
from av.container import InputContainer
from av.video.stream import VideoStream

from media_assets.errors import ErrorCode, ItemError
from media_assets.media.boundary import decoding
from media_assets.media.identity import SeekableFile
from media_assets.media.sniff import HEAD_BYTES, sniff

DEMUXERS = {
    "video/mp4": "mov",
    "video/quicktime": "mov",
    "audio/mp4": "mov",
    "video/webm": "matroska",
    "video/x-matroska": "matroska",
    "video/mp2t": "mpegts",
    "video/x-msvideo": "avi",
    "video/x-flv": "flv",
}
"""MIME type by magic to the demuxer that reads it. Playlists, scripts and whatever names other files have none."""

VIDEO_MIMES = frozenset(mime for mime in DEMUXERS if mime.startswith("video/"))
"""The videos that are taken in."""

_BUFFER_BYTES = 1 << 18


VideoFile = SeekableFile
"""A regular file opened in binary mode, or `io.BytesIO`. Never read as a whole."""


class VideoLimits(msgspec.Struct, frozen=True):
    """What one video may ask for.

    `max_pixels` of a frame as decoded and as shown; `max_seconds` from the first picture to the end of the last: times
    that are further apart are damage, and their nanoseconds would not fit a column for ever; `max_packets` of all
    tracks together (17 bytes are remembered of each picture): 5,000,000 are fifteen hours of video at 30 frames a
    second with sound.
    """

    max_pixels: int = 64_000_000
    max_packets: int = 5_000_000
    max_seconds: int = 10 * 24 * 3600


def sniffed(file: VideoFile) -> str:
    """MIME type of the file, one of `DEMUXERS`.

    Raises:
        ItemError: EMPTY, UNKNOWN_FORMAT, UNSUPPORTED_FORMAT, NO_VIDEO (a sound file), STORAGE_FAILED.
    """
    reader = _Reader(file)
    reader.seek(0, 0)
    head = reader.read(HEAD_BYTES)
    if not head:
        raise ItemError(ErrorCode.EMPTY, "Expected a video, got no bytes.")
    mime = sniff(head)
    if mime is None:
        raise ItemError(ErrorCode.UNKNOWN_FORMAT, "Expected a video, the first bytes are those of no known format.")
    if mime in DEMUXERS:
        return mime
    if mime.startswith("audio/"):
        raise ItemError(ErrorCode.NO_VIDEO, f"Expected a video, got {mime}: a sound without pictures.")
    raise ItemError(
        ErrorCode.UNSUPPORTED_FORMAT,
        f"Expected a video in MP4, QuickTime, WebM, Matroska, MPEG-TS, AVI or FLV, got {mime}. "
        f"Convert it at its source.",
    )


@contextmanager
def opened(file: VideoFile, mime: str) -> Iterator[InputContainer]:
    """The container, from the beginning of the file. Files may be opened again and again, one at a time.

    Raises:
        ItemError: CORRUPT, TRUNCATED, DECODER_MEMORY: the header does not read. STORAGE_FAILED: the file does not.
    """
    demuxer = DEMUXERS[mime]
    reader = _Reader(file)
    reader.seek(0, 0)
    options = {"format_whitelist": demuxer, "protocol_whitelist": "none"}
    with reading(f"the {demuxer} header"):
        container = av.open(
            reader,
            "r",
            format=demuxer,
            container_options=options,
            metadata_errors="replace",
            buffer_size=_BUFFER_BYTES,
            io_open=_refuse,
        )
    with container:
        yield container


def pictures_of(container: InputContainer) -> VideoStream | None:
    """The track to look at: the default one, else the first, pictures on covers left out; None: there is none."""
    tracks = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    return next((s for s in tracks if s.disposition & av.stream.Disposition.default), tracks[0] if tracks else None)


def sample_aspect(stream: VideoStream) -> Fraction | None:
    """Width by height of a pixel; None where it is square or not told."""
    aspect = stream.sample_aspect_ratio
    return None if not aspect or aspect == 1 else Fraction(aspect)


def prepare(stream: VideoStream, limits: VideoLimits) -> None:
    """Get a track ready for decoding: one thread, within the limits, and refusing damage instead of painting over it.

    Raises:
        ItemError: UNSUPPORTED_FORMAT: no decoder; TOO_MANY_PIXELS; CORRUPT.
    """
    context = stream.codec_context
    if context is None:
        raise ItemError(ErrorCode.UNSUPPORTED_FORMAT, "Expected a video whose codec is known, got another.")
    check_pixels(context.width, context.height, limits)
    context.thread_type = "NONE"
    context.thread_count = 1  # some decoders have threads of their own
    context.options = {"err_detect": "explode", "max_pixels": str(limits.max_pixels)}


def check_pixels(width_px: int, height_px: int, limits: VideoLimits) -> None:
    """Raise `ItemError(TOO_MANY_PIXELS)` for a picture over the cap."""
    if width_px * height_px > limits.max_pixels:
        raise ItemError(
            ErrorCode.TOO_MANY_PIXELS,
            f"expected at most {limits.max_pixels} pixels a frame, got {width_px}x{height_px}; scale it down.",
        )


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn what libav raises inside this block into an `ItemError`.

    Raises:
        ItemError: TRUNCATED, CORRUPT, DECODER_MEMORY; or the one that the file itself met.
    """
    with decoding(what):
        try:
            yield
        except (MemoryError, OSError, ValueError):  # libav's errors inherit these where they fit
            raise
        except av.FFmpegError as error:
            raise ValueError(str(error)) from error


class _Reader:
    """A file without a name, so that nothing can be concluded from one, and whose own failures are told apart."""

    def __init__(self, file: VideoFile) -> None:
        self._file = file

    def read(self, n_bytes: int) -> bytes:
        try:
            return self._file.read(n_bytes)
        except OSError as error:
            raise _unreadable(error) from error

    def seek(self, offset: int, whence: int) -> int:
        try:
            return self._file.seek(offset, whence)
        except OSError as error:
            raise _unreadable(error) from error

    def tell(self) -> int:
        return self.seek(0, 1)


def _unreadable(error: OSError) -> ItemError:
    return ItemError(ErrorCode.STORAGE_FAILED, f"the file was opened but could not be read: {error}")


def _refuse(url: str, flags: int, options: Any) -> NoReturn:
    raise PermissionError(f"a video may not open other files ({url[:100]!r})")
