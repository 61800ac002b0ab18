"""What a video says of itself, beside what it really holds.

All packets are read (cheap, and the only way to know), and one picture is decoded; all of them when asked. Not here:
judging the findings, except for one: whether the file was cut off.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from media_assets.errors import ErrorCode, ItemError
from media_assets.media.containers.structure import truncated
from media_assets.media.video.decoding import Complaints, every_picture
from media_assets.media.video.hdr import Transfer
from media_assets.media.video.opening import (
    VideoFile,
    VideoLimits,
    check_pixels,
    opened,
    pictures_of,
    sample_aspect,
    sniffed,
)
from media_assets.media.video.packets import PacketIndex, index_packets
from media_assets.media.video.ticks import nanoseconds
from media_assets.media.video.upright import display_matrix, hdr_transfer, squared_size
from media_assets.media.video.wholeness import cut_off, tells_no_end

_NOT_SHORT_NS = 500_000_000  # what a declared length may be over the real one: containers round, players do not care
_STEADY_SHARE = 0.05  # what times may sway by, of the usual distance of two pictures: containers round to milliseconds
_QUARTERS = {(0, -1, 1, 0): 270, (-1, 0, 0, -1): 180, (0, 1, -1, 0): 90, (0, 1, 1, 0): 270, (0, -1, -1, 0): 90}
_MIRRORED = frozenset({(-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0), (0, -1, -1, 0)})
_TURNED_AND_MIRRORED = {(1, 0, 0, -1): 180}


class AudioTrack(msgspec.Struct, frozen=True):
    """One track of sound, as declared."""

    codec: str
    sample_rate_hz: int
    n_channels: int
    language: str | None
    duration_ns: int | None


class PictureTrack(msgspec.Struct, frozen=True):
    """The track of pictures. Sizes are as stored unless they say otherwise; names are libav's.

    `n_frames_declared`: what the container says, where it says anything; `n_frames`: the pictures shown whose bytes are
    all there; `n_frames_decoded`: those that decode (None: not asked). `turned_clockwise_degrees`: the turn, after
    mirroring left to right where `is_mirrored`, that makes the picture upright. `frame_rate_hz`: pictures by time, as
    measured. `declared_duration_ns` is of the container, `duration_ns` from the first picture shown to the end of the
    last. `sample_aspect`: width by height of a pixel, such as "16:11"; None: square.
    """

    codec: str
    profile: str | None
    pixel_format: str
    bit_depth: int
    width_px: int
    height_px: int
    upright_width_px: int
    upright_height_px: int
    sample_aspect: str | None
    turned_clockwise_degrees: int
    is_mirrored: bool
    is_interlaced: bool
    colour_primaries: int
    colour_transfer: int
    colour_matrix: int
    hdr: Transfer | None
    frame_rate_hz: float | None
    has_variable_rate: bool
    n_frames_declared: int | None
    n_frames: int
    n_frames_decoded: int | None
    n_keyframes: int
    begins_with_keyframe: bool
    duration_ns: int
    declared_duration_ns: int | None
    time_base: str


class VideoProbe(msgspec.Struct, frozen=True):
    """One file. `cut_off`: what shows that it was cut off; None where nothing does (`wholeness.py` says for which
    containers that proves something). `complaints`: how often reading and decoding complained, and the first time how.
    """

    mime: str
    size_bytes: int
    pictures: PictureTrack | None
    n_picture_tracks: int
    sounds: tuple[AudioTrack, ...]
    cut_off: str | None
    n_complaints: int = 0
    complaint: str | None = None


def probe_video(file: VideoFile, limits: VideoLimits | None = None, *, decode_all: bool = False) -> VideoProbe:
    """What a file is and holds; a file with sound alone has no `pictures`. Memory: 17 bytes a picture.

    Args:
        decode_all: decode every picture, some hundred times the cost, to count those that decode.

    Raises:
        ItemError: EMPTY, UNKNOWN_FORMAT, UNSUPPORTED_FORMAT, NO_VIDEO (a sound file), TRUNCATED (no header is left),
            CORRUPT (also: not one picture decodes), TOO_MANY_PIXELS, TOO_MANY_FRAMES, DECODER_MEMORY, STORAGE_FAILED.
    """
    probe, _ = examine(file, limits or VideoLimits(), decode_all=decode_all)
    return probe


def examine(file: VideoFile, limits: VideoLimits, *, decode_all: bool = False) -> tuple[VideoProbe, PacketIndex | None]:
    """As `probe_video`, with the packets that it has seen; None where there are no pictures.

    Raises:
        ItemError: as `probe_video`.
    """
    mime = sniffed(file)
    cut = cut_off(file, mime)
    try:
        with opened(file, mime) as container:
            stream = pictures_of(container)
            sounds = tuple(map(_sound, container.streams.audio))
            n_tracks = len(container.streams.video)
            index = None if stream is None else index_packets(container, stream, limits)
    except ItemError as error:
        if cut is not None and error.code is ErrorCode.CORRUPT:
            raise truncated(cut) from error
        raise
    size_bytes, complaints = file.seek(0, 2), Complaints()
    if index is None:
        return VideoProbe(mime, size_bytes, None, n_tracks, sounds, cut), None
    with opened(file, mime) as container:
        stream = pictures_of(container)
        assert stream is not None, "it was there before"
        cut = cut or _cut_by_packets(container, stream, index, mime, size_bytes)
        if cut is None and tells_no_end(file, mime):
            cut = _cut_by_duration(container, index)
        pictures = _pictures(container, stream, index, limits, complaints, decode_all=decode_all)
    probe = VideoProbe(mime, size_bytes, pictures, n_tracks, sounds, cut, complaints.n, complaints.first)
    return probe, index


def require_whole(probe: VideoProbe) -> None:
    """Raise `ItemError(TRUNCATED)` for a file that was cut off."""
    if probe.cut_off is not None:
        raise truncated(probe.cut_off)


def _cut_by_packets(
    container: InputContainer, stream: VideoStream, index: PacketIndex, mime: str, size_bytes: int
) -> str | None:
    if index.fault is not None:
        return index.fault
    if not index.is_whole.all():
        return f"expected {len(index.is_whole)} whole packets, {int((~index.is_whole).sum())} are cut"
    if mime in ("video/mp4", "video/quicktime", "video/x-msvideo"):
        # the tables of these say where every picture lies
        end = max((entry.pos + entry.size for entry in stream.index_entries), default=0)
        return f"expected pictures up to byte {end}, the file ends at byte {size_bytes}" if end > size_bytes else None
    return None


def _cut_by_duration(container: InputContainer, index: PacketIndex) -> str | None:
    declared = _declared_ns(container)
    if declared is not None and declared - index.end_ns > _NOT_SHORT_NS:  # both on the container's clock
        return f"expected {declared / 1e9:.3f} s, the packets end after {index.end_ns / 1e9:.3f} s"
    return None


def _declared_ns(container: InputContainer) -> int | None:
    return None if container.duration is None else container.duration * 1000  # libav counts in microseconds


def _sound(stream: AudioStream) -> AudioTrack:
    length, base = stream.duration, stream.time_base
    return AudioTrack(
        codec=stream.codec_context.codec.canonical_name if stream.codec_context else "unknown",
        sample_rate_hz=stream.codec_context.sample_rate if stream.codec_context else 0,
        n_channels=stream.codec_context.channels if stream.codec_context else 0,
        language=stream.language,
        duration_ns=None if length is None or base is None else nanoseconds(length, base),
    )


def _pictures(
    container: InputContainer,
    stream: VideoStream,
    index: PacketIndex,
    limits: VideoLimits,
    complaints: Complaints,
    *,
    decode_all: bool,
) -> PictureTrack:
    frames = every_picture(container, stream, limits, complaints)
    first = next(frames, None)
    if first is None:
        raise _nothing_decodes(index, complaints)
    matrix, context, base = display_matrix(first), stream.codec_context, index.time_base
    aspect = sample_aspect(stream)
    size = squared_size(first.width, first.height, aspect)
    check_pixels(*size, limits)
    degrees = _QUARTERS.get(matrix, _TURNED_AND_MIRRORED.get(matrix, 0))
    upright_size = size[::-1] if degrees % 180 else size
    return PictureTrack(
        codec=context.codec.canonical_name,
        profile=stream.profile,
        pixel_format=first.format.name,
        bit_depth=max((component.bits for component in first.format.components), default=8),
        width_px=first.width,
        height_px=first.height,
        upright_width_px=upright_size[0],
        upright_height_px=upright_size[1],
        sample_aspect=None if aspect is None else f"{aspect.numerator}:{aspect.denominator}",
        turned_clockwise_degrees=degrees,
        is_mirrored=matrix in _MIRRORED,
        is_interlaced=first.interlaced_frame,
        colour_primaries=first.color_primaries,
        colour_transfer=first.color_trc,
        colour_matrix=first.colorspace,
        hdr=hdr_transfer(first),
        frame_rate_hz=_rate(index),
        has_variable_rate=_is_variable(index),
        n_frames_declared=stream.frames or None,
        n_frames=len(index.shown),
        n_frames_decoded=1 + _count(frames) if decode_all else None,
        n_keyframes=int((index.is_key & index.is_whole & index.is_shown).sum()),
        begins_with_keyframe=bool(len(index.is_key) and index.is_key[0]),
        duration_ns=nanoseconds(index.end - index.start, base),
        declared_duration_ns=_declared_ns(container),
        time_base=f"{base.numerator}/{base.denominator}",
    )


def _nothing_decodes(index: PacketIndex, complaints: Complaints) -> ItemError:
    what = f"{len(index.pts)} packets with {int(index.is_key.sum())} key pictures among them"
    return ItemError(
        ErrorCode.CORRUPT,
        f"expected at least one picture, none decodes of {what} ({complaints.first or 'without a complaint'}). "
        f"Ask its source for another copy.",
    )


def _rate(index: PacketIndex) -> float | None:
    span = index.end - index.start
    return float(len(index.shown) / (span * index.time_base)) if span else None


def _is_variable(index: PacketIndex) -> bool:
    gaps = np.diff(index.shown)
    return len(gaps) > 1 and bool(np.ptp(gaps) > max(2, _STEADY_SHARE * float(np.median(gaps))))


def _count(frames: Iterator[VideoFrame]) -> int:
    return sum(1 for _ in frames)
