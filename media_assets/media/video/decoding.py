"""Chosen pictures out of a video, in one pass over its packets at most, one picture in memory at a time.

A group of packets, from one where decoding can begin to the last one needed, is decoded, drained and flushed. Draining
is what makes open groups of pictures right (else the last pictures alone come out, in reversed order, and no error),
and reading packets instead of letting the decoder skip is what works for VP9 too. Not here: which pictures
(`policies.py`), or what their pixels mean (`upright.py`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, islice

import av
import msgspec
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from media_assets.media.video.opening import VideoFile, VideoLimits, opened, pictures_of, prepare, sample_aspect
from media_assets.media.video.packets import PacketIndex, packet_time

_INDEXED = frozenset({"video/mp4", "video/quicktime", "video/webm", "video/x-matroska"})
"""Containers in which a jump to a time is exact, or fails."""

_FAR = 256
"""Packets: to read on over fewer is as cheap as a jump."""


class Group(msgspec.Struct, frozen=True):
    """Packets `first` to `last` (of the index, both included), and the times of the pictures wanted of them.

    `begins`: the time of the first one. Packets up to the next key packet that are shown before it lead an open group:
    without the group before they do not decode, and nothing after them is built on them, so they are passed over.
    `is_findable`: no other packet has that time, and all have one: it is known again after a jump.
    """

    first: int
    last: int
    begins: int
    wanted: frozenset[int]
    is_findable: bool = False


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


@dataclass
class _Left:
    """What is still to be decoded: groups, and the times of the pictures wanted of them."""

    groups: deque[Group]
    missing: set[int]
    undecodable: Undecodable

    def takes(self, frame: VideoFrame, group: Group) -> bool:
        """Whether a picture is wanted, whole, and was not there before."""
        if frame.pts not in group.wanted or frame.pts not in self.missing or frame.is_corrupt:
            return False
        self.missing.remove(frame.pts)
        return True

    def give_up(self, group: Group, told: str) -> None:
        """What is missing of a group will not come; the first thing said of a picture counts."""
        for pts in group.wanted & self.missing:
            self.undecodable.faults.setdefault(pts, told)
        self.missing -= group.wanted

    def end(self, told: str) -> None:
        """Nothing more will come."""
        self.undecodable.faults |= dict.fromkeys(self.missing, told)
        self.missing.clear()
        self.groups.clear()


class _Lost(Exception):
    """A jump did not lead to where it should."""


def groups_of(index: PacketIndex, wanted: Sequence[int]) -> list[Group]:
    """The packets to decode for some pictures: of each from the latest key packet that is not shown after it.

    Groups that overlap (pictures that lead the next key picture of an open group) become one. A picture without a key
    packet before it is in no group.
    """
    spans = spans_of(index, wanted)
    groups: list[Group] = []
    findable = _findable(index, [first for first, _, _ in spans])
    for first, last, pts in sorted(spans):
        before_it = groups[-1] if groups else None
        if before_it is not None and first <= before_it.last:
            groups[-1] = msgspec.structs.replace(
                before_it, last=max(before_it.last, last), wanted=before_it.wanted | {pts}
            )
        else:
            groups.append(Group(first, last, int(index.pts[first]), frozenset({pts}), first in findable))
    return groups


def spans_of(index: PacketIndex, wanted: Sequence[int]) -> list[tuple[int, int, int]]:
    """The first and the last packet to decode for each picture, and its time; without those that cannot be decoded.

    Times go back where one edit of a list follows another: packets that it cuts away carry later ones than its next.
    """
    places = np.flatnonzero(index.is_key & index.is_whole)
    times = index.pts[places]
    spans = []
    for pts in wanted:
        # An edit list may name a time twice: once cut away, to build on, and once shown.
        at = np.flatnonzero((index.pts == pts) & index.is_shown & index.is_whole)
        if not len(at):
            continue
        before = int(np.searchsorted(places, at[0], side="right")) - 1
        if before >= 0 and times[before] > pts:  # it leads the key picture that it follows
            earlier = np.flatnonzero(times[:before] <= pts)
            before = int(earlier[-1]) if len(earlier) else -1
        if before >= 0:
            spans.append((int(places[before]), int(at[0]), pts))
    return spans


def _findable(index: PacketIndex, firsts: Sequence[int]) -> set[int]:
    """Those of some packets that are the only one at their time."""
    if index.n_untimed or index.fault is not None:
        return set()
    times, counts = np.unique(index.pts, return_counts=True)
    return {first for first in firsts if counts[np.searchsorted(times, index.pts[first])] == 1}


def out_of_reach(groups: Sequence[Group], wanted: Collection[int]) -> Undecodable:
    """The wanted pictures that no group holds."""
    held = {pts for group in groups for pts in group.wanted}
    return Undecodable({pts: "nothing before it can be decoded" for pts in wanted if pts not in held})


def chosen_pictures(
    file: VideoFile, mime: str, groups: Sequence[Group], limits: VideoLimits, undecodable: Undecodable
) -> Iterator[tuple[VideoFrame, Fraction | None]]:
    """The pictures wanted of some groups, in the order in which they are shown, each with the `sample_aspect` of its
    track. Nothing stands in for one that does not decode. Reading stops after the last group.

    A decoder that complains ends its group: what is built on damaged pictures is not to be trusted. What lies far
    ahead is jumped to where the container has an index; if that is not what it says, everything is read.

    Args:
        groups: as `groups_of` gives them, or some of these in that order.
        undecodable: is filled in while the pictures are consumed.

    Raises:
        ItemError: as `opened` and `prepare`.
    """
    left = _Left(deque(groups), {pts for group in groups for pts in group.wanted}, undecodable)
    for jumps in (mime in _INDEXED, False):
        with opened(file, mime) as container:
            stream = pictures_of(container)
            assert stream is not None, "groups are of a track"
            prepare(stream, limits)
            aspect = sample_aspect(stream)
            try:
                for frame in _decoded(container, stream, left, jumps=jumps):
                    yield frame, aspect
            except _Lost:
                continue
            return


def _decoded(container: InputContainer, stream: VideoStream, left: _Left, *, jumps: bool) -> Iterator[VideoFrame]:
    number, packets = -1, container.demux(stream)
    has_jumped = is_broken = has_other_key = False
    while left.groups:
        group = left.groups[0]
        if jumps and group.is_findable and group.first - number > _FAR:
            packets, number, has_jumped = _jumped(container, stream, group), group.first - 1, True
        packet, fault = _next(packets)
        time = None if packet is None else packet_time(packet)
        if packet is None:
            if has_jumped:
                raise _Lost
            left.end(fault or "the video ended before it")
            return
        if not packet.size or time is None:
            continue
        number += 1
        if number < group.first:
            continue
        has_other_key |= packet.is_keyframe and number > group.first
        is_leading = time < group.begins and not has_other_key
        try:
            frames = [] if is_broken or is_leading else stream.codec_context.decode(packet)
            if number == group.last and not is_broken:
                frames = [*frames, *stream.codec_context.decode(None)]
        except av.FFmpegError as error:
            frames, is_broken = [], True
            left.give_up(group, str(error))
        yield from (frame for frame in frames if left.takes(frame, group))
        if number == group.last:
            left.give_up(group, "the decoder gave no picture for it")
            left.groups.popleft()
            stream.codec_context.flush_buffers()
            is_broken = has_other_key = False


def _jumped(container: InputContainer, stream: VideoStream, group: Group) -> Iterator[av.Packet[VideoStream]]:
    """The packets from the first one of a group on.

    Raises:
        _Lost: it is not where the container's index says.
    """
    try:
        container.seek(group.begins, stream=stream, backward=True)
        packets = container.demux(stream)
        for packet in islice(packets, _FAR):
            if packet.size and packet_time(packet) == group.begins:
                return chain([packet], packets)
    except av.FFmpegError:
        pass
    raise _Lost


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
