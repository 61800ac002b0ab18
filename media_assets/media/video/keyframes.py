"""The stills worth looking at of one video: chosen by a policy, capped, and without near-identical ones.

Three passes at most over the packets (index, shots where asked, pictures), each streaming: memory does not grow with
the length of the video beyond 17 bytes a picture. Not here: encoding or storing the stills.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from PIL import Image

from media_assets.errors import ErrorCode, ItemError
from media_assets.media.resize import Pixels
from media_assets.media.video.decoding import Complaints, chosen_pictures, every_picture, groups_of, out_of_reach
from media_assets.media.video.opening import VideoFile, VideoLimits, opened, pictures_of, sniffed
from media_assets.media.video.packets import PacketIndex, index_packets
from media_assets.media.video.policies import Choice, choose, decodable, parse_policy, thinned
from media_assets.media.video.shots import find_shots
from media_assets.media.video.ticks import nanoseconds
from media_assets.media.video.upright import Turns, upright

_CELLS = 32


class KeyframeRequest(msgspec.Struct, frozen=True):
    """Which stills of a video.

    `policy`: as `parse_policy` takes it. `max_frames`: more are thinned evenly before anything is decoded.
    `near_identical_levels`: leave out a picture of which no cell of a 32 x 32 grid differs by more than so many of 256
    gray levels from the last one kept; None: keep all.
    """

    policy: str = "codec"
    max_frames: int = 500
    near_identical_levels: int | None = None
    limits: VideoLimits = VideoLimits()

    def __post_init__(self) -> None:
        """Refuse what could never give a frame."""
        parse_policy(self.policy)
        if self.max_frames < 1:
            raise ValueError(f"expected max_frames of at least 1, got {self.max_frames}")
        if self.near_identical_levels is not None and not 0 <= self.near_identical_levels <= 255:
            raise ValueError(f"expected near_identical_levels of 0 to 255, got {self.near_identical_levels}")


class Keyframe(msgspec.Struct):
    """One still: (height, width, 3) uint8 sRGB, upright, with square pixels.

    `pts_ns`: from the first picture shown, nanoseconds, exact to half of one. `pts_ticks`: the same on the stream's own
    clock, in ticks of `time_base` seconds ("1/90000"): what finds the picture again in any tool. `frame_number`: its
    0-based place among the pictures shown, gaps not closed. `shot`: 0-based, where shots were looked for.
    """

    pixels: Pixels
    pts_ns: int
    pts_ticks: int
    time_base: str
    frame_number: int
    reason: str
    shot: int | None
    conversions: tuple[str, ...]


class KeyframeCounts(msgspec.Struct):
    """What became of the chosen pictures: `n_chosen = n_thinned + n_undecodable + n_near_identical + n_kept`.

    `n_before_first_key`: pictures shown that nothing precedes from which they could be decoded; they were not there to
    be chosen. `complaint`: what the decoder said first.
    """

    n_chosen: int = 0
    n_thinned: int = 0
    n_undecodable: int = 0
    n_near_identical: int = 0
    n_kept: int = 0
    n_before_first_key: int = 0
    n_shots: int | None = None
    complaint: str | None = None


def keyframes(file: VideoFile, request: KeyframeRequest, counts: KeyframeCounts | None = None) -> Iterator[Keyframe]:
    """The stills of a video, in the order in which they are shown, one in memory at a time.

    The same file and request always give the same stills, whatever the machine. A video that was cut off gives those in
    front of the cut: `probe_video` says whether it was.

    Args:
        file: is read while the stills are consumed, and is to be left alone until then.
        counts: is filled in while the stills are consumed.

    Raises:
        ItemError: NO_VIDEO: sound alone; CORRUPT: not one of the chosen pictures decodes; and those of `probe_video`.
    """
    counts = counts if counts is not None else KeyframeCounts()
    mime = sniffed(file)
    with opened(file, mime) as container:
        stream = pictures_of(container)
        if stream is None:
            raise ItemError(
                ErrorCode.NO_VIDEO, f"Expected a video, got {mime} with {_sounds(container)} and no pictures."
            )
        index = index_packets(container, stream, request.limits)
    choices = choose_keyframes(file, mime, index, request, counts)
    yield from _kept(file, mime, index, choices, request, counts)


def choose_keyframes(
    file: VideoFile, mime: str, index: PacketIndex, request: KeyframeRequest, counts: KeyframeCounts
) -> list[Choice]:
    """The stills that the policy and the cap choose, by time. Decodes nothing, except for the policy `shots`.

    Raises:
        ItemError: CORRUPT: there is no picture to choose; and for `shots` those of `every_picture`.
    """
    policy = parse_policy(request.policy)
    shots = _shots(file, mime, index, request.limits, counts) if policy.reason == "shots" else []
    choices = _apart(choose(policy, index, shots), index)
    counts.n_before_first_key = len(index.shown) - len(decodable(index))
    counts.n_chosen = len(choices)
    if not choices:
        raise ItemError(
            ErrorCode.CORRUPT,
            f"expected a picture from which decoding can begin, got none among {len(index.pts)} "
            f"({index.fault or 'read to the end'}). Ask its source for another copy.",
        )
    some = thinned(choices, request.max_frames)
    counts.n_thinned = len(choices) - len(some)
    return some


def _apart(choices: list[Choice], index: PacketIndex) -> list[Choice]:
    """Without those within the same nanosecond as another: a frame's name follows from it."""
    return list({nanoseconds(c.pts - index.start, index.time_base): c for c in reversed(choices)}.values())[::-1]


