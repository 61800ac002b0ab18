"""Whether a file ends where its container says that it does; some containers that were cut off decode as if whole.

MP4, QuickTime, Matroska, WebM and AVI tell their length, unless they were written live (a Matroska segment of unknown
size, boxes that reach "to the end", fragments of which whole ones are missing); FLV and MPEG-TS only tell of a cut
within a tag or packet. Not here: what the packets say (`probe.py`).
"""

from __future__ import annotations

from media_assets.errors import ErrorCode, ItemError
from media_assets.media.containers.structure import MAX_PARTS
from media_assets.media.video.opening import VideoFile

_TS_PACKET_BYTES = 188
_FLV_TAG_BYTES = 11
_SEGMENT = b"\x18\x53\x80\x67"


def cut_off(file: VideoFile, mime: str) -> str | None:
    """What shows that a file was cut off; None: nothing does.

    Raises:
        ItemError: CORRUPT: a container of too many parts. STORAGE_FAILED.
    """
    try:
        n_bytes = file.seek(0, 2)
        if mime in ("video/mp4", "video/quicktime", "audio/mp4"):
            return _cut_boxes(file, n_bytes)
        if mime in ("video/webm", "video/x-matroska"):
            return _cut_elements(file, n_bytes)
        if mime == "video/x-msvideo":
            return _cut_riff(file, n_bytes)
        return _cut_tags(file, n_bytes) if mime == "video/x-flv" else _cut_packets(n_bytes)
    except OSError as error:
        raise ItemError(ErrorCode.STORAGE_FAILED, f"the file was opened but could not be read: {error}") from error


def tells_no_end(file: VideoFile, mime: str) -> bool:
    """Whether a Matroska file was written live, so that only its declared duration may show a cut."""
    return mime in ("video/webm", "video/x-matroska") and _segment_end(file) is None


def _at(file: VideoFile, offset: int, n_bytes: int) -> bytes:
    file.seek(offset, 0)
    return file.read(n_bytes)


def _cut_boxes(file: VideoFile, n_bytes: int) -> str | None:
    """ISO base media: a chain of boxes, each with its size (ISO/IEC 14496-12, 4.2)."""
    offset, kinds = 0, set[bytes]()
    for _ in range(MAX_PARTS):
        head = _at(file, offset, 16)
        if len(head) < 8:
            break
        size, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        end = n_bytes if size == 0 else offset + size
        if end > n_bytes and kind.isalnum():
            return _told(f"box {kind.decode('ascii')}", end, n_bytes)
        kinds.add(kind)
        if end <= offset or end > n_bytes:
            break  # no box: bytes glued to the end, which players pass over
        offset = end
    if b"moov" not in kinds:
        return f"expected a moov box, which says where everything is, got none in {n_bytes} bytes"
    return None


def _cut_elements(file: VideoFile, n_bytes: int) -> str | None:
    end = _segment_end(file)
    return _told("the segment", end, n_bytes) if end is not None and end > n_bytes else None


def _segment_end(file: VideoFile) -> int | None:
    """Matroska: the EBML header, then the segment, each an id and a size (RFC 8794, 4 and 6); None: it tells none."""
    head = _at(file, 0, 64)
    header = _vint(head, 4)
    if header is None:
        return None
    size, length = header
    start = 4 + length + size
    head = _at(file, start, 16)
    segment = _vint(head, 4) if head[:4] == _SEGMENT else None
    if segment is None or segment[0] == (1 << 7 * segment[1]) - 1:  # all ones: written live, of unknown size
        return None
    return start + 4 + segment[1] + segment[0]


def _vint(data: bytes, at: int) -> tuple[int, int] | None:
    """A variable-size integer: (value, bytes that it takes)."""
    if at >= len(data) or not data[at]:
        return None
    length = 9 - data[at].bit_length()
    if at + length > len(data):
        return None
    return int.from_bytes(data[at : at + length], "big") & ((1 << 7 * length) - 1), length


def _cut_riff(file: VideoFile, n_bytes: int) -> str | None:
    """AVI: one RIFF chunk, and more of them beyond a gigabyte (OpenDML)."""
    offset = 0
    for _ in range(MAX_PARTS):
        head = _at(file, offset, 8)
        if len(head) < 8 or head[:4] != b"RIFF":
            return None
        end = offset + 8 + int.from_bytes(head[4:8], "little")
        if end > n_bytes:
            return _told("a RIFF chunk", end, n_bytes)
        offset = end + end % 2
    return None


def _cut_tags(file: VideoFile, n_bytes: int) -> str | None:
    """FLV: each tag is followed by its size; seen from the end, the last one has to fit its own head."""
    size = int.from_bytes(_at(file, n_bytes - 4, 4), "big") if n_bytes > 17 else 0
    start = n_bytes - 4 - size
    head = _at(file, start, 4) if size >= _FLV_TAG_BYTES and start > 0 else b""
    if int.from_bytes(head[1:4], "big") + _FLV_TAG_BYTES == size:
        return None
    return f"expected a whole tag at the end, got something else at byte {n_bytes}"


def _cut_packets(n_bytes: int) -> str | None:
    rest = n_bytes % _TS_PACKET_BYTES
    return f"expected packets of {_TS_PACKET_BYTES} bytes, the last one has {rest}" if rest else None


def _told(what: str, end: int, n_bytes: int) -> str:
    return f"expected {what} up to byte {end}, the file ends at byte {n_bytes}"
