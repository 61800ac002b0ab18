"""A video in the sandbox: what workers run, and what travels to them and back.

A video is planned once (its packets are read, nothing is decoded unless the policy asks for it), then decoded in parts:
a part is as many stills as fit an answer, and the parts of one video may be decoded by several workers at once.
Together they are what `keyframes` gives in one stream. Not here: running them, storing the stills, and what a table
says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import msgspec
import numpy as np

from media_assets.errors import ErrorCode, ItemError
from media_assets.media.boundary import decoding
from media_assets.media.containers.png import encode_png
from media_assets.media.frames import small_jpeg
from media_assets.media.identity import frame_id, require_same_file
from media_assets.media.video.decoding import Group, Undecodable, chosen_pictures, groups_of, out_of_reach, spans_of
from media_assets.media.video.keyframes import KeyframeCounts, KeyframeRequest, choose_keyframes, keyframes
from media_assets.media.video.opening import VideoFile, VideoLimits, sniffed
from media_assets.media.video.packets import PacketIndex
from media_assets.media.video.policies import Choice
from media_assets.media.video.probe import VideoProbe, examine, require_whole
from media_assets.media.video.ticks import nanoseconds
from media_assets.media.video.upright import Turns, upright

PART_BYTES = 192 << 20
"""Uncompressed pixels of a part: an answer, and the memory of a worker, hold it whatever the pictures show."""

PART_DECODED_PIXELS = 2_000_000_000
"""Of all pictures that a part decodes on the way to its own: some six seconds of one core, where an item has thirty."""


class VideoRequest(msgspec.Struct, frozen=True):
    """What to plan for one video. `expected_sha256`: what kept bytes must still hash to; None: they were hashed just
    now.
    """

    keyframes: KeyframeRequest = KeyframeRequest()
    expected_sha256: str | None = None


class PartRequest(msgspec.Struct, frozen=True):
    """Some stills of a planned video: the groups that hold them. `out_of_reach`: those that none does, by ticks."""

    groups: tuple[Group, ...]
    limits: VideoLimits
    out_of_reach: tuple[int, ...] = ()
    n_thumbnails: int = 0


class PlannedStill(msgspec.Struct, frozen=True):
    """A still to come, with all that is known of it without its pixels; fields as of `Keyframe`."""

    pts_ticks: int
    pts_ns: int
    frame_number: int
    shot: int | None

    def frame_id(self, media_id: str) -> str:
        """Its name, which follows from the video's bytes and its time alone."""
        return frame_id(media_id, self.pts_ns)


class VideoPlan(msgspec.Struct):
    """What a video is, which stills are worth keeping, and the parts to decode them in, in order of time.

    `counts`: of the choice; what does not decode shows with the parts, except where near-identical stills were looked
    for: then all were decoded once, and the plan has only those that are kept.
    """

    probe: VideoProbe
    time_base: str
    stills: tuple[PlannedStill, ...]
    parts: tuple[PartRequest, ...]
    counts: KeyframeCounts


class EncodedStill(msgspec.Struct):
    """A decoded still: a lossless PNG, upright, square pixels, sRGB; the first ones of a part with a small JPEG."""

    pts_ticks: int
    width_px: int
    height_px: int
    png: bytes
    conversions: tuple[str, ...]
    thumbnail: bytes | None = None


class VideoPart(msgspec.Struct):
    """The stills of one part, by time; and of those that do not decode, by ticks, what was said of them."""

    stills: tuple[EncodedStill, ...]
    undecodable: dict[int, str]


def plan_video(file: VideoFile, request: VideoRequest) -> VideoPlan:
    """Look at a whole video, and choose.

    Raises:
        ItemError: BLOB_DAMAGED; TRUNCATED: it was cut off; NO_VIDEO; CORRUPT; and those of `probe_video`.
    """
    if request.expected_sha256 is not None:
        require_same_file(file, request.expected_sha256)
    wanted, counts = request.keyframes, KeyframeCounts()
    probe, index = examine(file, wanted.limits)
    require_whole(probe)
    if probe.pictures is None or index is None:
        raise ItemError(
            ErrorCode.NO_VIDEO, f"Expected a video, got {probe.mime} with sound ({len(probe.sounds)}) and no pictures."
        )
    if wanted.near_identical_levels is None:
        choices = choose_keyframes(file, probe.mime, index, wanted, counts)
    else:
        choices = [Choice(still.pts_ticks, still.shot) for still in keyframes(file, wanted, counts)]
    size_px = probe.pictures.upright_width_px * probe.pictures.upright_height_px
    return VideoPlan(
        probe=probe,
        time_base=probe.pictures.time_base,
        stills=tuple(_planned(choice, index) for choice in choices),
        parts=tuple(_parts([choice.pts for choice in choices], index, size_px, wanted.limits)),
        counts=counts,
    )


def read_part(file: VideoFile, request: PartRequest) -> VideoPart:
    """Decode some stills of a planned video.

    Raises:
        ItemError: TOO_MANY_PIXELS, CORRUPT, DECODER_MEMORY, STORAGE_FAILED.
    """
    undecodable = Undecodable(dict.fromkeys(request.out_of_reach, "nothing before it can be decoded"))
    stills: list[EncodedStill] = []
    turns = Turns()
    for frame, aspect in chosen_pictures(file, sniffed(file), request.groups, request.limits, undecodable):
        assert frame.pts is not None, "pictures are found by their time"
        picture = upright(frame, aspect, request.limits, turns)
        height, width = picture.pixels.shape[:2]
        with decoding("encoding a still"):
            png = encode_png(picture.pixels)
            small = small_jpeg(picture.pixels) if len(stills) < request.n_thumbnails else None
        stills.append(EncodedStill(frame.pts, width, height, png, picture.conversions, small))
    return VideoPart(tuple(stills), undecodable.faults)


def _planned(choice: Choice, index: PacketIndex) -> PlannedStill:
    return PlannedStill(
        pts_ticks=choice.pts,
        pts_ns=nanoseconds(choice.pts - index.start, Fraction(index.time_base)),
        frame_number=int(np.searchsorted(index.shown, choice.pts)),
        shot=choice.shot,
    )


def _parts(wanted: Sequence[int], index: PacketIndex, size_px: int, limits: VideoLimits) -> Iterator[PartRequest]:
    n_stills, n_packets = max(PART_BYTES // (3 * size_px), 1), PART_DECODED_PIXELS // size_px
    spans = {pts: (first, last) for first, last, pts in spans_of(index, wanted)}
    part: list[int] = []
    decoded, end = 0, -1  # packets of the part, and the last one of them
    for pts in wanted:
        first, last = spans.get(pts, (end + 1, end))
        more = last - max(first - 1, end) if first <= end else last - first + 1
        # Within a group nothing is won by a new part: it would decode the group from its beginning.
        is_too_much = first > end and decoded + more > n_packets
        if part and (len(part) == n_stills or is_too_much):
            yield _part(part, index, limits)
            part, decoded, more = [], 0, last - first + 1
        part.append(pts)
        decoded, end = decoded + max(more, 0), max(end, last)
    if part:
        yield _part(part, index, limits)


def _part(wanted: Sequence[int], index: PacketIndex, limits: VideoLimits) -> PartRequest:
    groups = groups_of(index, wanted)
    return PartRequest(tuple(groups), limits, tuple(out_of_reach(groups, wanted).faults))
