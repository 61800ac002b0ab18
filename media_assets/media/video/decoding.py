"""Chosen pictures out of a video, in one pass over its packets, one picture in memory at a time.

A group of packets, from one where decoding can begin to the last one needed, is decoded, drained and flushed. Draining
is what makes open groups of pictures right (else the last pictures alone come out, in reversed order, and no error),
and reading packets instead of letting the decoder skip is what works for VP9 too. Not here: which pictures
(`policies.py`), or what their pixels mean (`upright.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

import av
import msgspec
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from media_assets.media.video.opening import VideoLimits, prepare
from media_assets.media.video.packets import PacketIndex, packet_time


class Group(msgspec.Struct, frozen=True):
    """Packets `first` to `last` (of the index, both included), and the times of the pictures wanted of them.

    `begins`: the time of the first one. Packets that are shown before it lead an open group: without the group before
    they do not decode, and nothing after them is built on them, so they are passed over.
    """

    first: int
    last: int
    begins: int
    wanted: frozenset[int]


@dataclass
class Undecodable:
    """What was chosen and did not come out, by time in ticks, and what the decoder said of it."""

    faults: dict[int, str] = field(default_factory=dict)


@dataclass
class Complaints:
    """How often reading or decoding complained, and what it said first."""

    n: int = 0
    first: str | None = None

    def add(self, told: str) -> None:
        """Count one."""
        self.n += 1
        self.first = self.first or told


def groups_of(index: PacketIndex, wanted: Sequence[int]) -> list[Group]:
    """The packets to decode for some pictures: of each from the latest key packet that is not shown after it.

    Groups that overlap (pictures that lead the next key picture of an open group) become one. A picture without a key
    packet before it is in no group.
    """
    places = np.flatnonzero(index.is_key & index.is_whole)
    keys = np.maximum.accumulate(index.pts[places]) if len(places) else places
    spans = []
    for pts in wanted:
        # An edit list may name a time twice: once cut away, to build on, and once shown.
        at = np.flatnonzero((index.pts == pts) & index.is_shown & index.is_whole)
        if not len(at):
            continue
        n_before = min(np.searchsorted(keys, pts, side="right"), np.searchsorted(places, at[0], side="right"))
        if n_before:
            spans.append((int(places[n_before - 1]), int(at[0]), pts))
    groups: list[Group] = []
    for first, last, pts in sorted(spans):
        before_it = groups[-1] if groups else None
        if before_it is not None and first <= before_it.last:
            groups[-1] = Group(before_it.first, max(before_it.last, last), before_it.begins, before_it.wanted | {pts})
        else:
            groups.append(Group(first, last, int(index.pts[first]), frozenset({pts})))
    return groups


def out_of_reach(groups: Sequence[Group], wanted: Collection[int]) -> Undecodable:
    """The wanted pictures that no group holds."""
    held = {pts for group in groups for pts in group.wanted}
    return Undecodable({pts: "nothing before it can be decoded" for pts in wanted if pts not in held})


def decode_pictures(
    container: InputContainer,
    stream: VideoStream,
    groups: Sequence[Group],
    limits: VideoLimits,
    undecodable: Undecodable,
) -> Iterator[VideoFrame]:
    """The pictures wanted of some groups, in the order in which they are shown. Nothing stands in for one that does
    not decode. Reading stops after the last group.

    A decoder that complains ends its group: what is built on damaged pictures is not to be trusted.

    Args:
        groups: as `groups_of` gives them, or some of these in that order.
        undecodable: is filled in while the pictures are consumed.

    Raises:
        ItemError: as `prepare`.
    """
    prepare(stream, limits)
    missing = {pts for group in groups for pts in group.wanted}
    waiting = iter(groups)
    group = next(waiting, None)
    number, is_broken = -1, False
    packets = container.demux(stream)
    while group is not None:
        packet, fault = _next(packets)
        time = None if packet is None else packet_time(packet)
        if packet is None:
            undecodable.faults |= dict.fromkeys(missing, fault or "the video ended before it")
            return
        if not packet.size or time is None:
            continue
        number += 1
        if number < group.first:
            continue
        try:
            frames = [] if is_broken or time < group.begins else stream.codec_context.decode(packet)
            if number == group.last and not is_broken:
                frames = [*frames, *stream.codec_context.decode(None)]
        except av.FFmpegError as error:
            frames, is_broken = [], True
            undecodable.faults |= dict.fromkeys(group.wanted & missing, str(error))
        for frame in frames:
            if frame.pts in group.wanted and frame.pts in missing and not frame.is_corrupt:
                missing.remove(frame.pts)
                yield frame
        if number == group.last:
            for pts in group.wanted & missing:
                undecodable.faults.setdefault(pts, "the decoder gave no picture for it")
            missing -= group.wanted
            stream.codec_context.flush_buffers()
            group, is_broken = next(waiting, None), False


def every_picture(
    container: InputContainer, stream: VideoStream, limits: VideoLimits, complaints: Complaints
) -> Iterator[VideoFrame]:
    """All pictures that decode, in the order in which they are shown; what does not decode is counted in `complaints`.

    Raises:
        ItemError: as `prepare`.
    """
    prepare(stream, limits)
    packets = container.demux(stream)
    while True:
        packet, fault = _next(packets)
        if fault is not None:
            complaints.add(fault)
        try:
            # at the end the last packet is empty, and drains the decoder
            frames = stream.codec_context.decode(packet if packet is not None and packet.size else None)
        except av.FFmpegError as error:
            complaints.add(str(error))
            frames = []
        yield from (frame for frame in frames if not frame.is_corrupt and frame.pts is not None)
        if packet is None or not packet.size:
            return


def _next(packets: Iterator[av.Packet[VideoStream]]) -> tuple[av.Packet[VideoStream] | None, str | None]:
    try:
        return next(packets, None), None
    except av.FFmpegError as error:
        return None, str(error)