def _shots(
    file: VideoFile, mime: str, index: PacketIndex, limits: VideoLimits, counts: KeyframeCounts
) -> list[tuple[int, int]]:
    times = decodable(index)
    if not len(times):
        return []
    with opened(file, mime) as container:
        stream = pictures_of(container)
        assert stream is not None, "it was there before"
        frames = every_picture(container, stream, limits, Complaints())
        shots = find_shots(frames, index.time_base, int(times[0]), index.end)
    counts.n_shots = len(shots)
    return shots


def _kept(
    file: VideoFile,
    mime: str,
    index: PacketIndex,
    choices: list[Choice],
    request: KeyframeRequest,
    counts: KeyframeCounts,
) -> Iterator[Keyframe]:
    shot_of = {choice.pts: choice.shot for choice in choices}
    groups = groups_of(index, list(shot_of))
    base, undecodable, last = index.time_base, out_of_reach(groups, shot_of), None
    turns = Turns()
    for frame, aspect in chosen_pictures(file, mime, groups, request.limits, undecodable):
        assert frame.pts is not None, "pictures are found by their time"
        picture = upright(frame, aspect, request.limits, turns)
        if request.near_identical_levels is not None:
            cells = _cells(picture.pixels)
            if last is not None and int(np.abs(cells - last).max()) <= request.near_identical_levels:
                counts.n_near_identical += 1
                continue
            last = cells
        counts.n_kept += 1
        yield Keyframe(
            pixels=picture.pixels,
            pts_ns=nanoseconds(frame.pts - index.start, base),
            pts_ticks=frame.pts,
            time_base=f"{base.numerator}/{base.denominator}",
            frame_number=int(np.searchsorted(index.shown, frame.pts)),
            reason=parse_policy(request.policy).reason,
            shot=shot_of[frame.pts],
            conversions=picture.conversions,
        )
    counts.n_undecodable = len(undecodable.faults)
    counts.complaint = next(iter(undecodable.faults.values()), None)
    if not counts.n_kept:
        raise ItemError(
            ErrorCode.CORRUPT,
            f"expected {len(choices)} pictures, none of them decodes ({counts.complaint}). "
            f"Ask its source for another copy.",
        )


def _cells(pixels: Pixels) -> npt.NDArray[np.int16]:
    """(32, 32) int16: mean gray level of each cell."""
    gray = Image.fromarray(pixels).convert("L").resize((_CELLS, _CELLS), Image.Resampling.BOX)
    return np.asarray(gray, np.int16)


def _sounds(container: InputContainer) -> str:
    n = len(container.streams.audio)
    return f"{n} track{'' if n == 1 else 's'} of sound"
