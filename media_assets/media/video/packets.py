"""What a container really holds: every packet read once, none decoded.

This is cheap (no pixels), and it is the only honest source of a video's length: headers are promises. Remembered are 17
bytes of each picture. Not here: choosing pictures (`policies.py`) or decoding them (`decoding.py`).
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from media_assets.errors import ErrorCode, ItemError
from media_assets.media.containers.structure import corrupt
from media_assets.media.video.opening import VideoLimits

_SHOWN, _KEY, _WHOLE = 1, 2, 4


@dataclass(frozen=True)
class PacketIndex:
    """The packets of one picture track, in the order of decoding. Arrays of shape (n,).

    Attributes:
        time_base: seconds a tick.
        pts: when each is shown, ticks of the stream (its decoding time where the container tells no other).
        duration: ticks; 0 where it is not told.
        is_key: whether decoding can begin here.
        is_whole: whether all of its bytes are there.
        is_shown: false for those that an edit list cuts away: others may be built on them.
        end_ns: when the last packet of any track ends, nanoseconds on the container's clock.
        n_untimed: packets without any time, which are left out.
        fault: why reading stopped before the end, if it did.
    """

    time_base: Fraction
    pts: npt.NDArray[np.int64]
    duration: npt.NDArray[np.int64]
    is_key: npt.NDArray[np.bool_]
    is_whole: npt.NDArray[np.bool_]
    is_shown: npt.NDArray[np.bool_]
    end_ns: int
    n_untimed: int
    fault: str | None

    @cached_property
    def shown(self) -> npt.NDArray[np.int64]:
        """The times of the pictures that are there and shown, ascending, each once."""
        return np.unique(self.pts[self.is_shown & self.is_whole])

    @property
    def start(self) -> int:
        """The time of the first picture shown, ticks; 0 where there is none."""
        return int(self.shown[0]) if len(self.shown) else 0

    @property
    def end(self) -> int:
        """When the last picture shown ends, exclusive, ticks."""
        shown = self.shown
        if not len(shown):
            return 0
        last = int(shown[-1])
        told = int(self.duration[self.pts == last].max())
        usual = int(np.median(np.diff(shown))) if len(shown) > 1 else 1
        return last + max(told or usual, 1)


def index_packets(container: InputContainer, stream: VideoStream, limits: VideoLimits) -> PacketIndex:
    """Read all packets of all tracks once. A container that ends early is no error: `fault` tells of it.

    Raises:
        ItemError: TOO_MANY_FRAMES; CORRUPT: times that are further apart than `max_seconds`.
    """
    assert stream.time_base is not None
    times, durations, flags = array("q"), array("q"), array("B")
    n_packets, n_untimed, end_ns, fault = 0, 0, 0, None
    packets = container.demux()
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError as error:
            fault = f"reading stopped after {n_packets} packets: {error}"
            break
        if packet is None:
            break
        if not packet.size:
            continue  # what demuxing ends with
        n_packets += 1
        if n_packets > limits.max_packets:
            raise ItemError(
                ErrorCode.TOO_MANY_FRAMES,
                f"expected at most {limits.max_packets} packets, found more; cut the video at its source.",
            )
        time = packet_time(packet)
        if time is None:
            n_untimed += packet.stream_index == stream.index
            continue
        end_ns = max(end_ns, _end_ns(packet, time))
        if packet.stream_index == stream.index:
            times.append(time)
            durations.append(packet.duration or 0)
            flags.append(
                _SHOWN * (not packet.is_discard) | _KEY * packet.is_keyframe | _WHOLE * (not packet.is_corrupt)
            )
    marks = np.frombuffer(flags, np.uint8) if flags else np.empty(0, np.uint8)
    index = PacketIndex(
        time_base=Fraction(stream.time_base),
        pts=np.array(times, np.int64),
        duration=np.array(durations, np.int64),
        is_key=(marks & _KEY) > 0,
        is_whole=(marks & _WHOLE) > 0,
        is_shown=(marks & _SHOWN) > 0,
        end_ns=end_ns,
        n_untimed=n_untimed,
        fault=fault,
    )
    if (seconds := (index.end - index.start) * index.time_base) > limits.max_seconds:
        raise corrupt(f"expected pictures within {limits.max_seconds} s, their times span {float(seconds):.0f} s")
    return index


def packet_time(packet: Packet[Any]) -> int | None:
    """When a packet is shown, ticks; when it is decoded where that is all there is; None: neither is told."""
    return packet.pts if packet.pts is not None else packet.dts


def _end_ns(packet: Packet[Stream], time: int) -> int:
    base = packet.time_base
    return (time + (packet.duration or 0)) * base.numerator * 1_000_000_000 // base.denominator
