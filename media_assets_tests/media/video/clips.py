"""Small videos made in code, each picture showing its own number, to tell the right one from its neighbours."""

from __future__ import annotations

import io
import struct
import tempfile
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np

WIDTH, HEIGHT = 128, 96
N_BITS = 8

Picture = Callable[[int], np.ndarray]

CONTAINERS = {"mp4": "mp4", "mov": "mov", "webm": "webm", "mkv": "matroska", "ts": "mpegts", "avi": "avi", "flv": "flv"}

X264 = {"preset": "ultrafast", "x264-params": "scenecut=0:bframes=0"}
OPEN_H264 = {"x264-params": "open-gop=1:keyint=8:min-keyint=8:bframes=3:b-adapt=0:scenecut=0:rc-lookahead=10"}
OPEN_HEVC = {"x265-params": "open-gop=1:keyint=8:min-keyint=8:bframes=3:b-adapt=0:scenecut=0:log-level=error:pools=1"}
VP9 = {"deadline": "realtime", "cpu-used": "8", "keyint_min": "8", "lag-in-frames": "0"}
AV1 = {"preset": "12", "svtav1-params": "keyint=8:scd=0:lp=1"}
LOSSLESS = {"preset": "ultrafast", "qp": "0"}


def numbered(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """(height, width, 3) uint8: the number in eight bars of the upper half, red bottom left, blue bottom right."""
    pixels = np.full((height, width, 3), 16, np.uint8)
    for bit in range(N_BITS):
        if number >> (N_BITS - 1 - bit) & 1:
            pixels[: height // 2, bit * width // N_BITS : (bit + 1) * width // N_BITS] = 235
    pixels[height // 2 :, : width // 2] = (220, 20, 20)
    pixels[height // 2 :, width // 2 :] = (20, 20, 220)
    return pixels


def number_in(pixels: np.ndarray) -> int:
    """The number that a picture shows."""
    height, width = pixels.shape[:2]
    row = pixels[height // 4, :, :].mean(axis=1)
    return sum(int(row[(2 * bit + 1) * width // (2 * N_BITS)] > 128) << (N_BITS - 1 - bit) for bit in range(N_BITS))


def make_clip(
    kind: str = "mp4",
    codec: str = "libx264",
    *,
    n: int = 24,
    rate: Fraction | int = 24,
    gop: int = 8,
    options: dict[str, str] | None = None,
    picture: Picture = numbered,
    times: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    prepare: Callable[[Any], None] | None = None,
    convert: Callable[[av.VideoFrame], av.VideoFrame] | None = None,
    pixel_format: str = "yuv420p",
    sound_seconds: float = 0,
    container_options: dict[str, str] | None = None,
) -> bytes:
    """The bytes of a clip. `times`: of each picture, in ticks of `time_base`; else one each 1/rate seconds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip"
        with av.open(str(path), "w", format=CONTAINERS[kind], container_options=container_options or {}) as out:
            sound = out.add_stream("aac", rate=16000) if sound_seconds else None
            stream: Any = out.add_stream(codec, rate=Fraction(rate), options=options if options is not None else X264)
            first = picture(0)
            stream.height, stream.width = first.shape[:2]
            stream.pix_fmt, stream.gop_size = pixel_format, gop
            stream.time_base = stream.codec_context.time_base = time_base or 1 / Fraction(rate)
            if prepare:
                prepare(stream)
            for number in range(n):
                frame = av.VideoFrame.from_ndarray(picture(number), "rgb24")
                frame = convert(frame) if convert else frame
                frame.pts = number if times is None else times[number]
                frame.time_base = stream.codec_context.time_base
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
            if sound is not None:
                _add_sound(out, sound, sound_seconds)
        return path.read_bytes()


def _add_sound(out: Any, sound: Any, seconds: float) -> None:
    for start in range(0, int(seconds * 16000), 1024):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 16000, start, Fraction(1, 16000)
        out.mux(sound.encode(frame))
    out.mux(sound.encode(None))


@cache
def clip(name: str) -> bytes:
    """A clip by name: 24 pictures at 24 a second with a key picture each 8, in all codecs that matter."""
    match name:
        case "h264":
            return make_clip()
        case "h264-ts":
            return make_clip("ts")
        case "h264-flv":
            return make_clip("flv")
        case "h264-mkv":
            return make_clip("mkv")
        case "open-h264":
            return make_clip(options=OPEN_H264)
        case "open-h264-ts":
            return make_clip("ts", options=OPEN_H264)
        case "open-hevc":
            return make_clip(codec="libx265", options=OPEN_HEVC)
        case "vp9":
            return make_clip("webm", "libvpx-vp9", options=VP9)
        case "av1":
            return make_clip("mp4", "libsvtav1", options=AV1)
        case "av1-webm":
            return make_clip("webm", "libsvtav1", options=AV1)
        case "mpeg4-avi":
            return make_clip("avi", "mpeg4", options={"sc_threshold": "1000000000"})
        case "sound":
            return make_sound()
    raise KeyError(name)


def make_sound() -> bytes:
    """An MP4 with a track of sound and no pictures."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        _add_sound(container, container.add_stream("aac", rate=16000), 0.5)
    return out.getvalue()


def remux(
    data: bytes,
    kind: str,
    *,
    keep: Callable[[int], bool] = lambda number: True,
    shift: int = 0,
    times_over: int = 1,
    container_options: dict[str, str] | None = None,
) -> bytes:
    """The packets of the first picture track in another container, without decoding any.

    Args:
        keep: by the number of a packet, in the order of decoding.
        shift: added to the number of each picture.
        times_over: the same packets again and again, one after the other, in time as well.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip"
        with (
            av.open(io.BytesIO(data)) as source,
            av.open(str(path), "w", format=CONTAINERS[kind], container_options=container_options or {}) as out,
        ):
            stream = source.streams.video[0]
            copy = out.add_stream_from_template(stream)
            kept = [(bytes(p), p.pts, p.dts, p.duration, p.is_keyframe) for p in source.demux(stream) if p.size]
            ticks = kept[0][3]
            for turn in range(times_over):
                for number, (content, pts, dts, duration, is_key) in enumerate(kept):
                    if not keep(number):
                        continue
                    packet = av.Packet(content)
                    moved = (shift + turn * len(kept)) * ticks
                    packet.pts, packet.dts, packet.duration = pts + moved, dts + moved, duration
                    packet.time_base, packet.is_keyframe, packet.stream = stream.time_base, is_key, copy
                    out.mux(packet)
        return path.read_bytes()


def with_edits(mp4: bytes, edits: Sequence[tuple[int, int]]) -> bytes:
    """An MP4 whose edit list shows these stretches one after the other: (pictures, the first one of them)."""
    at = mp4.index(b"elst") - 4
    size, per_second = struct.unpack_from(">I", mp4, at)[0], struct.unpack_from(">I", mp4, mp4.index(b"mdhd") + 16)[0]
    begins = struct.unpack_from(">i", mp4, at + 20)[0]
    rows = b"".join(
        struct.pack(">IiI", round(n * 1000 / 24), begins + first * per_second // 24, 0x10000) for n, first in edits
    )
    new = struct.pack(">I4sII", 16 + len(rows), b"elst", 0, len(edits)) + rows
    out = bytearray(mp4[:at] + new + mp4[at + size :])
    for kind in (b"moov", b"trak", b"edts"):
        box = mp4.index(kind) - 4
        struct.pack_into(">I", out, box, struct.unpack_from(">I", out, box)[0] + len(new) - size)
    return bytes(out)
